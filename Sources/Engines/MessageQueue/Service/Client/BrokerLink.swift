import KernelAMQP
import KernelHosting
import KernelStructures
import KernelWorld

/// A service's connection to the message broker: made again whenever it ends, with what it needs declared each time.
///
/// Publishing is at least once: whoever publishes keeps the message until the broker has confirmed it, and sends it
/// again on the next connection. Consuming is at least once, too: what is not acknowledged comes again. Who must not do
/// things twice keeps the events' identifiers.
public final class BrokerLink {
    /// What becomes of a message.
    public enum Verdict: Sendable {
        case done
        /// It comes again.
        case again
        /// It goes to the dead letters.
        case hopeless
    }

    private let node: Node
    private let place: BrokerPlace
    /// Where it publishes: a durable topic exchange.
    public let exchange: String
    private let declarations: [AMQPMethod]
    private var client: AMQPClient?
    private var pause = BrokerLink.firstPause
    private var failureCount = 0
    private var isOver = false
    public private(set) var isReady = false
    /// Called each time that the connection stands and everything is declared.
    public var onReady: (() -> Void)?
    /// The first failure of several in a row.
    public var onTrouble: ((String) -> Void)?
    /// A message for a consumer.
    public var onMessage: ((AMQPDelivery) -> Void)?
    private var queue: String?

    private static let channel: UInt16 = 1
    private static let firstPause = LabDuration.milliseconds(200)
    private static let longestPause = LabDuration.seconds(10)

    /// - Parameter declarations: beyond the exchange: queues and bindings.
    public init(_ node: Node, _ place: BrokerPlace, exchange: String, declarations: [AMQPMethod] = []) {
        self.node = node
        self.place = place
        self.exchange = exchange
        self.declarations =
            [
                .exchangeDeclare(
                    exchange: exchange, type: "topic", passive: false, durable: true, autoDelete: false,
                    isInternal: false, noWait: false, arguments: [:])
            ] + declarations
        node.whenEnded { [weak self] in self?.letGo() }
    }

    private func letGo() {
        isOver = true
        client = nil
        onReady = nil
        onMessage = nil
        onTrouble = nil
    }

    /// Consumes a queue, now and after each reconnection, so many messages at a time.
    public func consume(_ queue: String) { self.queue = queue }

    public func start() {
        guard !isOver else { return }
        let client = AMQPClient(node, place.url, security: place.security)
        self.client = client
        client.onEnd = { [weak self] failure in self?.ended(failure.description) }
        client.onDelivery = { [weak self] delivery in self?.onMessage?(delivery) }
        do throws(NetworkError) { try client.connect() } catch { return ended("\(error)") }
        client.openChannel(Self.channel)
        declare(client, declarations[...])
    }

    private func declare(_ client: AMQPClient, _ rest: ArraySlice<AMQPMethod>) {
        guard let method = rest.first else { return declared(client) }
        client.ask(method, on: Self.channel) { [weak self, weak client] result in
            guard let self, let client else { return }
            if case .failure(let failure) = result {
                client.close()
                return ended(failure.description)
            }
            declare(client, rest.dropFirst())
        }
    }

    private func declared(_ client: AMQPClient) {
        client.ask(.confirmSelect(noWait: false), on: Self.channel) { [weak self, weak client] result in
            guard let self, let client, case .success = result else { return }
            isReady = true
            failureCount = 0
            pause = Self.firstPause
            if let queue {
                client.ask(.basicQos(prefetchSize: 0, prefetchCount: 16, global: false), on: Self.channel) { _ in }
                client.ask(
                    .basicConsume(
                        queue: queue, consumerTag: "", noLocal: false, noAck: false, exclusive: false, noWait: false,
                        arguments: [:]), on: Self.channel
                ) { _ in }
            }
            onReady?()
        }
    }

    private func ended(_ reason: String) {
        client = nil
        isReady = false
        guard !isOver else { return }
        failureCount += 1
        if failureCount == 1 { onTrouble?(reason) }
        node.after(pause) { [weak self] in self?.start() }
        pause = min(Self.longestPause, pause + pause)
    }

    /// Publishes to the exchange. `confirmed` hears whether the broker has it; it may be asked again then.
    public func publish(
        _ body: [UInt8], key: String, messageID: String, headers: AMQPTable? = nil,
        _ confirmed: @escaping (Bool) -> Void
    ) {
        guard let client, isReady else { return node.enqueue { confirmed(false) } }
        var properties = AMQPProperties()
        properties.contentType = "application/json"
        properties.deliveryMode = 2
        properties.messageID = messageID
        properties.type = key
        properties.appID = node.name
        properties.headers = headers
        client.publish(body, properties, exchange: exchange, routingKey: key, on: Self.channel) { result in
            if case .success(true) = result { confirmed(true) } else { confirmed(false) }
        }
    }

    public func settle(_ delivery: AMQPDelivery, _ verdict: Verdict) {
        guard let client, isReady else { return }
        let tag = delivery.deliveryTag
        switch verdict {
        case .done: client.send(.basicAck(deliveryTag: tag, multiple: false), on: Self.channel)
        case .again: client.send(.basicNack(deliveryTag: tag, multiple: false, requeue: true), on: Self.channel)
        case .hopeless: client.send(.basicNack(deliveryTag: tag, multiple: false, requeue: false), on: Self.channel)
        }
    }

    public func close(_ done: @escaping () -> Void = {}) {
        isOver = true
        isReady = false
        guard let client else { return done() }
        client.close(done)
    }
}
