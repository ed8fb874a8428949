import KernelOTLP
import KernelStorage
import KernelTelemetry

extension TraceStore {
    /// What a look-up cost.
    public struct Effort: Equatable, Sendable {
        /// Summaries that were looked at, and traces that were read.
        public var considered = 0
        public var read = 0
        /// Read, and not what was looked for.
        public var mistaken = 0

        public init() {}
    }

    /// Those that have spans, sorted.
    public var services: [String] { symbols.services }

    /// What a service does, sorted by name; kinds are OTLP's numbers.
    public func operations(of service: String) -> [(name: String, kind: Int)] {
        symbols.operations(of: service).map { ($0.name, $0.kind) }
    }

    /// A trace whole; nil if nothing of it is kept.
    public func trace(_ id: TraceID) throws(DiskError) -> Trace? {
        guard let summary = summaries[id] else { return nil }
        return try read(summary)
    }

    /// The traces that match, those that began last first.
    public func find(_ query: TraceQuery) throws(DiskError) -> (traces: [Trace], effort: Effort) {
        var effort = Effort()
        effort.considered = summaries.count
        var number: UInt32?
        if !query.service.isEmpty {
            guard let known = symbols.known(query.service) else { return ([], effort) }
            number = known
        }
        let candidates = summaries.values.filter { query.mayMatch($0, number) }.sorted { a, b in
            (a.start, a.id.high, a.id.low) > (b.start, b.id.high, b.id.low)
        }
        var found: [Trace] = []
        for summary in candidates where found.count < query.limit {
            let trace = try read(summary)
            effort.read += 1
            if query.matches(trace) { found.append(trace) } else { effort.mistaken += 1 }
        }
        return (found, effort)
    }

    /// All traces that were under way in that time, for who talks to whom; at most `limit`, those that began last.
    public func traces(from: UInt64, through: UInt64, limit: Int) throws(DiskError) -> [Trace] {
        var query = TraceQuery()
        query.from = from
        query.through = through
        query.limit = limit
        return try find(query).traces
    }

    private func read(_ summary: TraceSummary) throws(DiskError) -> Trace {
        var spans: [TracedSpan] = []
        for place in summary.places {
            guard let file = file(place.file) else { continue }
            let bytes = try file.read(place)
            guard let traces = try? OTLPTraces(protobuf: bytes) else { continue }
            spans += traces.groups.tracedSpans
        }
        return Trace(summary.id, spans)
    }

    /// By its number, which rises.
    private func file(_ number: UInt32) -> TraceFile? {
        var low = 0
        var high = files.count
        while low < high {
            let middle = (low + high) / 2
            if files[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low < files.count && files[low].number == number ? files[low] : nil
    }
}
