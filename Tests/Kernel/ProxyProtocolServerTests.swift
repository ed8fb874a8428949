import KernelHosting
import KernelLoopback
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// What the connections run on.
enum Ground: CaseIterable, Sendable {
    case memory, loopback

    func world() throws -> World {
        if self == .memory { return memoryWorld() }
        let poller = try Poller()
        let transport = try SocketTransport(poller: poller, place: .lab(exposesLocalhost: false))
        var configuration = WorldConfiguration(transport: transport, eventSource: poller)
        configuration.speed = .virtual
        return World(configuration)
    }
}

/// Answers with the path and whom it takes for the client, and notes what it hears.
private final class WhoService: HTTPService {
    var notes: [String] = []
    var delay = LabDuration.zero

    func requestBegan(_ connection: HTTPServerConnection) {}
    func requestEnded(_ connection: HTTPServerConnection) {
        let text = "\(connection.head.path) \(connection.clientEndpoint) \(connection.receivingEndpoint)"
        connection.stream.node.after(delay) { connection.respond(status: 200, body: text) }
    }
    func requestRejected(_ connection: HTTPServerConnection, _ error: HTTPError) { notes.append("\(error.status)") }
    func connectionClosed(_ connection: HTTPServerConnection) { notes.append("closed") }
    func connectionRefused(_ stream: Stream, _ failure: ProxyProtocolFailure) {
        notes.append("refused \(stream.peerName): \(failure)")
        #expect(stream.isClosed)
    }
}

private final class Fixture {
    let world: World
    let service = WhoService()
    let node: Node
    let proxy: Node
    let server: HTTPServer

    init(_ ground: Ground, _ change: (inout HTTPServerOptions) -> Void = { $0.proxyProtocol = .required }) throws {
        world = try ground.world()
        node = world.node("server")
        proxy = world.node("proxy")
        var options = HTTPServerOptions()
        change(&options)
        server = HTTPServer(node: node, service: service, options: options)
        try server.listen(on: 80)
    }

    deinit { world.shutDown() }

    func dial() throws -> Recorder {
        let recorder = try proxy.dial("server")
        recorder.closesAtEnd = true
        world.pass(.milliseconds(1))
        return recorder
    }

    /// The bodies of the answers that came.
    func answers(_ recorder: Recorder) -> [String] {
        transcript(.responses, recorder.bytes, pieces: []).filter { $0.hasPrefix("body=") }.map {
            String($0.dropFirst(5))
        }
    }
}

private func get(_ path: String) -> [UInt8] { Array("GET \(path) HTTP/1.1\r\nHost: h\r\n\r\n".utf8) }

private let client = ProxyEndpoint.internet(Endpoint(IPv4Address(192, 0, 2, 1), 56324))
private let balancer = ProxyEndpoint.internet(Endpoint(IPv4Address(198, 51, 100, 9), 443))
private func header(_ version: ProxyProtocolVersion) -> [UInt8] {
    ProxyHeader.forwarding(version, client: client, balancer: balancer).bytes
}
private let who = "192.0.2.1:56324 198.51.100.9:443"

@Suite("HTTP behind PROXY headers", .serialized)
struct ProxyProtocolServerTests {
    @Test("header and pipelined requests in one packet", arguments: Ground.allCases, ProxyProtocolVersion.allCases)
    func onePacket(_ ground: Ground, _ version: ProxyProtocolVersion) throws {
        let fixture = try Fixture(ground)
        fixture.service.delay = .milliseconds(10)
        let connection = try fixture.dial()
        connection.stream.write(header(version) + (1...5).flatMap { get("/\($0)") })
        fixture.world.pass(.seconds(1))
        #expect(fixture.answers(connection) == (1...5).map { "/\($0) \(who)" })
        #expect(connection.events == ["opened", "received"] && fixture.service.notes == [])
    }

    @Test("a packet a byte, for header and request", arguments: Ground.allCases, ProxyProtocolVersion.allCases)
    func bytes(_ ground: Ground, _ version: ProxyProtocolVersion) throws {
        let fixture = try Fixture(ground)
        let connection = try fixture.dial()
        for byte in header(version) + get("/") {
            connection.stream.write([byte])
            fixture.world.pass(.milliseconds(1))
        }
        #expect(fixture.answers(connection) == ["/ \(who)"])
    }

    @Test("every cut of header and request into two packets", arguments: ProxyProtocolVersion.allCases)
    func cuts(_ version: ProxyProtocolVersion) throws {
        let fixture = try Fixture(.memory)
        let bytes = header(version) + get("/")
        for place in 1..<bytes.count {
            let connection = try fixture.dial()
            connection.stream.write(Array(bytes[..<place]))
            fixture.world.pass(.milliseconds(1))
            connection.stream.write(Array(bytes[place...]))
            fixture.world.pass(.milliseconds(1))
            #expect(fixture.answers(connection) == ["/ \(who)"])
        }
    }

    @Test("requests of a connection that is kept are all from the same client", arguments: Ground.allCases)
    func keptAlive(_ ground: Ground) throws {
        let fixture = try Fixture(ground)
        let connection = try fixture.dial()
        connection.stream.write(header(.v2))
        for number in 1...3 {
            fixture.world.pass(.seconds(20))
            connection.stream.write(get("/\(number)"))
        }
        fixture.world.pass(.seconds(1))
        #expect(fixture.answers(connection) == (1...3).map { "/\($0) \(who)" })
        #expect(fixture.server.openConnectionCount == 1 && fixture.server.connectionCount == 1)
    }

    @Test("a header that claims nothing, or another family", arguments: Ground.allCases)
    func claims(_ ground: Ground) throws {
        let fixture = try Fixture(ground)
        let ipv6 = ProxyEndpoint.internet(Endpoint(IPv6Address(high: 0, low: 1), 7))
        for (header, text) in [
            (ProxyHeader.own(.v1), nil), (ProxyHeader.own(.v2), nil),
            (
                ProxyHeader.forwarding(.v1, client: ipv6, balancer: balancer),
                "[::1]:7 198.51.100.9:443"
            ),
            (
                ProxyHeader.forwarding(.v2, client: .unix([47, 97]), balancer: .unix([47, 98])), "unix:/a unix:/b"
            ),
            (ProxyHeader.forwarding(.v2, client: .unix([47, 97]), balancer: balancer), nil),
        ] as [(ProxyHeader, String?)] {
            let connection = try fixture.dial()
            connection.stream.write(header.bytes + get("/"))
            fixture.world.pass(.milliseconds(1))
            let own = "\(connection.stream.local) \(connection.stream.remote)"
            #expect(fixture.answers(connection) == ["/ \(text ?? own)"])
        }
    }

    @Test("a connection without a valid header is reset, and the service never hears of it", arguments: Ground.allCases)
    func refused(_ ground: Ground) throws {
        let fixture = try Fixture(ground)
        var expected: [String] = []
        for (bytes, reason) in [
            (get("/"), "no PROXY header"), (randomBytes(5000, seed: 1), "no PROXY header"),
            (
                Array("PROXY TCP4 1.2.3.4 1.2.3.4 1 x\r\n".utf8) + get("/"),
                "malformed PROXY header: a port is not a number"
            ),
            (
                Array("PROXY UNKNOWN".utf8) + [UInt8](repeating: 32, count: 200),
                "the PROXY header is longer than 107 bytes"
            ),
            (header(.v2).prefix(12) + [0x31, 0, 0, 0], "malformed PROXY header: version 3"),
        ] as [([UInt8], String)] {
            let connection = try fixture.dial()
            connection.stream.write(bytes)
            fixture.world.pass(.milliseconds(1))
            #expect(connection.events == ["opened", "closed reset"])
            expected.append("refused proxy: \(reason)")
        }
        #expect(fixture.service.notes.count == expected.count)
        for (note, start) in zip(fixture.service.notes, expected) { #expect(note.hasPrefix(start)) }
        #expect(fixture.server.openConnectionCount == 0)
    }

    @Test("the whole header has to come in time, and then takes no more part", arguments: Ground.allCases)
    func timeout(_ ground: Ground) throws {
        let fixture = try Fixture(ground)
        let (silent, slow, right) = (try fixture.dial(), try fixture.dial(), try fixture.dial())
        let bytes = header(.v2)
        for index in 0..<4 {
            slow.stream.write([bytes[index]])
            right.stream.write(Array(bytes[index * 7..<index * 7 + 7]))
            fixture.world.pass(.seconds(1))
        }
        #expect(silent.events == ["opened"] && slow.events == ["opened"] && fixture.server.openConnectionCount == 3)
        fixture.world.pass(.seconds(1))
        // The ends were sent at the last moment of that second.
        fixture.world.pass(.milliseconds(10))
        #expect(silent.lastEvent == "closed reset" && slow.lastEvent == "closed reset")
        #expect(
            fixture.service.notes == [
                "refused proxy: the PROXY header took too long (0 bytes of it came)",
                "refused proxy: the PROXY header took too long (4 bytes of it came)",
            ])
        fixture.world.pass(.seconds(20))
        right.stream.write(get("/"))
        fixture.world.pass(.milliseconds(1))
        #expect(fixture.answers(right) == ["/ \(who)"] && fixture.server.openConnectionCount == 1)
    }

    @Test("a request's own timeouts begin with the end of the header")
    func requestTimeout() throws {
        let fixture = try Fixture(.memory) {
            $0.proxyProtocol = .required
            $0.proxyHeaderTimeout = .seconds(100)
            $0.headTimeout = .seconds(3)
        }
        let connection = try fixture.dial()
        fixture.world.pass(.seconds(50))
        #expect(connection.events == ["opened"])
        connection.stream.write(header(.v1) + Array("GET / HT".utf8))
        fixture.world.pass(.milliseconds(2900))
        #expect(connection.events == ["opened"])
        fixture.world.pass(.milliseconds(200))
        #expect(connection.text.hasPrefix("HTTP/1.1 408 ") && fixture.service.notes.first == "408")
        let silent = try fixture.dial()
        silent.stream.write(header(.v1))
        fixture.world.pass(.milliseconds(2900))
        #expect(silent.events == ["opened"])
        fixture.world.pass(.milliseconds(200))
        #expect(silent.events.contains("ended") && silent.text.isEmpty)
    }

    @Test("a peer that ends or resets within the header is told apart by what it sent", arguments: Ground.allCases)
    func closed(_ ground: Ground) throws {
        let fixture = try Fixture(ground)
        for (count, ends) in [(0, true), (0, false), (5, true), (5, false)] {
            let connection = try fixture.dial()
            connection.stream.write(Array(header(.v1).prefix(count)))
            fixture.world.pass(.milliseconds(1))
            if ends { connection.stream.finish() } else { connection.stream.abort() }
            fixture.world.pass(.milliseconds(1))
            #expect(
                fixture.service.notes.last
                    == "refused proxy: closed within the PROXY header (\(count) bytes of it came)")
        }
        // The timers of those that are gone say nothing more.
        fixture.world.pass(.seconds(60))
        #expect(fixture.service.notes.count == 4 && fixture.server.openConnectionCount == 0)
    }

    @Test("a port that expects none takes a header for a bad request, of version 2 as of version 1")
    func off() throws {
        let fixture = try Fixture(.memory) { _ in }
        for version in ProxyProtocolVersion.allCases {
            let connection = try fixture.dial()
            connection.stream.write(header(version) + get("/"))
            fixture.world.pass(.milliseconds(1))
            #expect(connection.text.hasPrefix("HTTP/1.1 400 "))
        }
        let plain = try fixture.dial()
        plain.stream.write(get("/"))
        fixture.world.pass(.milliseconds(1))
        #expect(fixture.answers(plain) == ["/ \(plain.stream.local) \(plain.stream.remote)"])
    }

    @Test("draining ends what has not said who it is, and reports nothing")
    func draining() throws {
        let fixture = try Fixture(.memory)
        let silent = try fixture.dial()
        let busy = try fixture.dial()
        fixture.service.delay = .seconds(1)
        busy.stream.write(header(.v2) + get("/"))
        fixture.world.pass(.milliseconds(500))
        #expect(fixture.server.openConnectionCount == 2)
        fixture.server.drain {}
        #expect(fixture.server.openConnectionCount == 1)
        fixture.world.pass(.milliseconds(1))
        #expect(silent.events.contains("ended") && !busy.events.contains("ended"))
        fixture.world.pass(.seconds(10))
        #expect(fixture.answers(busy) == ["/ \(who)"] && fixture.service.notes == ["closed"])
    }

    @Test("a node that dies within the header says nothing, in this life and the next")
    func death() throws {
        let fixture = try Fixture(.memory)
        let connection = try fixture.dial()
        connection.stream.write(Array(header(.v1).prefix(9)))
        fixture.world.pass(.milliseconds(1))
        fixture.node.end(.killed)
        fixture.node.start()
        fixture.world.pass(.seconds(10))
        #expect(connection.events.contains("ended") && fixture.service.notes == [])
    }

    @Test("the client's address is the claimed one, of either family")
    func addresses() throws {
        let fixture = try Fixture(.memory)
        final class Probe: HTTPService {
            var seen: [IPAddress] = []
            var headers: [ProxyHeader?] = []
            func requestBegan(_ connection: HTTPServerConnection) {}
            func requestEnded(_ connection: HTTPServerConnection) {
                seen.append(connection.clientAddress)
                headers.append(connection.proxyHeader)
                connection.respond(status: 204, body: "")
            }
        }
        let probe = Probe()
        for (port, mode) in [(81, ProxyProtocolMode.required), (82, .off)] as [(UInt16, ProxyProtocolMode)] {
            var options = HTTPServerOptions()
            options.proxyProtocol = mode
            let server = HTTPServer(node: fixture.node, service: probe, options: options)
            try server.listen(on: port)
            let ipv6 = ProxyEndpoint.internet(Endpoint(IPv6Address(high: 0, low: 1), 7))
            for client in mode == .off ? [client] : [client, ipv6] {
                let connection = try fixture.proxy.dial("server", port)
                let header = ProxyHeader.forwarding(.v2, client: client, balancer: balancer)
                connection.stream.write((mode == .off ? [] : header.bytes) + get("/"))
                fixture.world.pass(.milliseconds(1))
                if mode == .required { #expect(probe.headers.last == header) }
            }
        }
        #expect(probe.seen == [IPAddress(IPv4Address(192, 0, 2, 1)), .loopback6, fixture.proxy.address])
        #expect(probe.headers.last == .some(nil))
    }
}
