import CommandKit
import KernelAMQP
import KernelStructures
import MessageQueueService
import ShellSession

/// `mq-cli publish`: sends messages, as many at a time as the connection takes, and waits for all confirms.
final class MQPublisher: Program {
    private let client: MQClient
    private let wish: Wish
    private var sentCount = 0
    private var doneCount = 0
    private var lostCount = 0
    private var returnedCount = 0

    /// What is to be sent, and how.
    struct Wish {
        let queue: String
        let bodies: [[UInt8]]
        var exchange: String?
        var id: String?
        var properties = AMQPProperties()
        var repetitions = 1
        var isQuiet = false
        /// What sort of queue is made, if one is.
        var type: String?

        init(_ arguments: ParsedArguments) throws {
            queue = arguments.arguments[0]
            bodies = arguments.arguments.dropFirst().map { Array($0.utf8) }
            exchange = arguments.text("exchange")
            id = arguments.text("id")
            repetitions = arguments.integer("count") ?? 1
            isQuiet = arguments.has("quiet")
            type = arguments.text("type")
            guard (1...255).contains(queue.utf8.count) else {
                throw UsageError("mq-cli publish: a queue's name has 1 to 255 bytes")
            }
            for text in [exchange, id] {
                if let text, text.utf8.count > 255 {
                    throw UsageError("mq-cli publish: '\(text.prefix(20))…' is longer than 255 bytes")
                }
            }
            properties.deliveryMode = arguments.has("transient") ? 1 : 2
            properties.priority = arguments.integer("priority").map { UInt8(clamping: $0) }
            properties.expiration = arguments.duration("expiration").map { String($0.nanoseconds / 1_000_000) }
            var headers = AMQPTable()
            for word in arguments.texts("header") {
                let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, (1...255).contains(parts[0].utf8.count) else {
                    throw UsageError("mq-cli publish: --header: '\(word)' is not NAME=VALUE")
                }
                headers[String(parts[0])] = .string(String(parts[1]))
            }
            if !headers.isEmpty { properties.headers = headers }
        }

        var count: Int { bodies.count * repetitions }
    }

    /// Messages that are on their way and not confirmed.
    private static let windowCount = 1000

    init(_ client: MQClient, _ wish: Wish) {
        self.client = client
        self.wish = wish
    }

    private var target: String {
        wish.exchange.map { "exchange '\($0)' with routing key '\(wish.queue)'" } ?? "queue '\(wish.queue)'"
    }

    func start() {
        client.amqp.onDelivery = { [self] delivery in if delivery.isReturn { returned(delivery) } }
        client.amqp.onBlocked = { [client] reason in
            guard let reason else { return }
            client.excuse()
            client.process.complain("the broker wants publishers to wait: \(reason)")
        }
        client.start {
            let begin = { [self] in client.ask(.confirmSelect(noWait: false)) { [self] _ in fill() } }
            if wish.exchange == nil { client.ensure(wish.queue, type: wish.type, begin) } else { begin() }
        }
    }

    private func fill() {
        while sentCount < wish.count, sentCount - doneCount < Self.windowCount, client.process.isRunning {
            var properties = wish.properties
            let name = wish.id ?? client.randomName()
            properties.messageID = name
            let body = wish.bodies[sentCount % wish.bodies.count]
            sentCount += 1
            client.awaits()
            client.amqp.publish(
                body, properties, exchange: wish.exchange ?? "", routingKey: wish.queue, isMandatory: true,
                on: MQClient.channel
            ) { [self] result in
                client.answered()
                switch result {
                case .success(let isGood): confirmed(name, isGood)
                case .failure(let failure): client.fail(failure)
                }
            }
        }
    }

    private func returned(_ delivery: AMQPDelivery) {
        returnedCount += 1
        client.process.complain("message \(MQClient.name(delivery)) came back: no queue wants it")
    }

    private func confirmed(_ name: String, _ isGood: Bool) {
        guard client.process.isRunning else { return }
        doneCount += 1
        if !isGood {
            lostCount += 1
            client.process.complain("message \(name) was refused: \(target) is full")
        } else if !wish.isQuiet, returnedCount == 0 {
            client.process.print(printable("Published message \(name) to \(target)"))
        }
        if doneCount < wish.count { return fill() }
        if wish.isQuiet {
            client.process.print(
                printable("Published \(counted(doneCount - lostCount - returnedCount, "message")) to \(target)"))
        }
        client.finish(lostCount + returnedCount > 0 ? 1 : 0)
    }
}
