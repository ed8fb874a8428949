import CommandKit
import KernelAMQP
import KernelJSON
import KernelStructures
import MessageQueueService
import ShellSession

/// `mq-cli get`: takes messages out, or looks at them and puts them back.
final class MQGetter: Program {
    private let client: MQClient
    private let queue: String
    private let limit: Int
    private let requeues: Bool
    private let wantsJSON: Bool
    private var found: [AMQPDelivery] = []

    /// Messages that are held at a time, so that they can be put back.
    private static let heldLimit = 100_000

    init(_ client: MQClient, queue: String, count: Int, requeues: Bool, wantsJSON: Bool) {
        self.client = client
        self.queue = queue
        limit = min(count, Self.heldLimit)
        self.requeues = requeues
        self.wantsJSON = wantsJSON
    }

    func start() { client.start { next() } }

    private func next() {
        guard found.count < limit else { return settle() }
        client.amqp.get(queue, on: MQClient.channel) { [self] result in
            switch result {
            case .failure(let failure): client.fail(failure)
            case .success(nil): settle()
            case .success(let delivery?):
                found.append(delivery)
                if client.process.isRunning { next() }
            }
        }
    }

    private func settle() {
        show()
        if let last = found.last {
            client.amqp.send(
                requeues
                    ? .basicNack(deliveryTag: last.deliveryTag, multiple: true, requeue: true)
                    : .basicAck(deliveryTag: last.deliveryTag, multiple: true), on: MQClient.channel)
        }
        client.finish()
    }

    private func show() {
        let rows = found.map { delivery in
            [
                View.Cell.text(MQClient.name(delivery)),
                delivery.isRedelivered ? View.Cell("yes", json: true) : View.Cell("no", json: false),
                View.Cell.integer(delivery.body.count), View.Cell.text(MQClient.text(delivery.body)),
            ]
        }
        let view = View(
            .table(
                .init(
                    [
                        .init("MESSAGE", key: "message"), .init("REDELIVERED", key: "redelivered"),
                        .init("BYTES", key: "bytes", right: true), .init("BODY", key: "body", flexible: true),
                    ], rows: rows, whenEmpty: "queue '\(queue)' is empty")))
        client.process.output.write(client.process.text(of: view, asJSON: wantsJSON))
    }
}

/// `mq-cli purge`: empties a queue.
final class MQPurge: Program {
    private let client: MQClient
    private let queue: String

    init(_ client: MQClient, queue: String) {
        self.client = client
        self.queue = queue
    }

    func start() {
        client.start {
            client.ask(.queuePurge(queue: queue, noWait: false)) { [self] answer in
                if case .queuePurgeOk(let count) = answer {
                    client.process.print("Purged \(counted(Int(count), "message")) from queue '\(queue)'")
                }
                client.finish()
            }
        }
    }
}

/// `mq-cli move` and `replay`: takes messages out of a queue and publishes them somewhere else, one after the other.
/// Each is acknowledged here once it is confirmed there, so what goes wrong in between leaves it doubled and not lost.
final class MQMover: Program {
    typealias Place = (exchange: String, routingKey: String)

    private let client: MQClient
    private let queue: String
    private let limit: Int?
    private let target: (AMQPDelivery) -> Place?
    private let isReplay: Bool
    private var total: Int?
    private var movedCount = 0
    private var keptCount = 0
    private var places: [String] = []
    private var isReturned = false

    /// - Parameter target: where a message goes.
    init(_ client: MQClient, from queue: String, limit: Int?, target: @escaping (AMQPDelivery) -> Place) {
        self.client = client
        self.queue = queue
        self.limit = limit
        self.target = target
        isReplay = false
    }

    /// - Parameter origin: where a message comes from; nil: nobody knows.
    init(_ client: MQClient, from queue: String, limit: Int?, origin: @escaping (AMQPDelivery) -> Place?) {
        self.client = client
        self.queue = queue
        self.limit = limit
        target = origin
        isReplay = true
    }

    /// The queue in which it died last, by its `x-death`.
    static func origin(_ delivery: AMQPDelivery) -> Place? {
        guard let deaths = delivery.properties.headers?["x-death"]?.array, let last = deaths.first?.table,
            let queue = last["queue"]?.text
        else { return nil }
        return ("", queue)
    }

    func start() {
        client.amqp.onDelivery = { [self] delivery in if delivery.isReturn { isReturned = true } }
        client.start {
            client.ask(.confirmSelect(noWait: false)) { [self] _ in next() }
        }
    }

    /// Those that arrive meanwhile are left where they are: a queue may well lead to itself.
    private var isDone: Bool { movedCount + keptCount >= min(limit ?? .max, total ?? .max) }

    private func next() {
        if isDone { return end() }
        client.amqp.get(queue, on: MQClient.channel) { [self] result in
            switch result {
            case .failure(let failure): client.fail(failure)
            case .success(nil): end()
            case .success(let delivery?):
                if total == nil { total = delivery.remaining + 1 }
                if client.process.isRunning { move(delivery) }
            }
        }
    }

    private func move(_ delivery: AMQPDelivery) {
        guard let place = target(delivery) else {
            keptCount += 1
            // Not acknowledged: it goes back to its place when the connection ends.
            return next()
        }
        var properties = delivery.properties
        if isReplay, var headers = properties.headers {
            for name in ["x-death", "x-first-death-reason", "x-first-death-queue", "x-first-death-exchange"] {
                headers[name] = nil
            }
            headers["x-delivery-count"] = nil
            properties.headers = headers.isEmpty ? nil : headers
        }
        isReturned = false
        client.amqp.publish(
            delivery.body, properties, exchange: place.exchange, routingKey: place.routingKey, isMandatory: true,
            on: MQClient.channel
        ) { [self] result in
            guard client.process.isRunning else { return }
            guard case .success(let isGood) = result else {
                if case .failure(let failure) = result { client.fail(failure) }
                return
            }
            guard isGood, !isReturned else {
                return client.fail(
                    "message \(MQClient.name(delivery)) stays in '\(queue)': there is no room, or no queue, at '\(place.routingKey)'"
                )
            }
            client.amqp.send(.basicAck(deliveryTag: delivery.deliveryTag, multiple: false), on: MQClient.channel)
            movedCount += 1
            if !places.contains(place.routingKey), places.count < 10 { places.append(place.routingKey) }
            next()
        }
    }

    private func end() {
        let goal = places.isEmpty ? "" : " to \(places.map { "'\($0)'" }.joined(separator: ", "))"
        client.process.print(
            "\(isReplay ? "Replayed" : "Moved") \(counted(movedCount, "message")) from queue '\(queue)'\(goal)")
        if keptCount > 0 {
            client.process.complain("\(counted(keptCount, "message")) without x-death stayed where they were")
        }
        client.finish(keptCount > 0 ? 1 : 0)
    }
}
