import CommandKit
import KernelJSON
import KernelOTLP
import KernelStructures
import KernelTelemetry
import TracingEngine

/// A trace drawn on one line of time: a bar a span, under what it is a part of.
struct Waterfall {
    let tree: TraceTree
    let path: CriticalPath
    let faults: [TracedFault]
    let clocks: TraceClocks?
    /// Those that have not ended yet.
    private let open: Set<SpanID>
    /// What is at an address.
    private let peerName: (String) -> String
    let glyphs: Sparkline.Glyphs

    /// Columns of the terminal that are used: 160 at most, and fewer where there are fewer.
    private let columns: Int
    /// Columns of names, of durations, and of bars: 79 with what is between.
    private let nameWidth: Int
    private static let durationWidth = 8
    private let barWidth: Int
    /// Spans that are drawn.
    private static let rowLimit = 200

    /// - Parameters:
    ///   - clocks: what the nodes' own clocks say, where that is known.
    ///   - open: spans that are under way, and have lasted until now.
    ///   - columns: the terminal's width.
    ///   - peerName: by which name an address is shown, so that one who is reached by both has one.
    init(
        _ trace: Trace, faults: [TracedFault] = [], clocks: TraceClocks? = nil, open: Set<SpanID> = [],
        glyphs: Sparkline.Glyphs, columns: Int, peerName: @escaping (String) -> String = { $0 }
    ) {
        self.open = open
        self.peerName = peerName
        self.columns = max(30, min(160, columns))
        let rest = self.columns - 1 - Self.durationWidth - 2
        // What is beyond 80 columns serves the names first, which are cut there.
        barWidth = self.columns > 80 ? 34 + (self.columns - 80) / 3 : rest * 34 / 69
        nameWidth = rest - barWidth
        tree = TraceTree(trace)
        path = CriticalPath(tree)
        self.faults = faults
        self.clocks = clocks
        self.glyphs = glyphs
    }

    private var trace: Trace { tree.trace }

    // MARK: Text

    func view(showsClocks: Bool) -> View {
        var lines = [title, showsClocks ? clockHeading : scale]
        let shown = tree.nodes.indices.prefix(Self.rowLimit)
        for place in shown { lines.append(row(place, showsClocks: showsClocks)) }
        if shown.count < tree.nodes.count { lines.append("… and \(tree.nodes.count - shown.count) more spans") }
        if !showsClocks { for fault in faults { lines.append(line(of: fault)) } }
        lines += footer(showsClocks: showsClocks)
        lines = lines.map { displayWidth($0) > columns ? wrapped($0, columns: columns, indent: 2) : $0 }
        var view = View(.text(lines.map { Self.trimmed($0) + "\n" }.joined(), json: .null))
        view.json = json
        return view
    }

    private var title: String {
        let spans = counted(trace.spans.count, "span")
        return "trace \(trace.id): \(spans), \(counted(trace.services.count, "service")), "
            + Self.text(trace.duration)
    }

    /// `0      500ms      1s` over the bars.
    private var scale: String {
        let left = String(repeating: " ", count: nameWidth + Self.durationWidth + 2)
        let (middle, end) = (Self.text(trace.duration / 2), Self.text(trace.duration))
        let half = barWidth / 2
        var first = "0" + String(repeating: " ", count: max(1, half - 1 - displayWidth(middle) / 2)) + middle
        if displayWidth(first) + 1 + displayWidth(end) > barWidth { first = "0" }
        let gap = max(1, barWidth - displayWidth(first) - displayWidth(end))
        return left + first + String(repeating: " ", count: gap) + end
    }

    /// On a narrow terminal names give way first; then the last clocks are left out, as columns of tables are.
    private var clockNameWidth: Int { max(14, 35 - (80 - columns)) }
    private var clockCount: Int {
        var room = columns - 1 - clockNameWidth - Self.durationWidth
        return TraceClocks.columns.prefix { column in
            room -= column.width
            return room >= 0
        }.count
    }

    private var clockHeading: String {
        String(repeating: " ", count: clockNameWidth + Self.durationWidth)
            + TraceClocks.columns.prefix(clockCount).map { Self.right($0.title, $0.width) }.joined()
    }

    private func row(_ place: Int, showsClocks: Bool) -> String {
        let span = tree.span(place)
        let name = Self.fitted(prefix(place) + label(place), showsClocks ? clockNameWidth : nameWidth)
        let duration = Self.right(Self.text(span.span.duration), Self.durationWidth)
        if showsClocks, let clocks {
            return name + duration + clocks.cells(span, trace).prefix(clockCount).joined()
        }
        let mark = span.isError ? " ✗" : isOpen(span) ? " …" : "  "
        return name + duration + mark + bar(place)
    }

    private func isOpen(_ span: TracedSpan) -> Bool { open.contains(span.span.spanID) }

    /// The lines of the tree in front of a name, cut at a depth at which nobody can follow them any more.
    private func prefix(_ place: Int) -> String {
        var parts: [String] = []
        var next = place
        while let parent = tree.nodes[next].parent {
            let isLast = tree.nodes[parent].children.last == next
            parts.append(next == place ? (isLast ? "└ " : "├ ") : (isLast ? "  " : "│ "))
            next = parent
        }
        if parts.isEmpty { return tree.nodes[place].isOrphan ? "? " : "" }
        let deepest = 6
        let shown = parts.prefix(deepest).reversed().joined()
        return (parts.count > deepest ? "…" : " ") + shown
    }

    private func label(_ place: Int) -> String {
        let span = tree.span(place)
        let name = span.span.name
        guard let parent = tree.nodes[place].parent, tree.span(parent).service == span.service else {
            return "\(span.service) \(name)"
        }
        if span.span.kind == 3, let peer = span.span["server.address"]?.text { return "→ \(peerName(peer)) \(name)" }
        return span.span.kind == 4 ? "→ \(name)" : name
    }

    /// Strong where the span is on the critical path.
    private func bar(_ place: Int) -> String {
        let (strong, weak, point): (Character, Character, Character) =
            switch glyphs {
            case .block: ("█", "▒", "▏")
            case .braille: ("⣿", "⣀", "⡇")
            case .ascii: ("#", "-", "|")
            }
        let span = tree.span(place).span
        var cells = [Character](repeating: " ", count: barWidth)
        let first = column(span.start)
        let last = column(span.end, isEnd: true)
        if span.duration == 0 || first > last {
            cells[min(first, barWidth - 1)] = point
            return String(cells)
        }
        for cell in first...last { cells[cell] = weak }
        for segment in path.segments where segment.node == place && isVisible(segment.end - segment.start) {
            let end = column(segment.end, isEnd: true)
            let start = column(segment.start)
            if start <= end { for cell in start...end { cells[cell] = strong } }
        }
        return String(cells)
    }

    /// At least a quarter of a cell.
    private func isVisible(_ duration: UInt64) -> Bool {
        Double(duration) * Double(4 * barWidth) >= Double(trace.duration)
    }

    /// The cell in which a moment lies; an end that stands at a cell's beginning belongs to the one before.
    private func column(_ time: UInt64, isEnd: Bool = false) -> Int {
        let whole = Double(max(1, trace.duration))
        let offset = time > trace.start ? Double(time - trace.start) : 0
        let place = min(1, offset / whole) * Double(barWidth)
        let cell = isEnd ? Int(place.rounded(.up)) - 1 : Int(place)
        return max(0, min(barWidth - 1, cell))
    }

    private func line(of fault: TracedFault) -> String {
        let name = Self.fitted("⚡ fault \(fault.number): \(fault.text)", nameWidth + Self.durationWidth)
        let start = column(UInt64(max(0, fault.start.nanoseconds)))
        let end = fault.end.map { column(UInt64(max(0, $0.nanoseconds)), isEnd: true) } ?? barWidth - 1
        let mark = glyphs == .ascii ? "~" : "≈"
        return name + "  " + String(repeating: " ", count: start)
            + String(repeating: mark, count: max(1, end - start + 1))
    }

    private func footer(showsClocks: Bool) -> [String] {
        var lines: [String] = []
        let slowest = path.durations.enumerated().filter { $0.element > 0 && isVisible($0.element) }.sorted {
            ($1.element, $0.offset) < ($0.element, $1.offset)
        }
        if trace.spans.count > 1, let first = slowest.first {
            let parts = ([first] + slowest.dropFirst().prefix(2)).map { place, time in
                "\(Self.text(time)) \(tree.span(place).service) \(tree.span(place).span.name)"
            }
            lines.append("critical path: \(parts[0])")
            lines += parts.dropFirst().map { "               \($0)" }
        }
        let errors = tree.nodes.indices.filter { tree.span($0).isError }
        for place in errors.prefix(5) {
            let span = tree.span(place)
            let reason = span.span.statusMessage.isEmpty ? "error" : span.span.statusMessage
            lines.append("✗ \(span.service) \(span.span.name): \(reason)")
        }
        let underWay = tree.nodes.indices.filter { isOpen(tree.span($0)) }
        if !underWay.isEmpty { lines.append("… \(counted(underWay.count, "span")) under way, until now") }
        if !tree.isConnected { lines.append("? \(counted(tree.roots.count, "piece")) that nothing connects") }
        if !showsClocks, let skewed = clocks?.note { lines.append(skewed) }
        let left = showsClocks ? TraceClocks.columns.count - clockCount : 0
        if left > 0 { lines.append("(\(counted(left, "more column")): --json)") }
        let width = max(80, columns)
        return lines.map { displayWidth($0) > width ? Self.fitted($0, width) : $0 }
    }

    // MARK: Pieces

    static func text(_ nanoseconds: UInt64) -> String { LabDuration(nanoseconds: Int64(clamping: nanoseconds)).rounded }

    static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - displayWidth(text))) + text
    }

    /// Exactly that wide: cut with an ellipsis, or filled up.
    static func fitted(_ text: String, _ width: Int) -> String {
        let plain = String(text.map { $0.isNewline || $0 == "\t" ? " " : $0 })
        if displayWidth(plain) <= width {
            return plain + String(repeating: " ", count: width - displayWidth(plain))
        }
        var result = ""
        for character in plain where displayWidth(result) + displayWidth(String(character)) < width {
            result.append(character)
        }
        return fitted(result + "…", width)
    }

    private static func trimmed(_ line: String) -> String {
        var line = line
        while line.hasSuffix(" ") { line.removeLast() }
        return line
    }

    // MARK: JSON

    private var json: JSONValue {
        .object([
            ("trace_id", .string("\(trace.id)")), ("duration_ms", Self.milliseconds(trace.duration)),
            ("services", .array(trace.services.map { .string($0) })), ("connected", .bool(tree.isConnected)),
            ("spans", .array(tree.nodes.indices.map(json))),
            (
                "critical_path",
                .array(
                    path.segments.map { segment in
                        .object([
                            ("span_id", .string("\(tree.span(segment.node).span.spanID)")),
                            ("start_ms", offset(segment.start)),
                            ("duration_ms", Self.milliseconds(segment.end - segment.start)),
                        ])
                    })
            ),
            (
                "faults",
                .array(
                    faults.map { fault in
                        .object([
                            ("number", .integer(fault.number)), ("fault", .string(fault.text)),
                            ("since", .string(fault.start.description)),
                            ("until", fault.end.map { .string($0.description) } ?? .null),
                        ])
                    })
            ),
        ])
    }

    private func json(_ place: Int) -> JSONValue {
        let span = tree.span(place)
        var members: [(key: String, value: JSONValue)] = [
            ("span_id", .string("\(span.span.spanID)")),
            ("parent_id", span.span.parentID.map { .string("\($0)") } ?? .null), ("service", .string(span.service)),
            ("node", .string(span.instance ?? span.service)), ("name", .string(span.span.name)),
            ("kind", .string(JaegerJSON.kindName(span.span.kind) ?? "")), ("depth", .integer(tree.nodes[place].depth)),
            ("start_ms", offset(span.span.start)), ("duration_ms", Self.milliseconds(span.span.duration)),
            ("critical_ms", Self.milliseconds(path.durations[place])), ("error", .bool(span.isError)),
            ("under_way", .bool(isOpen(span))),
            ("status", .string(span.span.statusMessage)),
            ("attributes", .object(span.span.attributes.map { ($0.key, $0.value.plainJSON) })),
        ]
        if let clocks { members += clocks.json(span) }
        return .object(members)
    }

    private func offset(_ time: UInt64) -> JSONValue { Self.milliseconds(time > trace.start ? time - trace.start : 0) }

    static func milliseconds(_ nanoseconds: UInt64) -> JSONValue { .number(Double(nanoseconds) / 1e6) }
}
