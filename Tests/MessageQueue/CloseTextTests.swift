import KernelAMQP
import Testing

@testable import MessageQueueEngine

/// What RabbitMQ 3.10.8 answered to the same mistakes, word by word.
@Suite struct CloseTextTests {
    private static func declare(
        _ name: String, durable: Bool = false, exclusive: Bool = false, passive: Bool = false,
        _ arguments: AMQPTable = [:]
    )
        -> AMQPMethod
    {
        .queueDeclare(
            queue: name, passive: passive, durable: durable, exclusive: exclusive, autoDelete: false, noWait: false,
            arguments: arguments)
    }

    private static func exchange(_ name: String, _ type: String, durable: Bool = false, passive: Bool = false)
        -> AMQPMethod
    {
        .exchangeDeclare(
            exchange: name, type: type, passive: passive, durable: durable, autoDelete: false, isInternal: false,
            noWait: false, arguments: [:])
    }

    private static func bind(_ queue: String, _ exchange: String, _ arguments: AMQPTable = [:]) -> AMQPMethod {
        .queueBind(queue: queue, exchange: exchange, routingKey: "a", noWait: false, arguments: arguments)
    }

    private static func consume(
        _ queue: String, tag: String = "t", noAck: Bool = false, exclusive: Bool = false, _ arguments: AMQPTable = [:]
    )
        -> AMQPMethod
    {
        .basicConsume(
            queue: queue, consumerTag: tag, noLocal: false, noAck: noAck, exclusive: exclusive, noWait: false,
            arguments: arguments)
    }

    /// Queues `d1` (durable) and `d2` (with a TTL) and exchange `x1` (direct) are there.
    static let cases: [([AMQPMethod], String)] = [
        ([declare("nope", passive: true)], "404 NOT_FOUND - no queue 'nope' in vhost '/'"),
        (
            [declare("d1")],
            "406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'd1' in vhost '/': received 'false' but current is 'true'"
        ),
        (
            [declare("d1", durable: true, ["x-message-ttl": .int32(1000)])],
            "406 PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'd1' in vhost '/': received the value '1000' of type 'signedint' but current is none"
        ),
        (
            [declare("d2", ["x-message-ttl": .int32(2000)])],
            "406 PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'd2' in vhost '/': received '2000' but current is '1000'"
        ),
        (
            [declare("d2")],
            "406 PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'd2' in vhost '/': received none but current is the value '1000' of type 'signedint'"
        ),
        (
            [declare("d3", ["x-message-ttl": .int32(-1)])],
            "406 PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'd3' in vhost '/': {value_negative,-1}"
        ),
        (
            [declare("d3", ["x-expires": "a"])],
            "406 PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'd3' in vhost '/': \"expected integer, got longstr\""
        ),
        (
            [declare("d3", ["x-expires": .int32(0)])],
            "406 PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'd3' in vhost '/': {value_zero,0}"
        ),
        (
            [declare("d3", ["x-dead-letter-exchange": .int32(5)])],
            "406 PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'd3' in vhost '/'"
        ),
        (
            [declare("d3", ["x-queue-type": "foo"])],
            "406 PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue 'd3' in vhost '/': \"unsupported queue type 'foo'\""
        ),
        (
            [declare("amq.foo")],
            "403 ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'"
        ),
        ([exchange("x9", "foo")], "503 COMMAND_INVALID - invalid exchange type 'foo'"),
        (
            [exchange("x1", "fanout")],
            "406 PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x1' in vhost '/': received 'fanout' but current is 'direct'"
        ),
        ([exchange("", "direct")], "403 ACCESS_REFUSED - operation not permitted on the default exchange"),
        ([exchange("nope", "", passive: true)], "404 NOT_FOUND - no exchange 'nope' in vhost '/'"),
        (
            [.exchangeDelete(exchange: "amq.direct", ifUnused: false, noWait: false)],
            "403 ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed"
        ),
        (
            [bind("d1", "x1"), .exchangeDelete(exchange: "x1", ifUnused: true, noWait: false)],
            "406 PRECONDITION_FAILED - exchange 'x1' in vhost '/' in use"
        ),
        ([bind("nope", "amq.topic")], "404 NOT_FOUND - no queue 'nope' in vhost '/'"),
        ([bind("d1", "nope")], "404 NOT_FOUND - no exchange 'nope' in vhost '/'"),
        ([bind("d1", "")], "403 ACCESS_REFUSED - operation not permitted on the default exchange"),
        (
            [bind("d1", "amq.headers", ["x-match": "most"])],
            "406 PRECONDITION_FAILED - Invalid x-match field value <<\"most\">>; expected all, any, all-with-x, or any-with-x"
        ),
        ([bind("", "amq.topic")], "404 NOT_FOUND - no previously declared queue"),
        ([.basicAck(deliveryTag: 99, multiple: false)], "406 PRECONDITION_FAILED - unknown delivery tag 99"),
        ([.txCommit], "406 PRECONDITION_FAILED - channel is not transactional"),
        (
            [.txSelect, .confirmSelect(noWait: false)],
            "406 PRECONDITION_FAILED - cannot switch from tx to confirm mode"
        ),
        (
            [.confirmSelect(noWait: false), .txSelect],
            "406 PRECONDITION_FAILED - cannot switch from confirm to tx mode"
        ),
        ([.basicRecover(requeue: false)], "540 NOT_IMPLEMENTED - requeue=false"),
        ([.channelFlow(active: false)], "540 NOT_IMPLEMENTED - active=false"),
        (
            [.basicQos(prefetchSize: 10, prefetchCount: 0, global: false)],
            "540 NOT_IMPLEMENTED - prefetch_size!=0 (10)"
        ),
        ([consume("d1"), consume("d1")], "530 NOT_ALLOWED - attempt to reuse consumer tag 't'"),
        (
            [consume("d1"), consume("d1", tag: "u", exclusive: true)],
            "403 ACCESS_REFUSED - queue 'd1' in vhost '/' in exclusive use"
        ),
        (
            [consume("d1", ["x-priority": "a"])],
            "406 PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'd1' in vhost '/': \"expected integer, got longstr\""
        ),
        ([consume("amq.rabbitmq.reply-to")], "406 PRECONDITION_FAILED - reply consumer cannot acknowledge"),
        (
            [consume("amq.rabbitmq.reply-to", noAck: true), consume("amq.rabbitmq.reply-to", tag: "u", noAck: true)],
            "406 PRECONDITION_FAILED - reply consumer already set"
        ),
        (
            [consume("d1"), .queueDelete(queue: "d1", ifUnused: true, ifEmpty: false, noWait: false)],
            "406 PRECONDITION_FAILED - queue 'd1' in vhost '/' in use"
        ),
        ([.channelOpen], "504 CHANNEL_ERROR - second 'channel.open' seen"),
    ]

    @Test(arguments: 0..<cases.count) func mistakesAreCalledWhatRabbitMQCallsThem(_ number: Int) {
        let (methods, text) = Self.cases[number]
        let bench = BrokerBench()
        let owner = bench.client()
        owner.send(Self.declare("d1", durable: true))
        owner.send(Self.declare("d2", ["x-message-ttl": .int32(1000)]))
        owner.send(Self.exchange("x1", "direct"))
        let client = bench.client()
        for method in methods { client.send(method) }
        bench.sync()
        // RabbitMQ's own text is cut at 255 bytes as well.
        #expect(client.closeText() == text)
    }

    @Test func connectionsAreRefusedInTheSameWords() {
        let bench = BrokerBench()
        let client = BrokerTestClient(bench)
        client.send(raw: Array("AMQP".utf8) + [1, 1, 0, 10])
        var bytes: [UInt8] = []
        client.connection.writeOutput { bytes += $0 }
        #expect(bytes == AMQPFrame.protocolHeader)
        #expect(client.connection.isOver)
        let login = BrokerTestClient(bench)
        login.send(raw: AMQPFrame.protocolHeader)
        login.send(
            .connectionStartOk(
                clientProperties: ["capabilities": .table(["authentication_failure_close": .boolean(true)])],
                mechanism: "PLAIN", response: Array("\0eve\0x".utf8), locale: "en_US"), on: 0)
        #expect(
            login.closeText()
                == "403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
                + "For details see the broker logfile."
        )
        let silent = BrokerTestClient(bench)
        bench.advance(.seconds(10))
        #expect(silent.connection.isOver)
    }

    @Test func heartbeatsGoBothWays() {
        let bench = BrokerBench()
        let client = BrokerTestClient(bench)
        client.send(raw: AMQPFrame.protocolHeader)
        client.send(
            .connectionStartOk(
                clientProperties: [:], mechanism: "AMQPLAIN",
                response: Array((["LOGIN": "guest", "PASSWORD": "guest"] as AMQPTable).encoded.dropFirst(4)),
                locale: "en_US"), on: 0)
        client.send(.connectionTuneOk(channelMax: 10, frameMax: 4096, heartbeat: 10), on: 0)
        client.send(.connectionOpen(virtualHost: "/"), on: 0)
        _ = client.take()
        for _ in 0..<6 {
            bench.advance(.seconds(5))
            _ = client.take()
            var writer = AMQPWriter()
            writer.appendHeartbeat()
            client.send(raw: writer.bytes)
        }
        #expect(client.heartbeats >= 5)
        #expect(!client.connection.isOver)
        bench.advance(.seconds(20))
        #expect(client.connection.isOver)
    }
}
