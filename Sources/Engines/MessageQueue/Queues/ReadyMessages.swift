import KernelStructures

/// A message in its place in a queue.
public struct QueueEntry {
    /// Its place: ascends with arrival, and stays the same however often it is given back.
    public let sequence: UInt64
    public let message: BrokerMessage
    /// How many times it was given back, or its consumer went away.
    public internal(set) var returnCount = 0
    public internal(set) var isRedelivered = false
    /// `LabTime.distantFuture`: never.
    public let expiresAt: LabTime
    /// Whether the store has it.
    var isStored: Bool
    /// In a replicated queue: who has it, as its member numbers its consumers; 0: nobody.
    var holder: UInt64 = 0
}

/// The messages of a queue that wait, in the order in which they are to be delivered.
///
/// ```
///   given back ─┐   (earlier ones, by their place)
///               ├──▶ head … tail of those in memory ──▶ those that only the store has
///   arrivals ───┘
/// ```
///
/// What is given back goes to where it was: everything that was taken out came from before all that is still there, so
/// a heap by place in front of the line is enough. A queue with priorities has such a line for each of them.
struct ReadyMessages {
    private var lines: [Line]
    private(set) var count = 0
    private(set) var bytes = 0
    /// Those at the end that only the store has.
    private(set) var pagedCount = 0
    private(set) var pagedBytes = 0
    /// The last place of those in memory, behind which those in the store begin.
    private(set) var lastInMemory: UInt64 = 0

    private struct Line {
        var returned = BinaryHeap<Returned>()
        var waiting = RingQueue<QueueEntry>()

        var first: QueueEntry? { returned.first?.entry ?? waiting.first }
        mutating func popFirst() -> QueueEntry? { returned.removeFirst()?.entry ?? waiting.popFirst() }
        var isEmpty: Bool { returned.isEmpty && waiting.isEmpty }
    }

    private struct Returned: Comparable {
        let entry: QueueEntry
        static func < (a: Returned, b: Returned) -> Bool { a.entry.sequence < b.entry.sequence }
        static func == (a: Returned, b: Returned) -> Bool { a.entry.sequence == b.entry.sequence }
    }

    /// - Parameter maxPriority: the highest level.
    init(maxPriority: Int) { lines = Array(repeating: Line(), count: max(0, min(255, maxPriority)) + 1) }

    var isEmpty: Bool { count == 0 }
    var countInMemory: Int { count - pagedCount }
    var bytesInMemory: Int { bytes - pagedBytes }
    var hasPriorities: Bool { lines.count > 1 }

    private func level(_ entry: QueueEntry) -> Int { min(Int(entry.message.priority), lines.count - 1) }

    mutating func append(_ entry: QueueEntry) {
        lines[level(entry)].waiting.append(entry)
        count += 1
        bytes += entry.message.byteCount
        lastInMemory = max(lastInMemory, entry.sequence)
    }

    /// One more that only the store has.
    mutating func appendPaged(bytes byteCount: Int) {
        count += 1
        pagedCount += 1
        bytes += byteCount
        pagedBytes += byteCount
    }

    /// Many that only the store has.
    mutating func restore(count: Int, bytes byteCount: Int) {
        self.count += count
        pagedCount += count
        bytes += byteCount
        pagedBytes += byteCount
    }

    /// Some that only the store had are here now.
    mutating func pagedIn(_ entries: [QueueEntry]) {
        for entry in entries {
            lines[level(entry)].waiting.append(entry)
            lastInMemory = max(lastInMemory, entry.sequence)
            pagedCount = max(0, pagedCount - 1)
            pagedBytes = max(0, pagedBytes - entry.message.byteCount)
        }
        if pagedCount == 0 {
            bytes -= pagedBytes
            pagedBytes = 0
        }
    }

    /// The store has none of those any more that were thought to be there.
    mutating func forgetPaged() {
        count -= pagedCount
        bytes -= pagedBytes
        pagedCount = 0
        pagedBytes = 0
    }

    mutating func giveBack(_ entry: QueueEntry) {
        lines[level(entry)].returned.insert(Returned(entry: entry))
        count += 1
        bytes += entry.message.byteCount
    }

    /// The next one; of several levels the highest that has any.
    var first: QueueEntry? { lines.last { !$0.isEmpty }?.first }

    mutating func popFirst() -> QueueEntry? {
        guard let index = lines.lastIndex(where: { !$0.isEmpty }) else { return nil }
        return pop(index)
    }

    /// The one that is given up when there is no more room: the first of the lowest level.
    mutating func popLeast() -> QueueEntry? {
        guard let index = lines.firstIndex(where: { !$0.isEmpty }) else { return nil }
        return pop(index)
    }

    private mutating func pop(_ index: Int) -> QueueEntry? {
        guard let entry = lines[index].popFirst() else { return nil }
        count -= 1
        bytes -= entry.message.byteCount
        return entry
    }

    /// The first of a level that is over by `now`.
    mutating func popExpired(_ now: LabTime) -> QueueEntry? {
        for index in lines.indices.reversed() {
            if let first = lines[index].first, first.expiresAt <= now { return pop(index) }
        }
        return nil
    }

    /// When the first of any level expires.
    var nextExpiry: LabTime {
        var earliest = LabTime.distantFuture
        for line in lines { if let first = line.first, first.expiresAt < earliest { earliest = first.expiresAt } }
        return earliest
    }

    /// The first `limit` in memory, in the order of delivery.
    func peek(_ limit: Int) -> [QueueEntry] {
        var result: [QueueEntry] = []
        for line in lines.reversed() where !line.isEmpty {
            result += line.returned.unordered.sorted().prefix(limit - result.count).map(\.entry)
            var index = 0
            while result.count < limit, index < line.waiting.count {
                result.append(line.waiting[index])
                index += 1
            }
            if result.count >= limit { break }
        }
        return result
    }

    mutating func removeAll() {
        lines = Array(repeating: Line(), count: lines.count)
        count = 0
        bytes = 0
        pagedCount = 0
        pagedBytes = 0
    }
}
