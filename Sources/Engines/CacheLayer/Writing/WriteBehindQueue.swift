import KernelStructures

/// Writes that the source has still to hear of: the heart of write-behind.
///
/// ## An everyday picture
///
/// A restaurant's slips. The waiter hangs a slip on the rail and tells the guest that the order is taken; the kitchen
/// takes several slips at a time. Who changes an order before the kitchen has it gets the same slip written anew
/// (coalescing), at its old place on the rail, so that an order that changes all the time is cooked nevertheless. When
/// the kitchen says that a dish cannot be done, that slip comes off; when the kitchen does not answer, the slips hang
/// on and the waiter asks again, less and less often. The rail is so long and no longer.
///
/// ## What it promises
///
/// Writes of one key reach the source in their order, and the last one always does. Each reaches it at least once: a
/// crash between the source's answer and the note of it has the batch written again after the restart, so writing must
/// be such that twice is as good as once (an upsert is, an increment is not).
public struct WriteBehindQueue: Sendable {
    public struct Settings: Equatable, Sendable {
        /// Keys that may wait; a write of a further one is refused.
        public var capacity = 10_000
        /// Keys of one batch.
        public var batchSize = 100
        /// How long the first of a batch waits for others.
        public var delay = LabDuration.milliseconds(100)
        /// After a failure; doubles with each, up to `longestPause`.
        public var retryPause = LabDuration.milliseconds(100)
        public var longestPause = LabDuration.seconds(10)

        public init() {}
    }

    public struct Item: Sendable {
        public let key: String
        /// nil: the key is removed.
        public let value: (any CacheObject)?
        /// Grows with each write.
        public let sequence: UInt64
        public let since: LabTime

        public init(key: String, value: (any CacheObject)?, sequence: UInt64, since: LabTime) {
            self.key = key
            self.value = value
            self.sequence = sequence
            self.since = since
        }
    }

    public let settings: Settings
    private var waiting: [String: Item] = [:]
    /// The keys that wait, in the order in which they came.
    private var order = RingQueue<String>()
    private var batch: [Item] = []
    private var batchByKey: [String: Item] = [:]
    private var lastSequence: UInt64 = 0
    private var retryAt: LabTime?
    /// Failures in a row.
    public private(set) var failureCount = 0
    public private(set) var writtenCount = 0
    /// Writes that another of the same key took the place of.
    public private(set) var coalescedCount = 0
    public private(set) var batchCount = 0
    public private(set) var rejectedCount = 0

    public init(_ settings: Settings) {
        self.settings = Settings(bounding: settings)
    }

    /// Keys that wait or are on their way.
    public var count: Int { waiting.count + batch.count }
    public var isEmpty: Bool { waiting.isEmpty && batch.isEmpty }
    public var isFlushing: Bool { !batch.isEmpty }
    /// When the oldest write that waits was made.
    public var oldestSince: LabTime? { (batch.first ?? order.first.flatMap { waiting[$0] })?.since }

    /// What was last written under a key, if the source has not confirmed it.
    func pending(_ key: String) -> Item? {
        // Nearly always empty where writes do not go behind.
        if waiting.isEmpty, batch.isEmpty { return nil }
        return waiting[key] ?? batchByKey[key]
    }

    /// Whether a write of that key would be taken.
    public func hasRoom(for key: String) -> Bool {
        waiting[key] != nil || batchByKey[key] != nil || count < settings.capacity
    }

    /// The number of a write that is about to be made durable.
    mutating func nextSequence() -> UInt64 {
        lastSequence &+= 1
        return lastSequence
    }

    /// Takes a write that is durable.
    mutating func accept(_ item: Item) {
        if waiting.updateValue(item, forKey: item.key) != nil {
            coalescedCount += 1
        } else {
            order.append(item.key)
        }
    }

    /// What an earlier life had taken and not confirmed, in its order.
    public mutating func restore(_ items: [Item]) {
        for item in items.sorted(by: { $0.sequence < $1.sequence }) {
            lastSequence = max(lastSequence, item.sequence)
            accept(item)
        }
    }

    // MARK: Batches

    /// When a batch is due; `distantFuture` while there is none, or one is on its way.
    public var nextDeadline: LabTime {
        guard batch.isEmpty, let first = order.first, let item = waiting[first] else { return .distantFuture }
        let due = order.count >= settings.batchSize ? item.since : item.since + settings.delay
        return max(due, retryAt ?? due)
    }

    public func isDue(now: LabTime) -> Bool { nextDeadline <= now }

    /// The next writes for the source, oldest first; empty if none are due. Their outcome is to be told: `flushed` or
    /// `failed`.
    ///
    /// - Parameter all: whether to wait for nothing, at the end.
    public mutating func takeBatch(now: LabTime, all: Bool = false) -> [Item] {
        guard batch.isEmpty, isDue(now: now) || (all && !order.isEmpty) else { return [] }
        while batch.count < settings.batchSize, let key = order.popFirst() {
            guard let item = waiting.removeValue(forKey: key) else { continue }
            batch.append(item)
            batchByKey[key] = item
        }
        batchCount += batch.isEmpty ? 0 : 1
        return batch
    }

    /// The source has taken the batch, but for those whose keys are given: it will never take them.
    ///
    /// - Returns: the sequence numbers that need not be remembered any more.
    public mutating func flushed(rejected: [String] = []) -> [UInt64] {
        let numbers = batch.map(\.sequence)
        writtenCount += batch.count - rejected.count
        rejectedCount += rejected.count
        batch = []
        batchByKey = [:]
        failureCount = 0
        retryAt = nil
        return numbers
    }

    /// The source has not answered, or has taken nothing: the batch goes back to the head of the queue.
    public mutating func failed(now: LabTime) {
        failureCount = min(failureCount + 1, 62)
        var pause = settings.retryPause
        for _ in 1..<failureCount where pause < settings.longestPause { pause = pause + pause }
        retryAt = now + min(pause, settings.longestPause)
        var rest = RingQueue<String>()
        for item in batch {
            // One that was written again meanwhile goes as the newer one.
            if waiting[item.key] == nil { waiting[item.key] = item } else { coalescedCount += 1 }
            rest.append(item.key)
        }
        let returned = Set(batch.map(\.key))
        while let key = order.popFirst() { if !returned.contains(key) { rest.append(key) } }
        order = rest
        batch = []
        batchByKey = [:]
    }

    /// What is broken, in words.
    var brokenInvariants: [String] {
        var broken: [String] = []
        if order.count != waiting.count { broken.append("\(order.count) keys in line, \(waiting.count) waiting") }
        if batch.count != batchByKey.count { broken.append("a key is twice in a batch") }
        if count > settings.capacity + settings.batchSize {
            broken.append("\(count) of \(settings.capacity) writes wait")
        }
        return broken
    }
}

extension WriteBehindQueue.Settings {
    /// The same within bounds that make sense.
    fileprivate init(bounding other: Self) {
        self = other
        capacity = min(max(1, capacity), 10_000_000)
        batchSize = min(max(1, batchSize), 10_000)
        delay = max(.zero, delay)
        retryPause = max(.milliseconds(1), retryPause)
        longestPause = max(retryPause, longestPause)
    }
}
