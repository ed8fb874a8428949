import KernelJSON
import KernelOTLP
import KernelStructures
import KernelTelemetry
import TracingEngine

/// The same trace by three clocks: the lab's, which is right; the nodes' own, which is what a collector gets; and those
/// as Jaeger would adjust them, which is a guess.
struct TraceClocks {
    private let raw: [SpanID: UInt64]
    private let adjusted: [SpanID: UInt64]
    private let rawStart: UInt64
    private let adjustedStart: UInt64
    /// Nodes whose calendars are wrong, with how wrong.
    private let skews: [(node: String, skew: LabDuration)]

    init(raw trace: Trace, spans: [Span]) {
        let tree = TraceTree(trace)
        let shifts = SkewAdjustment.shifts(tree)
        var raw: [SpanID: UInt64] = [:]
        var adjusted: [SpanID: UInt64] = [:]
        for place in tree.nodes.indices {
            let span = tree.span(place).span
            raw[span.spanID] = span.start
            adjusted[span.spanID] = SkewAdjustment.shifted(span.start, by: shifts[place])
        }
        self.raw = raw
        self.adjusted = adjusted
        // Against the root's own beginning: that is where whoever reads it begins.
        let root = tree.main.map { tree.span($0).span.spanID }
        rawStart = root.flatMap { raw[$0] } ?? trace.start
        adjustedStart = root.flatMap { adjusted[$0] } ?? trace.start
        var skews: [(node: String, skew: LabDuration)] = []
        for span in spans where span.skew != .zero && !skews.contains(where: { $0.node == span.node }) {
            skews.append((span.node, span.skew))
        }
        self.skews = skews.sorted { $0.node < $1.node }
    }

    static let columns = [(title: "TRUE", width: 11), (title: "RAW", width: 11), (title: "ADJUSTED", width: 12)]

    /// When a span began, by each of the clocks.
    func cells(_ span: TracedSpan, _ trace: Trace) -> [String] {
        let id = span.span.spanID
        let values = [
            Int64(clamping: span.span.start) - Int64(clamping: trace.start), rawOffset(id), adjustedOffset(id),
        ]
        return zip(values, Self.columns).map { Waterfall.right(LabDuration(nanoseconds: $0).rounded, $1.width) }
    }

    private func rawOffset(_ id: SpanID) -> Int64 { Int64(clamping: raw[id] ?? 0) - Int64(clamping: rawStart) }
    private func adjustedOffset(_ id: SpanID) -> Int64 {
        Int64(clamping: adjusted[id] ?? 0) - Int64(clamping: adjustedStart)
    }

    /// What to look at, where clocks are wrong.
    var note: String? {
        guard !skews.isEmpty else { return nil }
        let parts = skews.prefix(3).map { node, skew in
            skew > .zero ? "\(node) is \(skew.rounded) ahead" : "\(node) is \((.zero - skew).rounded) behind"
        }
        return "clocks: \(parts.joined(separator: ", ")); see trace --clocks"
    }

    func json(_ span: TracedSpan) -> [(key: String, value: JSONValue)] {
        [
            ("raw_start_ms", .number(Double(rawOffset(span.span.spanID)) / 1e6)),
            ("adjusted_start_ms", .number(Double(adjustedOffset(span.span.spanID)) / 1e6)),
        ]
    }
}
