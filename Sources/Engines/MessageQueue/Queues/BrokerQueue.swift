import KernelAMQP
import KernelStructures

/// A queue: messages in order, and those who want them.
public final class BrokerQueue: BrokerTimed {
    public let name: String
    public let number: UInt64
    public let isDurable: Bool
    public let isAutoDelete: Bool
    /// The connection that alone may use it, and with which it goes; nil: everybody may.
    public let exclusiveOwner: UInt64?
    public let arguments: AMQPTable
    public let createdAt: LabTime
    /// What arguments and policy say together.
    public internal(set) var settings: QueueSettings
    public internal(set) var policyName: String?
    unowned let broker: Broker
    unowned let virtualHost: VirtualHost

    var ready: ReadyMessages
    /// Highest priority first; of one priority in the order of arrival.
    public internal(set) var consumers: [BrokerConsumer] = []
    /// Those of them who can be served, in the order of their turns; and those who could not when it was theirs.
    var line: [BrokerConsumer] = []
    var aside: [BrokerConsumer] = []
    public internal(set) var unackedCount = 0
    public internal(set) var unackedBytes = 0
    var nextSequence: UInt64 = 1
    /// Nobody can take anything at present: not to be looked at for each message.
    var isStarved = false
    var hadConsumers = false
    public internal(set) var isDeleted = false
    /// When it was last used by somebody, for `x-expires`.
    var lastUsedAt: LabTime
    /// Since when messages have waited without a break; nil: none waits.
    public internal(set) var backlogSince: LabTime?
    public internal(set) var counters = QueueCounters()
    /// How many come, and how many go for good.
    public internal(set) var arrivals = RateMeter()
    public internal(set) var departures = RateMeter()
    var deadline = LabTime.distantFuture

    init(
        _ name: String, number: UInt64, in virtualHost: VirtualHost, of broker: Broker, isDurable: Bool,
        isAutoDelete: Bool, exclusiveOwner: UInt64?, arguments: AMQPTable, settings: QueueSettings
    ) {
        self.name = name
        self.number = number
        self.virtualHost = virtualHost
        self.broker = broker
        self.isDurable = isDurable
        self.isAutoDelete = isAutoDelete
        self.exclusiveOwner = exclusiveOwner
        self.arguments = arguments
        self.settings = settings
        createdAt = broker.now
        lastUsedAt = broker.now
        ready = ReadyMessages(maxPriority: settings.maxPriority)
    }

    public var virtualHostName: String { virtualHost.name }
    public var readyCount: Int { ready.count }
    public var readyBytes: Int { ready.bytes }
    /// Those of `readyCount` that only the store has.
    public var pagedCount: Int { ready.pagedCount }
    /// Whether its messages outlive the broker, if they are persistent.
    var isStored: Bool { isDurable && exclusiveOwner == nil }
    var now: LabTime { broker.now }
    /// The consumer that alone is served; nil where all are.
    public var singleActiveConsumer: BrokerConsumer? { settings.isSingleActiveConsumer ? consumers.first : nil }

    // MARK: Arrival

    enum Outcome { case accepted, rejected }

    /// Takes a message, and hands it on if somebody is waiting.
    func publish(_ message: BrokerMessage) -> Outcome {
        if isFull, settings.overflow != .dropHead {
            if settings.overflow == .rejectPublishDLX, settings.deadLetterExchange != nil {
                broker.pendingDeadLetters.append(DeadLetter(message: message, reason: .maxLength, queue: self))
            }
            return .rejected
        }
        counters.published += 1
        arrivals.count(now)
        var entry = QueueEntry(
            sequence: nextSequence, message: message, expiresAt: expiry(of: message), isStored: false)
        nextSequence += 1
        if ready.isEmpty, !isStarved {
            if let consumer = nextConsumer() {
                // Whoever does not acknowledge takes it as it is.
                if !consumer.isAutomatic { store(&entry) }
                deliver(entry, to: consumer)
                return .accepted
            }
            isStarved = true
        }
        enqueue(&entry)
        return .accepted
    }

    private func enqueue(_ entry: inout QueueEntry) {
        if backlogSince == nil { backlogSince = now }
        store(&entry)
        broker.trace.note(.queued, entry.message, at: name, now: now)
        if mustPage {
            if !entry.isStored { storeForRoom(&entry) }
            ready.appendPaged(bytes: entry.message.byteCount)
        } else {
            let isHead = ready.isEmpty || ready.hasPriorities
            ready.append(entry)
            if isHead, entry.expiresAt != .distantFuture { broker.schedule(self, at: entry.expiresAt) }
        }
        if isOverfull { dropSurplus() }
    }

    private func store(_ entry: inout QueueEntry) {
        guard isStored, entry.message.isPersistent else { return }
        broker.store.append(
            entry.message.stored(expiresAt: entry.expiresAt == .distantFuture ? nil : entry.expiresAt),
            queue: number, sequence: entry.sequence, isDurable: true)
        entry.isStored = true
    }

    private func storeForRoom(_ entry: inout QueueEntry) {
        broker.store.append(
            entry.message.stored(expiresAt: entry.expiresAt == .distantFuture ? nil : entry.expiresAt),
            queue: number, sequence: entry.sequence, isDurable: false)
        entry.isStored = true
    }

    /// When a message that arrives now is over: its own time or the queue's, whichever is shorter.
    private func expiry(of message: BrokerMessage) -> LabTime {
        let own = message.expirationMilliseconds.map { LabDuration.milliseconds($0) }
        guard let time = own.map({ min($0, settings.messageTTL ?? $0) }) ?? settings.messageTTL else {
            return .distantFuture
        }
        return now + time
    }

    // MARK: Limits

    private func exceeds(count: Int, bytes: Int) -> Bool {
        (settings.maxLength.map { count > $0 } ?? false) || (settings.maxLengthBytes.map { bytes > $0 } ?? false)
    }

    /// Whether one more would be too many.
    private var isFull: Bool {
        if settings.maxLength == nil, settings.maxLengthBytes == nil { return false }
        return (settings.maxLength.map { ready.count >= $0 } ?? false)
            || (settings.maxLengthBytes.map { ready.bytes >= $0 } ?? false)
    }

    /// Whether some have to be given up: of those that were given back, too.
    var isOverfull: Bool { settings.overflow == .dropHead && exceeds(count: ready.count, bytes: ready.bytes) }

    /// Gives up the oldest until the rest is within the limits.
    func dropSurplus() {
        while isOverfull {
            if ready.countInMemory == 0 { loadPage() }
            guard let entry = ready.popLeast() else { break }
            counters.dropped += 1
            die(entry, .maxLength)
        }
        noteEmptiness()
    }

    // MARK: What only the store has

    /// Whether a message that arrives now is not kept in memory.
    private var mustPage: Bool {
        guard broker.store.canLoad, !ready.hasPriorities else { return false }
        return ready.pagedCount > 0 || ready.countInMemory >= broker.settings.windowCount
            || ready.bytesInMemory >= broker.settings.windowBytes
    }

    /// Reads the next ones from the store.
    func loadPage() {
        guard ready.pagedCount > 0 else { return }
        let found: [StoredEntry]
        do {
            found = try broker.store.load(
                queue: number, after: ready.lastInMemory, count: max(1, broker.settings.windowCount / 2),
                bytes: max(1, broker.settings.windowBytes / 2))
        } catch {
            broker.log("Queue '\(name)' cannot read its messages: \("\(error)")")
            return ready.forgetPaged()
        }
        if found.isEmpty { return ready.forgetPaged() }
        ready.pagedIn(
            found.map { stored in
                QueueEntry(
                    sequence: stored.sequence, message: BrokerMessage(stored.message, memory: broker.memory),
                    returnCount: max(0, stored.deliveryCount), isRedelivered: stored.deliveryCount > 0,
                    expiresAt: stored.message.expiresAt ?? .distantFuture, isStored: true)
            })
    }

    // MARK: The end of a message

    /// It is done with: the store may forget it.
    func settle(_ entry: QueueEntry) {
        departures.count(now)
        if entry.isStored { broker.store.settle(queue: number, sequence: entry.sequence) }
    }

    /// It cannot be delivered here any more: to the dead letters, or away.
    func die(_ entry: QueueEntry, _ reason: DeadLetter.Reason) {
        if settings.deadLetterExchange == nil || isDeleted {
            broker.trace.note(reason.withoutExchange, entry.message, at: name, reason.rawValue, now: now)
            return settle(entry)
        }
        broker.pendingDeadLetters.append(
            DeadLetter(message: entry.message, reason: reason, queue: self, entry: entry))
    }

    /// Those at the head whose time is over.
    func expireHeads() {
        while true {
            if ready.countInMemory == 0, ready.pagedCount > 0 { loadPage() }
            guard let entry = ready.popExpired(now) else { break }
            counters.expired += 1
            die(entry, .expired)
        }
        noteEmptiness()
        let next = ready.nextExpiry
        if next != .distantFuture { broker.schedule(self, at: next) }
    }

    func noteEmptiness() {
        if ready.isEmpty { backlogSince = nil } else if backlogSince == nil { backlogSince = now }
    }

    /// - Returns: how many waited.
    func purge(notingUse: Bool = true) -> Int {
        let count = ready.count
        broker.store.purge(
            queue: number, through: nextSequence - 1,
            except: broker.unacked(of: self).map(\.entry.sequence).sorted())
        ready.removeAll()
        counters.purged += count
        noteEmptiness()
        return count
    }

    // MARK: Time

    func ring() {
        guard !isDeleted else { return }
        expireHeads()
        if let expires = settings.expires, consumers.isEmpty {
            if lastUsedAt + expires <= now { return broker.delete(self) }
            broker.schedule(self, at: lastUsedAt + expires)
        }
    }

    /// Somebody declared it, or got something from it.
    func noteUse() {
        lastUsedAt = now
        if let expires = settings.expires { broker.schedule(self, at: now + expires) }
    }

    /// Arguments and policy put together anew.
    func apply(_ policy: BrokerPolicy?) {
        policyName = policy?.name
        let own = (try? QueueSettings(arguments: arguments)) ?? QueueSettings()
        settings = policy.map { own.adding($0.definition) } ?? own
        if isOverfull { dropSurplus() }
        if settings.expires != nil { noteUse() }
    }
}

/// What a queue has counted.
public struct QueueCounters: Sendable {
    public var published = 0
    public var delivered = 0
    public var deliveredWithoutAck = 0
    public var got = 0
    public var acknowledged = 0
    public var redelivered = 0
    public var returned = 0
    public var expired = 0
    public var dropped = 0
    public var purged = 0
    public var deadLettered = 0
    public init() {}
}
