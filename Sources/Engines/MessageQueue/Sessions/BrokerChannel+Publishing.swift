import KernelAMQP
import KernelStructures

/// A message of which not all frames have come.
struct IncomingMessage {
    let exchange: String
    let routingKey: String
    let isMandatory: Bool
    /// nil: the content header has not come.
    var size: Int?
    var properties: [UInt8] = []
    var read: AMQPProperties?
    var isPersistent = false
    var body: [UInt8] = []
}

/// A publisher's message that is not confirmed yet.
struct PendingConfirm {
    let tag: UInt64
    /// How far the store has to have synced.
    let position: UInt64
    /// It was refused.
    let isNack: Bool
    /// How much the group has to have carried out.
    var groupPosition: UInt64 = 0
}

extension BrokerChannel {
    static let publish = AMQPMethodID(60, 40)
    /// Reserved at once for a body, whatever its header says (bytes).
    private static let reserveLimitBytes = 1 << 20

    // MARK: Frames

    func beginPublish(_ exchange: String, _ routingKey: String, isMandatory: Bool, isImmediate: Bool)
        throws(AMQPFailure)
    {
        if isImmediate { throw AMQPFailure(.notImplemented, "immediate=true", method: Self.publish) }
        incoming = IncomingMessage(exchange: exchange, routingKey: routingKey, isMandatory: isMandatory)
    }

    func receive(header payload: UnsafeRawBufferPointer) throws(AMQPFailure) {
        if isClosing { return }
        guard incoming != nil, incoming?.size == nil else {
            throw AMQPFailure(
                .unexpectedFrame,
                incoming == nil
                    ? "expected method frame, got content_header frame instead"
                    : "expected content body, got non content body frame instead",
                method: incoming == nil ? nil : Self.publish)
        }
        let header = try AMQPContentHeader(payload: payload)
        guard header.classID == 60 else {
            throw AMQPFailure(
                .unexpectedFrame, "expected content header for class 60, got one for class \(header.classID) instead",
                method: Self.publish)
        }
        guard header.bodySize <= UInt64(broker.settings.messageSizeLimit) else {
            throw AMQPFailure(
                .preconditionFailed,
                "message size \(header.bodySize) is larger than configured max size \(broker.settings.messageSizeLimit)",
                method: Self.publish)
        }
        if let mode = AMQPProperties.plainDeliveryMode(header.properties), mode == 1 || mode == 2 {
            incoming?.isPersistent = mode == 2
        } else {
            let read = try AMQPProperties(header.properties)
            incoming?.read = read
            incoming?.isPersistent = read.isPersistent
        }
        incoming?.properties = Array(header.properties)
        incoming?.size = Int(header.bodySize)
        if header.bodySize == 0 { try completePublish() }
    }

    func receive(body payload: UnsafeRawBufferPointer) throws(AMQPFailure) {
        if isClosing { return }
        guard let size = incoming?.size else {
            throw AMQPFailure(
                .unexpectedFrame,
                incoming == nil
                    ? "expected method frame, got content_body frame instead"
                    : "expected content header for class 60, got non content header frame instead",
                method: incoming == nil ? nil : Self.publish)
        }
        let count = incoming?.body.count ?? 0
        guard count + payload.count <= size else {
            throw AMQPFailure(.frameError, "more body than the header said", method: Self.publish)
        }
        if count == 0 { incoming?.body.reserveCapacity(min(size, Self.reserveLimitBytes)) }
        incoming?.body.append(contentsOf: payload)
        if count + payload.count == size { return try completePublish() }
        noteArrival(bytes: payload.count)
    }

    // MARK: Whole messages

    private func completePublish() throws(AMQPFailure) {
        guard var message = incoming else { return }
        endArrival()
        // RabbitMQ blocks whoever publishes, and nobody else.
        if broker.isAlarmed { connection.block() }
        let host = try virtualHost()
        guard let exchange = host.exchanges[message.exchange] else {
            throw AMQPFailure(
                .notFound, "no \(host.resource("exchange", message.exchange))", method: Self.publish)
        }
        try checkMayPublish(to: exchange, in: host)
        try check(&message)
        if mode == .transaction {
            let queues = targets(of: message, exchange, in: host)
            let before = transaction.bytes
            try transaction.add(message, to: exchange, queues.map(\.name), limit: broker.settings)
            broker.memory.bytes += transaction.bytes - before
        } else {
            if mode == .confirm { publishedCount += 1 }
            let route = publish(message, to: exchange, in: host)
            if mode == .confirm {
                note(
                    PendingConfirm(
                        tag: publishedCount, position: route.isStored ? broker.store.position : 0,
                        isNack: route.isRefused, groupPosition: route.groupPosition))
            }
            if let group = broker.group, group.desk.isFull { connection.crowd() }
        }
    }

    private func checkMayPublish(to exchange: Exchange, in host: VirtualHost) throws(AMQPFailure) {
        if exchange.isInternal {
            throw AMQPFailure(
                .accessRefused, "cannot publish to internal \(host.resource("exchange", exchange.name))",
                method: Self.publish)
        }
        if broker.access.isOpen || writableExchange == exchange.name { return }
        try check(.write, "exchange", exchange.name.isEmpty ? "amq.default" : exchange.name)
        writableExchange = exchange.name
    }

    private func check(_ message: inout IncomingMessage) throws(AMQPFailure) {
        guard var read = message.read else { return }
        if let user = read.userID, user != connection.user {
            throw AMQPFailure(
                .preconditionFailed,
                "user_id property set to '\(user)' but authenticated user was '\(connection.user)'",
                method: Self.publish)
        }
        if read.replyTo == Self.replyQueue {
            guard let replyConsumer else {
                throw AMQPFailure(
                    .preconditionFailed, "fast reply consumer does not exist", method: Self.publish)
            }
            read.replyTo = replyConsumer.address
            message.read = read
            message.properties = read.encoded
        }
        try Self.checkValues(read)
    }

    /// Whether a message can have such properties, whoever publishes it.
    static func checkValues(_ read: AMQPProperties) throws(AMQPFailure) {
        if let text = read.expiration, BrokerMessage.expiration(text) == nil {
            throw AMQPFailure(
                .preconditionFailed, "invalid expiration '\(text)': \(BrokerMessage.complaint(expiration: text))",
                method: Self.publish)
        }
        if let mode = read.deliveryMode, mode != 1, mode != 2 {
            throw AMQPFailure(
                .preconditionFailed, "invalid message: {delivery_mode_unknown,\(mode)}", method: Self.publish)
        }
        for name in ["CC", "BCC"] {
            guard let value = read.headers?[name], value.array == nil else { continue }
            throw AMQPFailure(
                .preconditionFailed, "invalid message: {unacceptable_type_in_header,\"\(name)\",\(value.typeName)}",
                method: Self.publish)
        }
    }

    struct Route {
        /// Whether a queue keeps it on the disk.
        var isStored = false
        /// Whether a queue had no room.
        var isRefused = false
        /// How much the group has to carry out until all of its queues have it; 0: nothing.
        var groupPosition: UInt64 = 0
    }

    private static func routingKeys(_ incoming: IncomingMessage) -> [String] {
        guard let headers = incoming.read?.headers else { return [incoming.routingKey] }
        return [incoming.routingKey] + Broker.carbonCopies(headers)
            + (headers["BCC"]?.array ?? []).compactMap(\.text)
    }

    /// The queues that are to have it.
    private func targets(of incoming: IncomingMessage, _ exchange: Exchange, in host: VirtualHost) -> [BrokerQueue] {
        host.route(exchange, Self.routingKeys(incoming), headers: { incoming.read?.headers ?? [:] })
    }

    /// Sends a message on its way.
    ///
    /// - Parameter chosen: where to, if that is known already.
    @discardableResult
    func publish(
        _ incoming: IncomingMessage, to exchange: Exchange, in host: VirtualHost, queues chosen: [BrokerQueue]? = nil
    ) -> Route {
        var incoming = incoming
        exchange.publishedCount += 1
        broker.counters.published += 1
        let keys = Self.routingKeys(incoming)
        if incoming.read?.headers?["BCC"] != nil {
            incoming.read?.headers?["BCC"] = nil
            incoming.properties = incoming.read?.encoded ?? incoming.properties
        }
        let message = BrokerMessage(
            id: broker.numbers.nextMessage(), exchange: incoming.exchange, routingKey: incoming.routingKey,
            properties: incoming.properties, read: incoming.read, body: incoming.body,
            isPersistent: incoming.isPersistent, publishedAt: now, publisher: connection.number, memory: broker.memory)
        broker.trace.note(
            .published, message, at: exchange.name.isEmpty ? "default exchange" : exchange.name, now: now)
        if exchange === host.defaultExchange, keys.count == 1, keys[0].hasPrefix(Self.replyPrefix) {
            if !broker.reply(message, to: keys[0]), incoming.isMandatory { giveBack(message) }
            return Route()
        }
        let queues = chosen ?? host.route(exchange, keys, headers: { incoming.read?.headers ?? [:] })
        if queues.isEmpty {
            broker.counters.unroutable += 1
            broker.trace.note(.unroutable, message, at: exchange.name, now: now)
            if incoming.isMandatory { giveBack(message) }
        }
        var route = Route()
        let before = broker.store.position
        if let group = broker.group {
            for queue in queues where !queue.isReplicated && queue.publish(message) == .rejected {
                route.isRefused = true
            }
            publish(message, queues.filter(\.isReplicated), group, &route)
        } else {
            for queue in queues where queue.publish(message) == .rejected { route.isRefused = true }
        }
        route.isStored = broker.store.position > before
        return route
    }

    private func publish(_ message: BrokerMessage, _ queues: [BrokerQueue], _ group: BrokerGroup, _ route: inout Route)
    {
        if queues.isEmpty { return }
        guard message.body.count + message.properties.count <= GroupDesk.messageLimitBytes else {
            broker.log(
                """
                A message of \(message.body.count) bytes to queue '\(queues[0].name)' is refused: replicated queues \
                take \(GroupDesk.messageLimitBytes) at most
                """)
            route.isRefused = true
            return
        }
        let tag = publishedCount
        let isConfirmed = mode == .confirm
        group.enqueue(message, queues.map(\.number)) { [weak self] refused in
            if isConfirmed, refused > 0 { self?.refusedTags.insert(tag) }
        }
        route.groupPosition = group.desk.position
    }

    /// Nobody wants it, and its publisher wants to know.
    private func giveBack(_ message: BrokerMessage) {
        broker.counters.returned += 1
        send(
            .basicReturn(
                replyCode: AMQPReplyCode.noRoute.rawValue, replyText: AMQPReplyCode.noRoute.name,
                exchange: message.exchange, routingKey: message.routingKey))
        appendContent(message)
    }

    // MARK: Confirms

    private func note(_ confirm: PendingConfirm) {
        if confirm.groupPosition > 0 {
            groupConfirms.append(confirm)
            return noteGroupConfirms()
        }
        confirms.append(confirm)
        noteConfirms()
    }

    /// The broker is to look at them once the group has agreed on more.
    private func noteGroupConfirms() {
        guard !isGroupNoted, let group = broker.group else { return }
        isGroupNoted = true
        group.confirming.append(self)
    }

    /// The broker is to look at them once the store has synced.
    private func noteConfirms() {
        guard !isConfirmNoted else { return }
        isConfirmNoted = true
        broker.confirming.append(self)
        broker.note(connection)
    }

    /// Says what has become true: in order, and as few words as possible.
    func releaseConfirms() {
        let synced = broker.store.syncedPosition
        var due: [PendingConfirm] = []
        while let next = confirms.first, next.position <= synced {
            _ = confirms.popFirst()
            due.append(next)
        }
        releaseGroupConfirms(synced, &due)
        say(due)
        if !confirms.isEmpty { noteConfirms() }
    }

    private func releaseGroupConfirms(_ synced: UInt64, _ due: inout [PendingConfirm]) {
        guard !groupConfirms.isEmpty, let group = broker.group else { return }
        let localCount = due.count
        while let next = groupConfirms.first, next.groupPosition <= group.desk.appliedPosition {
            // Another of its queues is on this member's disk only.
            if next.position > synced {
                noteConfirms()
                break
            }
            _ = groupConfirms.popFirst()
            let isNack = next.isNack || refusedTags.remove(next.tag) != nil
            due.append(PendingConfirm(tag: next.tag, position: next.position, isNack: isNack))
        }
        if localCount > 0, due.count > localCount { due.sort { $0.tag < $1.tag } }
        if !groupConfirms.isEmpty { noteGroupConfirms() }
    }

    /// - Parameter due: by tag.
    private func say(_ due: [PendingConfirm]) {
        // Several at once only where nothing before them is still open.
        let open = min(confirms.first?.tag ?? .max, groupConfirms.first?.tag ?? .max)
        var run: (last: UInt64, count: Int)?
        func say() {
            guard let (last, count) = run else { return }
            send(.basicAck(deliveryTag: last, multiple: count > 1))
            run = nil
        }
        for next in due {
            if next.isNack {
                say()
                send(.basicNack(deliveryTag: next.tag, multiple: false, requeue: false))
                continue
            }
            broker.counters.confirmed += 1
            if next.tag > open { say() }
            run = (next.tag, (run?.count ?? 0) + 1)
            if next.tag > open { say() }
        }
        say()
    }

    // MARK: Direct replies

    static let replyQueue = "amq.rabbitmq.reply-to"
    static let replyPrefix = "amq.rabbitmq.reply-to."
}

extension Broker {
    /// The channel that a reply's address names, if it is still there and the secret is right.
    func replyChannel(_ address: String) -> BrokerChannel? {
        let parts = address.dropFirst(BrokerChannel.replyPrefix.count).split(separator: ".")
        guard parts.count == 3, let connection = UInt64(parts[0]), let number = UInt16(parts[1]),
            let channel = connections[connection]?.channels[number], let consumer = channel.replyConsumer,
            consumer.address == address
        else { return nil }
        return channel
    }

    /// Hands a reply to whoever asked, past all queues.
    ///
    /// - Returns: whether that somebody is still there.
    func reply(_ message: BrokerMessage, to address: String) -> Bool {
        guard let channel = replyChannel(address), let consumer = channel.replyConsumer else { return false }
        // A client that does not read its replies must not fill the memory with them.
        guard channel.canDeliver else { return true }
        channel.send(
            .basicDeliver(
                consumerTag: consumer.tag, deliveryTag: channel.nextDeliveryTag(), redelivered: false,
                exchange: message.exchange, routingKey: message.routingKey))
        channel.appendContent(message)
        return true
    }
}
