import KernelAMQP
import KernelStructures

// What a client says on a channel, method by method.
extension BrokerChannel {
    func receive(method payload: UnsafeRawBufferPointer) throws(AMQPFailure) {
        let method = try AMQPMethod(payload: payload)
        if isClosing { return closing(method) }
        guard incoming == nil else {
            throw AMQPFailure(
                .unexpectedFrame,
                incoming?.size == nil
                    ? "expected content header for class 60, got non content header frame instead"
                    : "expected content body, got non content body frame instead", method: Self.publish)
        }
        do throws(AMQPFailure) {
            try receive(method)
        } catch {
            if let agreement = broker.group?.takeAwaited() { return putOff(agreement, method) }
            var failure = error
            if failure.method == nil { failure.method = method.id }
            throw failure
        }
    }

    private func closing(_ method: AMQPMethod) {
        switch method {
        case .channelCloseOk: connection.forget(self)
        // The client closed it at the same time: its answer to us is still to come.
        case .channelClose: send(.channelCloseOk)
        default: break
        }
    }

    func receive(_ method: AMQPMethod) throws(AMQPFailure) {
        switch method {
        case .basicPublish(let exchange, let key, let mandatory, let immediate):
            try beginPublish(exchange, key, isMandatory: mandatory, isImmediate: immediate)
        case .basicAck(let tag, let multiple): try acknowledge(tag, multiple)
        case .basicNack(let tag, let multiple, let requeue): try reject(tag, multiple, requeue)
        case .basicReject(let tag, let requeue): try reject(tag, false, requeue)
        default:
            switch method.id.classID {
            case 20, 30: try receiveChannel(method)
            case 40: try receiveExchange(method)
            case 50: try receiveQueue(method)
            case 60: try receiveBasic(method)
            case 85, 90: try receiveMode(method)
            default: throw AMQPFailure(.commandInvalid, "unimplemented method")
            }
        }
    }

    private func receiveChannel(_ method: AMQPMethod) throws(AMQPFailure) {
        switch method {
        case .channelOpen: throw AMQPFailure(.channelError, "second 'channel.open' seen")
        case .channelClose:
            endUse()
            sendWhenStored(.channelCloseOk)
            connection.forget(self)
        case .channelFlow(let active):
            if !active { throw AMQPFailure(.notImplemented, "active=false") }
            send(.channelFlowOk(active: true))
        case .channelFlowOk: break
        case .accessRequest: send(.accessRequestOk(ticket: 1))
        default: throw AMQPFailure(.commandInvalid, "unimplemented method")
        }
    }

    // MARK: Exchanges

    private func receiveExchange(_ method: AMQPMethod) throws(AMQPFailure) {
        let host = try virtualHost()
        switch method {
        case .exchangeDeclare(
            let name, let type, let passive, let durable, let autoDelete, let isInternal, let noWait,
            let arguments):
            if !passive { try Broker.checkType(type) }
            if name.isEmpty { throw Self.defaultExchangeRefusal }
            if !passive {
                try checkReserved(name, "exchange", isThere: host.exchanges[name] != nil)
                try check(.configure, "exchange", name)
            }
            try broker.declare(
                .init(
                    name: name, type: type, isPassive: passive, isDurable: durable, isAutoDelete: autoDelete,
                    isInternal: isInternal, arguments: arguments), in: host)
            if !noWait { sendWhenStored(.exchangeDeclareOk) }
        case .exchangeDelete(let name, let ifUnused, let noWait):
            try deleteExchange(name, ifUnused: ifUnused, in: host)
            if !noWait { sendWhenStored(.exchangeDeleteOk) }
        case .exchangeBind(let destination, let source, let key, let noWait, let arguments):
            try bind(.init(source: source, destination: .exchange(destination), routingKey: key, arguments: arguments))
            if !noWait { sendWhenStored(.exchangeBindOk) }
        case .exchangeUnbind(let destination, let source, let key, let noWait, let arguments):
            try unbind(
                .init(source: source, destination: .exchange(destination), routingKey: key, arguments: arguments))
            if !noWait { sendWhenStored(.exchangeUnbindOk) }
        default: throw AMQPFailure(.commandInvalid, "unimplemented method")
        }
    }

    static let defaultExchangeRefusal = AMQPFailure(
        .accessRefused, "operation not permitted on the default exchange")

    private func deleteExchange(_ name: String, ifUnused: Bool, in host: VirtualHost) throws(AMQPFailure) {
        if name.isEmpty { throw Self.defaultExchangeRefusal }
        try check(.configure, "exchange", name)
        if name.hasPrefix("amq.") {
            throw AMQPFailure(
                .accessRefused, "deletion of system \(host.resource("exchange", name)) not allowed")
        }
        guard let exchange = host.exchanges[name] else { return }
        if ifUnused, !exchange.bindings.isEmpty {
            throw AMQPFailure(.preconditionFailed, "\(host.resource("exchange", name)) in use")
        }
        try broker.askToDelete(exchange, in: host)
    }

    private func bind(_ binding: Binding) throws(AMQPFailure) {
        try checkEnds(of: binding)
        try broker.bind(binding, in: virtualHost())
    }

    private func unbind(_ binding: Binding) throws(AMQPFailure) {
        try checkEnds(of: binding, isKept: false)
        try broker.unbind(binding, in: virtualHost())
    }

    private func checkEnds(of binding: Binding, isKept: Bool = true) throws(AMQPFailure) {
        if binding.source.isEmpty || binding.destination == .exchange("") { throw Self.defaultExchangeRefusal }
        let host = try virtualHost()
        // What is not bound anyhow may be unbound by everybody.
        if case .queue(let name) = binding.destination, let queue = host.queues[name],
            isKept || host.exchanges[binding.source]?.bindings.contains(where: { $0.isSame(as: binding) }) == true
        {
            try broker.checkOwner(of: queue, connection)
        }
        try check(.write, binding.destination.isQueue ? "queue" : "exchange", binding.destination.name)
        try check(.read, "exchange", binding.source)
    }

    // MARK: Queues

    private func receiveQueue(_ method: AMQPMethod) throws(AMQPFailure) {
        switch method {
        case .queueDeclare(
            let name, let passive, let durable, let exclusive, let autoDelete, let noWait, let arguments):
            try declareQueue(
                .init(
                    name: name, isPassive: passive, isDurable: durable, isExclusive: exclusive,
                    isAutoDelete: autoDelete, arguments: arguments), noWait: noWait)
        case .queueBind(let name, let exchange, let key, let noWait, let arguments):
            let queue = try queueName(name)
            // With neither named, the key is the queue's name as well.
            let routingKey = name.isEmpty && key.isEmpty ? queue : key
            try bind(.init(source: exchange, destination: .queue(queue), routingKey: routingKey, arguments: arguments))
            if !noWait { sendWhenStored(.queueBindOk) }
        case .queueUnbind(let name, let exchange, let key, let arguments):
            let queue = try queueName(name)
            let routingKey = name.isEmpty && key.isEmpty ? queue : key
            try unbind(
                .init(source: exchange, destination: .queue(queue), routingKey: routingKey, arguments: arguments))
            sendWhenStored(.queueUnbindOk)
        case .queuePurge(let name, let noWait):
            let queue = try queue(name, .read)
            if queue.stream != nil {
                let resource = queue.virtualHost.resource("queue", queue.name)
                throw AMQPFailure(.notImplemented, "queue.purge not supported by stream queues \(resource)")
            }
            let count = try broker.askToPurge(queue)
            if !noWait { sendWhenStored(.queuePurgeOk(messageCount: UInt32(clamping: count))) }
        case .queueDelete(let name, let ifUnused, let ifEmpty, let noWait):
            let count = try deleteQueue(name, ifUnused: ifUnused, ifEmpty: ifEmpty)
            if !noWait { sendWhenStored(.queueDeleteOk(messageCount: UInt32(clamping: count))) }
        default: throw AMQPFailure(.commandInvalid, "unimplemented method")
        }
    }

    private func declareQueue(_ wish: Broker.QueueWish, noWait: Bool) throws(AMQPFailure) {
        let host = try virtualHost()
        if wish.name == Self.replyQueue || wish.name.hasPrefix(Self.replyPrefix) {
            guard wish.name == Self.replyQueue || broker.replyChannel(wish.name) != nil else {
                throw Broker.notFound(host.resource("queue", wish.name))
            }
            if !noWait { send(.queueDeclareOk(queue: wish.name, messageCount: 0, consumerCount: 1)) }
            return
        }
        if !wish.isPassive {
            try checkReserved(wish.name, "queue", isThere: host.queues[wish.name] != nil)
            if !wish.name.isEmpty { try check(.configure, "queue", wish.name) }
        }
        let queue = try broker.declare(wish, in: host, by: connection)
        lastQueue = queue.name
        if noWait { return }
        sendWhenStored(
            .queueDeclareOk(
                queue: queue.name, messageCount: UInt32(clamping: queue.readyCount),
                consumerCount: UInt32(clamping: queue.consumerCount)))
    }

    private func deleteQueue(_ name: String, ifUnused: Bool, ifEmpty: Bool) throws(AMQPFailure) -> Int {
        let host = try virtualHost()
        let name = try queueName(name)
        try check(.configure, "queue", name)
        if let count = broker.group?.takeAgreement() { return count }
        guard let queue = host.queues[name] else { return 0 }
        try broker.checkOwner(of: queue, connection)
        if ifUnused, queue.consumerCount > 0 {
            throw AMQPFailure(.preconditionFailed, "\(host.resource("queue", name)) in use")
        }
        if ifEmpty, queue.readyCount > 0 {
            throw AMQPFailure(.preconditionFailed, "\(host.resource("queue", name)) not empty")
        }
        return try broker.askToDelete(queue)
    }

    /// - Throws: 404 if none is named, and none was declared before.
    func queueName(_ name: String) throws(AMQPFailure) -> String {
        if !name.isEmpty { return name }
        if lastQueue.isEmpty { throw AMQPFailure(.notFound, "no previously declared queue") }
        return lastQueue
    }

    /// The queue of that name, which the user may use so.
    func queue(_ name: String, _ permission: BrokerPermission) throws(AMQPFailure) -> BrokerQueue {
        let host = try virtualHost()
        let name = try queueName(name)
        try check(permission, "queue", name)
        guard let queue = host.queues[name] else { throw Broker.notFound(host.resource("queue", name)) }
        try broker.checkOwner(of: queue, connection)
        return queue
    }

    // MARK: Permissions

    func check(_ permission: BrokerPermission, _ kind: String, _ name: String) throws(AMQPFailure) {
        if broker.access.isOpen { return }
        let host = try virtualHost()
        if broker.access.allows(connection.user, permission, on: name, virtualHost: host.name) { return }
        throw AMQPFailure(
            .accessRefused, "access to \(host.resource(kind, name)) refused for user '\(connection.user)'")
    }

    private func checkReserved(_ name: String, _ kind: String, isThere: Bool) throws(AMQPFailure) {
        if name.hasPrefix("amq."), !isThere {
            throw AMQPFailure(.accessRefused, "\(kind) name '\(name)' contains reserved prefix 'amq.*'")
        }
    }
}
