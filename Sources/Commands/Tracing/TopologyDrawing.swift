import CommandKit
import KernelPages
import KernelStructures
import KernelWorld
import TracingEngine

/// Who talks to whom, as a picture: SVG 1.1, complete in itself, the same for the same graph.
///
/// A layered drawing, after Sugiyama, Tagawa and Toda (1981), as far as a graph of services needs it: those whom nobody
/// asks stand left, everybody else one column right of the last who asks them; within a column the order follows that
/// of the callers, so that lines seldom cross. Lines that lead back (a cycle) go below.
struct TopologyDrawing {
    private struct Box {
        let name: String
        let isLeaf: Bool
        var column = 0
        var row = 0
        var x = 0
        var y = 0
    }

    private var boxes: [Box]
    private let edges: [(from: Int, to: Int, way: Topology.Way)]
    /// Edges that close a cycle, by the numbers of their ends.
    private var back: Set<[Int]> = []
    private var width = 0
    private var height = 0

    /// Pixels.
    private static let boxWidth = 150
    private static let boxHeight = 44
    private static let columnStep = 340
    private static let rowStep = 84
    private static let margin = 24
    /// Characters of a name that have room in a box.
    private static let nameLimit = 19

    init(_ graph: ServiceGraph, _ world: World) {
        let ways = Topology.ways(graph, world)
        let names = Topology.names(graph, ways)
        let numbers = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
        boxes = names.map { Box(name: $0, isLeaf: Topology.isLeaf($0, graph, ways)) }
        edges = ways.map { (numbers[$0.from] ?? 0, numbers[$0.to] ?? 0, $0) }
        setColumns()
        setRows()
        place()
    }

    // MARK: Layout

    /// The longest way from somebody whom nobody asks, edges that lead back left out.
    private mutating func setColumns() {
        let outgoing = Dictionary(grouping: edges.filter { $0.from != $0.to }) { $0.from }
        for node in order(outgoing) {
            for edge in outgoing[node] ?? [] where !back.contains([node, edge.to]) {
                boxes[edge.to].column = max(boxes[edge.to].column, boxes[node].column + 1)
            }
        }
    }

    /// All boxes, callers before those whom they ask. An edge to somebody whose own callees are being looked at closes
    /// a cycle, and leads back: it is noted.
    private mutating func order(_ outgoing: [Int: [(from: Int, to: Int, way: Topology.Way)]]) -> [Int] {
        var done: [Int] = []
        var state = [Int](repeating: 0, count: boxes.count)
        let asked = Set(edges.map(\.to))
        // Those whom nobody asks first: then a cycle is entered where somebody comes into it.
        for start in boxes.indices.sorted(by: { (asked.contains($0) ? 1 : 0, $0) < (asked.contains($1) ? 1 : 0, $1) }) {
            guard state[start] == 0 else { continue }
            var open: [(node: Int, next: Int)] = [(start, 0)]
            state[start] = 1
            while let (node, next) = open.last {
                let ways = outgoing[node] ?? []
                guard next < ways.count else {
                    state[node] = 2
                    done.append(node)
                    open.removeLast()
                    continue
                }
                open[open.count - 1].next += 1
                let target = ways[next].to
                if state[target] == 1 { back.insert([node, target]) }
                if state[target] == 0 {
                    state[target] = 1
                    open.append((target, 0))
                }
            }
        }
        return done.reversed()
    }

    private mutating func setRows() {
        for column in 0...(boxes.map(\.column).max() ?? 0) {
            let members = boxes.indices.filter { boxes[$0].column == column }
            let weights = members.map { member -> Double in
                let callers = edges.filter { $0.to == member && boxes[$0.from].column < column }
                guard !callers.isEmpty else { return Double(member) }
                return callers.reduce(0) { $0 + Double(boxes[$1.from].row) } / Double(callers.count)
            }
            let order = members.indices.sorted { (weights[$0], members[$0]) < (weights[$1], members[$1]) }
            for (row, index) in order.enumerated() { boxes[members[index]].row = row }
        }
    }

    private mutating func place() {
        var counts: [Int: Int] = [:]
        for box in boxes { counts[box.column, default: 0] += 1 }
        let tallest = counts.values.max() ?? 0
        for index in boxes.indices {
            let space = (tallest - (counts[boxes[index].column] ?? 0)) * Self.rowStep / 2
            boxes[index].x = Self.margin + boxes[index].column * Self.columnStep
            boxes[index].y = Self.margin + space + boxes[index].row * Self.rowStep
        }
        width = 2 * Self.margin + (boxes.map(\.column).max() ?? 0) * Self.columnStep + Self.boxWidth
        height = 2 * Self.margin + max(1, tallest) * Self.rowStep
    }

    // MARK: SVG

    var svg: String {
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(width) \(height)\" width=\"\(width)\" "
                + "height=\"\(height)\" role=\"img\" aria-labelledby=\"title\">",
            "<title id=\"title\">Who talks to whom: \(counted(boxes.count, "service")), \(counted(edges.count, "way"))"
                + "</title>",
            Self.style,
            "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" "
                + "orient=\"auto\"><path d=\"M0 0 8 4 0 8z\"/></marker></defs>",
        ]
        lines += edges.flatMap { draw($0.way, from: boxes[$0.from], to: boxes[$0.to]) }
        lines += boxes.flatMap(draw)
        return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
    }

    private static let style = """
        <style>
        text { font: 12px system-ui, sans-serif; fill: #1b1f24; text-anchor: middle; }
        rect { fill: #f5f7fa; stroke: #5b6470; } .leaf rect { stroke-dasharray: 4 3; }
        path { fill: none; stroke: #5b6470; } marker path { fill: #5b6470; stroke: none; }
        .queue { stroke-dasharray: 6 4; } .connection { stroke-dasharray: 2 3; }
        .bad { fill: #b3261e; } path.bad { fill: none; stroke: #b3261e; }
        @media (prefers-color-scheme: dark) { text { fill: #e6e9ee; } rect { fill: #1e2329; stroke: #9aa4b1; }
        path { stroke: #9aa4b1; } marker path { fill: #9aa4b1; } .bad { fill: #ff8a80; }
        path.bad { stroke: #ff8a80; } }
        </style>
        """

    private func draw(_ box: Box) -> [String] {
        let name = box.name.count > Self.nameLimit ? box.name.prefix(Self.nameLimit - 1) + "…" : box.name[...]
        return [
            "<g\(box.isLeaf ? " class=\"leaf\"" : "")><title>\(Self.escaped(box.name))</title>"
                + "<rect x=\"\(box.x)\" y=\"\(box.y)\" width=\"\(Self.boxWidth)\" "
                + "height=\"\(Self.boxHeight)\" rx=\"6\"/>"
                + "<text x=\"\(box.x + Self.boxWidth / 2)\" y=\"\(box.y + Self.boxHeight / 2 + 4)\">"
                + "\(Self.escaped(String(name)))</text></g>"
        ]
    }

    private func draw(_ way: Topology.Way, from: Box, to: Box) -> [String] {
        let isBad = way.hasErrors || !way.faults.isEmpty
        let classes = [way.kind == .call ? nil : way.kind.rawValue, isBad ? "bad" : nil].compactMap(\.self)
        let kind = classes.isEmpty ? "" : " class=\"\(classes.joined(separator: " "))\""
        let (path, x, y) = route(from, to)
        var lines = [
            "<path\(kind) d=\"\(path)\" marker-end=\"url(#tip)\"/>",
            "<text x=\"\(x)\" y=\"\(y)\">\(Self.escaped(way.text))</text>",
        ]
        if !way.faults.isEmpty {
            lines.append(
                "<text class=\"bad\" x=\"\(x)\" y=\"\(y + 14)\">\(Self.escaped(way.faults.joined(separator: ", ")))</text>"
            )
        }
        return lines
    }

    /// The line, and where its label stands.
    private func route(_ from: Box, _ to: Box) -> (path: String, x: Int, y: Int) {
        let half = Self.boxHeight / 2
        if to.column > from.column {
            let (x1, y1) = (from.x + Self.boxWidth, from.y + half)
            let (x2, y2) = (to.x, to.y + half)
            let bend = (x2 - x1) / 2
            return ("M\(x1) \(y1)C\(x1 + bend) \(y1) \(x2 - bend) \(y2) \(x2) \(y2)", (x1 + x2) / 2, (y1 + y2) / 2 - 6)
        }
        let (x1, x2) = (from.x + Self.boxWidth * 2 / 3, to.x + Self.boxWidth / 3)
        let (y1, y2) = (from.y + Self.boxHeight, to.y + Self.boxHeight)
        let low = max(y1, y2) + 30
        return ("M\(x1) \(y1)C\(x1) \(low) \(x2) \(low) \(x2) \(y2)", (x1 + x2) / 2, low)
    }

    /// XML 1.0 has no way to write control characters at all: a blank stands for them.
    private static func escaped(_ text: String) -> String {
        let plain = text.map { $0.unicodeScalars.contains { $0.value < 32 || $0.value == 127 } ? " " : $0 }
        return Page.escaped(String(plain))
    }
}
