import KernelAMQP
import KernelStructures

/// A channel: a conversation of its own within a connection, with its consumers, its unacknowledged deliveries, and its
/// mode (plain, confirming, transactional).
public final class BrokerChannel: BrokerTimed {
    public let number: UInt16
    unowned let connection: BrokerConnection
    unowned let broker: Broker
    public internal(set) var consumers: [String: BrokerConsumer] = [:]
    var unacked = UnackedTable()
    /// Deliveries to consumers that are not acknowledged: what the shared limit counts.
    var sharedUnackedCount = 0
    /// For consumers that begin from here on; 0: no limit.
    public internal(set) var prefetchCount = 0
    /// For all of the channel together; 0: no limit.
    public internal(set) var sharedPrefetchCount = 0
    public internal(set) var mode = Mode.plain
    private var lastDeliveryTag: UInt64 = 0
    /// The queue that is meant where none is named.
    var lastQueue = ""
    /// The consumer of direct replies, and the secret in their address.
    var replyConsumer: (tag: String, address: String)?
    /// `channel.close` has been sent; everything but its answer is ignored.
    var isClosing = false
    /// Its use is over: nothing is delivered to it any more, whatever else is still to be tidied up.
    private(set) var isEnding = false

    // Publishing
    var incoming: IncomingMessage?
    /// Bytes of a body that has not come whole: they count as the broker's memory.
    private(set) var arrivedBytes = 0
    var publishedCount: UInt64 = 0
    var confirms = RingQueue<PendingConfirm>()
    /// Of messages on which the group has not agreed.
    var groupConfirms = RingQueue<PendingConfirm>()
    /// Those of them that a queue had no room for.
    var refusedTags: Set<UInt64> = []
    var isGroupNoted = false
    var isConfirmNoted = false
    var transaction = Transaction()
    /// The exchange that the user may write to, as far as was asked last.
    var writableExchange: String?
    var deadline = LabTime.distantFuture

    public enum Mode: String, Sendable { case plain, confirm, transaction }

    init(_ number: UInt16, of connection: BrokerConnection) {
        self.number = number
        self.connection = connection
        broker = connection.broker
    }

    public var name: String { "\(connection.peer) (\(number))" }
    public var unackedCount: Int { unacked.count }
    public var user: String { connection.user }
    public var virtualHostName: String { connection.virtualHost?.name ?? "" }
    /// By tag.
    public var sortedConsumers: [BrokerConsumer] { consumers.values.sorted { $0.tag < $1.tag } }
    public var unconfirmedCount: Int { confirms.count + groupConfirms.count }
    var now: LabTime { broker.now }
    /// - Throws: 530 while the connection is in no virtual host, which cannot be.
    func virtualHost() throws(AMQPFailure) -> VirtualHost {
        guard let host = connection.virtualHost else { throw AMQPFailure(.notAllowed, "no vhost") }
        return host
    }

    var canDeliver: Bool { !isEnding && connection.canDeliver }
    var hasSharedCredit: Bool { sharedPrefetchCount == 0 || sharedUnackedCount < sharedPrefetchCount }

    func send(_ method: AMQPMethod) { connection.send(method, on: number) }

    /// Answers once what was done is safe.
    func sendWhenStored(_ method: AMQPMethod) {
        connection.addBarrier()
        send(method)
    }

    // MARK: Arrivals

    /// Some of a body has come, and not all of it. Where memory is short only the one that began first goes on: so
    /// there is never more than one message too many, and one gets done after the other.
    func noteArrival(bytes: Int) {
        if arrivedBytes == 0 { broker.arriving.append(self) }
        arrivedBytes += bytes
        broker.memory.bytes += bytes
        if broker.isAlarmed, broker.arriving.first !== self { connection.block() }
    }

    /// The message is whole, or nothing will become of it.
    func endArrival() {
        incoming = nil
        if arrivedBytes == 0 { return }
        broker.memory.bytes -= arrivedBytes
        arrivedBytes = 0
        broker.arriving.removeAll { $0 === self }
        if broker.isAlarmed { broker.arriving.first?.connection.unblock() }
    }

    /// What was said since the last commit; from here on it begins anew.
    func takeTransaction() -> Transaction {
        defer { transaction = Transaction() }
        broker.memory.bytes -= transaction.bytes
        return transaction
    }

    // MARK: Deliveries

    func nextDeliveryTag() -> UInt64 {
        lastDeliveryTag += 1
        return lastDeliveryTag
    }

    /// Writes a message for a consumer, and remembers it unless the consumer does not acknowledge.
    func send(_ entry: QueueEntry, to consumer: BrokerConsumer) {
        let tag = nextDeliveryTag()
        if !consumer.isAutomatic {
            sharedUnackedCount += 1
            unacked.append(
                UnackedDelivery(tag: tag, entry: entry, queue: consumer.queue, consumer: consumer, deliveredAt: now))
            if let timeout = consumer.timeout { broker.schedule(self, at: now + timeout) }
        }
        connection.output.append(
            .basicDeliver(
                consumerTag: consumer.tag, deliveryTag: tag, redelivered: entry.isRedelivered,
                exchange: entry.message.exchange, routingKey: entry.message.routingKey), channel: number)
        if consumer.reader != nil {
            appendContent(entry.message, header: "x-stream-offset", Int64(clamping: entry.offset))
        } else if consumer.queue.countsDeliveries, entry.returnCount > 0 {
            appendContent(entry.message, header: "x-delivery-count", Int64(entry.returnCount))
        } else {
            appendContent(entry.message)
        }
    }

    /// - Parameter header: what consumers are told beside what the publisher said.
    func appendContent(_ message: BrokerMessage, header: String? = nil, _ value: Int64 = 0) {
        var properties = message.properties
        if let header {
            var read = message.readProperties
            var headers = read.headers ?? [:]
            headers[header] = .int64(value)
            read.headers = headers
            properties = read.encoded
        }
        message.body.withUnsafeBytes { body in
            connection.output.appendContent(
                properties: properties, body: body, channel: number, frameMax: Int(connection.frameMax))
        }
        broker.note(connection)
    }

    /// Its queues may have something for it again.
    func wakeQueues() {
        var seen: Set<UInt64> = []
        for consumer in sortedConsumers where seen.insert(consumer.queue.number).inserted { consumer.queue.wake() }
    }

    // MARK: The end

    /// Closes it, and says why.
    func fail(_ failure: AMQPFailure) {
        guard !isClosing else { return }
        endUse()
        isClosing = true
        send(
            .channelClose(
                replyCode: failure.code.rawValue, replyText: failure.text, classID: failure.method?.classID ?? 0,
                methodID: failure.method?.methodID ?? 0))
    }

    /// Nobody uses it any more: consumers go, and what is unacknowledged goes back.
    func endUse() {
        removeConsumers()
        giveEverythingBack()
    }

    /// From here on its consumers are passed over.
    func beginEnding() { isEnding = true }

    func removeConsumers() {
        beginEnding()
        let all = sortedConsumers
        consumers = [:]
        replyConsumer = nil
        for (queue, leaving) in Self.byQueue(all) { queue.remove(leaving) }
    }

    /// In the order in which the queues come first.
    private static func byQueue(_ consumers: [BrokerConsumer]) -> [(BrokerQueue, [BrokerConsumer])] {
        var groups: [(BrokerQueue, [BrokerConsumer])] = []
        var places: [UInt64: Int] = [:]
        for consumer in consumers {
            let place = places[consumer.queue.number] ?? groups.count
            if place == groups.count {
                places[consumer.queue.number] = place
                groups.append((consumer.queue, []))
            }
            groups[place].1.append(consumer)
        }
        return groups
    }

    func giveEverythingBack() {
        endArrival()
        // What was acknowledged in a transaction that never was committed is not.
        let uncommitted = takeTransaction().settlements.flatMap(\.deliveries)
        confirms.removeAll()
        groupConfirms.removeAll()
        giveBack(unacked.removeAll() + uncommitted)
    }

    /// Puts deliveries back into their queues, and lets those hand them on.
    func giveBack(_ deliveries: [UnackedDelivery]) {
        for delivery in deliveries {
            noteBack(delivery)
            if delivery.queue.stream != nil {
                if let consumer = delivery.consumer { delivery.queue.rewind(to: delivery.entry, for: consumer) }
            } else {
                delivery.queue.giveBack(delivery.entry)
            }
        }
        wakeQueues(of: deliveries)
    }

    /// The same for a client that gives some back and goes on: consumer by consumer, as RabbitMQ does it, which decides
    /// who gets them next.
    func giveBackByConsumer(_ deliveries: [UnackedDelivery]) {
        if deliveries.count < 2 { return giveBack(deliveries) }
        let groups = Dictionary(grouping: deliveries) { Group(queue: $0.queue.name, tag: $0.consumer?.tag ?? "") }
        for (_, group) in groups.sorted(by: { ($0.key.queue, $0.key.tag) < ($1.key.queue, $1.key.tag) }) {
            giveBack(group)
        }
    }

    private struct Group: Hashable {
        let queue: String
        let tag: String
    }

    func noteBack(_ delivery: UnackedDelivery) {
        delivery.queue.noteBack(delivery)
        if delivery.consumer != nil { sharedUnackedCount -= 1 }
    }

    /// The queues of these deliveries can hand on more: to their consumers, and where the channel's limit was reached,
    /// to all of the channel.
    func wakeQueues(of deliveries: [UnackedDelivery]) {
        if sharedPrefetchCount > 0 { wakeQueues() }
        var last: BrokerQueue?
        var seen: Set<UInt64> = []
        for delivery in deliveries where delivery.queue !== last {
            last = delivery.queue
            if seen.insert(delivery.queue.number).inserted { delivery.queue.wake() }
        }
    }

    /// A queue that a consumer of this channel has is deleted.
    func queueGone(_ consumer: BrokerConsumer) {
        guard consumers[consumer.tag] === consumer else { return }
        consumers[consumer.tag] = nil
        if connection.wants("consumer_cancel_notify") {
            send(.basicCancel(consumerTag: consumer.tag, noWait: true))
        }
    }

    // MARK: Time

    /// Deliveries that took too long go back, and their consumers go: somebody else may have more luck.
    func ring() {
        var late: [UnackedDelivery] = []
        var next = LabTime.distantFuture
        for delivery in unacked.all {
            guard let timeout = delivery.consumer?.timeout else { continue }
            let end = delivery.deliveredAt + timeout
            if end <= now { late.append(delivery) } else { next = min(next, end) }
        }
        // Not once for each nanosecond, where they came one after the other.
        if next != .distantFuture { broker.schedule(self, at: max(next, now + .milliseconds(10))) }
        if late.isEmpty { return }
        for delivery in late { _ = unacked.remove(delivery.tag) }
        for delivery in late {
            guard let consumer = delivery.consumer, consumers[consumer.tag] === consumer else { continue }
            broker.log(
                "Consumer \(id: consumer.tag) of queue '\(consumer.queue.name)' did not acknowledge within \(consumer.timeout ?? .zero): cancelled"
            )
            consumers[consumer.tag] = nil
            if connection.wants("consumer_cancel_notify") {
                send(.basicCancel(consumerTag: consumer.tag, noWait: true))
            }
            consumer.queue.remove(consumer)
        }
        giveBack(late)
    }
}
