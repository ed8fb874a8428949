import KernelStructures

/// A promise to keep somebody's keys for a while longer each time they say that they are still there.
///
/// ## The problem
///
/// Whoever holds a lock may die without giving it back. Then somebody has to take it away, but nobody can tell a dead
/// holder from one that is only slow.
///
/// ## An everyday picture
///
/// A left-luggage office. The ticket is good for an hour, and whoever comes by within it gets another hour. When the
/// hour is over the bag is removed, never a minute earlier; the owner may have been at the door at that very moment,
/// which is why the office never promises that a bag is still *wanted*, only that it was kept *at least* so long.
///
/// ## How
///
/// A lease and its keys are part of the replicated state. How much time it has left is not: only the leader counts, on
/// its own monotonic clock, and when a lease has run out the leader proposes its end through the log, as any other
/// change. A new leader cannot know what the old one had counted, so it begins every lease anew with its full time: a
/// lease may live longer than asked for, never shorter (Gray and Cheriton 1989; etcd's lessor does the same).
///
/// ## Where it is wrong
///
/// The holder counts on its own clock, which may be slower. That is what fencing tokens are for.
public struct LeaseTable {
    public struct Lease: Sendable {
        public let id: Int64
        /// As it was granted, in seconds.
        public let ttlSeconds: Int64
        /// Attached to it: they go when it goes.
        public internal(set) var keys: Set<Key> = []
    }

    private var leases: [Int64: Lease] = [:]
    /// When those run out that the leader counts; empty on all others.
    private var deadlines: [Int64: LabTime] = [:]
    /// Every deadline there was; those that have been replaced since are passed over.
    private var queue = BinaryHeap<Deadline>()
    public private(set) var isCounting = false
    /// Those that have run out, and whose end has been proposed but has not come yet.
    public private(set) var expired: [Int64] = []

    private struct Deadline: Comparable {
        let time: LabTime
        let id: Int64
        static func < (a: Deadline, b: Deadline) -> Bool { (a.time, a.id) < (b.time, b.id) }
    }

    /// As etcd bounds them.
    public static let ttlLimitSeconds: Int64 = 9_000_000_000
    /// Leases at a time.
    public static let countLimit = 1_000_000

    init() {}

    public var count: Int { leases.count }
    /// In the order of their ids.
    public var ids: [Int64] { leases.keys.sorted() }
    public subscript(id: Int64) -> Lease? { leases[id] }

    // MARK: Replicated

    mutating func grant(_ id: Int64, ttlSeconds: Int64, now: LabTime) {
        leases[id] = Lease(id: id, ttlSeconds: ttlSeconds)
        if isCounting { renew(id, now: now) }
    }

    mutating func remove(_ id: Int64) {
        leases[id] = nil
        deadlines[id] = nil
        expired.removeAll { $0 == id }
    }

    mutating func attach(_ key: Key, to id: Int64) { if id != 0 { leases[id]?.keys.insert(key) } }
    mutating func detach(_ key: Key, from id: Int64) { if id != 0 { leases[id]?.keys.remove(key) } }

    // MARK: The leader's clock

    /// This node leads from now on: every lease has its full time again.
    mutating func startCounting(now: LabTime) {
        isCounting = true
        expired = []
        queue = BinaryHeap()
        for id in leases.keys.sorted() { renew(id, now: now) }
    }

    mutating func stopCounting() {
        isCounting = false
        deadlines = [:]
        expired = []
        queue = BinaryHeap()
    }

    /// The lease has its full time again.
    ///
    /// - Returns: false if there is none of that id, or it has run out and only waits for its end.
    @discardableResult
    mutating func renew(_ id: Int64, now: LabTime) -> Bool {
        guard isCounting, let lease = leases[id] else { return false }
        if let deadline = deadlines[id], deadline <= now { return false }
        let deadline = now + LabDuration.seconds(Int(clamping: lease.ttlSeconds))
        deadlines[id] = deadline
        queue.insert(Deadline(time: deadline, id: id))
        // Renewals leave their old deadlines behind; not more of them than there are leases.
        if queue.count > 2 * leases.count + 64 {
            let deadlines = deadlines
            queue.retain { deadlines[$0.id] == $0.time }
        }
        return true
    }

    /// What it has left; nil where nobody counts it. At least zero.
    public func remaining(_ id: Int64, now: LabTime) -> LabDuration? {
        deadlines[id].map { max(.zero, $0 - now) }
    }

    /// When the next one runs out.
    mutating func nextDeadline() -> LabTime? {
        while let first = queue.first {
            if deadlines[first.id] == first.time { return first.time }
            _ = queue.removeFirst()
        }
        return nil
    }

    /// Those that have run out since this was last asked, the first to have done so first. They stay in `expired` until
    /// their end has come through the log.
    mutating func takeExpired(now: LabTime) -> [Int64] {
        var found: [Int64] = []
        while let next = nextDeadline(), next <= now {
            if let first = queue.removeFirst() { found.append(first.id) }
        }
        expired += found
        return found
    }

    // MARK: Snapshots

    func write(to writer: inout RecordWriter) {
        writer.append(ids) { writer, id in
            writer.append(id)
            writer.append(leases[id]?.ttlSeconds ?? 0)
        }
    }

    /// Keys are attached by the store's contents, which are read afterwards.
    init(from reader: inout RecordReader) throws(RecordReader.Malformed) {
        let read = try reader.elements { reader throws(RecordReader.Malformed) in
            Lease(id: try reader.signed(), ttlSeconds: try reader.signed())
        }
        for lease in read { leases[lease.id] = lease }
    }
}
