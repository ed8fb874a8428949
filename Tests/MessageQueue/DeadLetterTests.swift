import KernelAMQP
import KernelStructures
import Testing

@testable import MessageQueueEngine

@Suite struct DeadLetterTests {
    private func bench(_ arguments: AMQPTable) -> (BrokerBench, BrokerTestClient) {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("dead")
        var all: AMQPTable = ["x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"]
        all.fields += arguments.fields
        client.declare("q", all)
        _ = client.take()
        return (bench, client)
    }

    private func death(_ client: BrokerTestClient) -> AMQPTable? {
        client.lastProperties.headers?["x-death"]?.array?.first?.table
    }

    /// Without a consumer, at the moment itself.
    @Test func expiredMessagesDieInTime() {
        let (bench, client) = bench(["x-message-ttl": .int32(1000)])
        client.publish("old", to: "q")
        bench.advance(.milliseconds(999))
        #expect(bench.queue("dead")?.readyCount == 0)
        bench.advance(.milliseconds(1))
        #expect(bench.queue("dead")?.readyCount == 1)
        client.get("dead")
        _ = client.take()
        #expect(death(client)?["reason"]?.text == "expired")
        #expect(death(client)?["queue"]?.text == "q")
        #expect(death(client)?["count"]?.integer == 1)
        #expect(death(client)?["exchange"]?.text == "")
        #expect(death(client)?["routing-keys"]?.array == ["q"])
        #expect(client.lastProperties.headers?["x-first-death-reason"]?.text == "expired")
    }

    /// A message's own time counts at the head of its queue, and is not carried on.
    @Test func ownExpirationIsRemembered() {
        let (bench, client) = bench([:])
        var properties = AMQPProperties()
        properties.expiration = "500"
        client.publish("x", to: "q", properties)
        bench.advance(.seconds(1))
        client.get("dead")
        _ = client.take()
        #expect(client.lastProperties.expiration == nil)
        #expect(death(client)?["original-expiration"]?.text == "500")
        // One of no time at all is only for those who are waiting already.
        properties.expiration = "0"
        client.publish("now or never", to: "q", properties)
        bench.advance(.zero)
        #expect(bench.queue("q")?.readyCount == 0)
    }

    // @covers MQ-C5
    /// Three retries, then dead.
    @Test func givenBackTooOften() {
        let (bench, client) = bench(["x-delivery-limit": .int32(3)])
        client.consume("q")
        var properties = AMQPProperties()
        properties.messageID = "xyz789"
        client.publish("poison", to: "q", properties)
        for time in 0...3 {
            let delivery = client.deliveries()
            #expect(delivery.map(\.text) == ["poison"])
            #expect(client.lastProperties.headers?["x-delivery-count"]?.integer == (time == 0 ? nil : time))
            client.nack(delivery[0].tag)
        }
        #expect(client.deliveries().isEmpty)
        #expect(bench.logLines == ["Message xyz789 exceeded retry limit (3), moved to dead"])
        #expect(bench.queue("dead")?.readyCount == 1)
    }

    /// As RabbitMQ 3.10.8: who gets a quorum queue's message is told of the count 0, too, and a consumer only of later
    /// ones; with or without a limit.
    @Test(arguments: [[:], ["x-delivery-limit": .int32(9)]] as [AMQPTable])
    func quorumQueuesCount(_ limit: AMQPTable) throws {
        let bench = BrokerBench()
        let client = bench.client()
        var arguments = limit
        arguments["x-queue-type"] = "quorum"
        client.declare("q", durable: true, arguments)
        bench.sync()
        client.publish("a", to: "q")
        bench.sync()
        _ = client.take()
        client.get("q")
        var counts: [Int?] = []
        for _ in 0..<3 {
            let tag = try #require(client.deliveries().last?.tag)
            counts.append(client.lastProperties.headers?["x-delivery-count"]?.integer)
            client.nack(tag)
            if counts.count == 1 { client.consume("q") }
        }
        #expect(counts == [0, 1, 2])
        client.publish("b", to: "q")
        bench.sync()
        #expect(client.deliveries().map(\.text).contains("b"))
        #expect(client.lastProperties.headers?["x-delivery-count"] == nil)
    }

    /// A poison message does not take its neighbours along: each counts its own failures.
    @Test func neighboursOfPoisonAreSpared() {
        let (bench, client) = bench(["x-delivery-limit": .int32(1)])
        client.send(.basicQos(prefetchSize: 0, prefetchCount: 3, global: false))
        client.consume("q")
        for text in ["good", "poison", "fine"] { client.publish(text, to: "q") }
        while true {
            let deliveries = client.deliveries()
            if deliveries.isEmpty { break }
            for delivery in deliveries {
                if delivery.text == "poison" { client.nack(delivery.tag) } else { client.ack(delivery.tag) }
            }
        }
        #expect(bench.queue("q")?.counters.acknowledged == 2)
        #expect(bench.queue("dead")?.readyCount == 1)
    }

    @Test func rejectedAndSurplusMessagesSayWhy() {
        let (bench, client) = bench(["x-max-length": .int32(1)])
        client.publish("surplus", to: "q")
        client.publish("rejected", to: "q")
        client.get("q")
        client.send(.basicReject(deliveryTag: 1, requeue: false))
        var reasons: [String] = []
        for _ in 0..<2 {
            client.get("dead", noAck: true)
            _ = client.take()
            reasons.append(death(client)?["reason"]?.text ?? "")
        }
        #expect(reasons == ["maxlen", "rejected"])
        _ = bench
    }

    /// Two queues that send their dead to one another: what went round without a consumer's doing is dropped; what was
    /// rejected on the way is counted.
    @Test func automaticCyclesEnd() {
        let bench = BrokerBench()
        let client = bench.client()
        func pair(_ first: String, _ second: String, _ more: AMQPTable) {
            var arguments: AMQPTable = ["x-dead-letter-exchange": "", "x-dead-letter-routing-key": .string(second)]
            arguments.fields += more.fields
            client.declare(first, arguments)
        }
        pair("a", "b", ["x-message-ttl": .int32(10)])
        pair("b", "a", ["x-message-ttl": .int32(10)])
        client.publish("round", to: "a")
        bench.advance(.seconds(10))
        #expect(bench.queue("a")?.readyCount == 0)
        #expect(bench.queue("b")?.readyCount == 0)
        #expect(bench.broker.memoryBytes == 0)
        pair("work", "retry", [:])
        pair("retry", "work", ["x-message-ttl": .int32(10)])
        client.publish("again", to: "work")
        for _ in 0..<3 {
            client.get("work")
            let delivery = client.deliveries()
            #expect(delivery.count == 1)
            client.nack(delivery.first?.tag ?? 0, requeue: false)
            bench.advance(.milliseconds(10))
        }
        client.get("work")
        _ = client.take()
        let deaths = client.lastProperties.headers?["x-death"]?.array ?? []
        #expect(deaths.count == 2)
        #expect(deaths.first?.table?["reason"]?.text == "expired")
        #expect(deaths.map { $0.table?["count"]?.integer } == [3, 3])
    }

    /// A row of a thousand queues, each the next one's grave, is walked without recursion.
    @Test func longChainsDoNotOverflowTheStack() {
        let bench = BrokerBench()
        let client = bench.client()
        for number in 0..<1000 {
            client.declare(
                "q\(number)",
                [
                    "x-dead-letter-exchange": "", "x-dead-letter-routing-key": .string("q\(number + 1)"),
                    "x-max-length": .int32(0),
                ])
        }
        client.declare("q1000")
        client.publish("x", to: "q0")
        #expect(bench.queue("q1000")?.readyCount == 1)
    }
}
