extension AMQPMethod {
    /// The payload of its frame: class, method, arguments.
    public func encode(to writer: inout AMQPWriter) {
        let id = id
        writer.append(short: id.classID)
        writer.append(short: id.methodID)
        switch id.classID {
        case 10: encodeConnection(to: &writer)
        case 20, 30: encodeChannel(to: &writer)
        case 40: encodeExchange(to: &writer)
        case 50: encodeQueue(to: &writer)
        case 60: encodeBasic(to: &writer)
        case 85: if case .confirmSelect(let noWait) = self { writer.append(bits: [noWait]) }
        default: break
        }
    }

    private func encodeConnection(to writer: inout AMQPWriter) {
        switch self {
        case .connectionStart(let versionMajor, let versionMinor, let serverProperties, let mechanisms, let locales):
            writer.append(octet: versionMajor)
            writer.append(octet: versionMinor)
            writer.append(table: serverProperties)
            writer.append(longString: mechanisms)
            writer.append(longString: locales)
        case .connectionStartOk(let clientProperties, let mechanism, let response, let locale):
            writer.append(table: clientProperties)
            writer.append(shortString: mechanism)
            writer.append(longString: response)
            writer.append(shortString: locale)
        case .connectionSecure(let challenge):
            writer.append(longString: challenge)
        case .connectionSecureOk(let response):
            writer.append(longString: response)
        case .connectionTune(let channelMax, let frameMax, let heartbeat):
            writer.append(short: channelMax)
            writer.append(long: frameMax)
            writer.append(short: heartbeat)
        case .connectionTuneOk(let channelMax, let frameMax, let heartbeat):
            writer.append(short: channelMax)
            writer.append(long: frameMax)
            writer.append(short: heartbeat)
        case .connectionOpen(let virtualHost):
            writer.append(shortString: virtualHost)
            writer.append(shortString: "")
            writer.append(bits: [])
        case .connectionOpenOk:
            writer.append(shortString: "")
        case .connectionClose(let replyCode, let replyText, let classID, let methodID):
            writer.append(short: replyCode)
            writer.append(shortString: replyText)
            writer.append(short: classID)
            writer.append(short: methodID)
        case .connectionBlocked(let reason):
            writer.append(shortString: reason)
        case .connectionUpdateSecret(let newSecret, let reason):
            writer.append(longString: newSecret)
            writer.append(shortString: reason)
        default: break
        }
    }

    private func encodeChannel(to writer: inout AMQPWriter) {
        switch self {
        case .channelOpen:
            writer.append(shortString: "")
        case .channelOpenOk:
            writer.append(longString: [])
        case .channelFlow(let active):
            writer.append(bits: [active])
        case .channelFlowOk(let active):
            writer.append(bits: [active])
        case .channelClose(let replyCode, let replyText, let classID, let methodID):
            writer.append(short: replyCode)
            writer.append(shortString: replyText)
            writer.append(short: classID)
            writer.append(short: methodID)
        case .accessRequest(let realm, let exclusive, let passive, let active, let write, let read):
            writer.append(shortString: realm)
            writer.append(bits: [exclusive, passive, active, write, read])
        case .accessRequestOk(let ticket):
            writer.append(short: ticket)
        default: break
        }
    }

    private func encodeExchange(to writer: inout AMQPWriter) {
        switch self {
        case .exchangeDeclare(
            let exchange, let type, let passive, let durable, let autoDelete, let isInternal, let noWait,
            let arguments):
            writer.append(short: 0)
            writer.append(shortString: exchange)
            writer.append(shortString: type)
            writer.append(bits: [passive, durable, autoDelete, isInternal, noWait])
            writer.append(table: arguments)
        case .exchangeDelete(let exchange, let ifUnused, let noWait):
            writer.append(short: 0)
            writer.append(shortString: exchange)
            writer.append(bits: [ifUnused, noWait])
        case .exchangeBind(let destination, let source, let routingKey, let noWait, let arguments):
            writer.append(short: 0)
            writer.append(shortString: destination)
            writer.append(shortString: source)
            writer.append(shortString: routingKey)
            writer.append(bits: [noWait])
            writer.append(table: arguments)
        case .exchangeUnbind(let destination, let source, let routingKey, let noWait, let arguments):
            writer.append(short: 0)
            writer.append(shortString: destination)
            writer.append(shortString: source)
            writer.append(shortString: routingKey)
            writer.append(bits: [noWait])
            writer.append(table: arguments)
        default: break
        }
    }

    private func encodeQueue(to writer: inout AMQPWriter) {
        switch self {
        case .queueDeclare(
            let queue, let passive, let durable, let exclusive, let autoDelete, let noWait, let arguments):
            writer.append(short: 0)
            writer.append(shortString: queue)
            writer.append(bits: [passive, durable, exclusive, autoDelete, noWait])
            writer.append(table: arguments)
        case .queueDeclareOk(let queue, let messageCount, let consumerCount):
            writer.append(shortString: queue)
            writer.append(long: messageCount)
            writer.append(long: consumerCount)
        case .queueBind(let queue, let exchange, let routingKey, let noWait, let arguments):
            writer.append(short: 0)
            writer.append(shortString: queue)
            writer.append(shortString: exchange)
            writer.append(shortString: routingKey)
            writer.append(bits: [noWait])
            writer.append(table: arguments)
        case .queuePurge(let queue, let noWait):
            writer.append(short: 0)
            writer.append(shortString: queue)
            writer.append(bits: [noWait])
        case .queuePurgeOk(let messageCount):
            writer.append(long: messageCount)
        case .queueDelete(let queue, let ifUnused, let ifEmpty, let noWait):
            writer.append(short: 0)
            writer.append(shortString: queue)
            writer.append(bits: [ifUnused, ifEmpty, noWait])
        case .queueDeleteOk(let messageCount):
            writer.append(long: messageCount)
        case .queueUnbind(let queue, let exchange, let routingKey, let arguments):
            writer.append(short: 0)
            writer.append(shortString: queue)
            writer.append(shortString: exchange)
            writer.append(shortString: routingKey)
            writer.append(table: arguments)
        default: break
        }
    }

    private func encodeBasic(to writer: inout AMQPWriter) {
        switch self {
        case .basicQos(let prefetchSize, let prefetchCount, let global):
            writer.append(long: prefetchSize)
            writer.append(short: prefetchCount)
            writer.append(bits: [global])
        case .basicConsume(
            let queue, let consumerTag, let noLocal, let noAck, let exclusive, let noWait, let arguments):
            writer.append(short: 0)
            writer.append(shortString: queue)
            writer.append(shortString: consumerTag)
            writer.append(bits: [noLocal, noAck, exclusive, noWait])
            writer.append(table: arguments)
        case .basicConsumeOk(let consumerTag):
            writer.append(shortString: consumerTag)
        case .basicCancel(let consumerTag, let noWait):
            writer.append(shortString: consumerTag)
            writer.append(bits: [noWait])
        case .basicCancelOk(let consumerTag):
            writer.append(shortString: consumerTag)
        case .basicPublish(let exchange, let routingKey, let mandatory, let immediate):
            writer.append(short: 0)
            writer.append(shortString: exchange)
            writer.append(shortString: routingKey)
            writer.append(bits: [mandatory, immediate])
        case .basicReturn(let replyCode, let replyText, let exchange, let routingKey):
            writer.append(short: replyCode)
            writer.append(shortString: replyText)
            writer.append(shortString: exchange)
            writer.append(shortString: routingKey)
        case .basicDeliver(let consumerTag, let deliveryTag, let redelivered, let exchange, let routingKey):
            writer.append(shortString: consumerTag)
            writer.append(longLong: deliveryTag)
            writer.append(bits: [redelivered])
            writer.append(shortString: exchange)
            writer.append(shortString: routingKey)
        case .basicGet(let queue, let noAck):
            writer.append(short: 0)
            writer.append(shortString: queue)
            writer.append(bits: [noAck])
        case .basicGetOk(let deliveryTag, let redelivered, let exchange, let routingKey, let messageCount):
            writer.append(longLong: deliveryTag)
            writer.append(bits: [redelivered])
            writer.append(shortString: exchange)
            writer.append(shortString: routingKey)
            writer.append(long: messageCount)
        case .basicGetEmpty:
            writer.append(shortString: "")
        case .basicAck(let deliveryTag, let multiple):
            writer.append(longLong: deliveryTag)
            writer.append(bits: [multiple])
        case .basicReject(let deliveryTag, let requeue):
            writer.append(longLong: deliveryTag)
            writer.append(bits: [requeue])
        case .basicRecoverAsync(let requeue):
            writer.append(bits: [requeue])
        case .basicRecover(let requeue):
            writer.append(bits: [requeue])
        case .basicNack(let deliveryTag, let multiple, let requeue):
            writer.append(longLong: deliveryTag)
            writer.append(bits: [multiple, requeue])
        default: break
        }
    }
}
