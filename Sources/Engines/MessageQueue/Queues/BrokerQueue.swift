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
    /// Whether its messages are the group's, and this is only this member's side of it.
    public let isReplicated: Bool
    unowned let broker: Broker
    unowned let virtualHost: VirtualHost

    var ready: ReadyMessages
    /// nil for a queue whose messages are taken out of it.
    let stream: BrokerStream?
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
    public internal(set) var rates: CounterWindow<QueueCounters>
    /// How many come, and how many go for good.
    public internal(set) var arrivals = RateMeter()
    public internal(set) var departures = RateMeter()
    var deadline = LabTime.distantFuture
    private var unreadable: Unreadable?

    init(
        _ name: String, number: UInt64, in virtualHost: VirtualHost, of broker: Broker, isDurable: Bool,
        isAutoDelete: Bool, exclusiveOwner: UInt64?, arguments: AMQPTable, settings: QueueSettings,
        isReplicated: Bool = false
    ) {
        self.isReplicated = isReplicated
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
        rates = CounterWindow(QueueCounters(), now: broker.now)
        lastUsedAt = broker.now
        ready = ReadyMessages(maxPriority: settings.maxPriority)
        stream = settings.kind == .stream ? BrokerStream(settings.streamLimits) : nil
    }

    /// Whether consumers are told how often a message has come back.
    var countsDeliveries: Bool { settings.kind == .quorum || settings.deliveryLimit != nil }

    public var virtualHostName: String { virtualHost.name }
    public var readyCount: Int { stream?.log.count ?? replica?.readyCount ?? ready.count }
    public var readyBytes: Int { stream?.log.bytes ?? replica?.readyBytes ?? ready.bytes }
    /// This member's copy of what the group has in it; nil for a queue that is not replicated.
    public var replica: ReplicatedQueue? { isReplicated ? broker.group?.state.queues[number] : nil }
    /// What somebody holds, wherever that somebody is connected.
    public var heldCount: Int { replica?.heldCount ?? unackedCount }
    public var heldBytes: Int { replica?.heldBytes ?? unackedBytes }
    /// Of the whole group.
    public var consumerCount: Int { replica?.consumerCount ?? consumers.count }
    /// Those of `readyCount` that only the store has.
    public var pagedCount: Int { ready.pagedCount }
    /// Whether its messages outlive the broker, if they are persistent.
    var isStored: Bool { isDurable && exclusiveOwner == nil && !isReplicated }
    var now: LabTime { broker.now }
    /// The consumer that alone is served; nil where all are.
    public var singleActiveConsumer: BrokerConsumer? { settings.isSingleActiveConsumer ? consumers.first : nil }

    // MARK: Arrival

    enum Outcome { case accepted, rejected }

    /// Takes a message, and hands it on if somebody is waiting.
    func publish(_ message: BrokerMessage) -> Outcome {
        if let stream { return publish(message, to: stream) }
        if isReplicated {
            broker.group?.enqueue(message, [number])
            return .accepted
        }
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
        if settings.retryDelay != nil { entry.returnCount = broker.delayCount(of: message, in: self) }
        if entry.returnCount > 0 { entry.isRedelivered = true }
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
        expireHeads()
    }

    // MARK: What only the store has

    /// Whether a message that arrives now is not kept in memory.
    private var mustPage: Bool {
        guard broker.store.canLoad, !ready.hasPriorities else { return false }
        return ready.pagedCount > 0 || ready.countInMemory >= broker.settings.windowCount
            || ready.bytesInMemory >= broker.settings.windowBytes
    }

    /// Since when the store does not give what this queue has there; nil: it does.
    public var isUnreadable: Bool { unreadable != nil }

    /// Reads the next ones from the store. Where that fails they stay where they are, and it is tried again, after a
    /// pause that grows.
    func loadPage() {
        guard ready.pagedCount > 0 else { return }
        if let unreadable, unreadable.nextTry > now { return }
        let found: [StoredEntry]
        do {
            found = try broker.store.load(
                queue: number, after: ready.lastInMemory, count: max(1, broker.settings.windowCount / 2),
                bytes: max(1, broker.settings.windowBytes / 2))
        } catch {
            return noteUnreadable("\(error)")
        }
        if unreadable != nil {
            unreadable = nil
            broker.log("Queue '\(name)' can read its messages again")
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

    private func noteUnreadable(_ reason: String) {
        let pause = min(unreadable?.pause ?? Self.shortestPause, Self.longestPause)
        if unreadable == nil {
            broker.log(
                """
                Queue '\(name)' cannot read its messages: \(reason); \(ready.pagedCount) of them wait until it can, \
                which is tried again and again
                """)
        }
        unreadable = Unreadable(nextTry: now + pause, pause: pause + pause)
        broker.schedule(self, at: now + pause)
    }

    struct Unreadable {
        let nextTry: LabTime
        /// Until the time after that.
        let pause: LabDuration
    }

    private static let shortestPause = LabDuration.milliseconds(500)
    private static let longestPause = LabDuration.seconds(30)

    // MARK: The end of a message

    /// It is done with: the store may forget it.
    func settle(_ entry: QueueEntry) {
        if isReplicated {
            broker.group?.settle(entry, self)
            return
        }
        departures.count(now)
        if entry.isStored { broker.store.settle(queue: number, sequence: entry.sequence) }
    }

    /// It cannot be delivered here any more: to the dead letters, or away.
    func die(_ entry: QueueEntry, _ reason: DeadLetter.Reason) {
        if isReplicated {
            broker.group?.discard(entry, self)
            return
        }
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
        if (replica?.readyCount ?? ready.count) == 0 {
            backlogSince = nil
        } else if backlogSince == nil {
            backlogSince = now
        }
    }

    /// - Returns: how many waited.
    func purge(notingUse: Bool = true) -> Int {
        let count = ready.count
        // What somebody holds stays, and is not looked for where there is nothing else.
        if count == 0 { return 0 }
        if isStored { forgetReady() }
        ready.removeAll()
        counters.purged += count
        noteEmptiness()
        return count
    }

    /// The store forgets those that wait: one by one where they are few, else all but those that are unacknowledged.
    private func forgetReady() {
        if ready.pagedCount == 0, ready.count <= unackedCount {
            while let entry = ready.popFirst() {
                if entry.isStored { broker.store.settle(queue: number, sequence: entry.sequence) }
            }
            return
        }
        broker.store.purge(
            queue: number, through: nextSequence - 1,
            except: broker.unacked(of: self).map(\.entry.sequence).sorted())
    }

    // MARK: Time

    func ring() {
        guard !isDeleted, !isReplicated else { return }
        let wasUnreadable = isUnreadable
        if let stream { expire(stream) } else { expireHeads() }
        // The store may give again what it could not.
        if wasUnreadable {
            wake()
            if let unreadable { broker.schedule(self, at: max(unreadable.nextTry, now + .milliseconds(1))) }
        }
        if let expires = settings.expires, consumers.isEmpty {
            if lastUsedAt + expires <= now { return broker.delete(self) }
            broker.schedule(self, at: lastUsedAt + expires)
        }
    }

    /// Somebody declared it, or got something from it.
    func noteUse() {
        lastUsedAt = now
        if isReplicated {
            // The group's leader counts its time.
            if settings.expires != nil, !isDeleted { broker.group?.desk.add(.use(queue: number)) }
            return
        }
        if let expires = settings.expires { broker.schedule(self, at: now + expires) }
    }

    /// Arguments and policy put together anew.
    func apply(_ policy: BrokerPolicy?) {
        policyName = policy?.name
        let own = (try? QueueSettings(arguments: arguments)) ?? QueueSettings()
        settings = policy.map { own.adding($0.definition) } ?? own
        if let stream {
            stream.log.limits = settings.streamLimits
            expire(stream)
        } else if isOverfull {
            dropSurplus()
        }
        if settings.expires != nil, !isReplicated { noteUse() }
    }

    /// The group has put a message into it.
    func noteArrival(_ message: BrokerMessage) {
        counters.published += 1
        arrivals.count(now)
        broker.trace.note(.queued, message, at: name, now: now)
        noteEmptiness()
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
    /// However they were given out.
    public var deliveredOrGot: Int { delivered + deliveredWithoutAck + got }
    public init() {}
}
