import KernelAMQP
import KernelCompression
import KernelHosting
import KernelJSON
import KernelOTLP
import KernelService
import KernelStorage
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import MessageQueueService
import TestSupport
import Testing
import TracingEngine
import TracingService

@Suite("A collector of traces on a node")
struct TracingHostTests {
    fileprivate final class Bench {
        let world: World
        let host: TracingHost

        init(_ change: (inout TracingHost.Settings) -> Void = { _ in }, seed: UInt64 = 1) throws {
            world = memoryWorld(seed: seed)
            var settings = TracingHost.Settings()
            change(&settings)
            host = TracingHost(node: world.node("jaeger"), settings: settings)
            try host.start()
        }

        deinit { world.shutDown() }

        func ask(
            _ method: String = "GET", _ target: String, port: UInt16 = Tracing.queryPort, type: String? = nil,
            encoding: String? = nil, body: [UInt8]? = nil
        ) throws -> (status: Int, type: String, body: [UInt8]) {
            var request = HTTPCall.Request(method, url: try HTTPURL("http://jaeger:\(port)\(target)"))
            if let type { request.fields.append(("Content-Type", type)) }
            if let encoding { request.fields.append(("Content-Encoding", encoding)) }
            request.body = body
            var answer: (Int, String, [UInt8])?
            let client = world.nodes.startClient()
            HTTPCall(client, request) { result in
                guard case .success(let response) = result else { return }
                answer = (response.status, response.head.value(of: .contentType) ?? "", response.body)
            }.start()
            world.pass(.milliseconds(50))
            client.end(.exited)
            return try #require(answer)
        }

        func json(_ target: String, status: Int = 200) throws -> JSONValue {
            let answer = try ask("GET", target)
            #expect(answer.status == status, "\(target): \(String(decoding: answer.body, as: UTF8.self))")
            return try JSONValue(parsing: answer.body)
        }
    }

    private static let samples = [
        sample(1, "gateway", "POST /checkout", from: 0, to: 100),
        sample(2, in: 1, "orders", "charge", from: 10, to: 90, isError: true, [("order", .text("o1"))]),
    ]

    private var body: OTLPTraces {
        OTLPTraces(Self.samples.map { .init(resource: $0.resource, spans: [$0.span]) })
    }

    @Test("spans come in either format, packed or not, at either port")
    func ingest() throws {
        let bench = try Bench()
        let protobuf = "application/x-protobuf"
        var answer = try bench.ask("POST", "/v1/traces", port: 4318, type: protobuf, body: body.protobuf())
        #expect(answer.status == 200 && answer.type == protobuf && answer.body.isEmpty)
        answer = try bench.ask(
            "POST", "/v1/traces", type: "application/json; charset=utf-8", encoding: "gzip",
            body: try CompressionFormat.gzip.compress(body.json().bytes()))
        #expect(answer.status == 200 && answer.body == Array("{}\n".utf8))
        #expect(bench.host.store.traceCount == 1)
        #expect(try bench.host.store.trace(TraceID(high: 0, low: 1)!)?.spans.count == 2, "twice the same is once")
    }

    @Test("what is no body of spans is refused, with the reason, and nothing of it is kept")
    func refusals() throws {
        let bench = try Bench()
        let cases: [(String?, String?, [UInt8], Int)] = [
            ("text/plain", nil, [], 415), (nil, nil, [1], 415), ("application/json", nil, Array("{".utf8), 400),
            (
                "application/json", nil, Array(#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":5}]}]}]}"#.utf8),
                400
            ),
            ("application/x-protobuf", nil, [0x0A, 0x7F], 400), ("application/x-protobuf", "gzip", [1, 2, 3], 400),
            ("application/x-protobuf", "br", [], 415),
            (
                "application/x-protobuf", "gzip",
                try CompressionFormat.gzip.compress([UInt8](repeating: 0, count: 70 << 20)), 400
            ),
        ]
        for (type, encoding, body, status) in cases {
            let answer = try bench.ask("POST", "/v1/traces", port: 4318, type: type, encoding: encoding, body: body)
            #expect(
                answer.status == status, "\(type ?? "-") \(String(decoding: answer.body.prefix(200), as: UTF8.self))")
        }
        let half = #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz","spanId":"1"},{"name":"x"}]}]}]}"#
        let answer = try bench.ask("POST", "/v1/traces", port: 4318, type: "application/json", body: Array(half.utf8))
        #expect(try JSONValue(parsing: answer.body)["partialSuccess"]?["rejectedSpans"] == "2")
        #expect(bench.host.store.traceCount == 0)
    }

    @Test(
        "a full disk is said once, health fails while it is full, and what is there is answered; also after a start"
    )
    func fullDisk() throws {
        let bench = try Bench()
        func post() throws -> Int {
            try bench.ask("POST", "/v1/traces", type: "application/x-protobuf", body: body.protobuf()).status
        }
        #expect(try post() == 200 && bench.ask("GET", "/health").status == 200)
        bench.host.node.disk.faults.isFull = true
        for _ in 0..<3 { #expect(try post() == 503) }
        #expect(bench.world.journal.text.ranges(of: "The disk is full: spans are refused").count == 1)
        let health = try bench.ask("GET", "/health")
        #expect(health.status == 503 && String(decoding: health.body, as: UTF8.self).contains("No space left"))
        #expect(try bench.json("/api/services")["data"] == ["gateway", "orders"])
        bench.host.node.end(.killed)
        let node = bench.world.node("jaeger")
        node.disk.faults.isFull = true
        let next = TracingHost(node: node, settings: TracingHost.Settings())
        try next.start()
        #expect(try bench.json("/api/services")["data"] == ["gateway", "orders"] && post() == 503)
        node.disk.faults.isFull = false
        #expect(try post() == 200 && bench.ask("GET", "/health").status == 200)
        #expect(bench.world.journal.text.contains("The disk takes spans again"))
        withExtendedLifetime(next) {}
    }

    @Test("Jaeger's API, version 1")
    func version1() throws {
        let bench = try Bench()
        _ = try bench.ask("POST", "/v1/traces", type: "application/x-protobuf", body: body.protobuf())
        #expect(try bench.json("/api/services")["data"] == ["gateway", "orders"])
        #expect(try bench.json("/api/services/orders/operations")["data"] == ["charge"])
        #expect(
            try bench.json("/api/operations?service=orders&spanKind=server")["data"]
                == [["name": "charge", "spanKind": "server"]])
        for query in [
            "service=orders", "service=orders&operation=charge", "service=orders&tag=order:o1&tag=error:true",
            "service=orders&tags=%7B%22order%22%3A%22o1%22%7D", "service=orders&minDuration=80ms&maxDuration=80ms",
            "service=orders&limit=1&lookback=1h", "service=orders&start=1703084400010000&end=1703084400010000",
            "traceID=1&traceID=2",
        ] {
            let data = try #require(try bench.json("/api/traces?\(query)")["data"])
            let found = data[0]
            #expect(found?["traceID"] == "00000000000000000000000000000001", "\(query)")
            #expect(found?["spans"]?[1]?["operationName"] == "charge" && data[1] == nil)
        }
        for query in [
            "service=orders&operation=x", "service=orders&tag=order:o2", "service=orders&minDuration=81ms",
            "service=orders&maxDuration=79ms", "service=orders&start=1703084400010001", "service=nobody",
            "service=gateway&tag=order:o1",
        ] { #expect(try bench.json("/api/traces?\(query)")["data"] == [], "\(query)") }
        for query in [
            "", "service=", "service=a&limit=0", "service=a&limit=x", "service=a&start=-1", "service=a&tag=x",
            "service=a&tags=x", "service=a&minDuration=x", "service=a&minDuration=2s&maxDuration=1s", "traceID=xyz",
            "service=a&lookback=-1h", "service=a&end=99999999999999999999",
        ] {
            let answer = try bench.json("/api/traces?\(query)", status: 400)
            #expect(answer["data"] == .null && answer["errors"]?[0]?["code"] == 400, "\(query)")
        }
        let one = try bench.json("/api/traces/00000000000000000000000000000001")
        let span = one["data"]?[0]?["spans"]?[1]
        #expect(span?["startTime"] == 1_703_084_400_010_000 && span?["duration"] == 80_000)
        #expect(span?["references"]?[0]?["spanID"] == "0000000000000001")
        #expect(one["data"]?[0]?["processes"]?["p2"]?["serviceName"] == "orders")
        #expect(try bench.json("/api/traces/2", status: 404)["errors"]?[0]?["msg"] == "trace not found")
        #expect(
            try bench.json("/api/dependencies?endTs=1703084500000&lookback=3600000")["data"]
                == [["parent": "gateway", "child": "orders", "callCount": 1]])
        #expect(try bench.json("/api/dependencies?endTs=1&lookback=1")["data"] == [])
    }

    @Test("Jaeger's API, version 3")
    func version3() throws {
        let bench = try Bench()
        _ = try bench.ask("POST", "/v1/traces", type: "application/x-protobuf", body: body.protobuf())
        #expect(try bench.json("/api/v3/services")["services"] == ["gateway", "orders"])
        #expect(
            try bench.json("/api/v3/operations?service=orders")["operations"]
                == [["name": "charge", "spanKind": "server"]])
        let times = "query.start_time_min=2023-12-20T15:00:00Z&query.start_time_max=2023-12-20T15:00:01Z"
        for target in [
            "/api/v3/traces/1",
            "/api/v3/traces?query.service_name=orders&query.operation_name=charge&query.duration_min=10ms&\(times)",
        ] {
            let result = try #require(try bench.json(target)["result"])
            let traces = try OTLPTraces(json: result.bytes())
            #expect(traces.spanCount == 2 && traces.groups.tracedSpans[1].span == Self.samples[1].span)
        }
        #expect(try bench.json("/api/v3/traces?query.service_name=a", status: 400)["error"]?["httpCode"] == 400)
    }

    @Test("the lab's nodes send their spans to it, and their clocks show; nobody traces the sending")
    func export() throws {
        let bench = try Bench()
        let (a, b) = (bench.world.node("a"), bench.world.node("b-2"))
        let far = HTTPRouter()
        far.on("GET", "/far") { exchange in exchange.answer(204) }
        let near = HTTPRouter()
        near.on("GET", "/near") { exchange in
            HTTPCall(a, .init(url: try HTTPURL("http://b-2/far"))) { _ in exchange.answer(204) }.start()
        }
        let servers = [HTTPServer(node: a, service: near), HTTPServer(node: b, service: far)]
        for server in servers { try server.listen(on: 80) }
        b.clockSkew = .seconds(5)
        let client = try RawClient(bench.world.nodes.startClient(), "a", 80)
        client.write("GET /near HTTP/1.1\r\nHost: a\r\n\r\n")
        bench.world.pass(.milliseconds(90))
        #expect(bench.host.store.traceCount == 0)
        bench.world.pass(.seconds(1))
        #expect(bench.host.store.traceCount == 1 && bench.host.store.spanCount == 3)
        let trace = try #require(try bench.host.store.traces(from: 0, through: .max, limit: 10).first)
        #expect(TraceTree(trace).spanNames == ["a GET /near", "a GET /far", "b-2 GET /far"])
        let raw = try bench.json("/api/traces/\(trace.id)?raw=true")["data"]?[0]?["spans"]?[2]
        #expect(raw?["warnings"] == .null)
        let adjusted = try #require(try bench.json("/api/traces/\(trace.id)")["data"]?[0]?["spans"])
        #expect(adjusted[2]?["warnings"] != .null)
        let starts = (0..<3).compactMap {
            adjusted[$0]?["startTime"].flatMap { if case .integer(let n) = $0 { n } else { nil } }
        }
        #expect(starts == starts.sorted() && (starts.last ?? 0) < 1_703_084_401_000_000)
        bench.world.pass(.seconds(5))
        #expect(bench.world.spans.finishedCount == 3)
        // The servers know their routers, and do not hold them.
        withExtendedLifetime((servers, near, far)) {}
    }

    @Test("while it cannot be reached spans wait, a bounded number of them, and come when it can")
    func outage() throws {
        let bench = try Bench()
        let node = bench.world.node("a")
        let runtime = Bench.service(node)
        #expect(runtime.node === node)
        let cut = bench.world.inject(.block(partition: true), from: "a", to: "jaeger", both: true)
        for index in 0..<3000 {
            bench.world.spans.beginTrace("work \(index)", .internal, on: node, isSeparate: true)?.end()
        }
        bench.world.pass(.seconds(5))
        let exporter = try #require(SpanExport.of(bench.world).exporter(of: node))
        #expect(exporter.sentCount == 0 && exporter.droppedCount == 3000 - 2048)
        bench.world.faults.remove(cut)
        bench.world.pass(.seconds(120))
        #expect(exporter.sentCount == 2048 && bench.host.store.traceCount == 2048)
    }

    @Test("traces that no policy wants are dropped at the end of the wait; a restart finds those that were kept")
    func samplingAndRestart() throws {
        let bench = try Bench { $0.sampling.policies = [.errors] }
        let good = sample(1, trace: 5)
        let body = OTLPTraces((Self.samples + [good]).map { .init(resource: $0.resource, spans: [$0.span]) })
        _ = try bench.ask("POST", "/v1/traces", type: "application/x-protobuf", body: body.protobuf())
        #expect(bench.host.store.traceCount == 0)
        bench.world.pass(.seconds(12))
        #expect(bench.host.store.traceCount == 1 && bench.host.store.spanCount == 2)
        bench.host.node.end(.poweredOff)
        let again = TracingHost(node: try bench.world.nodes.start("jaeger"), settings: TracingHost.Settings())
        try again.start()
        #expect(again.store.traceCount == 1 && again.store.services == ["gateway", "orders"])
    }

    @Test("through a queue a trace goes on: the consumer's work is a part of the publisher's, until it is settled")
    func queue() throws {
        let world = memoryWorld()
        defer { world.shutDown() }
        let broker = MessageQueueHost(node: world.node("mq"), port: 5672, settings: .init())
        try broker.start()
        let (orders, mail) = (world.node("orders"), world.node("mail"))
        let publisher = AMQPClient(orders, try AMQPURL("amqp://mq"))
        let consumer = AMQPClient(mail, try AMQPURL("amqp://mq"))
        for client in [publisher, consumer] {
            try client.connect()
            client.openChannel(1)
        }
        publisher.ask(.confirmSelect(noWait: false), on: 1) { _ in }
        consumer.ask(
            .queueDeclare(
                queue: "q", passive: false, durable: false, exclusive: false, autoDelete: false, noWait: false,
                arguments: [:]), on: 1
        ) { _ in }
        var heard: [String] = []
        consumer.onDelivery = { delivery in
            heard.append(world.spans.current(on: mail)?.name ?? "-")
            mail.after(.milliseconds(20)) {
                heard.append(world.spans.current(on: mail)?.name ?? "-")
                consumer.send(.basicAck(deliveryTag: delivery.deliveryTag, multiple: false), on: 1)
            }
        }
        consumer.ask(
            .basicConsume(
                queue: "q", consumerTag: "c", noLocal: false, noAck: false, exclusive: false, noWait: false,
                arguments: [:]), on: 1
        ) { _ in }
        world.pass(.seconds(1))
        var confirmed = 0
        let span = try #require(world.spans.beginTrace("checkout", .internal, on: orders, isSeparate: true))
        span.run {
            for _ in 0..<3 {
                publisher.publish([1], AMQPProperties(), routingKey: "q", on: 1) { _ in
                    #expect(world.spans.current(on: orders) === span)
                    confirmed += 1
                }
            }
        }
        world.pass(.milliseconds(500))
        span.end()
        #expect(confirmed == 3 && heard == [String](repeating: "process q", count: 6))
        let spans = world.spans.all
        #expect(spans.count == 7 && Set(spans.map(\.traceID)).count == 1 && world.spans.openCount == 0)
        for consumed in spans where consumed.kind == .consumer {
            let produced = try #require(spans.first { $0.spanID == consumed.parentID })
            #expect(produced.kind == .producer && produced.parentID == span.context.spanID)
            #expect(consumed.duration >= .milliseconds(20) && consumed.links.map(\.spanID) == [produced.spanID])
        }
        // Outside of any trace, messages carry none.
        publisher.publish([1], AMQPProperties(), routingKey: "q", on: 1)
        world.pass(.seconds(1))
        #expect(heard.suffix(2) == ["-", "-"] && world.spans.finishedCount == 7)
    }
}

extension TracingHostTests.Bench {
    /// Something that starts as services do, so that the node's spans are sent.
    fileprivate static func service(_ node: Node) -> ServiceRuntime {
        _ = SpanExport.of(node.world)
        return ServiceRuntime(node: node, tag: nil)
    }
}

extension TraceTree {
    var spanNames: [String] { nodes.indices.map { "\(span($0).service) \(span($0).span.name)" } }
}
