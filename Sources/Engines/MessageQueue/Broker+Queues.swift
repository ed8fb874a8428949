import KernelAMQP
import KernelStructures

extension Broker {
    /// What a client asks for when it declares a queue.
    struct QueueWish {
        var name: String
        var isPassive = false
        var isDurable = false
        var isExclusive = false
        var isAutoDelete = false
        var arguments: AMQPTable = [:]
    }

    /// Makes a queue, or finds the one that is wanted.
    ///
    /// - Throws: what closes the channel.
    func declare(_ wish: QueueWish, in host: VirtualHost, by connection: BrokerConnection?) throws(AMQPFailure)
        -> BrokerQueue
    {
        counters.queuesDeclared += 1
        var wish = wish
        // What goes with its connection outlives no broker.
        if wish.isExclusive { wish.isDurable = false }
        if let queue = host.queues[wish.name] {
            try checkOwner(of: queue, connection)
            if !wish.isPassive { try checkEquivalence(queue, wish) }
            queue.noteUse()
            return queue
        }
        if wish.isPassive { throw Self.notFound(host.resource("queue", wish.name)) }
        guard host.queues.count < settings.objectLimit else {
            throw AMQPFailure(.preconditionFailed, "cannot declare \(host.resource("queue", wish.name)): queue limit")
        }
        var name = wish.name
        if name.isEmpty { name = "amq.gen-\(randomName())" }
        let checked = try checkArguments(wish, host.resource("queue", name))
        if group != nil, checked.kind == .quorum {
            try agree(
                "queue/\(escapedForKey(host.name))/\(escapedForKey(name))",
                ["vhost": .string(host.name), "name": .string(name), "arguments": .table(wish.arguments)])
            guard let queue = host.queues[name] else { throw BrokerGroup.noMajority }
            return queue
        }
        return create(name, wish, checked, in: host, by: connection)
    }

    private func create(
        _ name: String, _ wish: QueueWish, _ checked: QueueSettings, in host: VirtualHost,
        by connection: BrokerConnection?
    ) -> BrokerQueue {
        let queue = BrokerQueue(
            name, number: numbers.nextQueue(), in: host, of: self, isDurable: wish.isDurable,
            isAutoDelete: wish.isAutoDelete, exclusiveOwner: wish.isExclusive ? connection?.number ?? 0 : nil,
            arguments: wish.arguments, settings: checked)
        host.queues[name] = queue
        if wish.isExclusive { connection?.ownQueues[queue.number] = queue }
        queue.apply(host.policy(for: name, isQueue: true))
        queue.noteUse()
        counters.queuesCreated += 1
        if queue.isStored { store.put(queue.definitionKey, queue.definition) }
        return queue
    }

    /// A name that nobody has: 22 letters, 132 bits of chance.
    func randomName() -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        return String(decoding: (0..<22).map { _ in letters[Int(random.next() & 63)] }, as: UTF8.self)
    }

    static func notFound(_ what: String) -> AMQPFailure { AMQPFailure(.notFound, "no \(what)") }

    /// - Throws: 405 if it belongs to another connection.
    func checkOwner(of queue: BrokerQueue, _ connection: BrokerConnection?) throws(AMQPFailure) {
        guard let owner = queue.exclusiveOwner, owner != connection?.number else { return }
        throw AMQPFailure(
            .resourceLocked,
            "cannot obtain exclusive access to locked \(queue.virtualHost.resource("queue", queue.name)). "
                + "It could be originally declared on another connection or the exclusive property value does not "
                + "match that of the original declaration.")
    }

    private func checkArguments(_ wish: QueueWish, _ resource: String) throws(AMQPFailure) -> QueueSettings {
        let settings: QueueSettings
        do throws(QueueSettings.Wrong) { settings = try QueueSettings(arguments: wish.arguments) } catch {
            throw AMQPFailure(.preconditionFailed, error.text(resource))
        }
        if settings.kind != .classic {
            func refuse(_ property: String) -> AMQPFailure {
                AMQPFailure(.preconditionFailed, "invalid property '\(property)' for \(resource)")
            }
            if wish.isAutoDelete { throw refuse("auto-delete") }
            if wish.isExclusive { throw refuse("exclusive-owner") }
            if !wish.isDurable { throw refuse("non-durable") }
        }
        return settings
    }

    /// - Throws: 406 if the queue that there is is not what is wanted, or 405 for `exclusive`.
    private func checkEquivalence(_ queue: BrokerQueue, _ wish: QueueWish) throws(AMQPFailure) {
        let resource = queue.virtualHost.resource("queue", queue.name)
        if wish.isExclusive != (queue.exclusiveOwner != nil) {
            throw AMQPFailure(
                .resourceLocked,
                "cannot obtain exclusive access to locked \(resource). It could be originally declared on another "
                    + "connection or the exclusive property value does not match that of the original declaration.")
        }
        try Self.check("durable", resource, wish.isDurable, queue.isDurable)
        try Self.check("auto_delete", resource, wish.isAutoDelete, queue.isAutoDelete)
        for name in QueueSettings.comparedArguments {
            // A queue that says nothing is a classic one.
            var (wanted, current) = (wish.arguments[name], queue.arguments[name])
            if name == "x-queue-type" {
                if wanted == nil { wanted = .string("classic") }
                if current == nil { current = .string("classic") }
            }
            try Self.check(name, resource, wanted, current)
        }
    }

    static func check(_ name: String, _ resource: String, _ wanted: Bool, _ current: Bool) throws(AMQPFailure) {
        if wanted == current { return }
        throw AMQPFailure(
            .preconditionFailed,
            "inequivalent arg '\(name)' for \(resource): received '\(wanted)' but current is '\(current)'")
    }

    static func check(_ name: String, _ resource: String, _ wanted: AMQPValue?, _ current: AMQPValue?)
        throws(AMQPFailure)
    {
        switch (wanted, current) {
        case (nil, nil): return
        case (let wanted?, let current?) where wanted.isEquivalent(to: current): return
        default: break
        }
        func plain(_ value: AMQPValue) -> String {
            value.integer.map(String.init) ?? value.boolean.map { "\($0)" } ?? value.text ?? value.typeName
        }
        func full(_ value: AMQPValue?) -> String {
            value.map { "the value '\(plain($0))' of type '\($0.typeName)'" } ?? "none"
        }
        let difference =
            if let wanted, let current {
                "received '\(plain(wanted))' but current is '\(plain(current))'"
            } else {
                "received \(full(wanted)) but current is \(full(current))"
            }
        throw AMQPFailure(.preconditionFailed, "inequivalent arg '\(name)' for \(resource): \(difference)")
    }

    // MARK: The end of a queue

    /// What a client or an operator asks for.
    ///
    /// - Returns: how many messages waited in it.
    /// - Throws: while the group does not agree.
    func askToDelete(_ queue: BrokerQueue) throws(AMQPFailure) -> Int {
        if let group, queue.isReplicated { return try group.agreed(.remove(key: queue.definitionKey)) }
        let count = queue.readyCount
        delete(queue)
        return count
    }

    /// - Returns: how many messages waited.
    /// - Throws: while the group does not agree.
    func askToPurge(_ queue: BrokerQueue) throws(AMQPFailure) -> Int {
        guard let group, queue.isReplicated else { return queue.purge() }
        let count = try group.agreed(.purge(queue: queue.number))
        queue.counters.purged += count
        return count
    }

    /// Deletes a queue, its bindings and what is in it, and tells its consumers.
    public func delete(_ queue: BrokerQueue) {
        guard !queue.isDeleted else { return }
        queue.isDeleted = true
        if let owner = queue.exclusiveOwner { connections[owner]?.ownQueues[queue.number] = nil }
        let host = queue.virtualHost
        if host.queues[queue.name] === queue { host.queues[queue.name] = nil }
        queue.ready.removeAll()
        if let stream = queue.stream { queue.forget(stream) }
        if !queue.isReplicated { store.delete(queue: queue.number) }
        if queue.isStored { store.remove(queue.definitionKey) }
        let consumers = queue.consumers
        queue.consumers = []
        queue.line = []
        queue.aside = []
        for consumer in consumers {
            group?.remove(consumer)
            consumer.channel.queueGone(consumer)
        }
        removeBindings(to: .queue(queue.name), in: host)
        counters.queuesDeleted += 1
    }

    /// Removes all bindings that lead there; exchanges that were waiting for that go, too.
    func removeBindings(to destination: Destination, in host: VirtualHost) {
        let sources = host.exchanges.values.filter { $0.leads(to: destination) }
        for exchange in sources.sorted(by: { $0.name < $1.name }) {
            let gone = exchange.removeAll(to: destination)
            for binding in gone { forgetStored(binding, in: host) }
            if case .exchange(let name) = destination { host.exchanges[name]?.incomingCount -= gone.count }
            if exchange.isAbandoned { delete(exchange, in: host) }
        }
    }

    // MARK: Unacknowledged messages

    /// Those of a queue, by connection, channel and number.
    public func unacked(of queue: BrokerQueue) -> [UnackedDelivery] {
        if queue.unackedCount == 0 { return [] }
        return sortedConnections.flatMap { connection in
            connection.sortedChannels.flatMap { $0.unacked.all.filter { $0.queue === queue } }
        }
    }

    /// The first messages of a queue as they wait, without taking them: those in memory.
    public func peek(_ queue: BrokerQueue, limit: Int) -> [QueueEntry] {
        if let stream = queue.stream {
            return Array(queue.read(stream, from: stream.log.firstOffset).prefix(max(0, limit)))
        }
        if let replica = queue.replica { return replica.ready.peek(max(0, limit)) }
        if queue.ready.countInMemory == 0 { queue.loadPage() }
        return queue.ready.peek(max(0, limit))
    }
}
