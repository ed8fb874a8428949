import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import KernelWorld
import ShellSession
import TracingEngine

extension TracingCommands {
    /// `topo`, `topo --mermaid`
    static var topo: Command {
        let description = CommandDescription(
            "topo", "who talks to whom: calls, errors, times, and the faults between them",
            usage: "[--mermaid|--svg] [--json]",
            flags: [
                .init("mermaid", nil, "as a diagram's text, for mermaid.js"),
                .init("svg", nil, "as a picture, for browsers: topo --svg > topo.svg; get topo.svg"),
                CommonFlags.json,
            ],
            arguments: .init([], 0...0),
            examples: ["topo", "topo --mermaid > topo.mmd", "topo --svg > topo.svg", "watch 1s topo"],
            group: .views,
            details: """
                It is made from the spans that the lab remembers. Times are those of the one who
                asks. ~ stands before whoever makes no spans: that it was asked is all that is
                known. A database makes none, and neither does a pooler before one: a pair of
                which only connections are known stands last, by connection, and CALLS are
                how many were opened. A queue lies between two that do not wait for one another.
                """)
        return Command(description) { invocation in
            let world = invocation.session.world
            let session = invocation.session
            // A dead server listens no more: the session still knows who was started at its port.
            let graph = ServiceGraph(LabTraces(world, includesOpen: false).all) { address, port in
                session.node(meantBy: "\(address):\(port)")?.serviceName
            }
            let json = invocation.arguments.wantsJSON ? ["json"] : []
            let forms = ["mermaid", "svg"].filter { invocation.arguments.has($0) } + json
            if forms.count > 1 { throw UsageError("topo: --\(forms[0]) and --\(forms[1])? one of them") }
            if invocation.arguments.has("mermaid") {
                return .view(View(.text(Topology.mermaid(graph, world), json: Topology.json(graph, world))))
            }
            if invocation.arguments.has("svg") {
                return .view(View(.text(TopologyDrawing(graph, world).svg, json: Topology.json(graph, world))))
            }
            return .view(Topology.view(graph, world))
        }
    }
}

/// A graph of services, as people and as other programs see it.
enum Topology {
    static func view(_ graph: ServiceGraph, _ world: World) -> View {
        var rows = graph.edges.map { edge -> [View.Cell] in
            let faults = faults(from: edge.from, to: edge.to, world)
            return [
                .text(edge.from), .text((edge.isLeaf ? "~" : "") + edge.to),
                .text(edge.isAsynchronous ? "queue" : "call"), .integer(edge.calls),
                edge.errors == 0 ? .none : .text(percent(edge), style: .bad), took(edge.quantile(0.5)),
                took(edge.quantile(0.99)),
                faults.isEmpty ? .none : .text(faults.joined(separator: ", "), style: .warning),
            ]
        }
        rows += connections(graph, world).map { link -> [View.Cell] in
            let share = trimmedDecimal(100 * Double(link.failed) / Double(max(1, link.opened + link.failed)), places: 1)
            return [
                .text(link.from), .text("~" + link.to), .text("connection"), .integer(link.opened + link.failed),
                link.failed == 0 ? .none : .text(share + "%", style: .bad), .none, .none, .none,
            ]
        }
        var view = View(
            .table(
                .init(
                    [
                        .init("FROM", key: "from", flexible: true), .init("TO", key: "to", flexible: true),
                        .init("BY", key: "by"), .init("CALLS", key: "calls", right: true),
                        .init("ERR", key: "error", right: true), .init("P50", key: "p50_ms", right: true),
                        .init("P99", key: "p99_ms", right: true), .init("FAULTS", key: "faults", flexible: true),
                    ], rows: rows, whenEmpty: "nobody has asked anybody yet")))
        view.json = json(graph, world)
        return view
    }

    struct Link {
        let from: String
        let to: String
        var opened = 0
        var failed = 0
    }

    /// Who has opened connections to a database without a span of its own: what the journal still has of that, by
    /// name. Databases' protocols carry no trace, so that a pooler's server connections are all that can be seen.
    static func connections(_ graph: ServiceGraph, _ world: World) -> [Link] {
        var links: [Link] = []
        let events = world.journal.events
        for index in 0..<events.count {
            guard case .connection(let number, let from, let to, let change) = events[index].body,
                JournalEvent.isInitiator(number), change == .opened || change == .refused || change == .timedOut,
                let source = world.nodes[from], !source.isTransient, let target = world.nodes[to],
                source !== target, databases.contains(target.serviceName) || isDatabase(target)
            else { continue }
            let (caller, called) = (source.serviceName, target.serviceName)
            if graph.edges.contains(where: { $0.from == caller && $0.to == called }) { continue }
            let place = links.firstIndex { $0.from == caller && $0.to == called } ?? links.count
            if place == links.count { links.append(Link(from: caller, to: called)) }
            if change == .opened { links[place].opened += 1 } else { links[place].failed += 1 }
        }
        return links.sorted { ($0.from, $0.to) < ($1.from, $1.to) }
    }

    /// What databases and poolers are called unless somebody names them.
    private static let databases: Set<String> = ["db", "pgbouncer"]

    /// PostgreSQL's port, and pgbouncer's.
    private static func isDatabase(_ node: Node) -> Bool {
        node.listeners.contains { $0.port == 5432 || $0.port == 6432 }
    }

    private static func took(_ nanoseconds: UInt64) -> View.Cell {
        .duration(LabDuration(nanoseconds: Int64(clamping: nanoseconds)))
    }

    static func percent(_ edge: ServiceGraph.Edge) -> String {
        trimmedDecimal(100 * Double(edge.errors) / Double(max(1, edge.calls)), places: 1) + "%"
    }

    /// Those in force between any copy of the one and any of the other.
    static func faults(from: String, to: String, _ world: World) -> [String] {
        func nodes(_ service: String) -> [Node] {
            world.nodes.allServices.filter { $0.serviceName == service || $0.name == service }
        }
        let (sources, targets) = (nodes(from), nodes(to))
        return world.faults.rules.filter { rule in
            // What happens to those who connect happens in that direction only.
            let isOneWay =
                switch rule.kind {
                case .refuse, .protocolFailure: true
                default: false
                }
            return sources.contains { source in
                targets.contains { target in
                    rule.link.matches(from: source, to: target)
                        || !isOneWay && rule.link.matches(from: target, to: source)
                }
            }
        }.map(\.kind.name)
    }

    static func json(_ graph: ServiceGraph, _ world: World) -> JSONValue {
        .array(
            graph.edges.map { edge -> JSONValue in
                .object([
                    ("from", .string(edge.from)), ("to", .string(edge.to)), ("traced", .bool(!edge.isLeaf)),
                    ("queue", .bool(edge.isAsynchronous)), ("calls", .integer(edge.calls)),
                    ("errors", .integer(edge.errors)), ("p50_ms", Waterfall.milliseconds(edge.quantile(0.5))),
                    ("p99_ms", Waterfall.milliseconds(edge.quantile(0.99))),
                    ("faults", .array(faults(from: edge.from, to: edge.to, world).map { .string($0) })),
                ])
            }
                + connections(graph, world).map { link -> JSONValue in
                    .object([
                        ("from", .string(link.from)), ("to", .string(link.to)), ("traced", .bool(false)),
                        ("queue", .bool(false)), ("connections", .integer(link.opened)),
                        ("refused", .integer(link.failed)),
                    ])
                })
    }

    // MARK: As a picture

    /// A line between two in a picture.
    struct Way {
        enum Kind: String { case call, queue, connection }

        let from: String
        let to: String
        let kind: Kind
        /// What stands at it.
        let text: String
        let hasErrors: Bool
        let faults: [String]
    }

    /// Those of calls first, then those of which only connections are known.
    static func ways(_ graph: ServiceGraph, _ world: World) -> [Way] {
        let calls = graph.edges.map { edge -> Way in
            let errors = edge.errors == 0 ? "" : ", \(percent(edge)) errors"
            return Way(
                from: edge.from, to: edge.to, kind: edge.isAsynchronous ? .queue : .call,
                text: "\(counted(edge.calls, "call")), p99 \(Waterfall.text(edge.quantile(0.99)))\(errors)",
                hasErrors: edge.errors > 0, faults: faults(from: edge.from, to: edge.to, world))
        }
        return calls
            + connections(graph, world).map { link in
                Way(
                    from: link.from, to: link.to, kind: .connection,
                    text: counted(link.opened, "connection") + (link.failed == 0 ? "" : ", \(link.failed) failed"),
                    hasErrors: link.failed > 0, faults: faults(from: link.from, to: link.to, world))
            }
    }

    /// All who have a place in a picture, those who make spans first.
    static func names(_ graph: ServiceGraph, _ ways: [Way]) -> [String] {
        var names = graph.services
        var known = Set(names)
        for name in ways.flatMap({ [$0.from, $0.to] }) where known.insert(name).inserted { names.append(name) }
        return names
    }

    /// Of whom is known that he was asked, and nothing of what he does.
    static func isLeaf(_ name: String, _ graph: ServiceGraph, _ ways: [Way]) -> Bool {
        !graph.services.contains(name) && !ways.contains { $0.from == name }
    }

    /// Names stand in quotes, and nodes have numbers: what a name has in it changes nothing.
    static func mermaid(_ graph: ServiceGraph, _ world: World) -> String {
        let ways = ways(graph, world)
        let names = names(graph, ways)
        func number(_ name: String) -> Int { names.firstIndex(of: name) ?? 0 }
        var lines = ["graph LR"]
        for (index, name) in names.enumerated() {
            let quoted = "\"" + name.map { $0 == "\"" || $0.isNewline ? "'" : String($0) }.joined() + "\""
            lines.append("  n\(index)" + (isLeaf(name, graph, ways) ? "[(\(quoted))]" : "[\(quoted)]"))
        }
        for way in ways {
            lines.append(
                "  n\(number(way.from)) \(way.kind == .call ? "-->" : "-.->")|\(way.text)| n\(number(way.to))")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
