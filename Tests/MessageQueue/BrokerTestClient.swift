import KernelAMQP
import KernelStructures
import MessageQueueEngine
import Testing

/// A broker without a host, and clients that talk to it in frames.
final class BrokerBench {
    let broker: Broker
    let store: TestStore
    var now = LabTime.documentedEpoch

    init(
        _ settings: BrokerSettings = BrokerSettings(), store: TestStore = TestStore(),
        access: any BrokerAccess = OpenAccess()
    ) {
        self.store = store
        broker = Broker(settings, store: store, access: access, random: SeededRandom(seed: 7), now: now)
    }

    /// A client with an open connection and channel 1.
    func client(
        capabilities: [String] = ["consumer_cancel_notify", "connection.blocked"], heartbeatSeconds: UInt16 = 0
    ) -> BrokerTestClient {
        let client = BrokerTestClient(self)
        client.open(capabilities: capabilities, heartbeatSeconds: heartbeatSeconds)
        return client
    }

    /// The end of a turn: the store syncs, and everybody is told.
    func sync() {
        store.syncedPosition = store.position
        broker.synced(now: now)
    }

    /// Lab time passes, deadline by deadline.
    func advance(_ duration: LabDuration) {
        let end = now + duration
        while let next = broker.nextDeadline, next <= end {
            now = max(now, next)
            broker.tick(now: now)
        }
        now = end
    }

    var logLines: [String] { broker.takeLogLines().map(\.description) }
    func queue(_ name: String) -> BrokerQueue? { broker.virtualHosts["/"]?.queues[name] }
}

/// A store in memory, which syncs when it is told to.
final class TestStore: MessageStore {
    var position: UInt64 = 0
    var syncedPosition: UInt64 = 0
    var canLoad = true
    var definitions: [String: [UInt8]] = [:]
    var queues: [UInt64: [UInt64: StoredEntry]] = [:]
    var loadCount = 0
    var purgeCount = 0
    /// The disk gives nothing that is asked for.
    var isBroken = false
    struct Broken: Error {}

    func put(_ key: String, _ value: [UInt8]) {
        position += 1
        definitions[key] = value
    }
    func remove(_ key: String) {
        position += 1
        definitions[key] = nil
    }
    func append(_ message: StoredMessage, queue: UInt64, sequence: UInt64, isDurable: Bool) {
        if isDurable { position += 1 }
        queues[queue, default: [:]][sequence] = StoredEntry(sequence: sequence, message: message, deliveryCount: 0)
    }
    func delivered(queue: UInt64, sequence: UInt64, count: Int) { queues[queue]?[sequence]?.deliveryCount = count }
    func settle(queue: UInt64, sequence: UInt64) { queues[queue]?[sequence] = nil }
    func purge(queue: UInt64, through sequence: UInt64, except: [UInt64]) {
        purgeCount += 1
        queues[queue] = queues[queue]?.filter { $0.key > sequence || except.contains($0.key) }
    }
    func delete(queue: UInt64) { queues[queue] = nil }
    func load(queue: UInt64, after sequence: UInt64, count: Int, bytes: Int) throws -> [StoredEntry] {
        loadCount += 1
        if isBroken { throw Broken() }
        return (queues[queue] ?? [:]).values.filter { $0.sequence > sequence }.sorted { $0.sequence < $1.sequence }
            .prefix(count).map { $0 }
    }
    /// As it would be found after a restart.
    var found: [StoredQueue] {
        queues.sorted { $0.key < $1.key }.map { number, entries in
            StoredQueue(
                number: number, count: entries.count,
                bytes: entries.values.reduce(0) { $0 + $1.message.body.count },
                lastSequence: entries.keys.max() ?? 0)
        }
    }
}

/// What a client has got.
enum Received: Equatable {
    case method(UInt16, AMQPMethod)
    /// With the text of its body.
    case message(AMQPMethod, String)
}

final class BrokerTestClient {
    let bench: BrokerBench
    let connection: BrokerConnection
    private let reader = AMQPFrameReader()
    private var announced: (AMQPMethod, size: Int, body: [UInt8])?
    private(set) var lastProperties = AMQPProperties()
    private(set) var heartbeats = 0

    init(_ bench: BrokerBench) {
        self.bench = bench
        connection = bench.broker.makeConnection(peer: "test", now: bench.now)
        reader.frameMax = 131_072
    }

    func open(capabilities: [String], heartbeatSeconds: UInt16) {
        send(raw: AMQPFrame.protocolHeader)
        var table = AMQPTable()
        for name in capabilities { table[name] = .boolean(true) }
        send(
            .connectionStartOk(
                clientProperties: ["capabilities": .table(table)], mechanism: "PLAIN",
                response: Array("\0guest\0guest".utf8), locale: "en_US"), on: 0)
        send(.connectionTuneOk(channelMax: 100, frameMax: 4096, heartbeat: heartbeatSeconds), on: 0)
        send(.connectionOpen(virtualHost: "/"), on: 0)
        send(.channelOpen)
        _ = take()
    }

    func send(raw bytes: [UInt8]) { _ = bytes.withUnsafeBytes { connection.receive($0, now: bench.now) } }

    func send(_ method: AMQPMethod, on channel: UInt16 = 1) {
        var writer = AMQPWriter()
        writer.append(method, channel: channel)
        send(raw: writer.bytes)
    }

    func publish(
        _ text: String, to key: String, exchange: String = "", _ properties: AMQPProperties = AMQPProperties(),
        mandatory: Bool = false, on channel: UInt16 = 1
    ) {
        var writer = AMQPWriter()
        writer.append(
            .basicPublish(exchange: exchange, routingKey: key, mandatory: mandatory, immediate: false),
            channel: channel)
        Array(text.utf8).withUnsafeBytes {
            writer.appendContent(properties: properties.encoded, body: $0, channel: channel, frameMax: 4096)
        }
        send(raw: writer.bytes)
    }

    /// All that has come since the last call.
    func take() -> [Received] {
        var bytes: [UInt8] = []
        connection.writeOutput { bytes += $0 }
        var result: [Received] = []
        bytes.withUnsafeBytes { raw in
            var position = 0
            while case .frame(let kind, let channel, let payload) = reader.next(raw, &position) {
                take(kind, channel, payload, &result)
            }
        }
        return result
    }

    private func take(
        _ kind: AMQPFrame.Kind, _ channel: UInt16, _ payload: UnsafeRawBufferPointer, _ result: inout [Received]
    ) {
        switch kind {
        case .heartbeat: heartbeats += 1
        case .method:
            guard let method = try? AMQPMethod(payload: payload) else {
                Issue.record("no method")
                return
            }
            switch method {
            case .basicDeliver, .basicGetOk, .basicReturn: announced = (method, 0, [])
            default: result.append(.method(channel, method))
            }
        case .header:
            guard let header = try? AMQPContentHeader(payload: payload) else {
                Issue.record("no header")
                return
            }
            lastProperties = (try? AMQPProperties(header.properties)) ?? AMQPProperties()
            announced?.size = Int(header.bodySize)
            finish(&result)
        case .body:
            announced?.body += payload
            finish(&result)
        }
    }

    private func finish(_ result: inout [Received]) {
        guard let (method, size, body) = announced, body.count == size else { return }
        announced = nil
        result.append(.message(method, String(decoding: body, as: UTF8.self)))
    }

    // MARK: Short forms

    /// What it was told, without messages.
    func answers() -> [AMQPMethod] {
        take().compactMap { (item: Received) -> AMQPMethod? in
            if case .method(_, let method) = item { method } else { nil }
        }
    }

    /// The texts of messages that came.
    func texts() -> [String] {
        take().compactMap { (item: Received) -> String? in
            if case .message(_, let text) = item { text } else { nil }
        }
    }

    /// Messages with their numbers.
    func deliveries() -> [(tag: UInt64, text: String, redelivered: Bool)] {
        take().compactMap {
            switch $0 {
            case .message(.basicDeliver(_, let tag, let again, _, _), let text): (tag, text, again)
            case .message(.basicGetOk(let tag, let again, _, _, _), let text): (tag, text, again)
            default: nil
            }
        }
    }

    func declare(
        _ queue: String, durable: Bool = false, exclusive: Bool = false, autoDelete: Bool = false,
        passive: Bool = false, _ arguments: AMQPTable = [:]
    ) {
        send(
            .queueDeclare(
                queue: queue, passive: passive, durable: durable, exclusive: exclusive, autoDelete: autoDelete,
                noWait: false, arguments: arguments))
    }

    func consume(
        _ queue: String, tag: String = "c", noAck: Bool = false, exclusive: Bool = false, _ arguments: AMQPTable = [:],
        on channel: UInt16 = 1
    ) {
        send(
            .basicConsume(
                queue: queue, consumerTag: tag, noLocal: false, noAck: noAck, exclusive: exclusive, noWait: false,
                arguments: arguments), on: channel)
    }

    func ack(_ tag: UInt64, multiple: Bool = false) { send(.basicAck(deliveryTag: tag, multiple: multiple)) }
    func nack(_ tag: UInt64, multiple: Bool = false, requeue: Bool = true) {
        send(.basicNack(deliveryTag: tag, multiple: multiple, requeue: requeue))
    }
    func get(_ queue: String, noAck: Bool = false) { send(.basicGet(queue: queue, noAck: noAck)) }

    /// The text with which the channel, or the connection, was closed.
    func closeText() -> String? {
        for method in answers() {
            switch method {
            case .channelClose(let code, let text, _, _), .connectionClose(let code, let text, _, _):
                return "\(code) \(text)"
            default: continue
            }
        }
        return nil
    }
}
