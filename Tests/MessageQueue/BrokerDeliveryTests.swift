import KernelAMQP
import KernelStructures
import Testing

@testable import MessageQueueEngine

@Suite struct BrokerDeliveryTests {
    /// What is given back goes to where it was, not to the end.
    @Test func givenBackKeepsItsPlace() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        for text in ["a", "b", "c", "d"] { client.publish(text, to: "q") }
        client.send(.basicQos(prefetchSize: 0, prefetchCount: 3, global: false))
        client.consume("q")
        let first = client.deliveries()
        #expect(first.map(\.text) == ["a", "b", "c"])
        client.nack(first[1].tag)
        // b is the next again, ahead of d.
        let second = client.deliveries()
        #expect(second.map(\.text) == ["b"])
        #expect(second[0].redelivered)
        client.nack(second[0].tag, multiple: true)
        #expect(client.deliveries().map(\.text) == ["a", "b", "c"])
    }

    /// Whoever asks why a queue is long is told since when, of what was given back, too.
    @Test func whatIsGivenBackWaitsSinceThen() throws {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        client.publish("a", to: "q")
        client.send(.basicGet(queue: "q", noAck: false))
        _ = client.take()
        let queue = try #require(bench.queue("q"))
        #expect(
            bench.broker.explain(queue, now: bench.now).findings == [
                "Nothing waits; 1 is with consumers, unacknowledged."
            ])
        bench.advance(.seconds(3))
        client.nack(1)
        let explanation = bench.broker.explain(queue, now: bench.now)
        #expect(explanation.readyCount == 1 && explanation.backlogSince == bench.now)
        client.send(.basicGet(queue: "q", noAck: true))
        bench.advance(.seconds(1))
        client.publish("b", to: "q")
        #expect(bench.broker.explain(queue, now: bench.now).backlogSince == bench.now)
    }

    @Test func prefetchHoldsPerConsumerAndPerChannel() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        for number in 0..<10 { client.publish("\(number)", to: "q") }
        client.send(.basicQos(prefetchSize: 0, prefetchCount: 2, global: false))
        client.consume("q", tag: "one")
        client.consume("q", tag: "two")
        #expect(client.deliveries().count == 4)
        client.send(.basicQos(prefetchSize: 0, prefetchCount: 3, global: true))
        client.ack(1)
        #expect(client.deliveries().isEmpty)
        client.ack(2)
        #expect(client.deliveries().count == 1)
        client.ack(0, multiple: true)
        #expect(client.deliveries().count == 3)
    }

    @Test func multipleSettlesAllUpToOneAndNoMore() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        for number in 1...6 { client.publish("\(number)", to: "q") }
        client.consume("q")
        _ = client.take()
        client.ack(2)
        client.ack(4, multiple: true)
        #expect(bench.queue("q")?.unackedCount == 2)
        client.nack(6, multiple: true)
        #expect(client.deliveries().map(\.text) == ["5", "6"])
        client.ack(4)
        #expect(client.closeText() == "406 PRECONDITION_FAILED - unknown delivery tag 4")
        // Closing the channel gives back what it had.
        #expect(bench.queue("q")?.readyCount == 2)
    }

    @Test func consumersTakeTurnsAndPrioritiesComeFirst() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        client.consume("q", tag: "a", noAck: true)
        client.consume("q", tag: "b", noAck: true)
        _ = client.take()
        func tags() -> [String] {
            client.take().compactMap {
                if case .message(.basicDeliver(let tag, _, _, _, _), _) = $0 { tag } else { nil }
            }
        }
        for _ in 0..<4 { client.publish("x", to: "q") }
        #expect(tags() == ["a", "b", "a", "b"])
        client.consume("q", tag: "first", noAck: true, ["x-priority": .int32(10)])
        _ = client.take()
        for _ in 0..<3 { client.publish("x", to: "q") }
        #expect(tags() == ["first", "first", "first"])
    }

    @Test func aSingleActiveConsumerIsFollowedByTheNext() {
        let bench = BrokerBench()
        let one = bench.client()
        let two = bench.client()
        one.declare("q", ["x-single-active-consumer": .boolean(true)])
        one.consume("q")
        two.consume("q")
        _ = (one.take(), two.take())
        one.publish("x", to: "q")
        #expect(one.texts() == ["x"])
        #expect(two.texts().isEmpty)
        one.connection.lost(now: bench.now)
        #expect(two.texts() == ["x"])
    }

    @Test func priorityQueuesGiveTheHighestFirst() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q", ["x-max-priority": .int8(5)])
        for (text, priority) in [("low", 0), ("high", 5), ("middle", 3), ("above", 9), ("high again", 5)] {
            var properties = AMQPProperties()
            properties.priority = UInt8(priority)
            client.publish(text, to: "q", properties)
        }
        client.consume("q")
        #expect(client.texts() == ["high", "above", "high again", "middle", "low"])
    }

    /// A consumer that does not read is sent no more, and everything else goes on.
    @Test func aSlowConsumerGetsNoMoreThanItsConnectionTakes() {
        let bench = BrokerBench()
        let slow = bench.client()
        let publisher = bench.client()
        publisher.declare("q")
        slow.consume("q", noAck: true)
        _ = slow.take()
        let big = String(repeating: "x", count: 100_000)
        for _ in 0..<20 { publisher.publish(big, to: "q") }
        #expect(bench.queue("q")?.readyCount == 17)
        slow.connection.set(congested: true, now: bench.now)
        #expect(slow.texts().count == 3)
        #expect(slow.texts().isEmpty)
        slow.connection.set(congested: false, now: bench.now)
        #expect(slow.texts().count == 3)
    }

    // @covers MQ-H6
    @Test func anUnansweredDeliveryGoesToSomebodyElse() {
        let bench = BrokerBench()
        let stuck = bench.client()
        let other = bench.client()
        stuck.declare("q", ["x-consumer-timeout": .int32(30_000)])
        stuck.consume("q", tag: "stuck")
        stuck.publish("job", to: "q")
        #expect(stuck.texts() == ["job"])
        other.consume("q")
        _ = other.take()
        bench.advance(.milliseconds(29_999))
        #expect(other.deliveries().isEmpty)
        bench.advance(.milliseconds(1))
        let again = other.deliveries()
        #expect(again.map(\.text) == ["job"])
        #expect(again.first?.redelivered == true)
        // That consumer is told, and its channel stays.
        #expect(stuck.answers() == [.basicCancel(consumerTag: "stuck", noWait: true)])
        stuck.get("q")
        #expect(stuck.answers() == [.basicGetEmpty])
    }

    /// What a closing channel has is for others, and not for its own next consumer, which would take it along.
    @Test func nothingIsHandedToAChannelThatCloses() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q", ["x-single-active-consumer": .boolean(true)])
        client.send(.basicQos(prefetchSize: 0, prefetchCount: 1, global: false))
        client.consume("q", tag: "a")
        client.consume("q", tag: "b", noAck: true)
        for text in ["one", "two", "three"] { client.publish(text, to: "q") }
        client.send(.channelClose(replyCode: 200, replyText: "", classID: 0, methodID: 0))
        #expect(client.texts() == ["one"])
        #expect(bench.queue("q")?.readyCount == 3)
        #expect(bench.broker.violations() == [])
    }

    @Test func getTellsHowManyAreLeft() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        client.publish("a", to: "q")
        client.publish("b", to: "q")
        _ = client.take()
        client.get("q")
        #expect(
            client.take() == [
                .message(
                    .basicGetOk(deliveryTag: 1, redelivered: false, exchange: "", routingKey: "q", messageCount: 1), "a"
                )
            ])
        client.send(.basicRecover(requeue: true))
        #expect(client.answers() == [.basicRecoverOk])
        client.get("q", noAck: true)
        #expect(client.deliveries().first?.redelivered == true)
    }

    @Test func deletingAQueueTellsItsConsumers() {
        let bench = BrokerBench()
        let client = bench.client()
        let old = bench.client(capabilities: [])
        client.declare("q")
        client.consume("q", tag: "mine")
        old.consume("q", tag: "deaf")
        client.publish("x", to: "q")
        _ = (client.take(), old.take())
        client.send(.queueDelete(queue: "q", ifUnused: false, ifEmpty: false, noWait: true))
        #expect(client.answers() == [.basicCancel(consumerTag: "mine", noWait: true)])
        #expect(old.take().isEmpty)
        // What was delivered can still be acknowledged.
        client.ack(1)
        #expect(client.take().isEmpty)
    }

    @Test func exclusiveAndAutoDeleteQueuesGoWithTheirUsers() {
        let bench = BrokerBench()
        let owner = bench.client()
        let other = bench.client()
        owner.declare("mine", exclusive: true)
        owner.declare("shared", autoDelete: true)
        owner.consume("shared", tag: "c")
        other.get("mine")
        #expect(
            other.closeText()?.hasPrefix(
                "405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'") == true)
        owner.send(.basicCancel(consumerTag: "c", noWait: false))
        #expect(bench.queue("shared") == nil)
        owner.connection.lost(now: bench.now)
        #expect(bench.queue("mine") == nil)
        #expect(bench.broker.memoryBytes == 0)
    }

    // @covers MQ-C4
    /// Beyond the limit of memory publishers wait, and consumers do not.
    @Test func publishersWaitWhileMemoryIsShort() {
        var settings = BrokerSettings()
        settings.memoryLimitBytes = 100_000
        let store = TestStore()
        store.canLoad = false
        let bench = BrokerBench(settings, store: store)
        let publisher = bench.client()
        let consumer = bench.client()
        publisher.declare("q")
        for _ in 0..<40 { publisher.publish(String(repeating: "x", count: 5000), to: "q") }
        #expect(publisher.connection.isBlocked)
        #expect(publisher.answers().contains(.connectionBlocked(reason: "low on memory")))
        // Nothing more is taken from it.
        #expect([1, 2, 3].withUnsafeBytes { publisher.connection.receive($0, now: bench.now) } == 0)
        #expect(bench.broker.memoryBytes < 120_000)
        consumer.consume("q", noAck: true)
        #expect(consumer.texts().count > 15)
        #expect(!publisher.connection.isBlocked)
        #expect(publisher.answers() == [.connectionUnblocked])
    }

    /// A queue that is longer than its window lies in the store, and comes back in order.
    @Test func aLongQueueIsNotKeptInMemory() {
        var settings = BrokerSettings()
        settings.windowCount = 100
        let bench = BrokerBench(settings)
        let client = bench.client()
        client.declare("q", durable: true)
        bench.sync()
        for number in 0..<5000 { client.publish("\(number)", to: "q") }
        #expect(bench.broker.memoryBytes < 100 * 400)
        #expect(bench.queue("q")?.pagedCount == 4900)
        client.consume("q", noAck: true)
        var texts: [String] = []
        while texts.count < 5000 {
            let more = client.texts()
            if more.isEmpty { break }
            texts += more
            client.connection.set(congested: false, now: bench.now)
        }
        #expect(texts.count == 5000)
        #expect(texts.elementsEqual((0..<5000).map(String.init)))
        #expect(bench.queue("q")?.readyBytes == 0)
        #expect(bench.store.queues.values.reduce(0) { $0 + $1.count } == 0)
    }
}
