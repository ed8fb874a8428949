import KernelAMQP
import KernelStructures

extension BrokerChannel {
    func receiveBasic(_ method: AMQPMethod) throws(AMQPFailure) {
        switch method {
        case .basicQos(let size, let count, let isGlobal):
            if size != 0 { throw AMQPFailure(.notImplemented, "prefetch_size!=0 (\(size))") }
            if isGlobal { sharedPrefetchCount = Int(count) } else { prefetchCount = Int(count) }
            send(.basicQosOk)
            if isGlobal { wakeQueues() }
        case .basicConsume(let name, let tag, _, let noAck, let exclusive, let noWait, let arguments):
            try consume(name, tag, isAutomatic: noAck, isExclusive: exclusive, noWait: noWait, arguments)
        case .basicCancel(let tag, let noWait):
            if replyConsumer?.tag == tag { replyConsumer = nil }
            let consumer = consumers.removeValue(forKey: tag)
            if !noWait { sendWhenStored(.basicCancelOk(consumerTag: tag)) }
            if let consumer { consumer.queue.remove(consumer) }
        case .basicGet(let name, let noAck): try get(name, isAutomatic: noAck)
        case .basicRecover(let requeue), .basicRecoverAsync(let requeue):
            if !requeue { throw AMQPFailure(.notImplemented, "requeue=false") }
            giveBackByConsumer(unacked.removeAll())
            if case .basicRecover = method { send(.basicRecoverOk) }
        case .basicCancelOk: break
        default: throw AMQPFailure(.commandInvalid, "unimplemented method")
        }
    }

    // MARK: Consumers

    private func consume(
        _ name: String, _ wantedTag: String, isAutomatic: Bool, isExclusive: Bool, noWait: Bool,
        _ arguments: AMQPTable
    ) throws(AMQPFailure) {
        let tag = wantedTag.isEmpty ? "amq.ctag-\(broker.randomName())" : wantedTag
        if name == Self.replyQueue { return try consumeReplies(tag, isAutomatic: isAutomatic, noWait: noWait) }
        guard consumers[tag] == nil, replyConsumer?.tag != tag else {
            throw AMQPFailure(.notAllowed, "attempt to reuse consumer tag '\(tag)'")
        }
        let queue = try queue(name, .read)
        guard consumers.count < broker.settings.objectLimit else {
            throw AMQPFailure(.preconditionFailed, "too many consumers of one channel")
        }
        // An exclusive one is the only one; of those that are served one at a time none can be.
        let isTaken =
            queue.consumers.first?.isExclusive == true
            || isExclusive && (!queue.consumers.isEmpty || queue.settings.isSingleActiveConsumer)
        if isTaken {
            throw AMQPFailure(
                .accessRefused, "\(queue.virtualHost.resource("queue", queue.name)) in exclusive use")
        }
        let consumer = BrokerConsumer(
            tag: tag, queue: queue, channel: self, isAutomatic: isAutomatic, isExclusive: isExclusive,
            priority: try Self.integer(arguments, "x-priority", queue) ?? 0, prefetchCount: prefetchCount,
            arguments: arguments, timeout: try timeout(arguments, queue))
        if queue.settings.kind == .quorum, sharedPrefetchCount > 0 {
            throw AMQPFailure(
                .notImplemented, "\(queue.virtualHost.resource("queue", queue.name)) does not support global qos")
        }
        if let stream = queue.stream { try queue.prepare(consumer, for: stream) }
        consumers[tag] = consumer
        if !noWait { send(.basicConsumeOk(consumerTag: tag)) }
        queue.add(consumer)
    }

    private static func integer(
        _ arguments: AMQPTable, _ name: String, _ queue: BrokerQueue
    ) throws(AMQPFailure) -> Int? {
        guard let value = arguments[name] else { return nil }
        guard let number = value.integer else {
            throw AMQPFailure(
                .preconditionFailed,
                "invalid arg '\(name)' for \(queue.virtualHost.resource("queue", queue.name)): "
                    + "\"expected integer, got \(value.typeName)\"")
        }
        return number
    }

    private func timeout(_ arguments: AMQPTable, _ queue: BrokerQueue) throws(AMQPFailure) -> LabDuration? {
        guard let milliseconds = try Self.integer(arguments, "x-consumer-timeout", queue) else {
            return queue.settings.consumerTimeout ?? broker.settings.consumerTimeout
        }
        guard milliseconds > 0, milliseconds <= QueueSettings.timeLimitMilliseconds else {
            throw AMQPFailure(
                .preconditionFailed, "invalid arg 'x-consumer-timeout': \(milliseconds) is no time to wait")
        }
        return .milliseconds(milliseconds)
    }

    /// Replies come past all queues: to an address that only this channel has.
    private func consumeReplies(_ tag: String, isAutomatic: Bool, noWait: Bool) throws(AMQPFailure) {
        if replyConsumer != nil { throw AMQPFailure(.preconditionFailed, "reply consumer already set") }
        if !isAutomatic { throw AMQPFailure(.preconditionFailed, "reply consumer cannot acknowledge") }
        let address = "\(Self.replyPrefix)\(connection.number).\(number).\(broker.randomName())"
        replyConsumer = (tag, address)
        if !noWait { send(.basicConsumeOk(consumerTag: tag)) }
    }

    private func get(_ name: String, isAutomatic: Bool) throws(AMQPFailure) {
        let queue = try queue(name, .read)
        queue.noteUse()
        if queue.stream != nil {
            throw AMQPFailure(
                .notImplemented,
                "basic.get not supported by stream queues \(queue.virtualHost.resource("queue", queue.name))")
        }
        guard let entry = try next(of: queue) else {
            broker.counters.gotEmpty += 1
            return send(.basicGetEmpty)
        }
        queue.counters.got += 1
        if entry.isRedelivered { queue.noteRedelivery() }
        let tag = nextDeliveryTag()
        if isAutomatic {
            broker.counters.gotWithoutAck += 1
            queue.settle(entry)
        } else {
            broker.counters.got += 1
            queue.noteHanded(entry)
            unacked.append(
                UnackedDelivery(tag: tag, entry: entry, queue: queue, consumer: nil, deliveredAt: now))
        }
        broker.trace.note(.delivered, entry.message, at: queue.name, "basic.get", now: now)
        send(
            .basicGetOk(
                deliveryTag: tag, redelivered: entry.isRedelivered, exchange: entry.message.exchange,
                routingKey: entry.message.routingKey, messageCount: UInt32(clamping: queue.readyCount)))
        // RabbitMQ's quorum queues tell who gets one message of the count 0, too, and consumers only of later ones.
        let isCounted = queue.countsDeliveries && (entry.returnCount > 0 || queue.settings.kind == .quorum)
        appendContent(
            entry.message, header: isCounted ? "x-delivery-count" : nil, Int64(entry.returnCount))
    }

    /// The first one that waits; of a replicated queue once the group has agreed that it is for this channel.
    private func next(of queue: BrokerQueue) throws(AMQPFailure) -> QueueEntry? {
        guard let group = broker.group, queue.isReplicated else { return queue.get() }
        let taker = try group.agreed(.take(queue: queue.number, consumer: group.nextTaker(), count: 1))
        return taker > 0 ? group.taken(UInt64(taker), from: queue).first : nil
    }

    // MARK: Acknowledgements

    func acknowledge(_ tag: UInt64, _ isMultiple: Bool) throws(AMQPFailure) {
        if mode == .transaction { return try transaction.add(take(tag, isMultiple), .acknowledge) }
        if !isMultiple, let delivery = unacked.remove(tag) {
            acknowledge(delivery)
            if sharedPrefetchCount > 0 { wakeQueues() }
            return delivery.queue.wake()
        }
        let deliveries = try take(tag, isMultiple)
        for delivery in deliveries { acknowledge(delivery) }
        wakeQueues(of: deliveries)
    }

    func acknowledge(_ delivery: UnackedDelivery) {
        noteBack(delivery)
        delivery.queue.counters.acknowledged += 1
        broker.counters.acknowledged += 1
        if let stream = delivery.queue.stream, let consumer = delivery.consumer {
            delivery.queue.acknowledged(delivery.entry, by: consumer, in: stream)
        }
        delivery.queue.settle(delivery.entry)
        broker.trace.note(.acknowledged, delivery.entry.message, at: delivery.queue.name, now: now)
    }

    func reject(_ tag: UInt64, _ isMultiple: Bool, _ requeue: Bool) throws(AMQPFailure) {
        let deliveries = try take(tag, isMultiple)
        if mode == .transaction { return try transaction.add(deliveries, requeue ? .requeue : .reject) }
        reject(deliveries, requeue)
    }

    func reject(_ deliveries: [UnackedDelivery], _ requeue: Bool) {
        if requeue { return giveBackByConsumer(deliveries) }
        for delivery in deliveries {
            if delivery.queue.stream != nil {
                acknowledge(delivery)
            } else {
                noteBack(delivery)
                delivery.queue.die(delivery.entry, .rejected)
            }
        }
        wakeQueues(of: deliveries)
    }

    /// Takes deliveries out of those that are unacknowledged: one, or all up to one, or all.
    private func take(_ tag: UInt64, _ isMultiple: Bool) throws(AMQPFailure) -> [UnackedDelivery] {
        if isMultiple, tag == 0 { return unacked.removeAll() }
        let found = isMultiple ? unacked.removeAll(through: tag) : unacked.remove(tag).map { [$0] }
        guard let found else { throw AMQPFailure(.preconditionFailed, "unknown delivery tag \(tag)") }
        return found
    }
}
