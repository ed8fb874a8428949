import KernelHosting
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import TestSupport
import Testing

@Suite("Spans")
struct SpanTests {
    /// A service on a node of its own that asks others before it answers.
    private final class Stop {
        let node: Node
        let router = HTTPRouter()
        let server: HTTPServer

        /// - Parameter next: whom it asks, one after another.
        init(_ world: World, _ name: String, next: [String] = [], pause: LabDuration = .milliseconds(3)) throws {
            node = world.node(name)
            server = HTTPServer(node: node, service: router)
            for method in ["GET", "POST"] {
                router.on(method, "/work/{id}") { [unowned self] exchange in visit(next[...], pause, exchange) }
            }
            try server.listen(on: 80)
        }

        private func visit(_ rest: ArraySlice<String>, _ pause: LabDuration, _ exchange: HTTPExchange) {
            node.after(pause) { [self] in
                guard let first = rest.first else { return exchange.answer(200) }
                let url = try! HTTPURL("http://\(first)/work/7")
                HTTPCall(node, .init(url: url)) { [self] result in
                    guard case .success(let response) = result else { return exchange.answer(502) }
                    if response.status != 200 { return exchange.answer(response.status) }
                    visit(rest.dropFirst(), pause, exchange)
                }.start()
            }
        }
    }

    private func ask(
        _ world: World, _ fields: String = "", of host: String = "a", body: String = "", pass: LabDuration = .seconds(1)
    ) throws -> RawClient {
        let client = try RawClient(world.nodes.startClient(), host, 80)
        let method = body.isEmpty ? "GET" : "POST"
        client.write(
            "\(method) /work/7 HTTP/1.1\r\nHost: \(host)\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n")
        if !body.isEmpty {
            world.pass(.milliseconds(10))
            client.write(body)
        }
        world.pass(pass)
        return client
    }

    @Test("all spans of one request are one tree, whatever waits between its calls")
    func tree() throws {
        for body in ["", "a body that comes later"] {
            let world = memoryWorld()
            defer { world.shutDown() }
            let stops = [
                try Stop(world, "a", next: ["b", "c"]), try Stop(world, "b", next: ["c"]), try Stop(world, "c"),
            ]
            #expect(try ask(world, body: body).statuses == [200] && stops.count == 3)
            let spans = world.spans.all
            #expect(spans.count == 7 && Set(spans.map(\.traceID)).count == 1)
            #expect(spans.filter { $0.parentID == nil }.map(\.service) == ["a"])
            for span in spans where span.parentID != nil {
                let parent = try #require(spans.first { $0.spanID == span.parentID })
                #expect(parent.start <= span.start && parent.end >= span.end, "\(span.name)")
                // A call is its caller's, its answer the other's.
                #expect((span.kind == .client) == (parent.node == span.node))
            }
            #expect(spans.filter { $0.kind == .server }.allSatisfy { $0.name.hasSuffix(" /work/{id}") })
            #expect(world.spans.openCount == 0)
        }
    }

    @Test("requests at the same time are trees of their own, and the ids are the world's chance")
    func together() throws {
        func run(_ seed: UInt64) throws -> [Span] {
            let world = memoryWorld(seed: seed)
            defer { world.shutDown() }
            let stops = [try Stop(world, "a", next: ["b", "b"]), try Stop(world, "b")]
            for _ in 0..<20 { _ = try ask(world, pass: .milliseconds(1)) }
            world.pass(.seconds(1))
            #expect(stops.count == 2)
            return world.spans.all
        }
        let spans = try run(1)
        let traces = Dictionary(grouping: spans, by: \.traceID)
        #expect(traces.count == 20 && traces.values.allSatisfy { $0.count == 5 })
        for trace in traces.values {
            let ids = Set(trace.map(\.spanID))
            #expect(trace.filter { $0.parentID.map(ids.contains) ?? false }.count == 4)
        }
        #expect(try run(1) == spans)
        #expect(try run(2).map(\.traceID) != spans.map(\.traceID))
    }

    @Test("a context that comes with a request is gone on with, tracestate and baggage as well")
    func continued() throws {
        let world = memoryWorld()
        defer { world.shutDown() }
        let stop = try Stop(world, "a", next: ["b"])
        let next = try ScriptedServer(world.node("b"), port: 80)
        next.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        func send(_ flags: String) throws {
            _ = try ask(
                world,
                "traceparent: 00-\(trace)-00f067aa0ba902b7-\(flags)\r\ntracestate: congo=t61\r\n"
                    + "baggage: who=gold%20card;p=1, bad\r\n")
        }
        try send("01")
        #expect(stop.node.name == "a")
        let heard = try #require(next.heard.first)
        let call = try #require(world.spans.all.first { $0.kind == .client })
        #expect(heard.contains("traceparent: 00-\(trace)-\(call.spanID)-01\r\ntracestate: congo=t61\r\n"))
        #expect(heard.contains("baggage: who=gold%20card;p=1\r\n"))
        // Whoever began it did not want it kept: then nobody keeps a part of it, and the next is told so.
        try send("00")
        let unsampled = try #require(next.heard.last)
        #expect(world.spans.finishedCount == 2 && world.spans.openCount == 0)
        #expect(unsampled.contains("traceparent: 00-\(trace)-") && unsampled.contains("-00\r\n"))
        #expect(!unsampled.contains("00f067aa0ba902b7"), "the parent is this side's span, as OpenTelemetry has it")
    }

    @Test("a trace that is not kept is kept nowhere, however many it passes, and its lines and figures name none")
    func unsampled() throws {
        let world = memoryWorld()
        defer { world.shutDown() }
        let stops = [
            try Stop(world, "a", next: ["b"]), try Stop(world, "b", next: ["c"]), try Stop(world, "c"),
        ]
        stops[0].node.traceShare = 0
        _ = try ask(world)
        #expect(world.spans.finishedCount == 0 && world.spans.openCount == 0)
        // The one that is asked directly decides for itself.
        stops[0].node.traceShare = 1
        _ = try ask(world)
        #expect(world.spans.finishedCount == 5)
        let node = stops[0].node
        node.traceShare = 0
        let span = try #require(world.spans.beginTrace("x", .internal, on: node, isSeparate: true))
        span.run {
            node.log("TEST", "a line of it")
            span.set("key", "value")
        }
        #expect(world.spans.trace(ofLine: world.journal.count) == nil, "the line was the last event")
        let times = Histogram()
        times.observe(.milliseconds(1), within: span)
        #expect(times.exemplars.allSatisfy { $0 == nil })
        node.end(.killed)
        #expect(world.spans.openCount == 0 && world.spans.finishedCount == 5)
    }

    @Test("only whoever is at the edge begins a trace, as often as the ratio says")
    func heads() throws {
        let world = memoryWorld()
        defer { world.shutDown() }
        let stop = try Stop(world, "a")
        let service = world.node("checker")
        HTTPCall(service, .init(url: try HTTPURL("http://a/work/1"))) { _ in }.start()
        world.pass(.seconds(1))
        #expect(world.spans.finishedCount == 0 && stop.node.isAlive)
        world.spans.ratio = 0.25
        for _ in 0..<400 { _ = try ask(world, pass: .milliseconds(10)) }
        #expect((70...130).contains(world.spans.finishedCount))
        world.spans.ratio = 1
        stop.node.traceShare = 0.25
        var before = world.spans.finishedCount
        for _ in 0..<400 { _ = try ask(world, pass: .milliseconds(10)) }
        #expect((70...130).contains(world.spans.finishedCount - before))
        world.spans.ratio = 0
        before = world.spans.finishedCount
        for _ in 0..<50 { _ = try ask(world, pass: .milliseconds(10)) }
        #expect(world.spans.finishedCount == before)
    }

    @Test("what a node was doing when it was killed is kept, and nobody is told")
    func killed() throws {
        let world = memoryWorld()
        defer { world.shutDown() }
        let stops = [try Stop(world, "a", next: ["b"]), try Stop(world, "b", pause: .seconds(10))]
        var told: [String] = []
        world.spans.onFinish = { span, _ in told.append("\(span.service) \(span.kind)") }
        _ = try ask(world)
        stops[1].node.end(.killed)
        world.pass(.seconds(1))
        let lost = try #require(world.spans.all.first { $0.service == "b" })
        #expect(lost.status == .error("b killed") && told == ["a client", "a server"])
        #expect(world.spans.all.last?.status == .error("502") && world.spans.openCount == 0)
    }

    @Test("what is kept is bounded, and so is what is under way")
    func bounds() {
        let world = memoryWorld()
        defer { world.shutDown() }
        let node = world.node("a")
        for index in 0..<SpanRecorder.capacity + 10 {
            world.spans.beginTrace("\(index)", .internal, on: node, isSeparate: true)?.end()
        }
        #expect(world.spans.finished.count == SpanRecorder.capacity && world.spans.finished.first?.name == "10")
        var open: [ActiveSpan] = []
        while let span = world.spans.beginTrace("x", .internal, on: node, isSeparate: true) { open.append(span) }
        #expect(open.count == SpanRecorder.openLimit && world.spans.refusedCount == 1)
        let span = open[0]
        for index in 0..<1000 {
            span.set("k\(index)", index)
            span.note("n")
            span.link(to: span.context)
        }
        span.set("k0", String(repeating: "x", count: 5000))
        span.end()
        span.fail("late")
        let kept = world.spans.finished[world.spans.finished.count - 1]
        #expect(kept.attributes.count == 64 && kept.events.count == 64 && kept.links.count == 16)
        #expect(kept["k0"]?.description.count == 1024 && kept.status == .unset)
        node.end(.killed)
        #expect(world.spans.openCount == 0)
    }

    @Test("parts of a span run within it, and work that comes of them as well")
    func parts() throws {
        let world = memoryWorld()
        defer { world.shutDown() }
        let node = world.node("a")
        let whole = try #require(world.spans.beginTrace("whole", .consumer, on: node, isSeparate: true))
        #expect(world.spans.current(on: node) == nil)
        var seen: [String?] = []
        whole.run {
            let part = world.spans.begin("part", .internal, on: node)
            part?.run { node.after(.seconds(1)) { seen.append(world.spans.current(on: node)?.name) } }
            node.after(.seconds(1)) { seen.append(world.spans.current(on: node)?.name) }
            node.after(.seconds(2)) { part?.end() }
            node.after(.seconds(3)) { seen.append(world.spans.current(on: node)?.name) }
        }
        world.pass(.seconds(4))
        whole.end()
        whole.run { seen.append(world.spans.current(on: node)?.name) }
        #expect(seen == ["part", "whole", "whole", nil])
    }
}

@Suite("Baggage")
struct BaggageTests {
    @Test("the specification's examples, there and back")
    func examples() {
        let text = "key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue"
        let baggage = Baggage(parsing: [text])
        #expect(baggage.members.map(\.key) == ["key1", "key2", "key3"] && baggage["key2"] == "value2")
        #expect(
            baggage.fieldValue == "key1=value1;property1;property2,key2=value2,key3=value3;propertyKey=propertyValue")
        #expect(Baggage(parsing: ["serverNode=DF%2028", "user=Am%C3%A9lie"])["user"] == "Amélie")
    }

    @Test("what cannot be read is left out, and what is too much")
    func limits() {
        let bad = ["a", "=b", "a b=c", "a=%zz", "a=%4", "b=\"x\"", "ok=1"]
        #expect(Baggage(parsing: bad).members.map(\.key) == ["ok"])
        let many = (0..<100).map { "k\($0)=v" }.joined(separator: ",")
        #expect(Baggage(parsing: [many]).members.count == 64)
        #expect(Baggage(parsing: ["a=" + String(repeating: "x", count: 9000), "b=1"]).isEmpty)
        var baggage = Baggage()
        #expect(baggage.set("a", "1, 2; \"three\" \\ 4%") && !baggage.set("a b", "c") && !baggage.set("", "c"))
        #expect(baggage.fieldValue == "a=1%2C%202%3B%20%22three%22%20%5C%204%25")
        #expect(!baggage.set("b", String(repeating: "ä", count: 2000)) && baggage.members.count == 1)
    }

    @Test("whatever is read is written so that it reads back the same")
    func random() {
        var random = SeededRandom(seed: 9)
        let alphabet = Array("ab=;,% \t%41é\"\\k1".unicodeScalars)
        for _ in 0..<20_000 {
            var text = ""
            for _ in 0..<random.below(24) { text.unicodeScalars.append(alphabet[random.below(alphabet.count)]) }
            let once = Baggage(parsing: [text])
            #expect(Baggage(parsing: [once.fieldValue]) == once, "\(text)")
            #expect(once.fieldValue.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }, "\(text)")
        }
    }
}
