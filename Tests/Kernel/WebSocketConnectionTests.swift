import KernelCompression
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

@Suite("WebSockets between nodes")
struct WebSocketConnectionTests {
    /// A server that says everything back, and a client.
    private final class Fixture {
        let base: RouterFixture
        var server: WebSocketConnection?
        var client: WebSocketConnection?
        var failure: HTTPCall.Failure?
        var heard: [String] = []
        var closed: [String] = []

        init(_ change: (inout WebSocketConnection.Options) -> Void = { _ in }, protocols: [String] = []) throws {
            var options = WebSocketConnection.Options()
            change(&options)
            let holder = Holder()
            base = try RouterFixture { router in
                router.on("GET", "/socket") { exchange in
                    guard
                        let socket = exchange.webSocket(
                            protocols: protocols, origins: ["http://s"], options: options)
                    else { return }
                    holder.fixture?.server = socket
                    socket.onText = { [unowned socket] in socket.send($0) }
                    socket.onBinary = { [unowned socket] in socket.send($0) }
                    socket.onClosed = { holder.fixture?.closed.append("server \($0?.description ?? "-") \($1)") }
                }
            }
            holder.fixture = self
        }

        private final class Holder { weak var fixture: Fixture? }

        func connect(_ fields: [(name: String, value: String)] = []) throws {
            let url = try HTTPURL("http://server/socket")
            WebSocketCall(base.client, url, fields: fields) { [unowned self] result in
                switch result {
                case .failure(let error): failure = error
                case .success(let socket):
                    client = socket
                    socket.onText = { [unowned self] in heard.append($0) }
                    socket.onBinary = { [unowned self] in heard.append("\($0.count) bytes") }
                    socket.onPong = { [unowned self] in heard.append("pong \($0)") }
                    socket.onClosed = { [unowned self] in closed.append("client \($0?.description ?? "-") \($1)") }
                }
            }.start()
            base.world.pass(.milliseconds(5))
        }
    }

    @Test("messages go there and back, also large ones, and pings are answered")
    func echo() throws {
        let fixture = try Fixture()
        try fixture.connect()
        let client = try #require(fixture.client)
        client.send("häl\"lo")
        client.send([UInt8](repeating: 7, count: 200_000))
        client.ping([1, 2])
        fixture.base.world.pass(.seconds(1))
        #expect(fixture.heard.sorted() == ["200000 bytes", "häl\"lo", "pong [1, 2]"])
        client.close(.normal, "bye")
        fixture.base.world.pass(.seconds(1))
        #expect(fixture.closed == ["server 1000 bye", "client 1000 "])
        #expect(!client.isOpen && !client.send("late") && fixture.base.server.openConnectionCount == 0)
    }

    @Test("the handshake of RFC 6455 §1.3, its refusals, and bytes that come right behind it")
    func handshake() throws {
        let fixture = try Fixture(protocols: ["chat", "superchat"])
        let good = [
            "GET /socket HTTP/1.1", "Host: s", "Upgrade: websocket", "Connection: keep-alive, Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: superchat, chat", "Origin: http://s",
        ]
        func ask(_ lines: [String]) throws -> RawClient {
            try fixture.base.connect(lines.joined(separator: "\r\n") + "\r\n\r\n")
        }
        let raw = try ask(good)
        #expect(raw.text.hasPrefix("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"))
        #expect(raw.text.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
        #expect(raw.text.contains("Sec-WebSocket-Protocol: chat\r\n"))
        func without(_ prefix: String) throws -> RawClient { try ask(good.filter { !$0.hasPrefix(prefix) }) }
        #expect(try without("Upgrade").statuses == [426] && without("Connection").statuses == [426])
        #expect(try without("Sec-WebSocket-Version").answers[0].head.value(of: "Sec-WebSocket-Version") == "13")
        #expect(try without("Sec-WebSocket-Key").statuses == [400])
        #expect(try ask(good.dropLast() + ["Origin: http://evil"]).statuses == [403])
        #expect(try ask(["POST" + good[0].dropFirst(3)] + good.dropFirst()).statuses == [405])
        let hasty = try fixture.base.connect()
        hasty.write(good.joined(separator: "\r\n") + "\r\n\r\n")
        var frame: [UInt8] = []
        WebSocketWriter.frame(.text, Array("hi".utf8), mask: 9, into: &frame)
        hasty.stream.write(frame)
        fixture.base.world.pass(.milliseconds(5))
        #expect(hasty.bytes.suffix(4) == [0x81, 2, 104, 105])
    }

    @Test("a broken protocol is told its code, a peer that falls silent is given up")
    func violations() throws {
        let fixture = try Fixture { $0.messageLimitBytes = 10 }
        try fixture.connect()
        fixture.client?.send("longer than ten")
        fixture.base.world.pass(.seconds(1))
        #expect(
            fixture.closed == [
                "server 1009 a message of more than 10 bytes", "client 1009 a message of more than 10 bytes",
            ])
        let silent = try Fixture { $0.pingInterval = .seconds(10) }
        try silent.connect()
        silent.base.world.pass(.seconds(35))
        #expect(silent.closed == [], "pongs show that the peer lives")
        silent.base.client.freeze()
        silent.base.world.pass(.seconds(25))
        #expect(silent.closed == ["server - the peer is silent"])
    }

    @Test("a peer that takes what lies before a ping is alive; one that takes nothing is not, and costs nothing")
    func slowAndStuck() throws {
        let slow = try Fixture { $0.pingInterval = .seconds(10) }
        try slow.connect()
        slow.base.world.inject(.throttle(bytesPerSecond: 20_000), from: "server", to: "client")
        slow.server?.send([UInt8](repeating: 7, count: 900_000))
        slow.base.world.pass(.seconds(60))
        #expect(slow.closed == [] && slow.heard == ["900000 bytes"])
        let stuck = try Fixture { $0.pingInterval = .seconds(10) }
        try stuck.connect()
        stuck.base.client.freeze()
        stuck.server?.send([UInt8](repeating: 7, count: 900_000))
        stuck.base.world.pass(.seconds(21))
        #expect(stuck.closed == ["server - the peer is silent"] && stuck.base.server.openConnectionCount == 0)
        // A goodbye that lies behind what is not taken is not waited for, either.
        let rude = try Fixture()
        try rude.connect()
        rude.base.client.freeze()
        rude.server?.send([UInt8](repeating: 7, count: 900_000))
        rude.server?.close()
        rude.base.world.pass(.seconds(6))
        #expect(rude.closed.count == 1 && rude.base.server.openConnectionCount == 0)
    }

    @Test("a drain says goodbye; a close that is not answered ends all the same")
    func drain() throws {
        let fixture = try Fixture()
        try fixture.connect()
        fixture.base.router.drain()
        fixture.base.world.pass(.seconds(1))
        #expect(fixture.closed == ["client 1001 the server stops", "server 1001 "])
        let deaf = try Fixture()
        try deaf.connect()
        deaf.base.client.freeze()
        deaf.server?.close(.goingAway)
        deaf.base.world.pass(.seconds(6))
        #expect(deaf.closed == ["server - the peer has not answered the close"])
    }

    @Test("a server that does not speak it is an error; so is one that has nothing to do with this handshake")
    func strangers() throws {
        let fixture = try Fixture()
        let node = try #require(fixture.base.world.nodes["server"])
        let stranger = try ScriptedServer(node, port: 81)
        stranger.answer(
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n")
        for (port, text) in [(80, "not an HTTP answer"), (81, "not an HTTP answer"), (82, "connection refused")] {
            var failure: HTTPCall.Failure?
            let url = HTTPURL(host: "server", port: UInt16(port), target: "/nothing")
            WebSocketCall(fixture.base.client, url) { if case .failure(let error) = $0 { failure = error } }.start()
            fixture.base.world.pass(.milliseconds(10))
            #expect(failure?.description == text)
        }
    }
}

@Suite("Compressed answers")
struct HTTPCompressionTests {
    @Test("gzip for those who take it, where it is worth it")
    func gzip() throws {
        let long = String(repeating: "all work and no play ", count: 200)
        let fixture = try RouterFixture { router in
            router.on("GET", "/long") { $0.answer(text: long) }
            router.on("GET", "/short") { $0.answer(text: "short") }
            router.on("GET", "/image") { $0.answer(bytes: Array(long.utf8), type: "image/png") }
        }
        let answer = try fixture.ask("GET", "/long", ["Accept-Encoding: br;q=0.9, gzip"])
        #expect(
            answer.head.value(of: "Content-Encoding") == "gzip" && answer.head.value(of: "Vary") == "Accept-Encoding")
        let raw = try fixture.connect("GET /long HTTP/1.1\r\nHost: s\r\nAccept-Encoding: gzip\r\n\r\n")
        let bytes = raw.answers[0].body
        #expect(bytes.count < 200)
        #expect(try CompressionFormat.gzip.decompress(bytes, limitBytes: 1 << 20) == Array(long.utf8))
        for fields in [[], ["Accept-Encoding: gzip;q=0"], ["Accept-Encoding: br"]] {
            let plain = try fixture.ask("GET", "/long", fields)
            #expect(plain.text == long && plain.head.value(of: "Vary") == "Accept-Encoding")
        }
        #expect(try fixture.ask("GET", "/short", ["Accept-Encoding: gzip"]).text == "short")
        #expect(try fixture.ask("GET", "/image", ["Accept-Encoding: gzip"]).text == long)
    }
}
