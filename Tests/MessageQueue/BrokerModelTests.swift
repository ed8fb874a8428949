import KernelAMQP
import KernelStructures
import Testing

@testable import MessageQueueEngine

@Suite struct BrokerModelTests {
    /// Random clients that publish, take, acknowledge, give back, vanish. Whatever happens: no message is lost or
    /// doubled, each first delivery comes in the order of publishing, and the redelivered flag says the truth.
    @Test(arguments: 0..<20) func nothingIsLostOrDoubled(_ seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var settings = BrokerSettings()
        settings.windowCount = 8
        let bench = BrokerBench(settings)
        var clients = (0..<3).map { _ in bench.client() }
        clients[0].declare("q", durable: seed % 2 == 0)
        bench.sync()
        var published = 0
        var held = clients.map { _ in [(tag: UInt64, text: String)]() }
        var settled: Set<String> = []
        var seen: Set<String> = []
        func receive(_ index: Int) {
            for delivery in clients[index].deliveries() {
                #expect(delivery.redelivered == seen.contains(delivery.text))
                if !seen.contains(delivery.text) { #expect(Int(delivery.text) == seen.count) }
                seen.insert(delivery.text)
                held[index].append((delivery.tag, delivery.text))
            }
        }
        for _ in 0..<400 {
            let index = Int(random.next() % 3)
            switch random.next() % 10 {
            case 0...3:
                var properties = AMQPProperties()
                if random.next() % 2 == 0 { properties.deliveryMode = 2 }
                clients[index].publish("\(published)", to: "q", properties)
                published += 1
            case 4...5: clients[index].get("q")
            case 6:
                guard let last = held[index].last else { continue }
                clients[index].ack(last.tag, multiple: true)
                for delivery in held[index] { #expect(settled.insert(delivery.text).inserted) }
                held[index] = []
            case 7:
                guard !held[index].isEmpty else { continue }
                let one = held[index].remove(at: Int(random.next() % UInt64(held[index].count)))
                clients[index].nack(one.tag)
            case 8 where random.next() % 4 == 0:
                // It vanishes; another one comes.
                clients[index].connection.lost(now: bench.now)
                clients[index] = bench.client()
                held[index] = []
            default:
                let tag = "c\(random.next() % 1_000_000)"
                clients[index].send(.basicQos(prefetchSize: 0, prefetchCount: 2, global: false))
                clients[index].consume("q", tag: tag)
                receive(index)
                clients[index].send(.basicCancel(consumerTag: tag, noWait: true))
            }
            bench.sync()
            for other in 0..<3 { receive(other) }
            #expect(bench.broker.violations() == [])
        }
        for client in clients { client.connection.lost(now: bench.now) }
        let last = bench.client()
        var rest: [Int] = []
        while true {
            last.get("q", noAck: true)
            guard let delivery = last.deliveries().first else { break }
            rest.append(Int(delivery.text) ?? -1)
        }
        // What was given back is in its place again.
        #expect(rest == (0..<published).filter { !settled.contains("\($0)") })
        #expect(bench.broker.memoryBytes == 0)
    }

    /// Bytes of a sensible client, damaged: the broker answers with an error or goes on, and its books are in order.
    @Test func damagedConversationsDoNoHarm() {
        var random = SeededRandom(seed: 5)
        var closed = 0
        for _ in 0..<400 {
            let bench = BrokerBench()
            let client = bench.client()
            let other = bench.client()
            other.declare("q")
            other.publish("from another", to: "q")
            var writer = AMQPWriter()
            for method in Self.conversation { writer.append(method, channel: 1) }
            for number in 0..<3 {
                writer.append(
                    .basicPublish(exchange: "", routingKey: "q", mandatory: number == 1, immediate: false), channel: 1)
                [1, 2, 3].withUnsafeBytes {
                    writer.appendContent(
                        properties: AMQPProperties(headers: AMQPCodecTests.everything).encoded, body: $0, channel: 1,
                        frameMax: 4096)
                }
            }
            for method in Self.conversation.reversed() { writer.append(method, channel: 1) }
            var bytes = writer.bytes
            for _ in 0..<(1 + Int(random.next() % 4)) {
                let place = Int(random.next() % UInt64(bytes.count))
                if random.next() % 3 == 0 {
                    bytes.remove(at: place)
                } else {
                    bytes[place] = UInt8(truncatingIfNeeded: random.next())
                }
            }
            var start = 0
            while start < bytes.count {
                let end = min(bytes.count, start + 1 + Int(random.next() % 300))
                client.send(raw: Array(bytes[start..<end]))
                start = end
                #expect(bench.broker.violations() == [])
            }
            bench.sync()
            if client.connection.phase != .running { closed += 1 }
            client.connection.lost(now: bench.now)
            #expect(bench.broker.violations() == [])
            #expect(other.connection.phase == .running)
        }
        #expect(closed > 100)
    }

    static let conversation: [AMQPMethod] = [
        .queueDeclare(
            queue: "q", passive: false, durable: false, exclusive: false, autoDelete: false, noWait: false,
            arguments: [:]),
        .exchangeDeclare(
            exchange: "e", type: "topic", passive: false, durable: false, autoDelete: true, isInternal: false,
            noWait: true, arguments: ["alternate-exchange": "amq.fanout"]),
        .queueBind(queue: "q", exchange: "e", routingKey: "a.#", noWait: false, arguments: [:]),
        .exchangeBind(destination: "amq.fanout", source: "e", routingKey: "x", noWait: true, arguments: [:]),
        .basicQos(prefetchSize: 0, prefetchCount: 2, global: true), .confirmSelect(noWait: false),
        .basicConsume(
            queue: "q", consumerTag: "c", noLocal: false, noAck: false, exclusive: false, noWait: false,
            arguments: ["x-priority": .int32(3)]),
        .basicGet(queue: "q", noAck: false), .basicAck(deliveryTag: 1, multiple: false),
        .basicNack(deliveryTag: 0, multiple: true, requeue: true), .basicRecover(requeue: true),
        .basicCancel(consumerTag: "c", noWait: false),
    ]
}
