import KernelAMQP
import KernelHosting
import KernelStructures
import KernelTelemetry
import KernelWorld

/// The spans of a client of a broker: a message carries the trace of whoever publishes it in its headers, as HTTP's
/// requests carry theirs in their fields (W3C Trace Context: AMQP Protocol, a draft whose names all libraries use).
///
/// A queue sits between the two halves of a trace, for a millisecond or for a night. Whoever consumes the message goes
/// on with the same trace, and names the publisher's span as one that it has to do with: so the trace is one, and says
/// that nobody waited.
struct AMQPTracing {
    private let node: Node
    /// Spans of messages that are not settled, by channel and tag, oldest first.
    private var unsettled: [(channel: UInt16, tag: UInt64, span: ActiveSpan)] = []
    /// Consumers that settle nothing.
    private var noAckConsumers: Set<String> = []

    /// Messages that are followed until they are settled; of older ones the span ends.
    static let limit = 1000

    init(_ node: Node) { self.node = node }

    // MARK: Publishing

    /// Begins a span, and has the message say so; nil where no trace runs, or the message has one already.
    func publishing(_ properties: inout AMQPProperties, exchange: String, routingKey: String) -> ActiveSpan? {
        guard node.world.spans.isRecording, properties.headers?["traceparent"] == nil,
            let span = node.world.spans.begin(
                "publish \(Self.destination(exchange, routingKey))", .producer, on: node)
        else { return nil }
        Self.describe(span, "publish", exchange: exchange, routingKey: routingKey)
        var headers = properties.headers ?? AMQPTable()
        for field in span.fields { headers[field.name] = .string(field.value) }
        properties.headers = headers
        return span
    }

    private static func destination(_ exchange: String, _ routingKey: String) -> String {
        exchange.isEmpty ? routingKey : exchange
    }

    private static func describe(_ span: ActiveSpan, _ operation: String, exchange: String, routingKey: String) {
        span.set("messaging.system", "rabbitmq")
        span.set("messaging.operation.name", operation)
        span.set("messaging.destination.name", destination(exchange, routingKey))
        span.set("messaging.rabbitmq.destination.routing_key", routingKey)
    }

    // MARK: Consuming

    mutating func consumes(_ method: AMQPMethod) {
        if case .basicConsume(_, let tag, _, true, _, _, _) = method, noAckConsumers.count < Self.limit {
            noAckConsumers.insert(tag)
        }
    }

    /// Begins the span of a message that has come, if it says in which trace it stands.
    mutating func received(_ delivery: AMQPDelivery) -> ActiveSpan? {
        guard node.world.spans.isRecording, !delivery.isReturn,
            let headers = delivery.properties.headers, let parent = headers["traceparent"]?.text,
            let context = try? TraceContext(
                traceparent: [parent], tracestate: (headers["tracestate"]?.text).map { [$0] } ?? [])
        else { return nil }
        let baggage = Baggage(parsing: (headers["baggage"]?.text).map { [$0] } ?? [])
        let name = "process \(Self.destination(delivery.exchange, delivery.routingKey))"
        guard
            let span = node.world.spans.continueTrace(
                context, name, .consumer, on: node, baggage: baggage, isSeparate: true)
        else { return nil }
        Self.describe(span, "process", exchange: delivery.exchange, routingKey: delivery.routingKey)
        span.link(to: context)
        if delivery.isRedelivered { span.set("messaging.rabbitmq.redelivered", .bool(true)) }
        return span
    }

    /// Keeps a span until its message is settled.
    ///
    /// - Returns: false for one that nobody will settle.
    mutating func follow(_ delivery: AMQPDelivery, _ span: ActiveSpan) -> Bool {
        guard let consumer = delivery.consumerTag, !noAckConsumers.contains(consumer) else { return false }
        if unsettled.count >= Self.limit { unsettled.removeFirst().span.end() }
        unsettled.append((delivery.channel, delivery.deliveryTag, span))
        return true
    }

    /// A method that this side sends may settle messages.
    mutating func sends(_ method: AMQPMethod, on channel: UInt16) {
        switch method {
        case .basicAck(let tag, let multiple): settle(tag, multiple, channel, failure: nil)
        case .basicNack(let tag, let multiple, let requeue):
            settle(tag, multiple, channel, failure: requeue ? "given back" : "rejected")
        case .basicReject(let tag, let requeue):
            settle(tag, false, channel, failure: requeue ? "given back" : "rejected")
        default: break
        }
    }

    private mutating func settle(_ tag: UInt64, _ isMultiple: Bool, _ channel: UInt16, failure: String?) {
        if unsettled.isEmpty { return }
        // A tag of zero means all of them.
        let isSettled = { (entry: (channel: UInt16, tag: UInt64, span: ActiveSpan)) in
            entry.channel == channel && (entry.tag == tag || isMultiple && (tag == 0 || entry.tag <= tag))
        }
        for entry in unsettled where isSettled(entry) {
            if let failure { entry.span.fail(failure) }
            entry.span.end()
        }
        unsettled.removeAll(where: isSettled)
    }

    /// The connection is over: what is not settled comes again, to somebody.
    mutating func ended() {
        for entry in unsettled {
            entry.span.fail("the connection ended before the message was settled")
            entry.span.end()
        }
        unsettled = []
    }
}
