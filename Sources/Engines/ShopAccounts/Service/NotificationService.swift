import KernelAMQP
import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import MessageQueueService
import ShopAccountsEngine
import ShopKitService

/// What may be chosen about notifications.
public struct NotificationOptions: Sendable {
    public var sender = "shop@shop"
    /// The domain of text messages: `15551234567@sms`.
    public var smsDomain = "sms"

    public init() {}
}

/// Tells people what happens to their orders: events from the broker become letters and text messages, once each.
///
/// An event is acknowledged when the database has it. What is to be sent is a row with a time; a row is leased, sent,
/// and ticked off. So whatever ends in between, the broker, the database, the post or this node, the rest goes on
/// later.
public final class NotificationService: Service {
    public let host: ShopHost
    public var runtime: ServiceRuntime { host.runtime }
    let options: NotificationOptions
    let store: NotificationStore?
    let courier: NotificationCourier?
    private var broker: BrokerLink?
    private var hasSaidConnected = false
    public private(set) var consumedCount = 0
    public private(set) var duplicateCount = 0
    public private(set) var malformedCount = 0

    private static let queue = "notifications"
    private static let deadExchange = "shop.dead"
    private static let deadQueue = "notifications.dead"

    public init(
        node: Node, settings: ShopSettings, options: NotificationOptions = NotificationOptions(),
        service: ServiceOptions = ServiceOptions()
    ) {
        host = ShopHost(node: node, tag: "NOTIFICATIONS", settings: settings, options: service)
        self.options = options
        store = host.database.map { NotificationStore($0) }
        let mailbox = settings.peers["mailbox"] ?? HostPort(host: "mailbox", port: 1025)
        courier = store.map { [host] in NotificationCourier(host, $0, mailbox, options) }
        addRoutes()
    }

    // MARK: Life

    public func prepare() throws { host.prepare(announcement: "Listening on :\(port: host.settings.port)") }

    public func opened() {
        host.opened(schema: NotificationStore.schema) { [unowned self] in
            runtime.log("Connected to DB")
            courier?.wake()
            consume()
        }
    }

    public func willDrain() { courier?.stop() }

    public func stop(_ done: @escaping () -> Void) {
        guard let broker else { return host.stop(done) }
        broker.close { [host] in host.stop(done) }
    }

    public var complaints: [String] {
        host.complaints + (host.isReady && broker?.isReady == false ? ["the message queue does not answer"] : [])
    }

    public func collect(into page: inout MetricWriter) { host.collect(into: &page) }

    public var statistics: [Statistic] {
        [
            .init("events", consumedCount, .counter("notifications_events_total", "Events that were taken")),
            .init("duplicates", duplicateCount, .counter("notifications_duplicates_total", "Events that came again")),
            .init(
                "malformed", malformedCount,
                .counter("notifications_malformed_total", "Events that went to the dead letters")),
            .init("sent", courier?.sentCount ?? 0, .counter("notifications_sent_total", "Messages that the post has")),
            .init(
                "postponed", courier?.postponedCount ?? 0,
                .counter("notifications_postponed_total", "Attempts after which it is tried again")),
            .init("dead", courier?.deadCount ?? 0, .counter("notifications_dead_total", "Messages that were given up")),
        ]
    }

    // MARK: Events

    private func consume() {
        guard let place = host.settings.broker, broker == nil else { return }
        let dead: AMQPTable = ["x-dead-letter-exchange": .string(Self.deadExchange)]
        func queue(_ name: String, _ arguments: AMQPTable) -> AMQPMethod {
            .queueDeclare(
                queue: name, passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false,
                arguments: arguments)
        }
        func bind(_ queue: String, _ exchange: String, _ key: String) -> AMQPMethod {
            .queueBind(queue: queue, exchange: exchange, routingKey: key, noWait: false, arguments: [:])
        }
        let broker = BrokerLink(
            node, place,
            declarations: [
                .exchangeDeclare(
                    exchange: Self.deadExchange, type: "fanout", passive: false, durable: true, autoDelete: false,
                    isInternal: false, noWait: false, arguments: [:]),
                queue(Self.deadQueue, [:]), bind(Self.deadQueue, Self.deadExchange, ""), queue(Self.queue, dead),
                bind(Self.queue, BrokerLink.shopExchange, "order.*"),
            ])
        self.broker = broker
        broker.onReady = { [weak self] in
            guard let self else { return }
            runtime.log(hasSaidConnected ? "Connected to MQ again" : "Connected to MQ")
            hasSaidConnected = true
        }
        broker.onTrouble = { [weak self] text in self?.runtime.log("MQ: \("\(text)")", level: .warning) }
        broker.onMessage = { [weak self] delivery in self?.take(delivery) }
        broker.consume(Self.queue)
        broker.start()
    }

    private func take(_ delivery: AMQPDelivery) {
        let event: OrderEvent
        do {
            event = try OrderEvent(parsing: delivery.body)
        } catch {
            malformedCount += 1
            runtime.log("Not an event, and put aside: \("\(error)")", level: .warning)
            broker?.settle(delivery, .hopeless)
            return
        }
        drafts(event, Notification.plan(for: event)[...], []) { [weak self] drafts in
            guard let self else { return }
            guard let drafts else { return giveBack(delivery) }
            store?.insert(event, drafts, at: host.now) { [weak self] failure in
                guard let self else { return }
                switch failure {
                case nil:
                    consumedCount += 1
                    runtime.log("Consumed: \("\(event.type)") (\(id: event.orderID))")
                    broker?.settle(delivery, .done)
                    courier?.wake()
                case .conflict?:
                    duplicateCount += 1
                    broker?.settle(delivery, .done)
                case .database?: giveBack(delivery)
                }
            }
        }
    }

    /// Back into the queue, but not at once: whatever is wrong would be wrong a moment later, too.
    private func giveBack(_ delivery: AMQPDelivery) {
        node.after(.seconds(1)) { [weak self] in self?.broker?.settle(delivery, .again) }
    }

    /// What the event is worth, written. Nil: the database does not say how.
    private func drafts(
        _ event: OrderEvent, _ rest: ArraySlice<(channel: Notification.Channel, template: String)>,
        _ done: [NotificationStore.Draft], _ completion: @escaping ([NotificationStore.Draft]?) -> Void
    ) {
        guard let next = rest.first else { return completion(done) }
        store?.form(next.channel, next.template) { [weak self] result in
            guard let self else { return }
            guard case .success(let form) = result else { return completion(nil) }
            var done = done
            if let draft = draft(event, next.channel, next.template, form) { done.append(draft) }
            drafts(event, rest.dropFirst(), done, completion)
        }
    }

    private func draft(
        _ event: OrderEvent, _ channel: Notification.Channel, _ template: String,
        _ own: (subject: String, body: String)?
    ) -> NotificationStore.Draft? {
        let form = Self.form(channel, template, own)
        guard let form else { return nil }
        // Letters go to the event's address; whose number it is, is asked when it is sent.
        let recipient = channel == .email ? event.email : ""
        if channel == .email, event.email.isEmpty { return nil }
        do throws(MessageTemplate.Malformed) {
            return NotificationStore.Draft(
                channel: channel, template: template, recipient: recipient,
                subject: try form.subject.filled(with: event.values), body: try form.body.filled(with: event.values))
        } catch {
            runtime.log("Template \("\(template)"): \("\(error)")", level: .error)
            return nil
        }
    }

    static func form(
        _ channel: Notification.Channel, _ template: String, _ own: (subject: String, body: String)?
    ) -> MessageForm? {
        if let own, let form = try? MessageForm(subject: own.subject, body: own.body) { return form }
        let preset = MessageForm.defaults.first { $0.channel == channel && $0.template == template }
        return preset.flatMap { try? MessageForm(subject: $0.subject, body: $0.body) }
    }
}

extension NotificationService: ShopBreakers { public var shopHosts: [ShopHost] { [host] } }
