import KernelAMQP
import KernelStructures
import KernelWorld

/// A client's connection to a broker: this lab's or any other that speaks AMQP 0-9-1.
///
/// Questions may be asked before the connection is open. On a channel they are answered in their order; one that is
/// refused closes its channel, and everybody who waits on that hears why.
///
/// ```
/// let client = AMQPClient(node, AMQPURL())
/// try client.connect()
/// client.openChannel(1)
/// client.ask(.queueDeclare(…), on: 1) { result in … }
/// ```
public final class AMQPClient: StreamHandler {
    public typealias Completion = (Result<AMQPMethod, AMQPClientFailure>) -> Void
    /// Hears whether the broker has taken a message.
    public typealias Confirmed = (Result<Bool, AMQPClientFailure>) -> Void

    public let node: Node
    public let url: AMQPURL
    private let security: (any StreamSecurity)?
    public private(set) var stream: Stream?
    public private(set) var isOpen = false
    public private(set) var isClosed = false
    /// Messages for consumers, and those that came back.
    public var onDelivery: ((AMQPDelivery) -> Void)?
    /// The broker has ended a consumer.
    public var onCancel: ((_ consumerTag: String) -> Void)?
    /// The connection is over, or never came to be; called once. Not after `close`.
    public var onEnd: ((AMQPClientFailure) -> Void)?
    /// `connection.blocked`, with the reason; nil: it is over.
    public var onBlocked: ((String?) -> Void)?

    private let reader = AMQPFrameReader()
    private var writer = AMQPWriter()
    private var channels: [UInt16: Channel] = [:]
    private var frameMax = 131_072
    private var early: [() -> Void] = []
    private var heartbeatTimer: TimerID?
    private var heartbeat = LabDuration.zero
    private var lastReceivedAt = LabTime(nanoseconds: 0)
    private var tracing: AMQPTracing

    private struct Channel {
        var questions = RingQueue<Completion>()
        var confirms = RingQueue<(tag: UInt64, completion: Confirmed)>()
        var publishedCount: UInt64 = 0
        var incoming: (delivery: AMQPDelivery, size: Int?)?
        /// `basic.get-ok` waits for its content.
        var got: ((AMQPDelivery) -> Void)?
        var isClosed = false
    }

    public init(_ node: Node, _ url: AMQPURL, security: (any StreamSecurity)? = nil) {
        self.node = node
        self.url = url
        self.security = security
        tracing = AMQPTracing(node)
    }

    /// Starts to connect; the first answer or `onEnd` tells how it went.
    public func connect() throws(NetworkError) {
        let stream = try node.connect(to: url.destination, handler: self)
        self.stream = stream
        if let security { stream.secure(with: security, host: url.host) }
    }

    // MARK: Asking

    public func openChannel(_ number: UInt16) {
        channels[number] = Channel()
        ask(.channelOpen, on: number) { _ in }
    }

    /// Sends a method that is answered.
    public func ask(_ method: AMQPMethod, on channel: UInt16, _ completion: @escaping Completion) {
        guard !isClosed else { return node.enqueue { completion(.failure(.closed("it was closed here"))) } }
        guard channels[channel]?.isClosed == false else {
            return node.enqueue { completion(.failure(.closed("channel \(channel) is closed"))) }
        }
        channels[channel]?.questions.append(completion)
        tracing.consumes(method)
        send(method, on: channel)
    }

    /// Sends a method that is not answered.
    public func send(_ method: AMQPMethod, on channel: UInt16) {
        tracing.sends(method, on: channel)
        whenOpen { [self] in
            writer.append(method, channel: channel)
            flush()
        }
    }

    /// Asks for one message; nil: there is none.
    public func get(
        _ queue: String, on channel: UInt16, noAck: Bool = false,
        _ completion: @escaping (Result<AMQPDelivery?, AMQPClientFailure>) -> Void
    ) {
        ask(.basicGet(queue: queue, noAck: noAck), on: channel) { [self] result in
            switch result {
            case .success(.basicGetOk): channels[channel]?.got = { completion(.success($0)) }
            case .success: completion(.success(nil))
            case .failure(let failure): completion(.failure(failure))
            }
        }
    }

    /// Publishes; on a confirming channel (`confirm.select`) `confirmed` hears whether the broker has it.
    public func publish(
        _ body: [UInt8], _ properties: AMQPProperties, exchange: String = "", routingKey: String,
        isMandatory: Bool = false, on channel: UInt16, confirmed: Confirmed? = nil
    ) {
        var properties = properties
        let span = tracing.publishing(&properties, exchange: exchange, routingKey: routingKey)
        if let confirmed {
            let tag = (channels[channel]?.publishedCount ?? 0) + 1
            channels[channel]?.publishedCount = tag
            channels[channel]?.confirms.append((tag, Self.traced(span, confirmed)))
        }
        whenOpen { [self] in
            writer.append(
                .basicPublish(exchange: exchange, routingKey: routingKey, mandatory: isMandatory, immediate: false),
                channel: channel)
            let encoded = properties.encoded
            body.withUnsafeBytes {
                writer.appendContent(properties: encoded, body: $0, channel: channel, frameMax: frameMax)
            }
            flush()
            if confirmed == nil { span?.end() }
        }
    }

    /// The span of a message that is confirmed ends with that.
    private static func traced(_ span: ActiveSpan?, _ confirmed: @escaping Confirmed) -> Confirmed {
        guard let span else { return confirmed }
        return { result in
            switch result {
            case .success(true): break
            case .success(false): span.fail("the broker did not take it")
            case .failure(let failure): span.fail("\(failure)")
            }
            span.end { confirmed(result) }
        }
    }

    /// Whether more than the stream wants to hold waits to be sent.
    public var isCongested: Bool { stream?.isCongested ?? false }

    private func whenOpen(_ action: @escaping () -> Void) { if isOpen { action() } else { early.append(action) } }

    private func flush() {
        if !isClosed { stream?.write(writer.bytes) }
        writer.removeAll()
    }

    // MARK: The end

    /// Says goodbye, and calls back when the broker has answered, or is gone.
    public func close(_ completion: @escaping () -> Void = {}) {
        guard !isClosed, isOpen else {
            end(.closed("it was closed here"), tells: false)
            return completion()
        }
        onEnd = { _ in completion() }
        writer.append(.connectionClose(replyCode: 200, replyText: "Goodbye", classID: 0, methodID: 0), channel: 0)
        flush()
        node.after(.seconds(2)) { [weak self] in self?.end(.closed("the broker did not say goodbye"), tells: true) }
    }

    private func end(_ failure: AMQPClientFailure, tells: Bool) {
        guard !isClosed else { return }
        isClosed = true
        isOpen = false
        node.cancel(heartbeatTimer)
        early = []
        stream?.close()
        let open = channels.sorted { $0.key < $1.key }
        channels = [:]
        let callback = onEnd
        onEnd = nil
        onDelivery = nil
        tracing.ended()
        for (_, channel) in open { Self.fail(channel, failure) }
        if tells { callback?(failure) }
    }

    private static func fail(_ channel: Channel, _ failure: AMQPClientFailure) {
        var channel = channel
        while let completion = channel.questions.popFirst() { completion(.failure(failure)) }
        while let confirm = channel.confirms.popFirst() { confirm.completion(.failure(failure)) }
    }

    // MARK: StreamHandler

    public func streamOpened(_ stream: Stream) { stream.write(AMQPFrame.protocolHeader) }

    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        lastReceivedAt = node.world.now
        var position = 0
        stream.cork()
        defer { stream.uncork() }
        while !isClosed {
            switch reader.next(bytes, &position) {
            case .needMore: return
            case .failed(let failure): return end(.malformed(failure.explanation), tells: true)
            case .frame(let kind, let channel, let payload):
                do throws(AMQPFailure) { try receive(kind, channel, payload) } catch {
                    return end(.malformed(error.explanation), tells: true)
                }
            }
        }
    }

    public func streamEnded(_ stream: Stream) {
        end(isOpen ? .closed("the broker hung up") : .notConnected(refusalText), tells: true)
    }

    public func stream(_ stream: Stream, closed reason: CloseReason) {
        if let text = stream.layer?.failureText { return end(.notConnected(text), tells: true) }
        let text = reason == .refused ? "connection refused; is messageq running there?" : "\(reason)"
        end(isOpen ? .closed(text) : .notConnected(text), tells: true)
    }

    public func streamLost(_ stream: Stream) {
        isClosed = true
        channels = [:]
        early = []
        onEnd = nil
        onDelivery = nil
    }

    /// Brokers hang up on whoever they do not know.
    private var refusalText: String {
        "the broker hung up before the connection was open; are user and password right?"
    }

    // MARK: Frames

    private func receive(_ kind: AMQPFrame.Kind, _ number: UInt16, _ payload: UnsafeRawBufferPointer)
        throws(AMQPFailure)
    {
        switch kind {
        case .heartbeat: break
        case .method:
            let method = try AMQPMethod(payload: payload)
            if number == 0 { receive(method) } else { receive(method, on: number) }
        case .header:
            let header = try AMQPContentHeader(payload: payload)
            guard channels[number]?.incoming != nil else { return }
            guard header.bodySize <= UInt64(Self.bodyLimitBytes) else {
                throw AMQPFailure(.syntaxError, "a message of \(header.bodySize) bytes")
            }
            channels[number]?.incoming?.delivery.properties = try AMQPProperties(header.properties)
            channels[number]?.incoming?.size = Int(header.bodySize)
            deliverIfWhole(number)
        case .body:
            channels[number]?.incoming?.delivery.body.append(contentsOf: payload)
            deliverIfWhole(number)
        }
    }

    /// Bytes of a message that this takes.
    private static let bodyLimitBytes = 256 << 20

    private func deliverIfWhole(_ number: UInt16) {
        guard let (delivery, size) = channels[number]?.incoming, let size, delivery.body.count >= size else { return }
        channels[number]?.incoming = nil
        if let got = channels[number]?.got {
            channels[number]?.got = nil
            return got(delivery)
        }
        guard let span = tracing.received(delivery) else { return deliver(delivery) }
        let isSettledLater = tracing.follow(delivery, span)
        span.run { deliver(delivery) }
        if !isSettledLater { span.end() }
    }

    private func deliver(_ delivery: AMQPDelivery) { onDelivery?(delivery) }

    private func receive(_ method: AMQPMethod) {
        switch method {
        case .connectionStart:
            let credentials = [0] + Array(url.user.utf8) + [0] + Array(url.password.utf8)
            writer.append(
                .connectionStartOk(
                    clientProperties: Self.properties, mechanism: "PLAIN", response: credentials, locale: "en_US"),
                channel: 0)
            flush()
        case .connectionTune(let channelMax, let frameMax, let heartbeat):
            self.frameMax = frameMax == 0 ? self.frameMax : min(self.frameMax, Int(clamping: frameMax))
            reader.frameMax = self.frameMax
            writer.append(
                .connectionTuneOk(
                    channelMax: channelMax, frameMax: UInt32(clamping: self.frameMax), heartbeat: heartbeat),
                channel: 0)
            writer.append(.connectionOpen(virtualHost: url.virtualHost), channel: 0)
            flush()
            self.heartbeat = .seconds(Int(heartbeat))
        case .connectionOpenOk:
            isOpen = true
            beat()
            let waiting = early
            early = []
            for action in waiting { action() }
        case .connectionClose(let code, let text, _, _):
            writer.append(.connectionCloseOk, channel: 0)
            flush()
            end(.refused(code: code, text: text), tells: true)
        case .connectionCloseOk: end(.closed("it was closed here"), tells: true)
        case .connectionBlocked(let reason): onBlocked?(reason)
        case .connectionUnblocked: onBlocked?(nil)
        default: break
        }
    }

    private static let properties: AMQPTable = [
        "product": "sdlab", "platform": "Swift",
        "capabilities": .table([
            "publisher_confirms": .boolean(true), "consumer_cancel_notify": .boolean(true),
            "basic.nack": .boolean(true), "connection.blocked": .boolean(true),
            "authentication_failure_close": .boolean(true),
        ]),
    ]

    private func receive(_ method: AMQPMethod, on number: UInt16) {
        switch method {
        case .basicDeliver(let consumer, let tag, let redelivered, let exchange, let key):
            begin(
                AMQPDelivery(
                    channel: number, consumerTag: consumer, deliveryTag: tag, isRedelivered: redelivered,
                    exchange: exchange, routingKey: key), on: number)
        case .basicReturn(_, _, let exchange, let key):
            var delivery = AMQPDelivery(
                channel: number, consumerTag: nil, deliveryTag: 0, isRedelivered: false, exchange: exchange,
                routingKey: key)
            delivery.isReturn = true
            begin(delivery, on: number)
        case .basicGetOk(let tag, let redelivered, let exchange, let key, let count):
            var delivery = AMQPDelivery(
                channel: number, consumerTag: nil, deliveryTag: tag, isRedelivered: redelivered, exchange: exchange,
                routingKey: key)
            delivery.remaining = Int(count)
            begin(delivery, on: number)
            answer(.success(method), on: number)
        case .basicAck(let tag, let multiple): confirm(tag, multiple, true, on: number)
        case .basicNack(let tag, let multiple, _): confirm(tag, multiple, false, on: number)
        case .basicCancel(let tag, _): onCancel?(tag)
        case .channelFlow(let active): send(.channelFlowOk(active: active), on: number)
        case .channelClose(let code, let text, _, _):
            send(.channelCloseOk, on: number)
            guard let channel = channels[number] else { return }
            channels[number] = Channel()
            channels[number]?.isClosed = true
            Self.fail(channel, .refused(code: code, text: text))
        default: answer(.success(method), on: number)
        }
    }

    private func begin(_ delivery: AMQPDelivery, on number: UInt16) {
        channels[number]?.incoming = (delivery, nil)
    }

    private func answer(_ result: Result<AMQPMethod, AMQPClientFailure>, on number: UInt16) {
        channels[number]?.questions.popFirst()?(result)
    }

    private func confirm(_ tag: UInt64, _ isMultiple: Bool, _ isGood: Bool, on number: UInt16) {
        guard var channel = channels[number] else { return }
        var due: [Confirmed] = []
        var kept = RingQueue<(tag: UInt64, completion: Confirmed)>()
        while let next = channel.confirms.first {
            if next.tag > tag { break }
            _ = channel.confirms.popFirst()
            if isMultiple || next.tag == tag { due.append(next.completion) } else { kept.append(next) }
        }
        // Those before it that were passed over stay ahead.
        while let next = channel.confirms.popFirst() { kept.append(next) }
        channel.confirms = kept
        channels[number] = channel
        for completion in due { completion(.success(isGood)) }
    }

    // MARK: Heartbeats

    private func beat() {
        guard heartbeat > .zero else { return }
        heartbeatTimer = node.after(LabDuration(nanoseconds: heartbeat.nanoseconds / 2)) { [weak self] in
            guard let self, !isClosed else { return }
            if node.world.now - lastReceivedAt > heartbeat + heartbeat {
                return end(.closed("the broker is silent"), tells: true)
            }
            writer.appendHeartbeat()
            flush()
            beat()
        }
    }
}
