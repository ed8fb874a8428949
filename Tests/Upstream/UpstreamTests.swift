import KernelHosting
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// What every proxy does with a request and its answer, whoever decides about it.
@Suite("On the way to a server and back")
struct UpstreamTests {
    private let get = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
    private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    // MARK: Interim answers

    @Test(
        "interim answers are passed on, any number of them, but not to clients of HTTP/1.0", arguments: Front.allCases)
    func interim(_ front: Front) throws {
        let bench = try ProxyBench(front)
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-own\r\nX-Own: 1\r\n\r\n"
        bench.origin.answer(hints + hints + "HTTP/1.1 102 Processing\r\n\r\n" + ok)
        let client = try bench.send(get)
        #expect(client.statuses == [103, 103, 102, 200] && client.bodies.last == "ok")
        #expect(
            client.answers[0].head.value(of: "Link") == "</a.css>" && client.answers[0].head.value(of: "X-Own") == nil)
        let old = try bench.send("GET /x HTTP/1.0\r\n\r\n")
        #expect(old.statuses == [200] && old.text.hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    @Test(
        "a 100 comes through, asked for or not; the client's own expectation only from HTTP/1.1",
        arguments: Front.allCases)
    func continues(_ front: Front) throws {
        let bench = try ProxyBench(front)
        bench.origin.answer("HTTP/1.1 100 Continue\r\n\r\n" + ok)
        #expect(try bench.send(get).statuses == [100, 200])
        bench.origin.onReceived = { connection in
            if connection.text.hasSuffix("\r\n\r\n") { connection.write("HTTP/1.1 100 Continue\r\n\r\n") }
            if connection.text.hasSuffix("hello") {
                connection.write("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
            }
        }
        let client = try bench.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        #expect(client.statuses == [100])
        client.write("hello")
        bench.world.pass(.milliseconds(2))
        #expect(client.statuses == [100, 201] && bench.origin.heard.last?.contains("Expect: 100-continue\r\n") == true)
        let old = try bench.send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
        #expect(old.statuses == [201] && bench.origin.heard.last?.contains("Expect") == false)
    }

    @Test(
        "a request goes on as from the proxy's own span, in the same trace (W3C Trace Context §3.4)",
        arguments: Front.allCases)
    func traced(_ front: Front) throws {
        let bench = try ProxyBench(front)
        bench.origin.answer(ok)
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        let parent = "00f067aa0ba902b7"
        func send(_ fields: String) throws -> [Substring] {
            _ = try bench.send("GET /x HTTP/1.1\r\nHost: h\r\n\(fields)\r\n")
            // A kept connection has heard those before as well.
            let last = try #require(
                bench.origin.heard.last?.ranges(of: "GET /x").last.map { range in
                    String(bench.origin.heard.last![range.lowerBound...])
                })
            return last.split(separator: "\r\n").filter { $0.lowercased().hasPrefix("trace") }.map { Substring($0) }
        }
        let heard = try send("Traceparent: 00-\(trace)-\(parent)-01\r\ntracestate: congo=t61\r\n")
        let parts = try #require(heard.first).split(separator: "-")
        #expect(heard.count == 2 && heard[1] == "tracestate: congo=t61")
        #expect(parts[0] == "traceparent: 00" && parts[1] == trace && parts[2] != parent && parts[3] == "01")
        let spans = bench.world.spans.all
        let attempt = try #require(spans.first { $0.spanID.description == parts[2] })
        let whole = try #require(spans.first { $0.spanID == attempt.parentID })
        #expect(attempt.kind == .client && whole.kind == .server && whole.parentID?.description == parent)
        #expect(attempt["http.response.status_code"] == .integer(200) && attempt["server.address"] == .text("origin"))
        // What cannot be read is nobody's to change.
        let broken = "traceparent: 00-\(trace)-0000000000000000-01\r\n"
        #expect(try send(broken).map { $0 + "\r\n" } == [broken])
        #expect(try send(broken + broken).count == 2 && send("").isEmpty)
    }

    // MARK: Kept connections

    @Test(
        "an idempotent request on a connection that its server has just closed goes again, body and all",
        arguments: Front.allCases)
    func stale(_ front: Front) throws {
        for (method, body) in [("GET", ""), ("PUT", "hello"), ("DELETE", "because"), ("OPTIONS", "")] {
            let bench = try ProxyBench(front)
            bench.origin.answer(ok)
            #expect(try bench.send(get).statuses == [200])
            bench.origin.onReceived = { [origin = bench.origin] connection in
                if connection === origin.connections[0] { return connection.stream.abort() }
                if connection.text.hasSuffix(body) {
                    connection.write("HTTP/1.1 201 Done\r\nContent-Length: 0\r\n\r\n")
                }
            }
            let length = body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
            let client = try bench.send("\(method) /x HTTP/1.1\r\nHost: h\r\n\(length)\r\n\(body)")
            #expect(client.statuses == [201] && bench.origin.connections.count == 2, "\(method)")
            #expect(bench.origin.connections[1].text.hasSuffix("\r\n\r\n" + body), "\(method)")
            #expect(bench.balancer.map { $0.engine.counters.errors } ?? 0 == 0, "nobody's failure")
        }
    }

    @Test("of many connections to a server, as many are kept as the limit says")
    func keptConnections() throws {
        let bench = try ProxyBench(.plain)
        var waiting: [RawClient] = []
        bench.origin.onReceived = { waiting.append($0) }
        let clients = try (0..<300).map { _ in try bench.dial() }
        for client in clients { client.write(get) }
        bench.world.pass(.milliseconds(5))
        #expect(waiting.count == 300)
        for server in waiting { server.write(ok) }
        bench.world.pass(.milliseconds(5))
        #expect(clients.allSatisfy { $0.statuses == [200] })
        #expect(bench.origin.connections.count { !$0.hasEnded && $0.closed == nil } == 256)
    }

    @Test("what could not be sent twice never goes over a kept connection", arguments: Front.allCases)
    func fresh(_ front: Front) throws {
        let bench = try ProxyBench(front)
        bench.origin.onReceived = { connection in
            if connection.text.hasSuffix("!") || connection.text.hasSuffix("0\r\n\r\n") {
                connection.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            }
        }
        let requests = [
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n!",
            "PATCH / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n!",
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n" + String(repeating: "a", count: 65_536) + "!",
            "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\n",
        ]
        for (index, request) in requests.enumerated() {
            #expect(try bench.send(request, pass: .milliseconds(20)).statuses == [200])
            #expect(bench.origin.connections.count == index + 1)
        }
        _ = try bench.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n!")
        #expect(bench.origin.connections.count == requests.count)
    }

    // MARK: What servers say

    @Test(
        "answers that others read are read here, and written anew",
        arguments: Front.allCases,
        [
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
            "HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nbody",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4 \r\nbody\r\n0  \r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-Long: a\r\n\tb\r\nContent-Length: 4\r\n\r\nbody",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\nX-Bare: a\nContent-Length: 4\n\nbody",
            "HTTP/1.1 200 OK\r\nX-Bare: a\nContent-Length: 4\r\n\nbody",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        ])
    func lenience(_ front: Front, _ answer: String) throws {
        let bench = try ProxyBench(front)
        bench.origin.answer(answer)
        let client = try bench.send(get)
        #expect(client.statuses == [200] && client.bodies == ["body"])
        let head = try #require(client.answers.first).head
        let lengths = head.values(of: "Content-Length")
        #expect(lengths == (answer.contains("chunked") ? [] : ["4"]) && !client.text.contains("\r\n\t"))
        let bytes = client.bytes
        #expect(bytes.indices.allSatisfy { bytes[$0] != 10 || bytes[$0 - 1] == 13 }, "every line is whole")
        if answer.contains("Content-Length: 9") {
            #expect(bench.origin.connections[0].hasEnded, "its framing is nothing to rely on for a second answer")
        }
        if answer.hasPrefix("HTTP/1.0") {
            #expect(head.minorVersion == 1 && head.value(of: .transferEncoding) == "chunked")
            #expect(bench.origin.connections[0].hasEnded, "whoever passed that on may have understood another framing")
        }
    }

    @Test("the length in an answer to HEAD stands there once", arguments: Front.allCases)
    func headLength(_ front: Front) throws {
        let bench = try ProxyBench(front)
        bench.origin.answer("HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\nContent-Length: 4\r\n\r\n")
        let client = try bench.send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(client.text.components("Content-Length: 4\r\n") == 2 && client.text.hasSuffix("\r\n\r\n"))
    }

    @Test("an answer to HEAD with both framings has neither", arguments: Front.allCases)
    func headFramings(_ front: Front) throws {
        let bench = try ProxyBench(front)
        bench.origin.answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n")
        let client = try bench.send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(client.statuses == [200] && !client.text.contains("Content-Length"))
    }

    @Test(
        "a broken answer is 502 while nothing of it has left, and ends in good order afterwards",
        arguments: Front.allCases)
    func broken(_ front: Front) throws {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        let whole = try ProxyBench(front)
        whole.origin.answer(chunked + "zz\r\n")
        let client = try whole.send(get)
        #expect(client.statuses == [502] && client.answers.first?.isComplete == true && client.closed != .reset)

        for (first, then) in [
            (chunked + "4\r\nhalf\r\n", "zz\r\n"), ("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf!", ""),
        ] {
            let bench = try ProxyBench(front)
            bench.origin.answer(first)
            let client = try bench.send(get)
            #expect(client.statuses == [200])
            let connection = try #require(bench.origin.connections.last)
            if then.isEmpty { connection.stream.close() } else { connection.write(then) }
            bench.world.pass(.milliseconds(2))
            #expect(client.hasEnded && client.closed != .reset && client.text.contains("half"))
            #expect(client.answers.first?.isComplete == false, "the client can see that something is missing")
        }
        let old = try ProxyBench(front)
        old.origin.answer(chunked + "4\r\nhalf\r\nzz\r\n")
        #expect(try old.send("GET / HTTP/1.0\r\n\r\n").closed == .reset, "its only sign")
    }

    @Test("trailers are passed on in both directions, but for those that decide something", arguments: Front.allCases)
    func trailers(_ front: Front) throws {
        let bench = try ProxyBench(front)
        let body = "2\r\nok\r\n0\r\nX-Sum: 9\r\nContent-Length: 4\r\nX-Mine: 1\r\n\r\n"
        bench.origin.onReceived = { connection in
            guard connection.text.hasSuffix("\r\n\r\n"), connection.text.contains("\r\n0\r\n") else { return }
            connection.write(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: X-Mine\r\n\r\n" + body)
        }
        let head = "HTTP/1.1\r\nHost: h\r\nTrailer: X-Sum\r\nConnection: X-Mine\r\nTransfer-Encoding: chunked\r\n\r\n"
        let client = try bench.send("POST / \(head)\(body)")
        #expect(bench.origin.heard.last?.hasSuffix("2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n") == true)
        #expect(bench.origin.heard.last?.contains("\r\nTrailer: X-Sum\r\n") == true)
        #expect(client.statuses == [200] && client.text.hasSuffix("2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n"))
        #expect(client.answers.first?.head.value(of: "Trailer") == "X-Sum")
        let old = try bench.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
        #expect(old.statuses == [200] && bench.origin.heard.last?.hasSuffix("1\r\na\r\n0\r\n\r\n") == true)
    }

    // MARK: Heads

    @Test(
        "what Connection names stays on its connection, cookies too; but not who is asked and who asks",
        arguments: Front.allCases)
    func namedFields(_ front: Front) throws {
        let bench = try ProxyBench(front)
        bench.origin.answer(
            "HTTP/1.1 200 OK\r\nConnection: Set-Cookie\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok")
        let client = try bench.send(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: cookie, Host, x-forwarded-for\r\nCookie: a=b\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
        )
        let heard = try #require(bench.origin.heard.last)
        #expect(!heard.contains("Cookie") && heard.contains("\r\nHost: h\r\n") && heard.contains("For: 1.2.3.4\r\n"))
        #expect(client.statuses == [200] && !client.text.contains("Cookie"))
    }

    // MARK: Who is slow

    @Test("an upload is held back while the server is being connected to", arguments: Front.allCases)
    func backPressure(_ front: Front) throws {
        let bench = try ProxyBench(front)
        bench.world.inject(.block(partition: false), from: "front", to: "origin")
        let client = try bench.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n")
        client.stream.write([UInt8](repeating: 120, count: 50_000_000))
        bench.world.pass(.seconds(2))
        #expect(client.stream.unsentByteCount > 49_000_000, "the proxy has taken no more than a window")
    }

    @Test("a client that is slow is told so, and not that the server was", arguments: Front.allCases)
    func slowClient(_ front: Front) throws {
        let bench = try ProxyBench(front, response: .seconds(5))
        let client = try bench.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello", pass: .seconds(11))
        #expect(client.statuses == [408] && bench.balancer.map { $0.engine.counters.errors } ?? 0 == 0)
        let steady = try bench.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
        for _ in 0..<10 {
            bench.world.pass(.seconds(4))
            steady.write("a")
        }
        bench.world.pass(.seconds(4))
        #expect(steady.statuses == [])
        bench.world.pass(.seconds(2))
        #expect(steady.statuses == [504], "now it is the server's turn")
    }

    @Test(
        "an answer may come before its request is complete; the connection is not used again", arguments: Front.allCases
    )
    func early(_ front: Front) throws {
        let bench = try ProxyBench(front)
        bench.origin.onReceived = { connection in
            if connection.text.hasSuffix("\r\n\r\n") {
                connection.write("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            }
        }
        let client = try bench.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
        #expect(client.statuses == [413] && client.bodies == ["no"])
        client.write("0123456789GET /next HTTP/1.1\r\nHost: h\r\n\r\n")
        bench.world.pass(.milliseconds(2))
        #expect(client.statuses == [413, 413] && bench.origin.connections.count == 2)
    }

    @Test("switching protocols within a request, or unasked, is 502", arguments: Front.allCases)
    func switching(_ front: Front) throws {
        let bench = try ProxyBench(front)
        bench.origin.onReceived = { connection in
            connection.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        }
        #expect(try bench.send(get).statuses == [502])
        let other = "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        #expect(try bench.send(other).statuses == [502], "to a protocol that nobody asked for")
        let asked = "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket, X\r\n\r\n"
        #expect(try bench.send(asked).text.hasPrefix("HTTP/1.1 101 "))
        let half = "POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nhel"
        #expect(try bench.send(half).statuses == [502])
        #expect(try bench.send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").statuses == [501])
    }
}

extension String {
    /// How many parts a separator makes of it.
    fileprivate func components(_ separator: String) -> Int {
        split(separator: separator, omittingEmptySubsequences: false).count
    }
}
