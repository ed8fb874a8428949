import KernelOTLP
import KernelStorage
import KernelTelemetry

/// Who talks to whom, from the sums that are kept of each file.
extension TraceStore {
    /// Traces that one question reads at most: those that have no sums.
    private static let callReadLimit = 20_000

    /// The calls of all traces of which a span began in that time, sorted by who calls, then by whom; those to services
    /// that make no spans are left out. Only traces that were under way on both ends of a short time are read, and
    /// those of which something came very late.
    ///
    /// - Parameters:
    ///   - from: nanoseconds since 1970; so is `through`, which belongs to it.
    public func calls(from: UInt64, through: UInt64) throws(DiskError) -> (calls: [ServiceCall], effort: Effort) {
        var effort = Effort()
        for id in callBook.takeOpen() { effort.read += settle(id) }
        var sums: [UInt32: Int] = [:]
        var unsummed: [TraceSummary] = callBook.unsummedTraces.compactMap { summaries[$0] }
        for file in files where file.calls.first <= through && file.calls.last >= from {
            if file.calls.first >= from, file.calls.last <= through {
                for (pair, count) in file.calls.sums { sums[pair, default: 0] += count }
            } else {
                unsummed += addTraces(of: file, from, through, &sums)
            }
        }
        var query = TraceQuery()
        (query.from, query.through) = (from, through)
        var read: [Trace] = []
        for summary in unsummed.prefix(Self.callReadLimit) where summary.start <= through && summary.last >= from {
            let trace = try self.read(summary)
            effort.read += 1
            if query.matches(trace) { read.append(trace) } else { effort.mistaken += 1 }
        }
        return (sum(sums, ServiceGraph(read)), effort)
    }

    /// Adds those of a file's traces that were under way in that time.
    ///
    /// - Returns: those of which only their spans say whether they were.
    private func addTraces(
        of file: TraceFile, _ from: UInt64, _ through: UInt64, _ sums: inout [UInt32: Int]
    ) -> [TraceSummary] {
        var unclear: [TraceSummary] = []
        var seen: Set<TraceID> = []
        for record in file.index.records where seen.insert(record.id).inserted {
            guard let summary = summaries[record.id], summary.places.first?.file == file.number,
                summary.shape != CallBook.unsummed, summary.start <= through, summary.last >= from
            else { continue }
            if summary.start >= from || summary.last <= through {
                callBook.forEach(summary.shape) { pair, count in sums[pair, default: 0] += count }
            } else {
                unclear.append(summary)
            }
        }
        return unclear
    }

    private func sum(_ sums: [UInt32: Int], _ graph: ServiceGraph) -> [ServiceCall] {
        var found: [ServiceGraph.Key: (count: Int, isLeaf: Bool)] = [:]
        func add(_ key: ServiceGraph.Key, _ count: Int, isLeaf: Bool) {
            let known = found[key] ?? (0, true)
            found[key] = (known.count + count, known.isLeaf && isLeaf)
        }
        for (number, count) in sums where count > 0 {
            let pair = callBook.pairs[Int(number)]
            add(.init(from: callBook.name(pair.from), to: callBook.name(pair.to)), count, isLeaf: pair.isLeaf)
        }
        for edge in graph.edges { add(.init(from: edge.from, to: edge.to), edge.calls, isLeaf: edge.isLeaf) }
        return found.filter { !$0.value.isLeaf }.sorted { ($0.key.from, $0.key.to) < ($1.key.from, $1.key.to) }.map {
            ServiceCall(from: $0.key.from, to: $0.key.to, count: $0.value.count)
        }
    }

    // MARK: Keeping the sums

    /// More of a trace has come, and its summary says so already.
    func noteCalls(_ id: TraceID, _ groups: [OTLPTraces.Group], isNew: Bool) {
        guard var summary = summaries[id] else { return }
        let wasKnown = summary.shape != CallBook.unknown
        takeOut(&summary)
        summaries[id] = summary
        home(of: summary)?.calls.widen(summary.start, summary.last)
        callBook.came(id, groups, isNew: isNew, wasKnown: wasKnown)
        while let oldest = callBook.oldest() {
            settle(oldest)
            callBook.drop(young: oldest)
        }
        while let overdue = callBook.overdue() { settle(overdue) }
    }

    /// A piece of a trace is about to go. To be followed by `loseCalls` when it is gone.
    func takeOut(_ summary: inout TraceSummary) {
        if summary.shape == CallBook.unknown { return }
        if summary.shape == CallBook.unsummed {
            callBook.unsummedTraces.remove(summary.id)
        } else if let home = home(of: summary) {
            callBook.forEach(summary.shape) { pair, count in home.calls.add(pair, -count) }
        }
        callBook.release(summary.shape)
        summary.shape = CallBook.unknown
    }

    /// A piece of a trace is gone.
    func loseCalls(_ id: TraceID) {
        guard let summary = summaries[id] else { return callBook.forget(id) }
        home(of: summary)?.calls.widen(summary.start, summary.last)
        callBook.shrank(id)
    }

    /// Finds a trace's shape, if it is not known, and adds it to the sums.
    ///
    /// - Returns: how many traces were read for it: one, or none.
    @discardableResult
    private func settle(_ id: TraceID) -> Int {
        guard var summary = summaries[id], summary.shape == CallBook.unknown else { return 0 }
        var readCount = 0
        if let spans = callBook.young[id], let shape = callBook.shape(of: spans) {
            summary.shape = shape
        } else if let trace = try? read(summary) {
            readCount = 1
            summary.shape = callBook.shape(of: trace)
            // What has gone may have been the first or the last of it.
            if let last = trace.spans.last { (summary.start, summary.last) = (trace.start, last.span.start) }
        } else {
            // The disk says why when somebody asks.
            summary.shape = CallBook.unsummed
        }
        summaries[id] = summary
        if summary.shape == CallBook.unsummed {
            callBook.unsummedTraces.insert(id)
        } else if let home = home(of: summary) {
            callBook.forEach(summary.shape) { pair, count in home.calls.add(pair, count) }
        }
        return readCount
    }

    /// The file whose sums have the trace: that of its first spans.
    private func home(of summary: TraceSummary) -> TraceFile? { summary.places.first.flatMap { file($0.file) } }
}

/// The sums of a file: of the traces that began in it.
struct FileCalls: Sendable {
    /// Bounds of the times at which their spans began, in nanoseconds since 1970; what has gone may have been at them.
    private(set) var first = UInt64.max
    private(set) var last: UInt64 = 0
    /// Calls by the book's numbers of pairs.
    private(set) var sums: [UInt32: Int] = [:]

    mutating func widen(_ first: UInt64, _ last: UInt64) {
        self.first = min(self.first, first)
        self.last = max(self.last, last)
    }

    mutating func add(_ pair: UInt32, _ count: Int) {
        let sum = (sums[pair] ?? 0) + count
        sums[pair] = sum == 0 ? nil : sum
    }
}
