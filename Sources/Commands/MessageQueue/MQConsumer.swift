import CommandKit
import KernelAMQP
import KernelStructures
import MessageQueueService
import ShellSession

/// `mq-cli consume`: receives messages, and decides about each, or has somebody decide.
final class MQConsumer: Program {
    private let client: MQClient
    private let wish: Wish
    /// The one that somebody is asked about.
    private var asked: AMQPDelivery?
    /// What was typed about one is on its way to the broker: the next is shown when that has been said.
    private var isDeciding = false
    private var waiting: [AMQPDelivery] = []
    private var count = 0
    private var rejections: (name: String, count: Int)?

    /// What is wanted.
    struct Wish {
        let queue: String
        var isManual = false
        var givesBack = false
        var follows = false
        var prefetch = 1
        var group: String?
        var limit = Int.max

        init(_ arguments: ParsedArguments) throws {
            queue = arguments.arguments[0]
            isManual = arguments.text("ack-mode") == "manual"
            givesBack = arguments.has("auto-nack")
            follows = arguments.has("follow")
            prefetch = arguments.integer("prefetch") ?? 1
            group = arguments.text("group")
            limit = arguments.integer("count") ?? (isManual && !follows ? 1 : Int.max)
            if isManual, givesBack {
                throw UsageError("mq-cli consume: --ack-mode manual or --auto-nack, not both")
            }
        }
    }

    /// A message that comes back so often will come back for ever.
    private static let rejectionLimit = 100

    init(_ client: MQClient, _ wish: Wish) {
        self.client = client
        self.wish = wish
    }

    func start() {
        client.start {
            client.ensure(wish.queue, saysMade: true) { [self] in
                if wish.follows || wish.isManual || wish.group != nil { subscribe() } else { drain() }
            }
        }
    }

    func handle(_ signal: Signal) -> Bool {
        guard signal == .terminate || signal == .interrupt || signal == .hangUp else { return false }
        client.finish(signal == .interrupt ? 130 : 0)
        return true
    }

    // MARK: As they come

    private func subscribe() {
        client.amqp.onDelivery = { [self] in received($0) }
        client.amqp.onCancel = { [client] _ in
            client.fail("the broker has ended this consumer: the queue is gone, or it took too long")
        }
        client.ask(.basicQos(prefetchSize: 0, prefetchCount: UInt16(clamping: wish.prefetch), global: false)) {
            [self] _ in
            var arguments = AMQPTable()
            if let group = wish.group { arguments["x-group"] = .string(group) }
            client.ask(
                .basicConsume(
                    queue: wish.queue, consumerTag: "", noLocal: false, noAck: false, exclusive: false, noWait: false,
                    arguments: arguments)
            ) { [self] _ in if wish.follows { client.process.hold() } }
        }
        if wish.isManual {
            client.process.read(onBytes: { [self] in typed($0) }, onEnd: { [client] in client.finish() })
        }
    }

    private func received(_ delivery: AMQPDelivery) {
        if count >= wish.limit { return }
        guard wish.isManual else { return settle(delivery) }
        waiting.append(delivery)
        if asked == nil, !isDeciding { askNext() }
    }

    private func askNext() {
        guard !waiting.isEmpty else { return }
        let delivery = waiting.removeFirst()
        asked = delivery
        show(delivery)
        client.process.print("[Press 'a' to ack, 'n' to nack, 'q' to quit\(wish.follows ? ", then Enter" : "")]")
    }

    /// Whoever follows sees several, and which of them is meant later.
    private func show(_ delivery: AMQPDelivery) {
        let name = wish.follows ? " " + printable(MQClient.name(delivery)) : ""
        client.process.print("Received\(name): \(MQClient.text(delivery.body))")
    }

    private func typed(_ bytes: [UInt8]) {
        for byte in bytes where client.process.isRunning {
            switch byte {
            case UInt8(ascii: "q"): return client.finish()
            case UInt8(ascii: "a"), UInt8(ascii: "n"):
                guard let delivery = asked else { continue }
                asked = nil
                decide(delivery, isGood: byte == UInt8(ascii: "a"))
            default: continue
            }
        }
    }

    /// Acknowledgements are not answered. So that what is said here is true, something else is asked behind them, whose
    /// answer comes later; at the end that is the end of the channel, which is answered when all of it is on the disk.
    private func decide(_ delivery: AMQPDelivery, isGood: Bool) {
        count += 1
        let isLast = count >= wish.limit
        var text = "Message \(MQClient.name(delivery)) \(isGood ? "acknowledged" : "given back")"
        if isLast, !isGood, !wish.follows { text += "; that was all (--follow asks for one after the other)" }
        isDeciding = true
        // No more is wanted, so that nothing is sent here in vain.
        if isLast, let tag = delivery.consumerTag {
            client.amqp.send(.basicCancel(consumerTag: tag, noWait: true), on: MQClient.channel)
        }
        client.amqp.send(
            isGood
                ? .basicAck(deliveryTag: delivery.deliveryTag, multiple: false)
                : .basicNack(deliveryTag: delivery.deliveryTag, multiple: false, requeue: true),
            on: MQClient.channel)
        let question: AMQPMethod =
            isLast
            ? .channelClose(replyCode: 200, replyText: "Goodbye", classID: 0, methodID: 0)
            : .basicQos(prefetchSize: 0, prefetchCount: UInt16(clamping: wish.prefetch), global: false)
        client.ask(question) { [self] _ in
            isDeciding = false
            client.process.print(text)
            if isLast { client.finish() } else { askNext() }
        }
    }

    /// Without asking anybody.
    private func settle(_ delivery: AMQPDelivery) {
        if wish.givesBack { return giveBack(delivery) {} }
        show(delivery)
        client.amqp.send(.basicAck(deliveryTag: delivery.deliveryTag, multiple: false), on: MQClient.channel)
        count += 1
        if count >= wish.limit { client.finish() }
    }

    private func giveBack(_ delivery: AMQPDelivery, _ then: () -> Void) {
        let name = MQClient.name(delivery)
        let times = rejections?.name == name ? (rejections?.count ?? 0) + 1 : 1
        rejections = (name, times)
        client.amqp.send(
            .basicNack(deliveryTag: delivery.deliveryTag, multiple: false, requeue: true), on: MQClient.channel)
        if times >= Self.rejectionLimit {
            return client.fail("message \(name) has come back \(times) times: queue '\(wish.queue)' has no retry limit")
        }
        then()
    }

    // MARK: Until there is none left

    private func drain() {
        client.amqp.get(wish.queue, on: MQClient.channel) { [self] result in
            switch result {
            case .failure(let failure): client.fail(failure)
            case .success(nil): client.finish()
            case .success(let delivery?):
                guard client.process.isRunning else { return }
                if wish.givesBack { return giveBack(delivery) { drain() } }
                show(delivery)
                client.amqp.send(
                    .basicAck(deliveryTag: delivery.deliveryTag, multiple: false), on: MQClient.channel)
                count += 1
                if count >= wish.limit { client.finish() } else { drain() }
            }
        }
    }
}
