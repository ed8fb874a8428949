import KernelAMQP
import KernelStructures

/// A consumer as the whole group knows it.
struct ConsumerKey: Hashable, Comparable {
    let member: Int
    let epoch: UInt64
    /// The member's own number for it.
    let number: UInt64

    static func < (a: ConsumerKey, b: ConsumerKey) -> Bool {
        (a.member, a.epoch, a.number) < (b.member, b.epoch, b.number)
    }
}

/// A queue of which each member of the group has a copy: what waits, who holds what, and who wants more.
///
/// All of it is changed by what the group has agreed on, and by nothing else, so all copies are alike.
public final class ReplicatedQueue {
    public let number: UInt64
    let key: String
    let virtualHost: String
    public let name: String
    let arguments: AMQPTable
    /// Arguments and policy put together.
    var settings: QueueSettings
    var ready = ReadyMessages(maxPriority: 0)
    var nextSequence: UInt64 = 1
    /// What somebody has and has not acknowledged, by place.
    var held: [UInt64: Held] = [:]
    /// What is on its way to the dead letters, oldest first.
    var dead: [Dead] = []
    /// In the order of their arrival.
    var consumers: [Consumer] = []
    /// How many messages were handed out: whose turn it is.
    var turns: UInt64 = 0
    /// When somebody used it last, by that member's clock.
    var lastUsedAt: LabTime

    struct Held {
        let entry: QueueEntry
        let key: ConsumerKey
    }

    struct Dead {
        let entry: QueueEntry
        let reason: DeadLetter.Reason
    }

    struct Consumer {
        let key: ConsumerKey
        let limit: Int
        let priority: Int
        var heldCount = 0
        var lastTurn: UInt64 = 0
    }

    init(
        number: UInt64, key: String, virtualHost: String, name: String, arguments: AMQPTable, settings: QueueSettings,
        usedAt: LabTime
    ) {
        self.number = number
        self.key = key
        self.virtualHost = virtualHost
        self.name = name
        self.arguments = arguments
        self.settings = settings
        lastUsedAt = usedAt
    }

    public var readyCount: Int { ready.count }
    public var readyBytes: Int { ready.bytes }
    public var heldCount: Int { held.count }
    public var heldBytes: Int { held.values.reduce(0) { $0 + $1.entry.message.byteCount } }
    public var consumerCount: Int { consumers.count }

    // MARK: Limits

    private var exceedsLimits: Bool {
        (settings.maxLength.map { ready.count > $0 } ?? false)
            || (settings.maxLengthBytes.map { ready.bytes > $0 } ?? false)
    }

    /// Whether it refuses one more.
    var isFull: Bool {
        settings.overflow != .dropHead
            && ((settings.maxLength.map { ready.count >= $0 } ?? false)
                || (settings.maxLengthBytes.map { ready.bytes >= $0 } ?? false))
    }

    /// Whether its oldest have to be given up.
    var isOverfull: Bool { settings.overflow == .dropHead && exceedsLimits }

    /// When a message that came at that time is over.
    func expiry(of message: BrokerMessage, at time: LabTime) -> LabTime {
        let own = message.expirationMilliseconds.map { LabDuration.milliseconds($0) }
        guard let wait = own.map({ min($0, settings.messageTTL ?? $0) }) ?? settings.messageTTL else {
            return .distantFuture
        }
        return time + wait
    }

    /// When something of it is over: a message, or the queue.
    var nextDeadline: LabTime {
        let own = consumers.isEmpty ? settings.expires.map { lastUsedAt + $0 } : nil
        return min(ready.nextExpiry, own ?? .distantFuture)
    }

    // MARK: Consumers

    /// Who gets the next message: of the highest priority, whoever has waited longest for a turn.
    func nextConsumer() -> Int? {
        if settings.isSingleActiveConsumer {
            return consumers.first.flatMap { $0.heldCount < $0.limit ? 0 : nil }
        }
        var best: Int?
        for (index, one) in consumers.enumerated() where one.heldCount < one.limit {
            guard let other = best.map({ consumers[$0] }) else {
                best = index
                continue
            }
            if (one.priority, other.lastTurn) > (other.priority, one.lastTurn) { best = index }
        }
        return best
    }

    /// What a consumer holds, in order.
    func held(by key: ConsumerKey) -> [QueueEntry] {
        held.values.filter { $0.key == key }.map(\.entry).sorted { $0.sequence < $1.sequence }
    }

    /// Takes one out of what a consumer holds; nil if it does not hold it (any more).
    func release(_ sequence: UInt64, from key: ConsumerKey) -> QueueEntry? {
        guard let one = held[sequence], one.key == key else { return nil }
        held[sequence] = nil
        if let index = consumers.firstIndex(where: { $0.key == key }) { consumers[index].heldCount -= 1 }
        return one.entry
    }
}
