import KernelAMQP
import KernelStructures

/// What an operator does with a broker, past all connections. Who may is for the caller to decide.
extension Broker {
    /// Makes an exchange.
    ///
    /// - Returns: whether it is a new one.
    /// - Throws: 406 if there is another one of that name, 503 for a type that there is not.
    public func operateDeclareExchange(
        _ name: String, type: String, isDurable: Bool, isAutoDelete: Bool, isInternal: Bool, arguments: AMQPTable,
        in host: VirtualHost, now: LabTime
    ) throws(AMQPFailure) -> Bool {
        self.now = now
        try Self.checkName(name)
        let isNew = host.exchanges[name] == nil || group?.isRepeating == true
        if isNew, name.hasPrefix("amq.") {
            throw AMQPFailure(.accessRefused, "exchange name '\(name)' contains reserved prefix 'amq.*'")
        }
        try declare(
            ExchangeWish(
                name: name, type: type, isDurable: isDurable, isAutoDelete: isAutoDelete, isInternal: isInternal,
                arguments: arguments), in: host)
        return isNew
    }

    /// - Throws: 403 for those that are always there, 406 if it is used.
    public func operateDelete(_ exchange: Exchange, ifUnused: Bool, in host: VirtualHost, now: LabTime)
        throws(AMQPFailure)
    {
        self.now = now
        if exchange.name.isEmpty || exchange.name.hasPrefix("amq.") {
            throw AMQPFailure(.accessRefused, "exchange '\(exchange.name)' is always there")
        }
        if ifUnused, !exchange.bindings.isEmpty {
            throw AMQPFailure(.preconditionFailed, "\(host.resource("exchange", exchange.name)) in use")
        }
        try askToDelete(exchange, in: host)
        settle()
    }

    /// - Returns: whether it is a new one.
    /// - Throws: 406 if there is another one of that name, or its arguments mean nothing.
    public func operateDeclareQueue(
        _ name: String, isDurable: Bool, isAutoDelete: Bool, arguments: AMQPTable, in host: VirtualHost, now: LabTime
    ) throws(AMQPFailure) -> Bool {
        self.now = now
        try Self.checkName(name)
        let isNew = host.queues[name] == nil || group?.isRepeating == true
        if isNew, name.hasPrefix("amq.") {
            throw AMQPFailure(.accessRefused, "queue name '\(name)' contains reserved prefix 'amq.*'")
        }
        _ = try declare(
            QueueWish(name: name, isDurable: isDurable, isAutoDelete: isAutoDelete, arguments: arguments), in: host,
            by: nil)
        return isNew
    }

    /// - Throws: 406 if it is used, or not empty, and that matters.
    public func operateDelete(_ queue: BrokerQueue, ifUnused: Bool, ifEmpty: Bool, now: LabTime) throws(AMQPFailure) {
        self.now = now
        let resource = queue.virtualHost.resource("queue", queue.name)
        if ifUnused, queue.consumerCount > 0 { throw AMQPFailure(.preconditionFailed, "\(resource) in use") }
        if ifEmpty, queue.readyCount > 0 { throw AMQPFailure(.preconditionFailed, "\(resource) not empty") }
        _ = try askToDelete(queue)
        settle()
    }

    /// - Throws: 404 if an end is missing.
    public func operateBind(
        _ source: String, to destination: Destination, routingKey: String, arguments: AMQPTable,
        in host: VirtualHost, now: LabTime
    ) throws(AMQPFailure) {
        self.now = now
        if source.isEmpty || destination == .exchange("") { throw BrokerChannel.defaultExchangeRefusal }
        try bind(
            Binding(source: source, destination: destination, routingKey: routingKey, arguments: arguments), in: host)
    }

    public func operateUnbind(_ binding: Binding, in host: VirtualHost, now: LabTime) throws(AMQPFailure) {
        self.now = now
        try unbind(binding, in: host)
        settle()
    }

    /// - Returns: how many waited.
    /// - Throws: 540 for streams.
    public func operatePurge(_ queue: BrokerQueue, now: LabTime) throws(AMQPFailure) -> Int {
        self.now = now
        if queue.stream != nil {
            let resource = queue.virtualHost.resource("queue", queue.name)
            throw AMQPFailure(.notImplemented, "queue.purge not supported by stream queues \(resource)")
        }
        return try askToPurge(queue)
    }

    /// Sends a message on its way.
    ///
    /// - Returns: whether a queue has it.
    /// - Throws: for a message that no client could publish.
    public func operatePublish(
        _ properties: AMQPProperties, body: [UInt8], routingKey: String, to exchange: Exchange, in host: VirtualHost,
        now: LabTime
    ) throws(AMQPFailure) -> Bool {
        self.now = now
        try BrokerChannel.checkValues(properties)
        if properties.replyTo == BrokerChannel.replyQueue {
            throw AMQPFailure(.preconditionFailed, "fast reply consumer does not exist")
        }
        exchange.publishedCount += 1
        counters.published += 1
        let headers = properties.headers ?? [:]
        let message = BrokerMessage(
            id: numbers.nextMessage(), exchange: exchange.name, routingKey: routingKey,
            properties: properties.encoded, read: properties, body: body, isPersistent: properties.isPersistent,
            publishedAt: now, memory: memory)
        let place = exchange.name.isEmpty ? "default exchange" : exchange.name
        trace.note(.published, message, at: place, "by an operator", now: now)
        let queues = host.route(exchange, [routingKey] + Self.carbonCopies(headers)) { headers }
        if queues.isEmpty {
            counters.unroutable += 1
            trace.note(.unroutable, message, at: exchange.name, now: now)
        }
        var isTaken = false
        for queue in queues where queue.publish(message) == .accepted { isTaken = true }
        settle()
        return isTaken
    }

    /// What becomes of messages that an operator looks at.
    public enum TakeMode: String, Sendable, CaseIterable {
        case acknowledge = "ack_requeue_false"
        case putBack = "ack_requeue_true"
        case reject = "reject_requeue_false"
        case rejectBack = "reject_requeue_true"
    }

    /// Bytes of bodies that an operator takes at a time, and one message more.
    private static let takeLimitBytes = 64 << 20

    /// Takes messages out of a queue.
    ///
    /// - Returns: those, in order, each with how many waited behind it.
    /// - Throws: 540 for streams.
    public func operateTake(_ queue: BrokerQueue, count: Int, _ mode: TakeMode, now: LabTime) throws(AMQPFailure)
        -> [(entry: QueueEntry, left: Int)]
    {
        self.now = now
        if queue.stream != nil {
            let resource = queue.virtualHost.resource("queue", queue.name)
            throw AMQPFailure(.notImplemented, "basic.get not supported by stream queues \(resource)")
        }
        var taken = try takeReplicated(queue, count)
        var bytes = 0
        while queue.replica == nil, taken.count < count, bytes < Self.takeLimitBytes, let entry = queue.get() {
            taken.append((entry, queue.readyCount))
            bytes += entry.message.byteCount
        }
        for (entry, _) in taken {
            switch mode {
            case .acknowledge: queue.settle(entry)
            case .reject: queue.die(entry, .rejected)
            case .putBack, .rejectBack:
                if queue.replica != nil {
                    queue.giveBack(entry)
                    continue
                }
                if entry.isStored {
                    store.delivered(queue: queue.number, sequence: entry.sequence, count: entry.returnCount + 1)
                }
                queue.giveBack(entry)
            }
        }
        counters.got += taken.count
        queue.counters.got += taken.count
        settle()
        return taken
    }

    /// Of a replicated queue: what the group hands out.
    private func takeReplicated(_ queue: BrokerQueue, _ count: Int) throws(AMQPFailure) -> [(
        entry: QueueEntry, left: Int
    )] {
        guard let group, let replica = queue.replica else { return [] }
        let taker = try group.agreed(.take(queue: queue.number, consumer: group.nextTaker(), count: count))
        let entries = taker > 0 ? group.taken(UInt64(taker), from: queue) : []
        return entries.enumerated().map { ($1, replica.readyCount + entries.count - 1 - $0) }
    }

    private static func checkName(_ name: String) throws(AMQPFailure) {
        guard !name.isEmpty, name.utf8.count <= 255 else {
            throw AMQPFailure(.preconditionFailed, "a name has 1 to 255 bytes")
        }
    }
}
