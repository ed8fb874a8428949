import KernelAMQP
import KernelStructures

// What all members of a group know stands in the group's state; the broker's own exchanges, queues and policies follow
// it. Classic queues, streams, and exchanges that are transient or delete themselves belong to the member on which they
// were declared, and so do bindings to and from them.
extension Broker {
    /// Makes this broker a member of a group. Before anything is restored.
    public func join(member: Int) -> BrokerGroup {
        let group = BrokerGroup(self, member: member)
        self.group = group
        return group
    }

    func replicatedQueue(_ number: UInt64) -> BrokerQueue? {
        guard let queue = group?.state.queues[number] else { return nil }
        return virtualHosts[queue.virtualHost]?.queues[queue.name].flatMap { $0.number == number ? $0 : nil }
    }

    /// Whether an exchange is one that the whole group knows.
    func isShared(_ exchange: Exchange) -> Bool {
        exchange.isReplicated || VirtualHost.predeclared.contains { $0.0 == exchange.name }
    }

    /// Whether the whole group has to agree on a binding.
    func isShared(_ binding: Binding, in host: VirtualHost) -> Bool {
        guard group != nil, let source = host.exchanges[binding.source], isShared(source) else { return false }
        switch binding.destination {
        case .queue(let name): return host.queues[name]?.replica != nil
        case .exchange(let name): return host.exchanges[name].map { isShared($0) } ?? false
        }
    }

    /// Waits until the group has a definition.
    func agree(_ key: String, _ table: AMQPTable) throws(AMQPFailure) {
        guard let group else { return }
        let value = table.encoded
        if group.state.definitions[key] == value { return }
        guard try group.agreed(.put(key: key, value: value)) >= 0 else {
            throw AMQPFailure(
                .notFound, "the group does not know what this is about any more: it was deleted meanwhile")
        }
    }

    /// Waits until the group has forgotten a definition.
    func agreeGone(_ key: String) throws(AMQPFailure) {
        guard let group, group.state.definitions[key] != nil else { return }
        _ = try group.agreed(.remove(key: key))
    }

    // MARK: Following the group

    /// The group has a definition.
    func mirror(_ key: String, _ table: AMQPTable) {
        let kind = key.prefix { $0 != "/" }
        if kind == "vhost" {
            if let name = table["name"]?.text, virtualHosts[name] == nil { virtualHosts[name] = VirtualHost(name) }
            return
        }
        guard let host = table["vhost"]?.text.flatMap({ virtualHosts[$0] }) else { return }
        switch kind {
        case "exchange": mirrorExchange(table, in: host)
        case "queue": mirrorQueue(table, in: host)
        case "binding":
            guard let binding = Binding(table), let exchange = host.exchanges[binding.source] else { return }
            if exchange.add(binding), case .exchange(let name) = binding.destination {
                host.exchanges[name]?.incomingCount += 1
            }
        case "policy":
            guard let policy = BrokerPolicy(table) else { return }
            host.policies[policy.name] = policy
            applyPolicies(host)
        default: break
        }
    }

    private func mirrorExchange(_ table: AMQPTable, in host: VirtualHost) {
        guard let name = table["name"]?.text, let kind = table["type"]?.text.flatMap(Exchange.Kind.init) else { return }
        if let own = host.exchanges[name] {
            guard own.kind == kind else {
                return log("The group has another \(host.resource("exchange", name)): this member keeps its own")
            }
            if own.isDurable { store.remove(own.definitionKey(in: host)) }
            own.isReplicated = true
            return
        }
        let exchange = Exchange(
            name, kind, isDurable: true, isInternal: table["internal"]?.boolean ?? false,
            arguments: table["arguments"]?.table ?? [:])
        exchange.isReplicated = true
        if let policy = host.policy(for: name, isQueue: false) { exchange.apply(policy: policy.definition) }
        host.exchanges[name] = exchange
    }

    private func mirrorQueue(_ table: AMQPTable, in host: VirtualHost) {
        guard let name = table["name"]?.text, let number = table["number"]?.integer, number > 0 else { return }
        guard host.queues[name] == nil else {
            return log("The group has a replicated queue '\(name)'; this member keeps its own of that name")
        }
        let arguments = table["arguments"]?.table ?? [:]
        let queue = BrokerQueue(
            name, number: UInt64(number), in: host, of: self, isDurable: true, isAutoDelete: false,
            exclusiveOwner: nil, arguments: arguments,
            settings: (try? QueueSettings(arguments: arguments)) ?? QueueSettings(), isReplicated: true)
        host.queues[name] = queue
        queue.apply(host.policy(for: name, isQueue: true))
        counters.queuesCreated += 1
    }

    /// The group has a definition no more.
    func unmirror(_ key: String) {
        let parts = GroupState.parts(key).map(Self.unescaped)
        switch parts[0] {
        case "vhost": if parts.count == 2 { forgetVirtualHost(parts[1]) }
        case "exchange":
            guard parts.count == 3, let host = virtualHosts[parts[1]], let exchange = host.exchanges[parts[2]],
                exchange.isReplicated
            else { return }
            delete(exchange, in: host)
        case "queue":
            guard parts.count == 3, let queue = virtualHosts[parts[1]]?.queues[parts[2]], queue.isReplicated else {
                return
            }
            delete(queue)
        case "binding":
            guard parts.count == 7, let host = virtualHosts[parts[1]], let exchange = host.exchanges[parts[2]] else {
                return
            }
            let destination: Destination = parts[3] == "q" ? .queue(parts[4]) : .exchange(parts[4])
            let found = exchange.bindings.first {
                $0.destination == destination && $0.routingKey == parts[5] && $0.groupKey(in: host) == key
            }
            if let found, exchange.remove(found) != nil, case .exchange(let name) = destination {
                host.exchanges[name]?.incomingCount -= 1
            }
        case "policy":
            guard parts.count == 3, let host = virtualHosts[parts[1]] else { return }
            host.policies[parts[2]] = nil
            applyPolicies(host)
        default: break
        }
    }

    static func unescaped(_ part: Substring) -> String {
        String(part).replacing("%2F", with: "/").replacing("%25", with: "%")
    }

    /// Where the transactions wait that the group has not agreed on.
    func releaseGroupBarriers() {
        let held = groupBarred
        groupBarred = []
        for connection in held {
            note(connection)
            if connection.isGroupBarred { groupBarred.append(connection) }
        }
    }
}

extension Binding {
    /// Under which the group knows it: what it is, so that the same one is not there twice.
    func groupKey(in host: VirtualHost) -> String {
        let parts = [host.name, source, destination.isQueue ? "q" : "e", destination.name, routingKey]
        let sum = arguments.isEmpty ? "" : arguments.encoded.map { hexadecimal(UInt64($0), 2) }.joined()
        return "binding/" + (parts.map(escapedForKey) + [sum]).joined(separator: "/")
    }

    /// One that was kept; nil where the table is none of `definition`.
    init?(_ table: AMQPTable) {
        guard let source = table["source"]?.text, let name = table["destination"]?.text,
            let key = table["routing_key"]?.text
        else { return nil }
        self.init(
            source: source, destination: table["to_queue"]?.boolean ?? true ? .queue(name) : .exchange(name),
            routingKey: key, arguments: table["arguments"]?.table ?? [:])
    }

    func table(in host: VirtualHost) -> AMQPTable {
        [
            "vhost": .string(host.name), "number": .int64(Int64(clamping: storeNumber)), "source": .string(source),
            "destination": .string(destination.name), "to_queue": .boolean(destination.isQueue),
            "routing_key": .string(routingKey), "arguments": .table(arguments),
        ]
    }
}
