import KernelAMQP
import KernelStructures
import Testing

@testable import MessageQueueEngine

@Suite("Retries that wait, disks that do not answer, and rates")
struct RetryDelayTests {
    @Test("what is given back waits in a queue of its own, and dies after so many tries")
    func delays() throws {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("dead")
        client.declare("q", durable: true)
        bench.sync()
        let host = try #require(bench.broker.virtualHosts["/"])
        let policy = try BrokerPolicy(
            name: "q-retry", pattern: "^q$", target: .queues,
            definition: [
                "retry-delay": .int32(5000), "delivery-limit": .int32(2), "dead-letter-exchange": "",
                "dead-letter-routing-key": "dead",
            ])
        try bench.broker.set(policy, in: host, now: bench.now)
        var properties = AMQPProperties()
        properties.deliveryMode = 2
        client.publish("x", to: "q", properties)
        client.consume("q")
        _ = client.take()
        for turn in 1...2 {
            client.nack(UInt64(turn))
            #expect(client.deliveries().isEmpty && bench.queue("q.retry")?.readyCount == 1)
            bench.advance(.milliseconds(4999))
            #expect(client.deliveries().isEmpty)
            bench.advance(.milliseconds(1))
            #expect(client.deliveries().map(\.redelivered) == [true])
            let death = client.lastProperties.headers?["x-death"]?.array?.first?.table
            #expect(death?["queue"]?.text == "q.retry" && death?["count"]?.integer == turn)
        }
        client.nack(3)
        #expect(bench.queue("dead")?.readyCount == 1 && bench.queue("q.retry")?.readyCount == 0)
        #expect(bench.broker.violations() == [])
    }

    @Test("somebody's own queue of that name is left alone")
    func ownQueue() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q.retry")
        client.declare("q", ["x-retry-delay": .int32(1000)])
        client.publish("x", to: "q")
        client.consume("q")
        _ = client.take()
        client.nack(1)
        #expect(client.deliveries().map(\.text) == ["x"])
        #expect(bench.queue("q.retry")?.readyCount == 0)
    }

    @Test("what cannot be read is not forgotten, and comes when it can be")
    func brokenDisk() {
        var settings = BrokerSettings()
        settings.windowCount = 10
        let bench = BrokerBench(settings)
        let client = bench.client()
        client.declare("q", durable: true)
        bench.sync()
        _ = client.take()
        for number in 0..<30 { client.publish("\(number)", to: "q") }
        _ = bench.logLines
        bench.store.isBroken = true
        client.consume("q", noAck: true)
        #expect(client.deliveries().count == 10 && bench.queue("q")?.readyCount == 20)
        #expect(bench.queue("q")?.isUnreadable == true)
        bench.advance(.seconds(60))
        #expect(bench.logLines.filter { $0.contains("cannot read") }.count == 1)
        #expect(bench.store.loadCount < 12, "not all the time")
        bench.store.isBroken = false
        bench.advance(.seconds(31))
        #expect(client.deliveries().map(\.text) == (10..<30).map(String.init))
        #expect(bench.logLines.contains { $0.contains("can read its messages again") })
        #expect(bench.queue("q")?.isUnreadable == false && bench.broker.violations() == [])
    }

    @Test("rates are those of the last seconds")
    func rates() throws {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        let queue = try #require(bench.queue("q"))
        func rate() -> Double { queue.rates.rate(\.published, queue.counters, now: bench.now) }
        for second in 0..<20 {
            for _ in 0..<10 { client.publish("x", to: "q") }
            bench.now = bench.now + .seconds(1)
            bench.broker.rollRates(now: bench.now)
            #expect(abs(rate() - 10) < 0.01, "second \(second)")
        }
        // Nothing more comes.
        bench.now = bench.now + .seconds(60)
        bench.broker.rollRates(now: bench.now)
        bench.now = bench.now + .seconds(10)
        bench.broker.rollRates(now: bench.now)
        #expect(rate() == 0)
    }
}
