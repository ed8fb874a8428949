import KernelAMQP
import KernelStructures

/// Somebody who wants a queue's messages as they come.
public final class BrokerConsumer {
    public let tag: String
    public let queue: BrokerQueue
    unowned let channel: BrokerChannel
    /// It does not acknowledge: a message is gone as soon as it is sent.
    public let isAutomatic: Bool
    public let isExclusive: Bool
    /// Higher ones are served first.
    public let priority: Int
    /// Unacknowledged messages that it may have; 0: any number.
    public let prefetchCount: Int
    public let arguments: AMQPTable
    /// How long it may take for one; nil: as long as it likes.
    public let timeout: LabDuration?
    public internal(set) var unackedCount = 0
    public internal(set) var deliveredCount = 0
    public let since: LabTime
    /// Its place in a stream; nil in a queue.
    var reader: StreamReader?
    /// With whom it shares its bookmark in a stream.
    public internal(set) var group: String?
    /// Under which the broker's group knows it; 0: of a queue that is not replicated.
    var groupNumber: UInt64 = 0
    /// What the group has given it, and what could not be sent yet.
    var inbox = RingQueue<QueueEntry>()

    init(
        tag: String, queue: BrokerQueue, channel: BrokerChannel, isAutomatic: Bool, isExclusive: Bool, priority: Int,
        prefetchCount: Int, arguments: AMQPTable, timeout: LabDuration?
    ) {
        self.tag = tag
        self.queue = queue
        self.channel = channel
        self.isAutomatic = isAutomatic
        self.isExclusive = isExclusive
        self.priority = priority
        self.prefetchCount = prefetchCount
        self.arguments = arguments
        self.timeout = timeout
        since = queue.now
    }

    /// Whether it could be sent a message now.
    public var canTake: Bool {
        channel.canDeliver && (isAutomatic || hasCredit && channel.hasSharedCredit)
    }

    public var hasCredit: Bool { prefetchCount == 0 || unackedCount < prefetchCount }
    /// `127.0.0.1:40312 (1)`
    public var channelName: String { channel.name }
}

/// A message that was sent and is not acknowledged.
public struct UnackedDelivery {
    /// The channel's number for it.
    public let tag: UInt64
    public let entry: QueueEntry
    public let queue: BrokerQueue
    /// nil: it was asked for (`basic.get`).
    public let consumer: BrokerConsumer?
    public let deliveredAt: LabTime
}

extension BrokerQueue {
    /// Whoever can take a message, the highest priority first, and in turn among equals.
    ///
    /// They stand in line. Whoever is served goes to the end of those of his priority; whoever cannot take anything
    /// when it is his turn steps aside, and joins the line again at its end when he can.
    func nextConsumer() -> BrokerConsumer? {
        if settings.isSingleActiveConsumer { return consumers.first.flatMap { $0.canTake ? $0 : nil } }
        while let consumer = line.first {
            if line.count == 1, consumer.canTake { return consumer }
            line.removeFirst()
            if consumer.canTake {
                join(consumer)
                return consumer
            }
            aside.append(consumer)
        }
        return nil
    }

    private func join(_ consumer: BrokerConsumer) {
        var place = line.count
        while place > 0, line[place - 1].priority < consumer.priority { place -= 1 }
        line.insert(consumer, at: place)
    }

    /// Those who can take something again join the line.
    private func rejoin() {
        if aside.isEmpty { return }
        let waiting = aside
        aside = []
        for consumer in waiting { if consumer.canTake { join(consumer) } else { aside.append(consumer) } }
    }

    func deliver(_ entry: QueueEntry, to consumer: BrokerConsumer) {
        consumer.deliveredCount += 1
        if entry.isRedelivered { noteRedelivery() }
        if consumer.isAutomatic {
            counters.deliveredWithoutAck += 1
            broker.counters.deliveredWithoutAck += 1
            consumer.channel.send(entry, to: consumer)
            settle(entry)
        } else {
            counters.delivered += 1
            broker.counters.delivered += 1
            noteHanded(entry)
            consumer.unackedCount += 1
            consumer.channel.send(entry, to: consumer)
        }
        broker.trace.note(.delivered, entry.message, at: name, consumer.tag, now: now)
    }

    func noteHanded(_ entry: QueueEntry) {
        unackedCount += 1
        unackedBytes += entry.message.byteCount
        if entry.isStored {
            broker.store.delivered(queue: number, sequence: entry.sequence, count: entry.returnCount + 1)
        }
    }

    func noteRedelivery() {
        counters.redelivered += 1
        broker.counters.redelivered += 1
    }

    /// Hands on what waits, as long as somebody can take it.
    func pump() {
        if let stream { return pump(stream) }
        if isReplicated {
            for consumer in consumers { broker.group?.flush(consumer) }
            return
        }
        guard !isStarved, !consumers.isEmpty, !isDeleted else { return }
        while true {
            if ready.countInMemory == 0 {
                if ready.pagedCount == 0 { break }
                loadPage()
            }
            guard let head = ready.first else { break }
            if head.expiresAt <= now {
                expireHeads()
                continue
            }
            guard let consumer = nextConsumer() else {
                isStarved = true
                break
            }
            guard let entry = ready.popFirst() else { break }
            deliver(entry, to: consumer)
        }
        noteEmptiness()
        let next = ready.nextExpiry
        if next != .distantFuture { broker.schedule(self, at: next) }
    }

    /// Somebody may be able to take something who was not.
    func wake() {
        isStarved = false
        rejoin()
        if isOverfull { dropSurplus() }
        if !ready.isEmpty || stream != nil || isReplicated { pump() }
    }

    /// The next one for somebody who asks.
    func get() -> QueueEntry? {
        expireHeads()
        if ready.countInMemory == 0 { loadPage() }
        let entry = ready.popFirst()
        // The time of what stood behind it may be over, or comes now.
        expireHeads()
        return entry
    }

    /// An unacknowledged one is not that any more.
    func noteBack(_ delivery: UnackedDelivery) {
        unackedCount -= 1
        unackedBytes -= delivery.entry.message.byteCount
        if let consumer = delivery.consumer { consumer.unackedCount -= 1 }
    }

    /// To where it was; dead if that has happened too often.
    func giveBack(_ entry: QueueEntry) {
        if isDeleted { return }
        var entry = entry
        entry.returnCount += 1
        entry.isRedelivered = true
        counters.returned += 1
        broker.trace.note(.givenBack, entry.message, at: name, "time \(entry.returnCount)", now: now)
        if isReplicated {
            broker.group?.giveBack(entry, self)
            return
        }
        if let limit = settings.deliveryLimit, entry.returnCount > limit {
            noteRetryLimit(entry)
            return die(entry, .deliveryLimit)
        }
        if settings.retryDelay != nil, broker.delay(entry, of: self) { return }
        ready.giveBack(entry)
        noteEmptiness()
        if entry.expiresAt != .distantFuture { broker.schedule(self, at: entry.expiresAt) }
    }

    func noteRetryLimit(_ entry: QueueEntry) {
        let limit = settings.deliveryLimit ?? 0
        let place = settings.deadLetterExchange.map { exchange in
            exchange.isEmpty ? settings.deadLetterRoutingKey ?? entry.message.routingKey : exchange
        }
        if let place {
            broker.log("Message \(id: entry.message.displayName) exceeded retry limit (\(limit)), moved to \(place)")
        } else {
            broker.log("Message \(id: entry.message.displayName) exceeded retry limit (\(limit)), dropped")
        }
    }

    // MARK: Consumers

    func add(_ consumer: BrokerConsumer) {
        hadConsumers = true
        // Behind all of its own priority.
        var place = consumers.count
        if !settings.isSingleActiveConsumer {
            while place > 0, consumers[place - 1].priority < consumer.priority { place -= 1 }
        }
        consumers.insert(consumer, at: place)
        join(consumer)
        if let stream { join(consumer, stream) }
        if isReplicated { broker.group?.add(consumer) }
        wake()
    }

    /// The last one of an auto-delete queue takes it along.
    func remove(_ consumer: BrokerConsumer) { remove([consumer]) }

    /// Many at once, as where a channel ends.
    func remove(_ leaving: [BrokerConsumer]) {
        let names = Set(leaving.map(ObjectIdentifier.init))
        let count = consumers.count
        consumers.removeAll { names.contains(ObjectIdentifier($0)) }
        if consumers.count == count { return }
        line.removeAll { names.contains(ObjectIdentifier($0)) }
        aside.removeAll { names.contains(ObjectIdentifier($0)) }
        for consumer in leaving {
            if let stream { leave(consumer, stream) }
            if isReplicated { broker.group?.remove(consumer) }
        }
        if consumers.isEmpty, isAutoDelete { return broker.delete(self) }
        if consumers.isEmpty { noteUse() }
        wake()
    }
}
