import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

private let opening = ProxyHeader(
    .v1, .proxy,
    .internet(
        source: Endpoint(IPv4Address(192, 0, 2, 1), 56324), destination: Endpoint(IPv4Address(198, 51, 100, 9), 443)))

private func header(_ version: ProxyProtocolVersion) -> [UInt8] {
    var header = opening
    header.version = version
    return header.bytes
}

@Suite("Any protocol behind PROXY headers", .serialized)
struct ProxyProtocolAcceptorTests {
    /// A proxy that reads nothing: takes a header, makes one of its own, and relays.
    private final class Gateway {
        private var sessions: [Session] = []
        var refusals: [String] = []

        init(_ node: Node, port: UInt16, to destination: HostPort, _ version: ProxyProtocolVersion) throws {
            _ = try node.listen(on: port) { [unowned self] stream in
                ProxyProtocolAcceptor(stream) { [unowned self] outcome in
                    switch outcome {
                    case .accepted(let header, let rest):
                        let session = Session(stream, header, rest, destination, version)
                        sessions.append(session)
                        stream.setHandler(session)
                        session.streamOpened(stream)
                    case .refused(let failure): refusals.append(failure.description)
                    }
                }
            }
        }
    }

    /// Reads nothing of its client before there is a server to pass it to.
    private final class Session: StreamHandler {
        private let client: Stream
        private let opening: [UInt8]
        private let destination: HostPort
        private var relay: Relay?

        init(
            _ client: Stream, _ header: ProxyHeader, _ rest: UnsafeRawBufferPointer, _ destination: HostPort,
            _ version: ProxyProtocolVersion
        ) {
            self.client = client
            self.destination = destination
            opening =
                ProxyHeader.forwarding(
                    version, client: header.source ?? .internet(client.remote),
                    balancer: header.destination ?? .internet(client.local)
                ).bytes + Array(rest)
        }

        func streamOpened(_ stream: Stream) {
            if stream === client {
                client.pauseReading()
                _ = try? client.node.connect(to: destination, handler: self)
            } else {
                stream.write(opening)
                relay = Relay(client, stream)
                relay?.start()
            }
        }

        func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
            Issue.record("read before it was wanted")
        }
    }

    @Test(
        "two proxies behind each other pass on what the first one saw, and every byte of the client's",
        arguments: Ground.allCases, ProxyProtocolVersion.allCases)
    func chain(_ ground: Ground, _ version: ProxyProtocolVersion) throws {
        let world = try ground.world()
        defer { world.shutDown() }
        let (first, second, server) = (world.node("first"), world.node("second"), world.node("server"))
        let inner = try Gateway(second, port: 90, to: HostPort(host: "server", port: 80), version)
        let outer = try Gateway(first, port: 90, to: HostPort(host: "second", port: 90), .v2)
        let acceptor = try Acceptor(server)
        let payload = randomBytes(300_000, seed: 3)
        for ahead in [0, 100, payload.count] {
            let connection = try world.node("client").dial("first", 90)
            connection.stream.write(header(.v1) + Array(payload[..<ahead]))
            world.pass(.seconds(1))
            connection.stream.write(Array(payload[ahead...]))
            connection.stream.finish()
            world.pass(.seconds(1))
            let arrived = try #require(acceptor.accepted.last)
            #expect(arrived.bytes == header(version) + payload && arrived.lastEvent == "ended")
            arrived.stream.write("answer")
            arrived.stream.finish()
            world.pass(.seconds(1))
            #expect(connection.text == "answer")
        }
        #expect(acceptor.accepted.count == 3 && inner.refusals == [] && outer.refusals == [])
    }

    @Test("a longer header than the owner wants, and a shorter time")
    func settings() throws {
        let world = memoryWorld()
        let node = world.node("server")
        var refusals: [ProxyProtocolFailure] = []
        _ = try node.listen(on: 80) { stream in
            ProxyProtocolAcceptor(stream, timeout: .seconds(3), byteLimit: 27) { outcome in
                if case .refused(let failure) = outcome { refusals.append(failure) }
            }
        }
        let long = try world.node("a").dial("server")
        long.stream.write(header(.v2))
        let silent = try world.node("a").dial("server")
        world.pass(.milliseconds(2999))
        #expect(silent.events == ["opened"] && refusals == [.malformed(.tooLong(limitBytes: 27))])
        world.pass(.milliseconds(2))
        #expect(silent.lastEvent == "closed reset" && refusals.last == .timedOut(byteCount: 0))
    }
}
