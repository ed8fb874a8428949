import KernelHosting
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// A service that writes down what it is shown and answers as its path says.
private final class EchoService: HTTPService {
    var notes: [String] = []
    var bodies: [String] = []
    var current: [UInt8] = []
    /// Answers are given after this long.
    var delay = LabDuration.zero
    var sendsContinue = true

    func requestBegan(_ connection: HTTPServerConnection) {
        notes.append("began \(connection.head.path)")
        current = []
        if connection.head.path == "/early" { return connection.respond(status: 403, body: "no\n") }
        if sendsContinue { connection.sendContinue() }
    }

    func request(_ connection: HTTPServerConnection, body: UnsafeRawBufferPointer) { current += body }

    func requestEnded(_ connection: HTTPServerConnection) {
        notes.append("ended")
        bodies.append(String(decoding: current, as: UTF8.self))
        let path = connection.head.path
        connection.stream.node.after(delay) { [self] in answer(connection, path) }
    }

    private func answer(_ connection: HTTPServerConnection, _ path: String) {
        switch path {
        case "/stream":
            connection.beginResponse(status: 200, length: nil)
            connection.writeBody(Array("one ".utf8))
            connection.stream.node.after(.seconds(1)) {
                connection.writeBody(Array("two".utf8))
                connection.endResponse()
            }
        case "/elsewhere": connection.respond(status: 301) { $0.append(utf8: "Location: http://a/\r\n") }
        case "/204": connection.respond(status: 204, body: "must not be sent")
        case "/cut":
            connection.beginResponse(status: 200, length: 100)
            connection.writeBody(Array("half".utf8))
            connection.cutResponse()
        case "/cutstream":
            connection.beginResponse(status: 200, length: nil)
            connection.writeBody(Array("half".utf8))
            connection.cutResponse()
        case "/big":
            connection.beginResponse(status: 200, length: 1_000_000)
            connection.writeBody([UInt8](repeating: 98, count: 1_000_000))
            connection.endResponse()
        default: connection.respond(status: 200, body: "\(path)\n")
        }
    }

    func requestAbandoned(_ connection: HTTPServerConnection) { notes.append("abandoned") }
    func requestRejected(_ connection: HTTPServerConnection, _ error: HTTPError) {
        notes.append("rejected \(error.status)")
    }
    func connectionClosed(_ connection: HTTPServerConnection) { notes.append("closed") }
}

private struct ServerFixture {
    let world = memoryWorld()
    let service = EchoService()
    let node: Node
    let client: Node
    let server: HTTPServer

    init(_ change: (inout HTTPServerOptions) -> Void = { _ in }) throws {
        node = world.node("server")
        client = world.node("client-1")
        var options = HTTPServerOptions()
        change(&options)
        server = HTTPServer(node: node, service: service, options: options)
        try server.listen(on: 80)
    }

    func dial() throws -> Recorder {
        let recorder = try client.dial("server")
        recorder.closesAtEnd = true
        world.pass(.milliseconds(1))
        return recorder
    }

    /// The statuses and bodies of what a client received.
    func answers(_ recorder: Recorder, methods: [HTTPMethod] = []) -> [String] {
        transcript(.responses, recorder.bytes, pieces: [], method: methods.first ?? .get).filter {
            $0.hasPrefix("body=") || $0.first?.isNumber == true || $0.hasPrefix("failed")
        }
    }
}

@Suite("An HTTP server's connections")
struct HTTPServerTests {
    private func get(_ path: String, _ fields: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: h\r\n\(fields)\r\n"
    }

    @Test("answers of any status that follow one another each begin with their own, and with the time of theirs")
    func composed() throws {
        let fixture = try ServerFixture()
        let client = try fixture.dial()
        for (path, status) in [
            ("/elsewhere", "301 Moved Permanently"), ("/a", "200 OK"), ("/elsewhere", "301 Moved Permanently"),
            ("/204", "204 No Content"),
        ] {
            let before = client.bytes.count
            client.stream.write(get(path))
            fixture.world.pass(.milliseconds(1))
            let date = String(decoding: fixture.world.dateField, as: UTF8.self)
            let head = String(decoding: client.bytes[before...], as: UTF8.self)
            let own = status.hasPrefix("301") ? "Location: http://a/\r\n" : ""
            #expect(head.hasPrefix("HTTP/1.1 \(status)\r\n\(own)Server: sdlab\r\n\(date)"), "\(head)")
            fixture.world.pass(.seconds(1))
        }
        let before = client.bytes.count
        client.stream.write(get("/elsewhere") + "HEAD /elsewhere HTTP/1.1\r\nHost: h\r\n\r\n" + get("/b"))
        fixture.world.pass(.milliseconds(1))
        let rest = String(decoding: client.bytes[before...], as: UTF8.self)
        #expect(rest.hasSuffix("\r\n\r\n/b\n") && rest.ranges(of: "HTTP/1.1 301 ").count == 2, "\(rest)")
        let old = try fixture.dial()
        old.stream.write("GET /elsewhere HTTP/1.0\r\n\r\n")
        fixture.world.pass(.milliseconds(1))
        let head = String(decoding: old.bytes, as: UTF8.self)
        #expect(head.contains("\r\nLocation: http://a/\r\n"), "\(head)")
        #expect(head.hasSuffix("\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), "\(head)")
    }

    @Test("a connection serves one request after another")
    func keepAlive() throws {
        let fixture = try ServerFixture()
        let client = try fixture.dial()
        for number in 1...5 {
            client.stream.write(get("/\(number)"))
            fixture.world.pass(.seconds(10))
        }
        #expect(fixture.answers(client) == (1...5).flatMap { ["200 OK", "body=/\($0)\n"] })
        #expect(client.events == ["opened", "received"] && fixture.server.openConnectionCount == 1)
    }

    @Test(
        "pipelined requests are answered in their order, one at a time, however slow the answers", arguments: [0, 500])
    func pipelining(_ delay: Int) throws {
        let fixture = try ServerFixture()
        fixture.service.delay = .milliseconds(delay)
        let client = try fixture.dial()
        client.stream.write((1...20).map { get("/\($0)") }.joined())
        client.stream.finish()
        fixture.world.pass(.seconds(15))
        #expect(fixture.answers(client) == (1...20).flatMap { ["200 OK", "body=/\($0)\n"] })
        let begun = fixture.service.notes.filter { $0 != "closed" }
        #expect(
            begun == (1...20).flatMap { ["began /\($0)", "ended"] }, "the next is not shown before the last is answered"
        )
        #expect(client.lastEvent == "ended" || client.lastEvent == "closed finished")
    }

    @Test("a flood of pipelined requests is neither held in memory nor recursed into")
    func flood() throws {
        let fixture = try ServerFixture()
        let client = try fixture.dial()
        let count = 30_000
        client.stream.write(String(repeating: get("/x"), count: count))
        fixture.world.pass(.seconds(30))
        #expect(fixture.service.bodies.count == count)
        #expect(client.text.utf8.count > count * 100)
    }

    @Test("who asks and asks and takes no answer is asked to take some first; then the rest is answered")
    func untaken() throws {
        let fixture = try ServerFixture()
        let client = try fixture.dial()
        let count = 50
        client.stream.pauseReading()
        client.stream.write(String(repeating: get("/big"), count: count))
        fixture.world.pass(.seconds(10))
        let answered = fixture.service.bodies.count
        #expect(answered >= 1 && answered <= 3, "\(answered) answers of a megabyte wait for somebody")
        client.stream.resumeReading()
        fixture.world.pass(.seconds(10))
        #expect(fixture.service.bodies.count == count && client.bytes.count > count * 1_000_000)
    }

    @Test("Connection: close and HTTP/1.0 end the connection after the answer")
    func closing() throws {
        let fixture = try ServerFixture()
        for request in [get("/a", "Connection: close\r\n"), "GET /a HTTP/1.0\r\n\r\n"] {
            let client = try fixture.dial()
            client.stream.write(request + get("/ignored"))
            fixture.world.pass(.seconds(5))
            #expect(fixture.answers(client) == ["200 OK", "body=/a\n"])
            #expect(client.text.contains("Connection: close\r\n") && client.events.contains("ended"))
        }
        #expect(fixture.server.openConnectionCount == 0)
        let old = try fixture.dial()
        old.stream.write("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        fixture.world.pass(.seconds(5))
        #expect(old.text.contains("Connection: keep-alive\r\n") && !old.events.contains("ended"))
    }

    @Test("Expect: 100-continue is answered before the body, once, and a refusal closes")
    func expectContinue() throws {
        let fixture = try ServerFixture()
        let client = try fixture.dial()
        client.stream.write("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        fixture.world.pass(.milliseconds(1))
        #expect(client.text == "HTTP/1.1 100 Continue\r\n\r\n")
        client.stream.write("hello")
        fixture.world.pass(.milliseconds(1))
        #expect(fixture.answers(client).suffix(2) == ["200 OK", "body=/a\n"] && fixture.service.bodies == ["hello"])
        let refused = try fixture.dial()
        refused.stream.write("PUT /early HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        fixture.world.pass(.milliseconds(1))
        #expect(
            refused.text.contains("403 Forbidden") && refused.text.contains("Connection: close")
                && !refused.text.contains("100 Continue"))
        let strange = try fixture.dial()
        strange.stream.write("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: miracles\r\n\r\n")
        fixture.world.pass(.milliseconds(1))
        #expect(strange.text.hasPrefix("HTTP/1.1 417 "))
    }

    @Test("an early answer lets the connection go on after the unwanted body, unless that is long")
    func earlyAnswer() throws {
        let fixture = try ServerFixture()
        let client = try fixture.dial()
        client.stream.write(
            "POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + String(repeating: "x", count: 1000)
                + get("/next"))
        fixture.world.pass(.milliseconds(1))
        #expect(fixture.answers(client) == ["403 Forbidden", "body=no\n", "200 OK", "body=/next\n"])
        let long = try fixture.dial()
        long.stream.write("POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n")
        long.stream.write([UInt8](repeating: 120, count: 900_000))
        fixture.world.pass(.seconds(5))
        #expect(long.events.contains("ended") || long.lastEvent == "closed reset")
    }

    @Test("HEAD, 204 and 304 carry no body, so that the next answer is read right")
    func noBodies() throws {
        let fixture = try ServerFixture()
        let client = try fixture.dial()
        client.stream.write(get("/204") + get("/after"))
        fixture.world.pass(.milliseconds(1))
        #expect(fixture.answers(client) == ["204 No Content", "body=", "200 OK", "body=/after\n"])
        let head = try fixture.dial()
        head.stream.write("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n")
        fixture.world.pass(.milliseconds(1))
        #expect(head.text.contains("Content-Length: 3\r\n") && head.text.hasSuffix("\r\n\r\n"))
        head.stream.write("nonsense\r\n\r\n")
        fixture.world.pass(.milliseconds(1))
        #expect(
            head.text.contains("HTTP/1.1 400 ") && head.text.hasSuffix("\n") && !head.text.hasSuffix("\r\n\r\n"),
            "the complaint is no answer to HEAD")
    }

    @Test("a body of unknown length is chunked, or ends the connection for HTTP/1.0")
    func unknownLength() throws {
        let fixture = try ServerFixture()
        let client = try fixture.dial()
        client.stream.write(get("/stream") + get("/after"))
        fixture.world.pass(.seconds(2))
        #expect(fixture.answers(client) == ["200 OK", "body=one two", "200 OK", "body=/after\n"])
        let old = try fixture.dial()
        old.stream.write("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        fixture.world.pass(.seconds(2))
        #expect(
            old.text.hasSuffix("\r\n\r\none two") && old.events.contains("ended")
                && old.text.contains("Connection: close"))
    }

    @Test("malformed and oversized requests are answered with their status, then the connection ends")
    func rejections() throws {
        let fixture = try ServerFixture { $0.limits.bodyBytes = 10 }
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400), ("GET /" + String(repeating: "x", count: 9000), 414),
            ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", 413),
            ("GET / HTTP/1.1\r\nHost: h\r\nX: " + String(repeating: "x", count: 40_000) + "\r\n\r\n", 431),
            ("GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
        ] {
            let client = try fixture.dial()
            client.stream.write(text)
            fixture.world.pass(.seconds(5))
            #expect(
                client.text.hasPrefix("HTTP/1.1 \(status) ") && client.text.contains("Connection: close"),
                "\(status): \(client.text.prefix(60))")
            #expect(client.events.contains("ended") || client.lastEvent == "closed reset")
        }
        #expect(fixture.server.openConnectionCount == 0)
        #expect(!fixture.service.notes.contains("ended"))
    }

    @Test("a slow head is 408 thirty seconds after its first byte, whenever that came")
    func slowHead() throws {
        let fixture = try ServerFixture()
        let fresh = try fixture.dial()
        fresh.stream.write("GET")
        let used = try fixture.dial()
        used.stream.write(get("/first"))
        fixture.world.pass(.seconds(40))
        #expect(fresh.text.hasPrefix("HTTP/1.1 408 "))
        used.stream.write("GET /sl")
        for _ in 0..<29 {
            fixture.world.pass(.seconds(1))
            used.stream.write("o")
        }
        #expect(!used.text.contains("408"))
        fixture.world.pass(.seconds(2))
        #expect(used.text.contains("HTTP/1.1 408 "))
    }

    @Test("a late first byte is not held against the client: it has its thirty seconds")
    func lateHead() throws {
        let fixture = try ServerFixture()
        let client = try fixture.dial()
        client.stream.write(get("/first"))
        fixture.world.pass(.seconds(74))
        client.stream.write("GET /second HTTP/1.1\r\n")
        fixture.world.pass(.seconds(20))
        client.stream.write("Host: h\r\n\r\n")
        fixture.world.pass(.seconds(1))
        #expect(fixture.answers(client) == ["200 OK", "body=/first\n", "200 OK", "body=/second\n"])
    }

    @Test("a stalled body is 408 after its own timeout, an idle connection ends after its own")
    func timeouts() throws {
        let fixture = try ServerFixture { $0.bodyTimeout = .seconds(10) }
        let stalled = try fixture.dial()
        stalled.stream.write("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel")
        let idle = try fixture.dial()
        idle.stream.write(get("/x"))
        fixture.world.pass(.milliseconds(10_100))
        #expect(stalled.text.hasPrefix("HTTP/1.1 408 ") && fixture.service.notes.contains("abandoned"))
        fixture.world.pass(.seconds(64))
        #expect(idle.events == ["opened", "received"])
        fixture.world.pass(.seconds(1))
        #expect(idle.events.contains("ended") && !idle.text.contains("408"))
    }

    @Test("a client that never sends the rest of a body nobody wants is let go")
    func unwantedRest() throws {
        let fixture = try ServerFixture { $0.bodyTimeout = .seconds(10) }
        let client = try fixture.dial()
        client.stream.write("POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nx")
        fixture.world.pass(.seconds(90))
        #expect(client.text.hasPrefix("HTTP/1.1 403 ") && client.events.contains("ended"))
        #expect(fixture.server.openConnectionCount == 0)
    }

    @Test("a client that takes nothing of its answer is cut off, one that takes it slowly is not")
    func slowReaders() throws {
        let fixture = try ServerFixture()
        let stuck = try fixture.dial()
        stuck.stream.write(get("/big"))
        stuck.stream.pauseReading()
        fixture.world.pass(.seconds(134))
        #expect(stuck.events == ["opened"] && fixture.server.openConnectionCount == 1)
        fixture.world.pass(.seconds(2))
        #expect(stuck.lastEvent == "closed reset" && fixture.server.openConnectionCount == 0)

        let slow = try fixture.dial()
        let link = LinkSelector(from: .names(["server"]), to: .any, isBothWays: false, text: "")
        _ = fixture.world.faults.inject(.throttle(bytesPerSecond: 4000), on: link, for: nil, text: "slow")
        slow.stream.write(get("/big"))
        fixture.world.pass(.seconds(249))
        #expect(slow.bytes.count < 1_000_000 && fixture.server.openConnectionCount == 1)
        fixture.world.pass(.seconds(2))
        #expect(slow.bytes.count > 1_000_000 && slow.lastEvent == "received")
    }

    @Test("a response that cannot be completed is cut, so that nobody takes it for whole")
    func cut() throws {
        let fixture = try ServerFixture()
        let client = try fixture.dial()
        client.stream.write(get("/cut"))
        fixture.world.pass(.milliseconds(1))
        #expect(
            client.lastEvent == "ended" && client.bytes.suffix(4).elementsEqual("half".utf8), "nothing is destroyed")
        fixture.world.pass(.seconds(3))
        #expect(fixture.service.notes.last == "closed")
        let chunked = try fixture.dial()
        chunked.stream.write(get("/cutstream"))
        fixture.world.pass(.milliseconds(1))
        #expect(chunked.lastEvent == "ended" && chunked.bytes.suffix(9).elementsEqual("4\r\nhalf\r\n".utf8))
        let old = try fixture.dial()
        old.stream.write("GET /cutstream HTTP/1.0\r\n\r\n")
        fixture.world.pass(.milliseconds(1))
        #expect(old.lastEvent == "closed reset", "to one that waits for the connection's end, a good end is a lie")
    }

    @Test("a client that goes away in the middle is noticed")
    func abandoned() throws {
        let fixture = try ServerFixture()
        fixture.service.delay = .seconds(5)
        let client = try fixture.dial()
        client.stream.write(get("/x"))
        fixture.world.pass(.seconds(1))
        client.stream.abort()
        fixture.world.pass(.seconds(10))
        #expect(fixture.service.notes == ["began /x", "ended", "abandoned", "closed"])
        let half = try fixture.dial()
        half.stream.write("PUT /y HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
        half.stream.finish()
        fixture.world.pass(.seconds(10))
        #expect(fixture.service.notes.suffix(3) == ["began /y", "abandoned", "closed"])
    }

    @Test("draining finishes what is under way to its last byte, closes what is idle and accepts nothing new")
    func draining() throws {
        let fixture = try ServerFixture()
        fixture.service.delay = .seconds(1)
        let idle = try fixture.dial()
        let busy = try fixture.dial()
        busy.stream.write(get("/big"))
        fixture.world.pass(.milliseconds(500))
        fixture.server.drain {}
        let late = try fixture.client.dial("server")
        fixture.world.pass(.milliseconds(100))
        #expect(late.events == ["closed refused"])
        #expect(idle.events.contains("ended") && fixture.server.openConnectionCount == 1)
        busy.stream.pauseReading()
        fixture.world.pass(.seconds(1))
        #expect(fixture.server.openConnectionCount == 1, "written is not yet sent")
        busy.stream.resumeReading()
        fixture.world.pass(.seconds(1))
        #expect(busy.text.contains("Connection: close") && busy.bytes.count > 1_000_000)
        #expect(fixture.server.openConnectionCount == 0)
    }

    @Test("a traced request is a span, within the one that sent it; what a service asks by itself leaves none")
    func spans() throws {
        let fixture = try ServerFixture()
        fixture.service.delay = .milliseconds(20)
        let client = try fixture.dial()
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        client.stream.write(get("/a", "traceparent: 00-\(trace)-00f067aa0ba902b7-01\r\n"))
        fixture.world.pass(.seconds(1))
        client.stream.write(get("/b", "traceparent: 00-\(trace)-0000000000000000-01\r\n"))
        fixture.world.pass(.seconds(1))
        client.stream.write(get("/c"))
        fixture.world.pass(.seconds(1))
        let spans = fixture.world.spans.all
        #expect(spans.map(\.name) == ["GET /a"] && spans.first?.duration == .milliseconds(20))
        #expect(spans.first?.traceID.description == trace && spans.first?.parentID?.description == "00f067aa0ba902b7")
        #expect(spans.first?.spanID.description != "00f067aa0ba902b7")
    }
}
