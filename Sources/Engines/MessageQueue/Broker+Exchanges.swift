import KernelAMQP
import KernelStructures

extension Broker {
    /// What a client asks for when it declares an exchange.
    struct ExchangeWish {
        var name: String
        var type: String
        var isPassive = false
        var isDurable = false
        var isAutoDelete = false
        var isInternal = false
        var arguments: AMQPTable = [:]
    }

    /// Makes an exchange, or finds the one that is wanted.
    ///
    /// - Throws: what closes the channel, or the connection.
    func declare(_ wish: ExchangeWish, in host: VirtualHost) throws(AMQPFailure) {
        let resource = host.resource("exchange", wish.name)
        if wish.isPassive {
            if host.exchanges[wish.name] == nil { throw Self.notFound(resource) }
            return
        }
        let kind = try Self.checkType(wish.type)
        if let exchange = host.exchanges[wish.name] { return try checkEquivalence(exchange, kind, wish, resource) }
        guard host.exchanges.count < settings.objectLimit else {
            throw AMQPFailure(.preconditionFailed, "cannot declare \(resource): exchange limit")
        }
        if let value = wish.arguments["alternate-exchange"], value.text == nil {
            throw AMQPFailure(
                .preconditionFailed,
                "invalid type '\(value.typeName)' for arg 'alternate-exchange' in \(resource)")
        }
        if group != nil, wish.isDurable, !wish.isAutoDelete {
            try agree(
                "exchange/\(escapedForKey(host.name))/\(escapedForKey(wish.name))",
                [
                    "vhost": .string(host.name), "name": .string(wish.name), "type": .string(kind.rawValue),
                    "internal": .boolean(wish.isInternal), "arguments": .table(wish.arguments),
                ])
            if host.exchanges[wish.name] == nil { throw BrokerGroup.noMajority }
            return
        }
        let exchange = Exchange(
            wish.name, kind, isDurable: wish.isDurable, isAutoDelete: wish.isAutoDelete,
            isInternal: wish.isInternal, arguments: wish.arguments)
        if let policy = host.policy(for: wish.name, isQueue: false) { exchange.apply(policy: policy.definition) }
        host.exchanges[wish.name] = exchange
        if exchange.isDurable { store.put(exchange.definitionKey(in: host), exchange.definition(in: host)) }
    }

    /// RabbitMQ says "invalid" or "unknown", as Erlang happens to know the word or not.
    @discardableResult
    static func checkType(_ type: String) throws(AMQPFailure) -> Exchange.Kind {
        if let kind = Exchange.Kind(rawValue: type) { return kind }
        throw AMQPFailure(.commandInvalid, "invalid exchange type '\(type)'")
    }

    private func checkEquivalence(
        _ exchange: Exchange, _ kind: Exchange.Kind, _ wish: ExchangeWish, _ resource: String
    ) throws(AMQPFailure) {
        if kind != exchange.kind {
            throw AMQPFailure(
                .preconditionFailed,
                "inequivalent arg 'type' for \(resource): received '\(kind.rawValue)' but current is "
                    + "'\(exchange.kind.rawValue)'")
        }
        try Self.check("durable", resource, wish.isDurable, exchange.isDurable)
        try Self.check("auto_delete", resource, wish.isAutoDelete, exchange.isAutoDelete)
        try Self.check("internal", resource, wish.isInternal, exchange.isInternal)
        try Self.check(
            "alternate-exchange", resource, wish.arguments["alternate-exchange"],
            exchange.arguments["alternate-exchange"])
    }

    /// What a client or an operator asks for.
    ///
    /// - Throws: while the group does not agree.
    func askToDelete(_ exchange: Exchange, in host: VirtualHost) throws(AMQPFailure) {
        if exchange.isReplicated { try agreeGone(exchange.definitionKey(in: host)) }
        delete(exchange, in: host)
    }

    /// Deletes an exchange and all bindings from and to it; and exchanges that go because of that.
    func delete(_ exchange: Exchange, in host: VirtualHost) {
        // A list and not a recursion: exchanges may stand in a long row.
        var waiting = [exchange]
        while let exchange = waiting.popLast() {
            guard host.exchanges[exchange.name] === exchange else { continue }
            host.exchanges[exchange.name] = nil
            if exchange.isDurable, !exchange.isReplicated { store.remove(exchange.definitionKey(in: host)) }
            for binding in exchange.bindings {
                forgetStored(binding, in: host)
                if case .exchange(let name) = binding.destination { host.exchanges[name]?.incomingCount -= 1 }
            }
            guard exchange.incomingCount > 0 else { continue }
            for other in host.sortedExchanges {
                let gone = other.removeAll(to: .exchange(exchange.name))
                for binding in gone { forgetStored(binding, in: host) }
                if !gone.isEmpty, other.isAbandoned { waiting.append(other) }
            }
        }
    }

    // MARK: Bindings

    /// - Throws: if either end is missing.
    private func ends(of binding: Binding, in host: VirtualHost) throws(AMQPFailure) -> Exchange {
        guard let exchange = host.exchanges[binding.source] else {
            throw Self.notFound(host.resource("exchange", binding.source))
        }
        switch binding.destination {
        case .queue(let name): if host.queues[name] == nil { throw Self.notFound(host.resource("queue", name)) }
        case .exchange(let name):
            if host.exchanges[name] == nil { throw Self.notFound(host.resource("exchange", name)) }
        }
        return exchange
    }

    func bind(_ binding: Binding, in host: VirtualHost) throws(AMQPFailure) {
        let exchange = try ends(of: binding, in: host)
        if exchange.kind == .headers, let value = binding.arguments["x-match"] {
            let expected = HeadersIndex.kinds.dropLast().joined(separator: ", ") + ", or any-with-x"
            guard let text = value.text else {
                throw AMQPFailure(
                    .preconditionFailed,
                    "Invalid x-match field type \(value.typeName) (value \(value.integer ?? 0)); expected longstr")
            }
            guard HeadersIndex.kinds.contains(text) else {
                throw AMQPFailure(
                    .preconditionFailed, "Invalid x-match field value <<\"\(text)\">>; expected \(expected)")
            }
        }
        guard exchange.bindings.count < settings.objectLimit else {
            throw AMQPFailure(.preconditionFailed, "too many bindings of \(host.resource("exchange", exchange.name))")
        }
        if isShared(binding, in: host), !exchange.bindings.contains(where: { $0.isSame(as: binding) }) {
            return try agree(binding.groupKey(in: host), binding.table(in: host))
        }
        var binding = binding
        let isDurable =
            exchange.isDurable && isStored(binding.destination, in: host) && !isShared(binding, in: host)
        if isDurable { binding.storeNumber = numbers.nextBinding() }
        guard exchange.add(binding) else { return }
        if case .exchange(let name) = binding.destination { host.exchanges[name]?.incomingCount += 1 }
        if isDurable { store.put(binding.definitionKey(in: host), binding.definition(in: host)) }
    }

    private func isStored(_ destination: Destination, in host: VirtualHost) -> Bool {
        switch destination {
        case .queue(let name): host.queues[name]?.isStored == true
        case .exchange(let name): host.exchanges[name]?.isDurable == true
        }
    }

    /// One that there is not is removed already.
    ///
    /// - Throws: while the group does not agree.
    func unbind(_ binding: Binding, in host: VirtualHost) throws(AMQPFailure) {
        if isShared(binding, in: host) { return try agreeGone(binding.groupKey(in: host)) }
        guard let exchange = host.exchanges[binding.source], let removed = exchange.remove(binding) else { return }
        forgetStored(removed, in: host)
        if case .exchange(let name) = binding.destination { host.exchanges[name]?.incomingCount -= 1 }
        if exchange.isAbandoned { delete(exchange, in: host) }
    }

    func forgetStored(_ binding: Binding, in host: VirtualHost) {
        if binding.storeNumber > 0 { store.remove(binding.definitionKey(in: host)) }
    }
}
