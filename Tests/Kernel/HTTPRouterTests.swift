import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// A router behind a server on a node, and clients that talk to it.
final class RouterFixture {
    let world = memoryWorld()
    let node: Node
    let client: Node
    let router: HTTPRouter
    let server: HTTPServer

    init(_ options: HTTPRouterOptions = HTTPRouterOptions(), _ routes: (HTTPRouter) -> Void) throws {
        node = world.node("server")
        client = world.node("client")
        router = HTTPRouter(options: options)
        routes(router)
        server = HTTPServer(node: node, service: router)
        try server.listen(on: 80)
    }

    func connect(_ text: String = "") throws -> RawClient {
        let raw = try RawClient(client, "server", 80)
        world.pass(.milliseconds(1))
        if !text.isEmpty { raw.write(text) }
        world.pass(.milliseconds(1))
        return raw
    }

    /// The answer to one request.
    func ask(_ method: String, _ target: String, _ fields: [String] = [], _ body: String = "") throws
        -> (status: Int, head: HTTPHead, text: String)
    {
        let lines = ["\(method) \(target) HTTP/1.1", "Host: s"] + fields
        let length = body.isEmpty ? [] : ["Content-Length: \(body.utf8.count)"]
        let raw = try connect((lines + length).joined(separator: "\r\n") + "\r\n\r\n" + body)
        let answer = try #require(raw.answers.last)
        return (answer.status, answer.head, String(decoding: answer.body, as: UTF8.self))
    }
}

@Suite("The server side of the HTTP kit")
struct HTTPRouterTests {
    struct Odd: Error {}

    private func fixture(_ change: (inout HTTPRouterOptions) -> Void = { _ in }) throws -> RouterFixture {
        var options = HTTPRouterOptions()
        options.bodyLimitBytes = 100
        change(&options)
        return try RouterFixture(options) { router in
            router.on("GET", "/nodes/{name}") { exchange in
                var query = try exchange.query()
                let factor = try query.takeInteger("rf", 1...9) ?? 3
                try query.expectNothingElse()
                exchange.answer(text: "\(exchange.parameters["name"]) \(factor) \(exchange.route ?? "")\n")
            }
            router.on("POST", "/json") { exchange in exchange.answer(201, json: try exchange.json()) }
            router.on("POST", "/form") { exchange in
                var form = try exchange.form()
                exchange.answer(text: form.takeAll("a").joined(separator: ","))
            }
            router.on("GET", "/problem") { _ in throw HTTPProblem(409, "it is there already", remedy: "delete it first")
            }
            router.on("GET", "/odd") { _ in throw Odd() }
            router.on("GET", "/elsewhere") { $0.redirect(to: "/é\r\nX: y", status: 307) }
            router.on("GET", "/cookie") { exchange in
                try exchange.setCookie(try HTTPCookie("seen", "1"))
                exchange.answer(text: exchange.cookie("seen") ?? "never")
            }
        }
    }

    @Test("paths, queries and methods")
    func routing() throws {
        let fixture = try fixture()
        #expect(try fixture.ask("GET", "/nodes/a%2Fb?rf=2").text == "a/b 2 /nodes/{name}\n")
        #expect(try fixture.ask("GET", "http://s/nodes/x").text == "x 3 /nodes/{name}\n")
        #expect(try fixture.ask("GET", "http://s?rf=2").status == 404)
        let wrong = try fixture.ask("GET", "/nodes/a?rg=2")
        #expect(wrong.status == 400 && wrong.text == "'rg' means nothing here; did you mean rf?\n")
        let method = try fixture.ask("DELETE", "/nodes/a")
        #expect(method.status == 405 && method.head.value(of: "Allow") == "GET, HEAD")
        #expect(method.text == "DELETE makes no sense here; there are GET, HEAD\n")
        let missing = try fixture.ask("GET", "/x")
        #expect(missing.status == 404 && missing.text.hasPrefix("nothing is there; there are /nodes/{name}, /json"))
        let options = try fixture.ask("OPTIONS", "/json")
        #expect(options.status == 204 && options.head.value(of: "Allow") == "OPTIONS, POST")
        #expect(try fixture.ask("OPTIONS", "*").status == 204 && fixture.ask("GET", "/nodes/%").status == 400)
        let head = try fixture.connect("HEAD /nodes/abc HTTP/1.1\r\nHost: s\r\n\r\n")
        #expect(head.text.contains("Content-Length: 20\r\n") && head.text.hasSuffix("\r\n\r\n"))
    }

    @Test("problems are JSON for programs and a line for people, with the same words")
    func problems() throws {
        let fixture = try fixture()
        let text = try fixture.ask("GET", "/problem")
        #expect(text.status == 409 && text.text == "it is there already; delete it first\n")
        let json = try fixture.ask("GET", "/problem", ["Accept: application/json"])
        #expect(json.head.value(of: .contentType) == "application/problem+json")
        let problem = HTTPProblem(
            status: 409, contentType: "application/problem+json; charset=utf-8", body: Array(json.text.utf8))
        #expect(problem == HTTPProblem(409, "it is there already", remedy: "delete it first"))
        #expect(problem.description + "\n" == text.text && problem.title == "Conflict")
        #expect(try fixture.ask("GET", "/odd").status == 500)
        fixture.router.explain = { $0 is Odd ? HTTPProblem(418, "odd") : nil }
        #expect(try fixture.ask("GET", "/odd").status == 418)
        let plain = HTTPProblem(status: 502, contentType: "text/html", body: Array("<html>".utf8))
        #expect(plain.detail == "502 Bad Gateway")
        #expect(HTTPProblem(status: 400, contentType: "text/plain", body: Array("no\nmore".utf8)).detail == "no")
        #expect(HTTPProblem(status: 400, contentType: "application/json", body: [123]).detail == "400 Bad Request")
    }

    @Test("bodies: JSON, forms, limits")
    func bodies() throws {
        let fixture = try fixture()
        let json = try fixture.ask("POST", "/json", [], "{\"a\": [1, 2]}")
        #expect(json.status == 201 && json.text == "{\"a\":[1,2]}\n")
        #expect(json.head.value(of: .contentType) == "application/json")
        let bad = try fixture.ask("POST", "/json", [], "{\"a\": }")
        #expect(bad.status == 400 && bad.text.contains("line 1, column 7") && bad.text.contains("send JSON"))
        #expect(try fixture.ask("POST", "/json").text == "the body is empty; send JSON, such as {}\n")
        #expect(try fixture.ask("POST", "/form", [], "a=1+2&a=%33").text == "1 2,3")
        let long = String(repeating: "x", count: 101)
        let refused = try fixture.ask("POST", "/json", [], long)
        #expect(refused.status == 413 && refused.text == "the body is larger than 100 B\n")
        // Told by its head alone, before anything is sent.
        let early = try fixture.connect(
            "POST /json HTTP/1.1\r\nHost: s\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n")
        #expect(early.statuses == [413])
        let chunked = try fixture.connect(
            "POST /json HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n\(long)\r\n0\r\n\r\n"
                + "GET /nodes/next HTTP/1.1\r\nHost: s\r\n\r\n")
        #expect(chunked.statuses == [413, 200])
    }

    @Test("a body that is held back is asked for, and one that does not come is given up")
    func bodyTimes() throws {
        let fixture = try fixture { $0.bodyTimeout = .seconds(5) }
        let raw = try fixture.connect(
            "POST /json HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        #expect(raw.statuses == [100])
        raw.write("{}")
        fixture.world.pass(.milliseconds(1))
        #expect(raw.statuses == [100, 201])
        let slow = try fixture.connect("POST /json HTTP/1.1\r\nHost: s\r\nContent-Length: 50\r\n\r\n")
        for _ in 0..<6 {
            fixture.world.pass(.seconds(1))
            slow.write(" ")
        }
        fixture.world.pass(.milliseconds(1))
        #expect(slow.statuses == [408])
    }

    @Test("cookies and redirects cannot break out of their fields")
    func fields() throws {
        let fixture = try fixture()
        let first = try fixture.ask("GET", "/cookie")
        #expect(first.text == "never" && first.head.value(of: "Set-Cookie") == "seen=1")
        #expect(try fixture.ask("GET", "/cookie", ["Cookie: a=b; seen=1"]).text == "1")
        let moved = try fixture.ask("GET", "/elsewhere")
        #expect(moved.status == 307 && moved.head.value(of: "Location") == "/%C3%A9%0D%0AX:%20y")
    }

    @Test("other origins: preflight, answers and errors")
    func crossOrigin() throws {
        var policy = try CrossOriginPolicy(.only(["https://app.example"]), allowsCredentials: true)
        policy.exposedFields = ["X-Total"]
        let fixture = try fixture { $0.crossOrigin = policy }
        let mine = ["Origin: https://app.example"]
        let preflight = try fixture.ask("OPTIONS", "/json", mine + ["Access-Control-Request-Method: POST"])
        #expect(preflight.status == 204)
        #expect(preflight.head.value(of: "Access-Control-Allow-Methods") == "OPTIONS, POST")
        #expect(preflight.head.value(of: "Access-Control-Allow-Origin") == "https://app.example")
        #expect(preflight.head.value(of: "Access-Control-Allow-Credentials") == "true")
        #expect(preflight.head.value(of: "Access-Control-Max-Age") == "600")
        let answer = try fixture.ask("GET", "/nodes/a", mine)
        #expect(answer.head.value(of: "Access-Control-Expose-Headers") == "X-Total")
        #expect(answer.head.value(of: "Vary") == "Origin")
        #expect(try fixture.ask("GET", "/nope", mine).head.value(of: "Access-Control-Allow-Origin") != nil)
        let other = try fixture.ask("GET", "/nodes/a", ["Origin: https://evil.example"])
        #expect(other.status == 200 && other.head.value(of: "Access-Control-Allow-Origin") == nil)
        #expect(other.head.value(of: "Vary") == "Origin")
        #expect(throws: CrossOriginPolicy.Malformed.self) { try CrossOriginPolicy(.any, allowsCredentials: true) }
        for text in ["app.example/", "https://a/b", "ftp://a", "https://u@a"] {
            #expect(throws: CrossOriginPolicy.Malformed.self) { try CrossOriginPolicy(.only([text])) }
        }
    }
}

@Suite("Answers that take their time")
struct HTTPLastingTests {
    @Test("long polling: woken, at the deadline, by a drain, and when the client has gone")
    func parking() throws {
        var waiting: [HTTPExchange] = []
        var gone = 0
        let fixture = try RouterFixture { router in
            router.on("GET", "/wait") { exchange in
                waiting.append(exchange)
                exchange.onAbandon = { gone += 1 }
                exchange.park(for: .seconds(10)) { $0.answer(304) }
            }
        }
        let get = "GET /wait HTTP/1.1\r\nHost: s\r\n\r\n"
        let woken = try fixture.connect(get)
        fixture.world.pass(.seconds(5))
        #expect(woken.statuses == [])
        waiting[0].answer(text: "event\n")
        waiting[0].answer(text: "twice\n")
        fixture.world.pass(.milliseconds(1))
        #expect(woken.bodies == ["event"] && !waiting[0].isOpen)
        let late = try fixture.connect(get)
        fixture.world.pass(.seconds(11))
        #expect(late.statuses == [304])
        let leaver = try fixture.connect(get)
        leaver.stream.abort()
        fixture.world.pass(.milliseconds(1))
        #expect(gone == 1 && !waiting[2].isOpen)
        let drained = try fixture.connect(get)
        fixture.router.drain()
        fixture.world.pass(.milliseconds(1))
        #expect(drained.statuses == [304])
        waiting = []
    }

    @Test("who closes its end has gone if it waits or follows, and is answered if its answer is only late")
    func closedEnd() throws {
        var late: HTTPExchange?
        var gone: [String] = []
        let fixture = try RouterFixture { router in
            router.on("GET", "/wait") { exchange in
                exchange.onAbandon = { gone.append("wait") }
                exchange.park(for: .seconds(10)) { $0.answer(304) }
            }
            router.on("GET", "/follow") { exchange in
                exchange.onAbandon = { gone.append("follow") }
                _ = exchange.events()
            }
            router.on("GET", "/later") { exchange in
                // What it waits for is known only when its client has closed its end already.
                exchange.onAbandon = { gone.append("later") }
                exchange.node.after(.seconds(1)) { exchange.park(for: .seconds(10)) { $0.answer(304) } }
            }
            router.on("GET", "/late") { late = $0 }
        }
        for path in ["/wait", "/follow", "/later"] {
            let leaver = try fixture.connect("GET \(path) HTTP/1.1\r\nHost: s\r\n\r\n")
            fixture.world.pass(.milliseconds(1))
            leaver.stream.finish()
        }
        fixture.world.pass(.seconds(2))
        #expect(gone == ["wait", "follow", "later"])
        let raw = try fixture.connect("GET /late HTTP/1.1\r\nHost: s\r\n\r\n")
        raw.stream.finish()
        fixture.world.pass(.seconds(2))
        late?.answer(text: "here\n")
        fixture.world.pass(.milliseconds(1))
        #expect(raw.bodies == ["here"])
        late = nil
    }

    @Test("a request whose work ends its node is answered by nobody, and nothing else ends")
    func endsItsNode() throws {
        let world = memoryWorld()
        let node = world.node("server")
        // As with a service: what the node owned is gone with it, while the request is still being handled.
        var router: HTTPRouter? = HTTPRouter()
        var server: HTTPServer?
        var kept: HTTPExchange?
        router!.on("GET", "/last") { exchange in
            kept = exchange
            exchange.node.end(.killed)
            (server, router) = (nil, nil)
            throw HTTPProblem(500, "the disk failed")
        }
        server = HTTPServer(node: node, service: router!)
        try server!.listen(on: 80)
        let raw = try RawClient(world.node("client"), "server", 80)
        world.pass(.milliseconds(1))
        raw.write("GET /last HTTP/1.1\r\nHost: s\r\n\r\n")
        world.pass(.seconds(1))
        #expect(raw.statuses == [] && kept?.isOpen == false && router == nil)
        kept?.answer(text: "too late\n")
        kept = nil
    }

    /// As with locks: whoever is sent away lets in the one behind him, who is answered and gone before his turn comes.
    @Test("a drain that ends one who waits, whose end is another's answer")
    func parkedTogether() throws {
        weak var second: HTTPExchange?
        let fixture = try RouterFixture { router in
            router.on("GET", "/first") { exchange in
                exchange.park(for: .seconds(10)) { exchange in
                    exchange.answer(304)
                    second?.answer(text: "your turn\n")
                }
            }
            router.on("GET", "/second") { exchange in
                second = exchange
                exchange.park(for: .seconds(10)) { $0.answer(304) }
            }
        }
        let one = try fixture.connect("GET /first HTTP/1.1\r\nHost: s\r\n\r\n")
        let other = try fixture.connect("GET /second HTTP/1.1\r\nHost: s\r\n\r\n")
        fixture.world.pass(.milliseconds(1))
        fixture.router.drain()
        fixture.world.pass(.milliseconds(1))
        #expect(one.statuses == [304] && other.bodies == ["your turn"] && second == nil)
    }

    @Test("events: sent, kept alive, and ended by a drain; a client that reads nothing is cut off")
    func events() throws {
        var streams: [HTTPEventStream] = []
        let fixture = try RouterFixture { router in
            router.on("GET", "/events") { exchange in
                if let stream = exchange.events(heartbeat: .seconds(15)) { streams.append(stream) }
            }
        }
        let raw = try fixture.connect("GET /events HTTP/1.1\r\nHost: s\r\nLast-Event-ID: 6\r\n\r\n")
        #expect(streams[0].lastEventID == "6")
        #expect(streams[0].send(ServerSentEvent("a\nb", event: "change", id: "7")))
        fixture.world.pass(.seconds(16))
        let body = try #require(raw.answers.first?.body)
        #expect(String(decoding: body, as: UTF8.self) == "event: change\nid: 7\ndata: a\ndata: b\n\n: \n\n")
        #expect(raw.answers[0].head.value(of: .contentType) == "text/event-stream" && !raw.answers[0].isComplete)
        let deaf = try fixture.connect("GET /events HTTP/1.1\r\nHost: s\r\n\r\n")
        deaf.stream.pauseReading()
        let long = ServerSentEvent(String(repeating: "x", count: 1 << 20))
        var sent = 0
        while streams[1].send(long), sent < 100 { sent += 1 }
        #expect((3...8).contains(sent) && !streams[1].isOpen)
        fixture.router.drain()
        fixture.world.pass(.milliseconds(1))
        #expect(raw.answers[0].isComplete && !streams[0].isOpen && !streams[0].send(long))
    }

    @Test("a body is taken as it comes, with the client held back")
    func streaming() throws {
        var pieces = 0
        var bytes = 0
        let fixture = try RouterFixture { router in
            router.on("PUT", "/upload", body: .streamed) { exchange in
                exchange.readBody { piece in
                    pieces += 1
                    bytes += piece.count
                    exchange.pauseBody()
                    exchange.node.after(.milliseconds(1)) { exchange.resumeBody() }
                } end: {
                    exchange.answer(text: "\(bytes)\n")
                }
            }
        }
        let count = 3 << 20
        let raw = try fixture.connect("PUT /upload HTTP/1.1\r\nHost: s\r\nContent-Length: \(count)\r\n\r\n")
        raw.write(String(repeating: "x", count: count))
        fixture.world.pass(.seconds(5))
        #expect(raw.bodies == ["\(count)"] && pieces > 3)
        let empty = try fixture.connect("PUT /upload HTTP/1.1\r\nHost: s\r\n\r\n")
        #expect(empty.statuses == [200])
    }
}
