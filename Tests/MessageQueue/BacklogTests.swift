import KernelAMQP
import KernelStructures
import Testing

@testable import MessageQueueEngine

/// Clients that ask for more than they take, send less than they said, or ask for the same again and again.
@Suite struct BacklogTests {
    private func bytes(_ methods: [AMQPMethod]) -> [UInt8] {
        var writer = AMQPWriter()
        for method in methods { writer.append(method, channel: 1) }
        return writer.bytes
    }

    @Test("whoever asks and does not take the answers is read no further, and gets all of them in the end")
    func answersThatNobodyTakes() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        client.publish(String(repeating: "x", count: 100_000), to: "q")
        _ = client.take()
        let rounds = 200
        var rest = bytes(
            (0..<rounds).flatMap { _ -> [AMQPMethod] in
                [
                    .basicGet(queue: "q", noAck: false),
                    .basicNack(deliveryTag: 0, multiple: true, requeue: true),
                ]
            })[...]
        var largest = 0
        var answerCount = 0
        while !rest.isEmpty {
            let taken = rest.withUnsafeBytes { client.connection.receive($0, now: bench.now) }
            if taken == 0, client.connection.output.count == 0 { break }
            rest = rest.dropFirst(taken)
            largest = max(largest, client.connection.output.count)
            answerCount += client.texts().count
        }
        #expect(answerCount == rounds)
        #expect(largest < BrokerConnection.answersLimitBytes + 110_000)
        #expect(bench.queue("q")?.readyCount == 1)
    }

    @Test("a body that does not come whole is counted, and goes with its channel")
    func halfBodies() {
        var settings = BrokerSettings()
        settings.memoryLimitBytes = 5000
        settings.messageSizeLimit = 10_000
        let bench = BrokerBench(settings)
        let client = bench.client()
        /// A message of which so many whole frames come.
        func begin(_ channel: UInt16, frames: Int, of size: Int) {
            var writer = AMQPWriter()
            writer.append(
                .basicPublish(exchange: "", routingKey: "q", mandatory: false, immediate: false), channel: channel)
            [UInt8](repeating: 1, count: size).withUnsafeBytes {
                writer.appendContent(properties: AMQPProperties().encoded, body: $0, channel: channel, frameMax: 1000)
            }
            let (payload, overhead) = (1000 - 8, 8)
            let before = writer.count - size - overhead * ((size + payload - 1) / payload)
            client.send(raw: Array(writer.bytes.prefix(before + frames * 1000)))
        }
        client.declare("q")
        client.send(.channelOpen, on: 2)
        // One alone may need more than there is: it could never come otherwise.
        begin(1, frames: 9, of: 9900)
        #expect(bench.broker.isAlarmed && !client.connection.isBlocked && bench.broker.memoryBytes > 8000)
        begin(2, frames: 4, of: 9900)
        #expect(client.connection.isBlocked)
        client.connection.lost(now: bench.now)
        #expect(bench.broker.memoryBytes == 0 && !bench.broker.isAlarmed)
        let other = bench.client()
        other.publish(String(repeating: "y", count: 9000), to: "q")
        #expect(bench.queue("q")?.readyCount == 1)
    }

    private static func persistent() -> AMQPProperties {
        var properties = AMQPProperties()
        properties.deliveryMode = 2
        return properties
    }

    @Test("a purge costs what waits, not what is unacknowledged")
    func purges() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q", durable: true)
        let persistent = Self.persistent()
        for number in 0..<20 { client.publish("\(number)", to: "q", persistent) }
        client.send(.basicQos(prefetchSize: 0, prefetchCount: 17, global: false))
        client.consume("q")
        bench.sync()
        #expect(client.deliveries().count == 17)
        let number = bench.queue("q")?.number ?? 0
        for expected in [3, 0, 0] {
            client.send(.queuePurge(queue: "q", noWait: false))
            bench.sync()
            #expect(client.answers() == [.queuePurgeOk(messageCount: UInt32(expected))])
        }
        #expect(bench.store.purgeCount == 0)
        #expect(bench.store.queues[number]?.count == 17)
        client.ack(17, multiple: true)
        for number in 0..<20 { client.publish("\(number)", to: "q", persistent) }
        client.send(.queuePurge(queue: "q", noWait: false))
        bench.sync()
        // Those that the consumer has by now stay.
        #expect(client.answers().last == .queuePurgeOk(messageCount: 3))
        #expect(bench.store.queues[number]?.count == 17)
    }

    @Test("who hangs up takes along all of its consumers and its exclusive queues, and nobody else's")
    func hangsUp() {
        let bench = BrokerBench()
        let first = bench.client()
        let second = bench.client()
        for name in ["x1", "x2"] { first.declare(name, exclusive: true) }
        second.declare("y", exclusive: true)
        second.declare("q")
        for tag in 0..<50 { first.consume("q", tag: "f\(tag)") }
        second.consume("q", tag: "s")
        first.send(.queueDelete(queue: "x1", ifUnused: false, ifEmpty: false, noWait: false))
        first.connection.lost(now: bench.now)
        #expect(bench.queue("x1") == nil && bench.queue("x2") == nil && bench.queue("y") != nil)
        #expect(bench.queue("q")?.consumers.map(\.tag) == ["s"])
        _ = second.take()
        second.publish("a", to: "q")
        second.publish("b", to: "q")
        #expect(second.texts() == ["a", "b"])
    }
}
