extension AMQPMethod {
    /// Reads the payload of a method frame.
    ///
    /// - Throws: `AMQPFailure`: 503 for a method that there is not, 501 for arguments that are malformed, too few or
    ///   too many.
    public init(payload: UnsafeRawBufferPointer) throws(AMQPFailure) {
        var reader = AMQPReader(payload)
        let id = AMQPMethodID(try reader.short(), try reader.short())
        do throws(AMQPFailure) {
            self = try Self.read(id, &reader)
            try reader.expectEnd(of: id)
        } catch {
            throw error.code == .syntaxError ? Self.undecodable(payload, id) : error
        }
    }

    /// RabbitMQ shows the arguments as Erlang writes bytes.
    private static func undecodable(_ payload: UnsafeRawBufferPointer, _ id: AMQPMethodID) -> AMQPFailure {
        let shown = payload.dropFirst(4).prefix(100).map { "\($0)" }.joined(separator: ",")
        return AMQPFailure(.frameError, "cannot decode <<\(shown)>>", method: id)
    }

    private static func read(_ id: AMQPMethodID, _ reader: inout AMQPReader) throws(AMQPFailure) -> AMQPMethod {
        switch id.classID {
        case 10: try connection(id, &reader)
        case 20, 30: try channel(id, &reader)
        case 40: try exchange(id, &reader)
        case 50: try queue(id, &reader)
        case 60: try basic(id, &reader)
        case 85, 90: try transaction(id, &reader)
        default: throw unknown(id)
        }
    }

    private static func unknown(_ id: AMQPMethodID) -> AMQPFailure {
        AMQPFailure(.commandInvalid, "unknown method \(id.name)", method: id)
    }

    private static func connection(_ id: AMQPMethodID, _ reader: inout AMQPReader) throws(AMQPFailure) -> AMQPMethod {
        switch (id.classID, id.methodID) {
        case (10, 10):
            let versionMajor = try reader.octet()
            let versionMinor = try reader.octet()
            let serverProperties = try reader.table()
            let mechanisms = try reader.longString()
            let locales = try reader.longString()
            return .connectionStart(
                versionMajor: versionMajor, versionMinor: versionMinor, serverProperties: serverProperties,
                mechanisms: mechanisms, locales: locales)
        case (10, 11):
            let clientProperties = try reader.table()
            let mechanism = try reader.shortString()
            let response = try reader.longString()
            let locale = try reader.shortString()
            return .connectionStartOk(
                clientProperties: clientProperties, mechanism: mechanism, response: response, locale: locale)
        case (10, 20):
            let challenge = try reader.longString()
            return .connectionSecure(challenge: challenge)
        case (10, 21):
            let response = try reader.longString()
            return .connectionSecureOk(response: response)
        case (10, 30):
            let channelMax = try reader.short()
            let frameMax = try reader.long()
            let heartbeat = try reader.short()
            return .connectionTune(channelMax: channelMax, frameMax: frameMax, heartbeat: heartbeat)
        case (10, 31):
            let channelMax = try reader.short()
            let frameMax = try reader.long()
            let heartbeat = try reader.short()
            return .connectionTuneOk(channelMax: channelMax, frameMax: frameMax, heartbeat: heartbeat)
        case (10, 40):
            let virtualHost = try reader.shortString()
            _ = try reader.shortString()
            _ = try reader.octet()
            return .connectionOpen(virtualHost: virtualHost)
        case (10, 41):
            _ = try reader.shortString()
            return .connectionOpenOk
        case (10, 50):
            let replyCode = try reader.short()
            let replyText = try reader.shortString()
            let classID = try reader.short()
            let methodID = try reader.short()
            return .connectionClose(replyCode: replyCode, replyText: replyText, classID: classID, methodID: methodID)
        case (10, 51):
            return .connectionCloseOk
        case (10, 60):
            let reason = try reader.shortString()
            return .connectionBlocked(reason: reason)
        case (10, 61):
            return .connectionUnblocked
        case (10, 70):
            let newSecret = try reader.longString()
            let reason = try reader.shortString()
            return .connectionUpdateSecret(newSecret: newSecret, reason: reason)
        case (10, 71):
            return .connectionUpdateSecretOk
        default: throw unknown(id)
        }
    }

    private static func channel(_ id: AMQPMethodID, _ reader: inout AMQPReader) throws(AMQPFailure) -> AMQPMethod {
        switch (id.classID, id.methodID) {
        case (20, 10):
            _ = try reader.shortString()
            return .channelOpen
        case (20, 11):
            _ = try reader.longString()
            return .channelOpenOk
        case (20, 20):
            let bits = try reader.octet()
            return .channelFlow(active: bits & 1 != 0)
        case (20, 21):
            let bits = try reader.octet()
            return .channelFlowOk(active: bits & 1 != 0)
        case (20, 40):
            let replyCode = try reader.short()
            let replyText = try reader.shortString()
            let classID = try reader.short()
            let methodID = try reader.short()
            return .channelClose(replyCode: replyCode, replyText: replyText, classID: classID, methodID: methodID)
        case (20, 41):
            return .channelCloseOk
        case (30, 10):
            let realm = try reader.shortString()
            let bits = try reader.octet()
            return .accessRequest(
                realm: realm, exclusive: bits & 1 != 0, passive: bits & 2 != 0, active: bits & 4 != 0,
                write: bits & 8 != 0, read: bits & 16 != 0)
        case (30, 11):
            let ticket = try reader.short()
            return .accessRequestOk(ticket: ticket)
        default: throw unknown(id)
        }
    }

    private static func exchange(_ id: AMQPMethodID, _ reader: inout AMQPReader) throws(AMQPFailure) -> AMQPMethod {
        switch (id.classID, id.methodID) {
        case (40, 10):
            _ = try reader.short()
            let exchange = try reader.shortString()
            let type = try reader.shortString()
            let bits = try reader.octet()
            let arguments = try reader.table()
            return .exchangeDeclare(
                exchange: exchange, type: type, passive: bits & 1 != 0, durable: bits & 2 != 0,
                autoDelete: bits & 4 != 0, isInternal: bits & 8 != 0, noWait: bits & 16 != 0, arguments: arguments)
        case (40, 11):
            return .exchangeDeclareOk
        case (40, 20):
            _ = try reader.short()
            let exchange = try reader.shortString()
            let bits = try reader.octet()
            return .exchangeDelete(exchange: exchange, ifUnused: bits & 1 != 0, noWait: bits & 2 != 0)
        case (40, 21):
            return .exchangeDeleteOk
        case (40, 30):
            _ = try reader.short()
            let destination = try reader.shortString()
            let source = try reader.shortString()
            let routingKey = try reader.shortString()
            let bits = try reader.octet()
            let arguments = try reader.table()
            return .exchangeBind(
                destination: destination, source: source, routingKey: routingKey, noWait: bits & 1 != 0,
                arguments: arguments)
        case (40, 31):
            return .exchangeBindOk
        case (40, 40):
            _ = try reader.short()
            let destination = try reader.shortString()
            let source = try reader.shortString()
            let routingKey = try reader.shortString()
            let bits = try reader.octet()
            let arguments = try reader.table()
            return .exchangeUnbind(
                destination: destination, source: source, routingKey: routingKey, noWait: bits & 1 != 0,
                arguments: arguments)
        case (40, 51):
            return .exchangeUnbindOk
        default: throw unknown(id)
        }
    }

    private static func queue(_ id: AMQPMethodID, _ reader: inout AMQPReader) throws(AMQPFailure) -> AMQPMethod {
        switch (id.classID, id.methodID) {
        case (50, 10):
            _ = try reader.short()
            let queue = try reader.shortString()
            let bits = try reader.octet()
            let arguments = try reader.table()
            return .queueDeclare(
                queue: queue, passive: bits & 1 != 0, durable: bits & 2 != 0, exclusive: bits & 4 != 0,
                autoDelete: bits & 8 != 0, noWait: bits & 16 != 0, arguments: arguments)
        case (50, 11):
            let queue = try reader.shortString()
            let messageCount = try reader.long()
            let consumerCount = try reader.long()
            return .queueDeclareOk(queue: queue, messageCount: messageCount, consumerCount: consumerCount)
        case (50, 20):
            _ = try reader.short()
            let queue = try reader.shortString()
            let exchange = try reader.shortString()
            let routingKey = try reader.shortString()
            let bits = try reader.octet()
            let arguments = try reader.table()
            return .queueBind(
                queue: queue, exchange: exchange, routingKey: routingKey, noWait: bits & 1 != 0, arguments: arguments)
        case (50, 21):
            return .queueBindOk
        case (50, 30):
            _ = try reader.short()
            let queue = try reader.shortString()
            let bits = try reader.octet()
            return .queuePurge(queue: queue, noWait: bits & 1 != 0)
        case (50, 31):
            let messageCount = try reader.long()
            return .queuePurgeOk(messageCount: messageCount)
        case (50, 40):
            _ = try reader.short()
            let queue = try reader.shortString()
            let bits = try reader.octet()
            return .queueDelete(queue: queue, ifUnused: bits & 1 != 0, ifEmpty: bits & 2 != 0, noWait: bits & 4 != 0)
        case (50, 41):
            let messageCount = try reader.long()
            return .queueDeleteOk(messageCount: messageCount)
        case (50, 50):
            _ = try reader.short()
            let queue = try reader.shortString()
            let exchange = try reader.shortString()
            let routingKey = try reader.shortString()
            let arguments = try reader.table()
            return .queueUnbind(queue: queue, exchange: exchange, routingKey: routingKey, arguments: arguments)
        case (50, 51):
            return .queueUnbindOk
        default: throw unknown(id)
        }
    }

    private static func basic(_ id: AMQPMethodID, _ reader: inout AMQPReader) throws(AMQPFailure) -> AMQPMethod {
        switch (id.classID, id.methodID) {
        case (60, 10):
            let prefetchSize = try reader.long()
            let prefetchCount = try reader.short()
            let bits = try reader.octet()
            return .basicQos(prefetchSize: prefetchSize, prefetchCount: prefetchCount, global: bits & 1 != 0)
        case (60, 11):
            return .basicQosOk
        case (60, 20):
            _ = try reader.short()
            let queue = try reader.shortString()
            let consumerTag = try reader.shortString()
            let bits = try reader.octet()
            let arguments = try reader.table()
            return .basicConsume(
                queue: queue, consumerTag: consumerTag, noLocal: bits & 1 != 0, noAck: bits & 2 != 0,
                exclusive: bits & 4 != 0, noWait: bits & 8 != 0, arguments: arguments)
        case (60, 21):
            let consumerTag = try reader.shortString()
            return .basicConsumeOk(consumerTag: consumerTag)
        case (60, 30):
            let consumerTag = try reader.shortString()
            let bits = try reader.octet()
            return .basicCancel(consumerTag: consumerTag, noWait: bits & 1 != 0)
        case (60, 31):
            let consumerTag = try reader.shortString()
            return .basicCancelOk(consumerTag: consumerTag)
        case (60, 40):
            _ = try reader.short()
            let exchange = try reader.anyShortString()
            let routingKey = try reader.anyShortString()
            let bits = try reader.octet()
            return .basicPublish(
                exchange: exchange, routingKey: routingKey, mandatory: bits & 1 != 0, immediate: bits & 2 != 0)
        case (60, 50):
            let replyCode = try reader.short()
            let replyText = try reader.shortString()
            let exchange = try reader.anyShortString()
            let routingKey = try reader.anyShortString()
            return .basicReturn(replyCode: replyCode, replyText: replyText, exchange: exchange, routingKey: routingKey)
        case (60, 60):
            let consumerTag = try reader.shortString()
            let deliveryTag = try reader.longLong()
            let bits = try reader.octet()
            let exchange = try reader.anyShortString()
            let routingKey = try reader.anyShortString()
            return .basicDeliver(
                consumerTag: consumerTag, deliveryTag: deliveryTag, redelivered: bits & 1 != 0, exchange: exchange,
                routingKey: routingKey)
        case (60, 70):
            _ = try reader.short()
            let queue = try reader.shortString()
            let bits = try reader.octet()
            return .basicGet(queue: queue, noAck: bits & 1 != 0)
        case (60, 71):
            let deliveryTag = try reader.longLong()
            let bits = try reader.octet()
            let exchange = try reader.anyShortString()
            let routingKey = try reader.anyShortString()
            let messageCount = try reader.long()
            return .basicGetOk(
                deliveryTag: deliveryTag, redelivered: bits & 1 != 0, exchange: exchange, routingKey: routingKey,
                messageCount: messageCount)
        case (60, 72):
            _ = try reader.shortString()
            return .basicGetEmpty
        case (60, 80):
            let deliveryTag = try reader.longLong()
            let bits = try reader.octet()
            return .basicAck(deliveryTag: deliveryTag, multiple: bits & 1 != 0)
        case (60, 90):
            let deliveryTag = try reader.longLong()
            let bits = try reader.octet()
            return .basicReject(deliveryTag: deliveryTag, requeue: bits & 1 != 0)
        case (60, 100):
            let bits = try reader.octet()
            return .basicRecoverAsync(requeue: bits & 1 != 0)
        case (60, 110):
            let bits = try reader.octet()
            return .basicRecover(requeue: bits & 1 != 0)
        case (60, 111):
            return .basicRecoverOk
        case (60, 120):
            let deliveryTag = try reader.longLong()
            let bits = try reader.octet()
            return .basicNack(deliveryTag: deliveryTag, multiple: bits & 1 != 0, requeue: bits & 2 != 0)
        default: throw unknown(id)
        }
    }

    private static func transaction(_ id: AMQPMethodID, _ reader: inout AMQPReader) throws(AMQPFailure) -> AMQPMethod {
        switch (id.classID, id.methodID) {
        case (90, 10):
            return .txSelect
        case (90, 11):
            return .txSelectOk
        case (90, 20):
            return .txCommit
        case (90, 21):
            return .txCommitOk
        case (90, 30):
            return .txRollback
        case (90, 31):
            return .txRollbackOk
        case (85, 10):
            let bits = try reader.octet()
            return .confirmSelect(noWait: bits & 1 != 0)
        case (85, 11):
            return .confirmSelectOk
        default: throw unknown(id)
        }
    }
}
