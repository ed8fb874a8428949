import KernelAMQP
import KernelStructures
import Testing

@testable import MessageQueueEngine

@Suite struct BrokerPublishingTests {
    static var persistent: AMQPProperties {
        var properties = AMQPProperties()
        properties.deliveryMode = 2
        return properties
    }

    /// A persistent message is confirmed when it is on the disk, and not before.
    @Test func confirmsWaitForTheSync() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q", durable: true)
        bench.sync()
        client.send(.confirmSelect(noWait: false))
        _ = client.take()
        client.publish("a", to: "q", Self.persistent)
        client.publish("b", to: "q", Self.persistent)
        bench.broker.synced(now: bench.now)
        #expect(client.answers().isEmpty)
        bench.sync()
        #expect(client.answers() == [.basicAck(deliveryTag: 2, multiple: true)])
        // What needs no disk waits for nothing but the end of the turn.
        client.publish("c", to: "q")
        bench.broker.synced(now: bench.now)
        #expect(client.answers() == [.basicAck(deliveryTag: 3, multiple: false)])
    }

    /// So do answers about durable things; messages do not.
    @Test func answersAboutDurableThingsWaitForTheSync() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q", durable: true)
        #expect(client.answers().isEmpty)
        bench.sync()
        #expect(client.answers() == [.queueDeclareOk(queue: "q", messageCount: 0, consumerCount: 0)])
        let consumer = bench.client()
        consumer.consume("q")
        _ = consumer.take()
        client.publish("x", to: "q", Self.persistent)
        #expect(consumer.texts() == ["x"])
    }

    @Test func fullQueuesRefuseOrDropTheOldest() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("drop", ["x-max-length": .int32(2)])
        for text in ["a", "b", "c"] { client.publish(text, to: "drop") }
        _ = client.take()
        client.consume("drop", noAck: true)
        #expect(client.texts() == ["b", "c"])
        client.declare("refuse", ["x-max-length": .int32(1), "x-overflow": "reject-publish"])
        client.send(.confirmSelect(noWait: true))
        _ = client.take()
        for text in ["a", "b"] { client.publish(text, to: "refuse") }
        client.publish("c", to: "drop")
        bench.sync()
        #expect(
            client.answers() == [
                .basicAck(deliveryTag: 1, multiple: false), .basicNack(deliveryTag: 2, multiple: false, requeue: false),
                .basicAck(deliveryTag: 3, multiple: false),
            ])
        client.declare("bytes", ["x-max-length-bytes": .int32(20)])
        for text in ["0123456789", "abcdefghij", "k"] { client.publish(text, to: "bytes") }
        #expect(bench.queue("bytes")?.readyBytes == 11)
    }

    @Test func whatNobodyWantsComesBackBeforeItIsConfirmed() {
        let bench = BrokerBench()
        let client = bench.client()
        client.send(.confirmSelect(noWait: true))
        client.publish("lost", to: "nowhere", mandatory: true)
        client.publish("lost too", to: "nowhere")
        bench.sync()
        #expect(
            client.take() == [
                .message(
                    .basicReturn(replyCode: 312, replyText: "NO_ROUTE", exchange: "", routingKey: "nowhere"), "lost"),
                .method(1, .basicAck(deliveryTag: 2, multiple: true)),
            ])
    }

    @Test func transactionsAreAllOrNothing() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        client.publish("old", to: "q")
        client.send(.txSelect)
        client.consume("q")
        _ = client.take()
        client.publish("new", to: "q")
        client.ack(1)
        #expect(bench.queue("q")?.readyCount == 0)
        client.send(.txRollback)
        #expect(client.answers() == [.txRollbackOk])
        #expect(bench.queue("q")?.unackedCount == 1)
        client.publish("newer", to: "q")
        client.ack(1)
        client.send(.txCommit)
        bench.sync()
        #expect(client.take().contains(.method(1, .txCommitOk)))
        #expect(bench.queue("q")?.counters.acknowledged == 1)
        #expect(bench.queue("q")?.counters.published == 2)
        client.send(.confirmSelect(noWait: false))
        #expect(client.closeText() == "406 PRECONDITION_FAILED - cannot switch from tx to confirm mode")
        // Acknowledged in a transaction that was never committed: not acknowledged.
        #expect(bench.queue("q")?.readyCount == 1)
    }

    @Test func repliesGoStraightToWhoeverAsked() {
        let bench = BrokerBench()
        let client = bench.client()
        let server = bench.client()
        server.declare("rpc")
        server.consume("rpc", noAck: true)
        _ = server.take()
        client.consume("amq.rabbitmq.reply-to", tag: "r", noAck: true)
        _ = client.take()
        var properties = AMQPProperties()
        properties.replyTo = "amq.rabbitmq.reply-to"
        client.publish("question", to: "rpc", properties)
        #expect(server.texts() == ["question"])
        let address = server.lastProperties.replyTo ?? ""
        #expect(address.hasPrefix("amq.rabbitmq.reply-to."))
        server.publish("answer", to: address)
        #expect(client.texts() == ["answer"])
        server.publish("guess", to: String(address.dropLast(3)) + "xxx", mandatory: true)
        #expect(client.texts().isEmpty)
        #expect(server.texts() == ["guess"])
        let other = bench.client()
        other.publish("x", to: "rpc", properties)
        #expect(other.closeText() == "406 PRECONDITION_FAILED - fast reply consumer does not exist")
    }

    @Test func carbonCopiesAreRoutedAndBlindOnesHidden() {
        let bench = BrokerBench()
        let client = bench.client()
        for name in ["to", "cc", "bcc"] { client.declare(name) }
        client.publish(
            "x", to: "to", AMQPProperties(headers: ["CC": .array(["cc"]), "BCC": .array(["bcc"])]))
        for name in ["to", "cc", "bcc"] { #expect(bench.queue(name)?.readyCount == 1) }
        _ = client.take()
        client.get("cc")
        _ = client.take()
        #expect(client.lastProperties.headers == ["CC": .array(["cc"])])
    }

    /// As RabbitMQ 3.10.8 answers, one by one.
    @Test(
        arguments: [
            ("5", nil), ("05", nil), ("+5", nil), ("-0", nil), ("315360000000", nil),
            ("-1", "{value_negative,-1}"), ("", "no_integer"), ("+", "no_integer"), (" 5", "no_integer"),
            ("+-5", "no_integer"), ("5 ", "{leftover_string,\" \"}"), ("0x5", "{leftover_string,\"x5\"}"),
            ("315360000001", "{value_too_large,315360000001}"),
            ("99999999999999999999", "{value_too_large,99999999999999999999}"),
        ] as [(String, String?)])
    func anExpirationIsANumber(_ text: String, _ complaint: String?) {
        let bench = BrokerBench()
        let client = bench.client()
        var properties = AMQPProperties()
        properties.expiration = text
        client.publish("x", to: "q", properties)
        let expected = complaint.map { "406 PRECONDITION_FAILED - invalid expiration '\(text)': \($0)" }
        #expect(client.closeText() == expected)
    }
}
