import KernelAMQP
import KernelStructures
import Testing

@testable import MessageQueueEngine

/// What clients say at awkward moments, and in awkward bytes.
@Suite struct BrokerConversationTests {
    private static let channelClose = AMQPMethod.channelClose(replyCode: 200, replyText: "", classID: 0, methodID: 0)
    private static let connectionClose = AMQPMethod.connectionClose(
        replyCode: 200, replyText: "", classID: 0, methodID: 0)

    @Test("both close a channel at once: each gets its answer, and the connection lives")
    func channelClosesCross() {
        let bench = BrokerBench()
        let client = bench.client()
        client.get("nope")
        client.send(Self.channelClose)
        client.send(.channelCloseOk)
        #expect(client.answers().map(\.id.methodID) == [40, 41])
        client.send(.channelOpen)
        #expect(client.answers() == [.channelOpenOk])
        client.send(Self.channelClose)
        client.send(Self.channelClose)
        #expect(client.answers() == [.channelCloseOk, .channelCloseOk])
        #expect(client.connection.phase == .running)
        client.send(.basicGet(queue: "q", noAck: true))
        #expect(
            client.answers() == [
                .connectionClose(
                    replyCode: 504, replyText: "CHANNEL_ERROR - expected 'channel.open'", classID: 60, methodID: 70)
            ])
    }

    @Test("a client that closes its connection hangs up itself, within a time; until then each close is answered")
    func connectionClosesTwice() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("mine", exclusive: true)
        _ = client.take()
        client.send(Self.connectionClose, on: 0)
        client.send(Self.connectionClose, on: 0)
        #expect(client.answers() == [.connectionCloseOk, .connectionCloseOk])
        #expect(!client.connection.isOver && bench.queue("mine") == nil)
        bench.advance(.seconds(9))
        #expect(!client.connection.isOver)
        bench.advance(.seconds(1))
        #expect(client.connection.isOver)
        // What cannot be read ends it at once.
        let other = bench.client()
        other.send(Self.connectionClose, on: 0)
        _ = bench.broker.takeChangedConnections()
        other.send(raw: [UInt8](repeating: 0x5A, count: 20))
        #expect(other.connection.isOver && bench.broker.takeChangedConnections().contains { $0 === other.connection })
    }

    @Test("whoever asks and reads no answer is not read any further: what waits for it stays short")
    func answersNobodyReads() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        client.publish(String(repeating: "x", count: 500_000), to: "q")
        _ = client.take()
        var writer = AMQPWriter()
        for _ in 0..<500 {
            writer.append(.basicGet(queue: "q", noAck: false), channel: 1)
            writer.append(.basicNack(deliveryTag: 0, multiple: true, requeue: true), channel: 1)
        }
        var rest = writer.bytes
        var most = 0
        var rounds = 0
        while !rest.isEmpty, rounds < 1000 {
            let taken = rest.withUnsafeBytes { client.connection.receive($0, now: bench.now) }
            rest.removeFirst(taken)
            var bytes = 0
            client.connection.writeOutput { bytes += $0.count }
            most = max(most, bytes)
            rounds += 1
        }
        #expect(rest.isEmpty && most < 2_600_000 && rounds > 100, "\(most) bytes, \(rounds) rounds")
        client.declare("other")
        client.connection.writeOutput { _ in }
        #expect(bench.queue("other") != nil, "and it goes on")
    }

    @Test("any bytes in a property, a header's name or a published key come back as they were; names must be UTF-8")
    func bytesThatAreNoText() throws {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        client.declare("dead")
        client.send(.queueBind(queue: "q", exchange: "amq.fanout", routingKey: "", noWait: false, arguments: [:]))
        _ = client.take()
        // A UUID, what is nearly UTF-8, and the very characters that stand for such bytes.
        let strange: [[UInt8]] = [
            [0xFF, 0xFE], [0xC3], Array("é".utf8) + [0x80], [0xEE, 0xBE, 0x80], [0xEE, 0xBF, 0xBF, 0xEE],
            [0, 0xED, 0xA0, 0x80],
            (0..<16).map { 0x70 + $0 * 9 },
        ]
        for bytes in strange {
            var header = AMQPWriter()
            header.append(short: 0x2400)  // headers, correlation-id
            header.append(long: UInt32(bytes.count + 2))
            header.append(octet: UInt8(bytes.count))
            header.append(raw: bytes)
            header.append(octet: UInt8(ascii: "V"))
            header.append(octet: UInt8(bytes.count))
            header.append(raw: bytes)
            let properties = header.bytes
            let read = try AMQPProperties(encoded: properties)
            #expect(read.encoded == properties)
            let text = try #require(read.correlationID)
            #expect(read.headers?.fields.first?.name == text)
            var writer = AMQPWriter()
            writer.append(
                .basicPublish(exchange: "amq.fanout", routingKey: text, mandatory: false, immediate: false), channel: 1)
            [1].withUnsafeBytes {
                writer.appendContent(properties: properties, body: $0, channel: 1, frameMax: 4096)
            }
            #expect(writer.bytes.starts(with: [1, 0, 1]))
            client.send(raw: writer.bytes)
            client.get("q", noAck: true)
            #expect(
                client.take().contains {
                    if case .message(let method, _) = $0 { method.routingKey == text } else { false }
                })
            #expect(client.lastProperties == read)
        }
        let distinct = Set(try strange.map { try Self.text($0) })
        #expect(distinct.count == strange.count)
        var writer = AMQPWriter()
        writer.append(
            .queueDeclare(
                queue: try Self.text([0xFF]), passive: false, durable: false, exclusive: false, autoDelete: false,
                noWait: false, arguments: [:]), channel: 1)
        client.send(raw: writer.bytes)
        #expect(client.closeText() == "501 FRAME_ERROR - Malformed UTF-8 in shortstr")
    }

    private static func text(_ bytes: [UInt8]) throws -> String {
        var writer = AMQPWriter()
        writer.append(short: 0x0400)
        writer.append(octet: UInt8(bytes.count))
        writer.append(raw: bytes)
        return try AMQPProperties(encoded: writer.bytes).correlationID ?? ""
    }

    @Test("methods that cannot be read close the connection, and say which method it was")
    func unreadable() {
        let bench = BrokerBench()
        let client = bench.client()
        // queue.declare, and then too little.
        client.send(raw: [1, 0, 1, 0, 0, 0, 5, 0, 50, 0, 10, 7, 0xCE])
        #expect(
            client.answers() == [
                .connectionClose(
                    replyCode: 501, replyText: "FRAME_ERROR - cannot decode <<7>>", classID: 50, methodID: 10)
            ])
    }

    @Test("a message that comes to the head of its queue by a get dies at its own time")
    func expiryBehindAGet() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        client.publish("first", to: "q")
        var properties = AMQPProperties()
        for (text, time) in [("short", "100"), ("long", "900")] {
            properties.expiration = time
            client.publish(text, to: "q", properties)
        }
        bench.advance(.milliseconds(500))
        #expect(bench.queue("q")?.readyCount == 3, "nobody asks before it is at the head, as in RabbitMQ")
        client.get("q", noAck: true)
        guard case .message(.basicGetOk(_, _, _, _, let left), "first") = client.take().last else {
            Issue.record("no message")
            return
        }
        #expect(left == 1 && bench.queue("q")?.readyCount == 1)
        bench.advance(.milliseconds(400))
        #expect(bench.queue("q")?.readyCount == 0)
    }

    @Test("a transaction's messages go where bindings led when they were published")
    func transactionsAreRoutedAtOnce() {
        let bench = BrokerBench()
        let client = bench.client()
        for name in ["a", "b"] { client.declare(name) }
        client.send(.queueBind(queue: "a", exchange: "amq.direct", routingKey: "k", noWait: true, arguments: [:]))
        client.send(.txSelect)
        client.publish("x", to: "k", exchange: "amq.direct")
        client.send(.queueUnbind(queue: "a", exchange: "amq.direct", routingKey: "k", arguments: [:]))
        client.send(.queueBind(queue: "b", exchange: "amq.direct", routingKey: "k", noWait: true, arguments: [:]))
        client.send(.txCommit)
        #expect(bench.queue("a")?.readyCount == 1 && bench.queue("b")?.readyCount == 0)
    }

    @Test("an exclusive queue is refused to others before anything else of it is compared, and durable says nothing")
    func exclusiveQueues() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q", durable: true, exclusive: true)
        client.declare("q", exclusive: true)
        #expect(client.answers().allSatisfy { if case .queueDeclareOk = $0 { true } else { false } })
        client.declare("q", autoDelete: true)
        #expect(client.closeText()?.hasPrefix("405 RESOURCE_LOCKED") == true)
        let single = bench.client()
        single.declare("one", ["x-single-active-consumer": .boolean(true)])
        single.consume("one", exclusive: true)
        #expect(single.closeText() == "403 ACCESS_REFUSED - queue 'one' in vhost '/' in exclusive use")
    }

    @Test(
        "bodies that have not come whole, and transactions, are memory: beyond the limit one of them goes on at a time")
    func halfBodies() throws {
        var settings = BrokerSettings()
        settings.memoryLimitBytes = 100_000
        let bench = BrokerBench(settings)
        let clients = (0..<4).map { _ in bench.client() }
        func begin(_ client: BrokerTestClient) {
            var writer = AMQPWriter()
            writer.append(.basicPublish(exchange: "", routingKey: "q", mandatory: false, immediate: false), channel: 1)
            writer.frame(.header, channel: 1) {
                $0.append(short: 60)
                $0.append(short: 0)
                $0.append(longLong: 60_000)
                $0.append(short: 0)
            }
            client.send(raw: writer.bytes)
        }
        func more(_ client: BrokerTestClient) -> Bool {
            var writer = AMQPWriter()
            writer.frame(.body, channel: 1) { $0.append(raw: [UInt8](repeating: 1, count: 4000)) }
            return writer.bytes.withUnsafeBytes { client.connection.receive($0, now: bench.now) } > 0
        }
        for client in clients { begin(client) }
        var taken = [0, 0, 0, 0]
        for _ in 0..<12 { for (index, client) in clients.enumerated() where more(client) { taken[index] += 1 } }
        // The first one goes on; the others are stopped where the memory is full.
        #expect(taken[0] == 12 && taken[1...].allSatisfy { $0 < 9 }, "\(taken)")
        #expect(bench.broker.memoryBytes < 160_000 && bench.broker.isAlarmed)
        #expect(clients.map(\.connection.isBlocked) == [false, true, true, true])
        for _ in 0..<3 { _ = more(clients[0]) }
        // It is whole, and nobody wanted it: the next one goes on.
        #expect(clients.map(\.connection.isBlocked).filter { $0 }.count <= 2)
        for client in clients { client.connection.lost(now: bench.now) }
        #expect(bench.broker.memoryBytes == 0 && !bench.broker.isAlarmed && bench.broker.arriving.isEmpty)
        let client = bench.client()
        client.send(.txSelect)
        for _ in 0..<3 { client.publish(String(repeating: "x", count: 40_000), to: "q") }
        #expect(bench.broker.memoryBytes > 120_000 && bench.broker.isAlarmed)
        client.connection.lost(now: bench.now)
        #expect(bench.broker.memoryBytes == 0)
    }

    @Test("a purge of nothing costs nothing, however many messages somebody holds", .timeLimit(.minutes(5)))
    func purgesOfNothing() {
        let bench = BrokerBench()
        let client = bench.client()
        let other = bench.client()
        client.declare("q")
        for _ in 0..<20_000 { client.publish("x", to: "q") }
        while bench.queue("q")?.readyCount ?? 0 > 0 {
            client.get("q")
            _ = client.take()
        }
        let time = ContinuousClock().measure {
            for _ in 0..<500 { other.send(.queuePurge(queue: "q", noWait: true)) }
        }
        #expect(bench.queue("q")?.unackedCount == 20_000 && time < .seconds(1), "\(time)")
    }

    /// Seconds, where each that goes is looked for among all.
    @Test("a channel with many consumers, and connections beside many queues, end quickly", .timeLimit(.minutes(5)))
    func manyEnd() {
        var settings = BrokerSettings()
        settings.objectLimit = 100_000
        let bench = BrokerBench(settings)
        let client = bench.client()
        client.declare("q")
        for number in 0..<30_000 {
            client.send(
                .basicConsume(
                    queue: "q", consumerTag: "t\(number)", noLocal: false, noAck: false, exclusive: false, noWait: true,
                    arguments: [:]))
        }
        #expect(bench.queue("q")?.consumerCount == 30_000)
        let clock = ContinuousClock()
        let time = clock.measure { client.connection.lost(now: bench.now) }
        #expect(bench.queue("q")?.consumerCount == 0 && time < .seconds(2), "\(time)")
        let maker = bench.client()
        for number in 0..<20_000 { maker.declare("many\(number)", exclusive: number % 2 == 0) }
        let others = clock.measure { for _ in 0..<300 { bench.client().connection.lost(now: bench.now) } }
        #expect(others < .seconds(2), "\(others)")
        maker.connection.lost(now: bench.now)
        #expect(bench.broker.virtualHosts["/"]?.queues.count == 10_001)
    }
}

extension AMQPMethod {
    fileprivate var routingKey: String? {
        switch self {
        case .basicGetOk(_, _, _, let key, _), .basicDeliver(_, _, _, _, let key): key
        default: nil
        }
    }
}
