import KernelOTLP
import KernelStorage
import KernelStructures
import KernelTelemetry

extension TraceStore {
    /// What a look-up cost.
    public struct Effort: Equatable, Sendable {
        /// Records that their files' indices named, and traces that were read.
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
        var services = symbols.allNumbers
        if !query.service.isEmpty {
            guard let known = symbols.known(query.service) else { return ([], effort) }
            services = known..<known + 1
        }
        let wanted = query.terms(services)
        // The newest last.
        var rest = files.filter { $0.index.mayHave(query) }.sorted { a, b in
            (a.index.newest, a.number) < (b.index.newest, b.number)
        }
        var candidates = BinaryHeap<Candidate>()
        var seen: Set<TraceID> = []
        var found: [Trace] = []
        while found.count < query.limit {
            // A trace begins no later than any record of it: what a file may still have is not newer than that.
            while let file = rest.last, candidates.first.map({ $0.start <= file.index.newest }) ?? true {
                rest.removeLast()
                file.index.forEach(query, wanted) { record in
                    effort.considered += 1
                    guard let summary = summaries[record.id], seen.insert(record.id).inserted else { return }
                    candidates.insert(Candidate(id: record.id, start: summary.start))
                }
            }
            guard let next = candidates.removeFirst() else { break }
            guard let summary = summaries[next.id] else { continue }
            let trace = try read(summary)
            effort.read += 1
            if query.matches(trace) { found.append(trace) } else { effort.mistaken += 1 }
        }
        return (found, effort)
    }

    /// A trace that may match; the one that began last comes first.
    private struct Candidate: Comparable {
        let id: TraceID
        let start: UInt64

        static func < (a: Candidate, b: Candidate) -> Bool {
            (a.start, a.id.high, a.id.low) > (b.start, b.id.high, b.id.low)
        }
    }

    /// All traces that were under way in that time; at most `limit`, those that began last.
    public func traces(from: UInt64, through: UInt64, limit: Int) throws(DiskError) -> [Trace] {
        var query = TraceQuery()
        query.from = from
        query.through = through
        query.limit = limit
        return try find(query).traces
    }

    func read(_ summary: TraceSummary) throws(DiskError) -> Trace {
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
    func file(_ number: UInt32) -> TraceFile? {
        var low = 0
        var high = files.count
        while low < high {
            let middle = (low + high) / 2
            if files[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low < files.count && files[low].number == number ? files[low] : nil
    }
}
