import KernelAMQP
import KernelStructures

// Definitions as they are stored: a key that names what it is, and a table. Names are escaped in keys, so that a slash
// in one of them separates nothing.

func escapedForKey(_ name: String) -> String { escaped(name) }
private func escaped(_ name: String) -> String { name.replacing("%", with: "%25").replacing("/", with: "%2F") }

extension BrokerQueue {
    var definitionKey: String { "queue/\(escaped(virtualHostName))/\(escaped(name))" }

    var definition: [UInt8] {
        let table: AMQPTable = [
            "vhost": .string(virtualHostName), "name": .string(name), "number": .int64(Int64(clamping: number)),
            "auto_delete": .boolean(isAutoDelete), "arguments": .table(arguments),
        ]
        return table.encoded
    }
}

extension Exchange {
    func definitionKey(in host: VirtualHost) -> String { "exchange/\(escaped(host.name))/\(escaped(name))" }

    func definition(in host: VirtualHost) -> [UInt8] {
        let table: AMQPTable = [
            "vhost": .string(host.name), "name": .string(name), "type": .string(kind.rawValue),
            "auto_delete": .boolean(isAutoDelete), "internal": .boolean(isInternal), "arguments": .table(arguments),
        ]
        return table.encoded
    }
}

extension Binding {
    func definitionKey(in host: VirtualHost) -> String { "binding/\(escaped(host.name))/\(storeNumber)" }

    func definition(in host: VirtualHost) -> [UInt8] {
        table(in: host).encoded
    }
}

extension Broker {
    /// Takes over what the store has kept, before anybody connects.
    ///
    /// - Parameters:
    ///   - definitions: what `put` was given last, by key, in any order. Those that mean nothing are left alone.
    ///   - queues: what waits in each.
    public func restore(definitions: [(key: String, value: [UInt8])], queues: [StoredQueue], now: LabTime) {
        self.now = now
        let tables = definitions.compactMap { key, value in
            (try? AMQPTable(encoded: value)).map { (kind: key.prefix { $0 != "/" }, table: $0) }
        }
        let generation = tables.first { $0.kind == "generation" }?.table["number"]?.integer ?? 0
        numbers = BrokerNumbers(generation: UInt64(clamping: generation) &+ 1)
        store.put("generation", (["number": .int64(Int64(clamping: generation) &+ 1)] as AMQPTable).encoded)
        for (kind, table) in tables where kind == "vhost" {
            if let name = table["name"]?.text, virtualHosts[name] == nil { virtualHosts[name] = VirtualHost(name) }
        }
        var streams = StreamDefinitions()
        for (kind, table) in tables where kind == "chunk" || kind == "offset" { streams.add(kind, table) }
        let waiting = Dictionary(queues.map { ($0.number, $0) }) { first, _ in first }
        for (kind, table) in tables where kind == "policy" { restorePolicy(table) }
        for (kind, table) in tables where kind == "exchange" { restoreExchange(table) }
        var known: Set<UInt64> = []
        for (kind, table) in tables where kind == "queue" {
            if let number = restoreQueue(table, waiting, streams) { known.insert(number) }
        }
        for (kind, table) in tables where kind == "binding" { restoreBinding(table) }
        for queue in queues where !known.contains(queue.number) { store.delete(queue: queue.number) }
        settle()
    }

    private func restorePolicy(_ table: AMQPTable) {
        guard let host = table["vhost"]?.text.flatMap({ virtualHosts[$0] }), let policy = BrokerPolicy(table) else {
            return
        }
        host.policies[policy.name] = policy
    }

    private func restoreExchange(_ table: AMQPTable) {
        guard let host = table["vhost"]?.text.flatMap({ virtualHosts[$0] }), let name = table["name"]?.text,
            let kind = table["type"]?.text.flatMap(Exchange.Kind.init), host.exchanges[name]?.isReplicated != true
        else { return }
        let exchange = Exchange(
            name, kind, isDurable: true, isAutoDelete: table["auto_delete"]?.boolean ?? false,
            isInternal: table["internal"]?.boolean ?? false, arguments: table["arguments"]?.table ?? [:])
        if let policy = host.policy(for: name, isQueue: false) { exchange.apply(policy: policy.definition) }
        host.exchanges[name] = exchange
    }

    private func restoreQueue(_ table: AMQPTable, _ waiting: [UInt64: StoredQueue], _ streams: StreamDefinitions)
        -> UInt64?
    {
        guard let host = table["vhost"]?.text.flatMap({ virtualHosts[$0] }), let name = table["name"]?.text,
            let number = table["number"]?.integer, number > 0, host.queues[name] == nil
        else { return nil }
        let arguments = table["arguments"]?.table ?? [:]
        let queue = BrokerQueue(
            name, number: UInt64(number), in: host, of: self, isDurable: true,
            isAutoDelete: table["auto_delete"]?.boolean ?? false, exclusiveOwner: nil, arguments: arguments,
            settings: (try? QueueSettings(arguments: arguments)) ?? QueueSettings())
        host.queues[name] = queue
        if let stream = queue.stream {
            queue.apply(host.policy(for: name, isQueue: true))
            queue.restore(
                stream, chunks: streams.chunks[queue.number] ?? [], offsets: streams.offsets[queue.number] ?? [:],
                lastSequence: waiting[queue.number]?.lastSequence ?? 0)
            return queue.number
        }
        if let found = waiting[queue.number] {
            queue.ready.restore(count: found.count, bytes: found.bytes)
            queue.nextSequence = found.lastSequence &+ 1
        }
        queue.apply(host.policy(for: name, isQueue: true))
        queue.noteUse()
        queue.noteEmptiness()
        queue.loadPage()
        // All levels have to be there to know which comes first.
        if queue.ready.hasPriorities { while queue.ready.pagedCount > 0, !queue.isUnreadable { queue.loadPage() } }
        queue.expireHeads()
        return queue.number
    }

    private func restoreBinding(_ table: AMQPTable) {
        guard let host = table["vhost"]?.text.flatMap({ virtualHosts[$0] }),
            var binding = Binding(table), let exchange = host.exchanges[binding.source]
        else { return }
        let isQueue = binding.destination.isQueue
        let name = binding.destination.name
        guard isQueue ? host.queues[name] != nil : host.exchanges[name] != nil else { return }
        binding.storeNumber = UInt64(clamping: table["number"]?.integer ?? 0)
        if exchange.add(binding), !isQueue { host.exchanges[name]?.incomingCount += 1 }
    }

    // MARK: Virtual hosts

    ///
    /// - Throws: while the group does not agree.
    public func addVirtualHost(_ name: String) throws(AMQPFailure) {
        guard virtualHosts[name] == nil, virtualHosts.count < settings.objectLimit else { return }
        if group != nil { return try agree("vhost/\(escaped(name))", ["name": .string(name)]) }
        virtualHosts[name] = VirtualHost(name)
        store.put("vhost/\(escaped(name))", (["name": .string(name)] as AMQPTable).encoded)
    }

    /// With all that is in it; connections to it are closed.
    ///
    /// - Throws: while the group does not agree.
    public func removeVirtualHost(_ name: String, now: LabTime) throws(AMQPFailure) {
        self.now = now
        guard virtualHosts[name] != nil else { return }
        try agreeGone("vhost/\(escaped(name))")
        forgetVirtualHost(name)
    }

    func forgetVirtualHost(_ name: String) {
        guard let host = virtualHosts[name] else { return }
        for connection in sortedConnections where connection.virtualHost === host {
            connection.close(AMQPFailure(.connectionForced, "vhost '\(name)' is deleted"))
        }
        // What those have given back may be dead, and dies here.
        routeDeadLetters()
        for queue in host.sortedQueues { delete(queue) }
        for exchange in host.sortedExchanges where exchange.isDurable && !exchange.isReplicated {
            for binding in exchange.bindings { forgetStored(binding, in: host) }
            store.remove(exchange.definitionKey(in: host))
        }
        for policy in host.policies.keys.sorted() { store.remove("policy/\(escaped(name))/\(escaped(policy))") }
        virtualHosts[name] = nil
        store.remove("vhost/\(escaped(name))")
        settle()
    }

    // MARK: Policies

    /// Sets a policy, in the place of the one of its name, and applies it.
    ///
    /// - Throws: while the group does not agree.
    public func set(_ policy: BrokerPolicy, in host: VirtualHost, now: LabTime) throws(AMQPFailure) {
        self.now = now
        let key = "policy/\(escaped(host.name))/\(escaped(policy.name))"
        if group != nil { return try agree(key, policy.table(in: host)) }
        host.policies[policy.name] = policy
        store.put(key, policy.table(in: host).encoded)
        applyPolicies(host)
    }

    /// - Returns: whether there was one.
    /// - Throws: while the group does not agree.
    public func clearPolicy(_ name: String, in host: VirtualHost, now: LabTime) throws(AMQPFailure) -> Bool {
        self.now = now
        if group?.takeAgreement() != nil { return true }
        if host.policies[name] != nil { try agreeGone("policy/\(escaped(host.name))/\(escaped(name))") }
        guard host.policies.removeValue(forKey: name) != nil else { return false }
        store.remove("policy/\(escaped(host.name))/\(escaped(name))")
        applyPolicies(host)
        return true
    }

    func applyPolicies(_ host: VirtualHost) {
        for queue in host.sortedQueues { queue.apply(host.policy(for: queue.name, isQueue: true)) }
        for exchange in host.sortedExchanges {
            exchange.apply(policy: host.policy(for: exchange.name, isQueue: false)?.definition ?? [:])
        }
        settle()
    }
}
