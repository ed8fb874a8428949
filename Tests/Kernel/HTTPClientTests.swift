import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

private final class Listener: HTTPClientDelegate {
    var events: [String] = []
    var body: [UInt8] = []

    func clientOpened(_ client: HTTPClientConnection) { events.append("opened") }
    func clientReceivedHead(_ client: HTTPClientConnection) { events.append("\(client.head.status)") }
    func client(_ client: HTTPClientConnection, received body: UnsafeRawBufferPointer) { self.body += body }
    func clientReceivedEnd(_ client: HTTPClientConnection) { events.append("end") }
    func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {
        switch failure {
        case .notConnected(let reason): events.append("not connected: \(reason.rawValue)")
        case .closed(let reason): events.append("closed: \(reason.rawValue)")
        case .malformed(let error): events.append("malformed: \(error.text)")
        }
    }
}

/// A client's connection against a server that says exactly what a test tells it to.
private struct ClientFixture {
    let world = memoryWorld()
    let acceptor: Acceptor
    let connection = HTTPClientConnection()
    let listener = Listener()

    init() throws {
        acceptor = try Acceptor(world.node("server"))
        connection.delegate = listener
        try connection.connect(from: world.node("client-1"), to: HostPort(host: "server", port: 80))
        world.pass(.milliseconds(1))
    }

    func ask(_ method: HTTPMethod = .get, answer: String) {
        connection.begin(method)
        connection.write(Array("GET / HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
        world.pass(.milliseconds(1))
        acceptor.first.stream.write(answer)
        world.pass(.milliseconds(1))
    }
}

@Suite("An HTTP client's connection")
struct HTTPClientTests {
    @Test("is used again for as long as both sides keep it")
    func reuse() throws {
        let fixture = try ClientFixture()
        for _ in 0..<3 {
            fixture.ask(answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            #expect(fixture.connection.isReusable)
        }
        #expect(
            fixture.listener.events == ["opened", "200", "end", "200", "end", "200", "end"]
                && fixture.connection.requestCount == 3)
        fixture.ask(answer: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        #expect(!fixture.connection.isReusable)
    }

    @Test("is not used again after more than was asked for")
    func surplus() throws {
        let fixture = try ClientFixture()
        fixture.ask(answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n")
        #expect(fixture.listener.events == ["opened", "200", "end"] && fixture.listener.body == Array("ok".utf8))
        #expect(!fixture.connection.isReusable)
    }

    @Test("distrusts a server that speaks unasked")
    func unasked() throws {
        let fixture = try ClientFixture()
        fixture.ask(answer: "HTTP/1.1 204 No Content\r\n\r\n")
        fixture.acceptor.first.stream.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        fixture.world.pass(.milliseconds(1))
        #expect(
            fixture.listener.events.last == "malformed: the server answered before it was asked"
                && !fixture.connection.isReusable)
        #expect(fixture.acceptor.first.lastEvent == "closed reset")
    }

    @Test("waits through interim answers for the one that counts")
    func interim() throws {
        let fixture = try ClientFixture()
        fixture.ask(
            answer:
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        #expect(fixture.listener.events == ["opened", "100", "103", "200", "end"])
    }

    @Test("takes an answer to HEAD for complete without its body")
    func head() throws {
        let fixture = try ClientFixture()
        fixture.ask(.head, answer: "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        #expect(fixture.listener.events == ["opened", "200", "end"] && fixture.connection.isReusable)
    }

    @Test("reads until the end where nothing else says how long, and tells a cut answer from a whole one")
    func ends() throws {
        let fixture = try ClientFixture()
        fixture.ask(answer: "HTTP/1.1 200 OK\r\n\r\nall of it")
        #expect(fixture.listener.events == ["opened", "200"])
        fixture.acceptor.first.stream.close()
        fixture.world.pass(.milliseconds(1))
        #expect(
            fixture.listener.events == ["opened", "200", "end"] && fixture.listener.body == Array("all of it".utf8))
        let cut = try ClientFixture()
        cut.ask(answer: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        cut.acceptor.first.stream.close()
        cut.world.pass(.milliseconds(1))
        #expect(cut.listener.events == ["opened", "200", "closed: finished"])
        let reset = try ClientFixture()
        reset.ask(answer: "HTTP/1.1 200 OK\r\n\r\nall of")
        reset.acceptor.first.stream.abort()
        reset.world.pass(.milliseconds(1))
        #expect(reset.listener.events == ["opened", "200", "closed: reset"], "a reset is no end")
    }

    @Test("says what is wrong with an answer, and why there is no connection")
    func failures() throws {
        let fixture = try ClientFixture()
        fixture.ask(answer: "SSH-2.0-OpenSSH_9.2\r\n\r\n")
        #expect(fixture.listener.events.last == "malformed: the answer does not begin with an HTTP/1 status line")
        let listener = Listener()
        let nobody = HTTPClientConnection()
        nobody.delegate = listener
        try nobody.connect(from: fixture.world.node("client-2"), to: HostPort(host: "server", port: 81))
        fixture.world.pass(.milliseconds(1))
        #expect(listener.events == ["not connected: refused"])
    }

    @Test("tells its owner when the server closes it while unused")
    func closedIdle() throws {
        let fixture = try ClientFixture()
        fixture.ask(answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        fixture.acceptor.first.stream.close()
        fixture.world.pass(.milliseconds(1))
        #expect(fixture.listener.events.last == "closed: finished" && !fixture.connection.isReusable)
        #expect(fixture.world.network.openStreamCount == 0)
    }
}

@Suite("A relay")
struct RelayTests {
    private struct Fixture {
        let world = memoryWorld()
        let left: Recorder
        let right: Acceptor
        var outcome: () -> Bool?

        init() throws {
            let middle = world.node("middle")
            right = try Acceptor(world.node("right"))
            final class Box { var value: Bool?; var relay: Relay? }
            let box = Box()
            final class Joiner: StreamHandler {
                let box: Box
                var downstream: Stream
                init(_ box: Box, _ downstream: Stream) {
                    self.box = box
                    self.downstream = downstream
                }
                func streamOpened(_ stream: Stream) {
                    if stream === downstream { return }
                    let relay = Relay(downstream, stream)
                    relay.onClose = { [box] in box.value = $0 }
                    box.relay = relay
                    relay.start()
                }
                func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {}
            }
            let listener = try middle.listen(on: 80) { stream in
                let joiner = Joiner(box, stream)
                stream.pauseReading()
                _ = try? middle.connect(to: HostPort(host: "right", port: 80), handler: joiner)
                return joiner
            }
            _ = listener
            left = try world.node("left").dial("middle")
            outcome = { box.value }
            world.pass(.milliseconds(1))
        }
    }

    @Test("passes a megabyte each way, byte for byte, and both ends")
    func integrity() throws {
        let fixture = try Fixture()
        let (there, back) = (randomBytes(1 << 20, seed: 1), randomBytes(1 << 20, seed: 2))
        fixture.left.stream.write(there)
        fixture.right.first.stream.write(back)
        fixture.left.stream.finish()
        fixture.world.pass(.seconds(1))
        #expect(
            fixture.right.first.bytes == there && fixture.right.first.lastEvent == "ended" && fixture.left.bytes == back
        )
        #expect(fixture.outcome() == nil, "one direction is still open")
        fixture.right.first.stream.write("more")
        fixture.right.first.stream.finish()
        fixture.world.pass(.seconds(1))
        #expect(fixture.left.bytes == back + Array("more".utf8) && fixture.left.lastEvent == "closed finished")
        #expect(fixture.outcome() == true && fixture.world.network.openStreamCount == 0)
    }

    @Test("passes a reset on as a reset, in both directions")
    func resets() throws {
        let fixture = try Fixture()
        fixture.left.stream.abort()
        fixture.world.pass(.milliseconds(1))
        #expect(fixture.right.first.lastEvent == "closed reset" && fixture.outcome() == false)
        let other = try Fixture()
        other.right.first.stream.abort()
        other.world.pass(.milliseconds(1))
        #expect(other.left.lastEvent == "closed reset")
    }

    @Test("holds no more than a few buffers for a reader that has stopped")
    func backPressure() throws {
        let fixture = try Fixture()
        fixture.right.first.stream.pauseReading()
        fixture.left.stream.write([UInt8](repeating: 1, count: 8 << 20))
        fixture.world.pass(.seconds(1))
        let held = fixture.world.network.openStreams.filter { $0.node.name == "middle" }.reduce(0) {
            $0 + $1.unsentByteCount
        }
        #expect(held <= Stream.highWaterBytes + 64 * 1024)
        #expect(fixture.left.stream.unsentByteCount > 6 << 20)
        fixture.right.first.stream.resumeReading()
        fixture.world.pass(.seconds(5))
        #expect(fixture.right.first.bytes.count == 8 << 20)
    }

    @Test("is not over before the slower side has everything")
    func slowSide() throws {
        let fixture = try Fixture()
        fixture.left.stream.finish()
        fixture.world.pass(.milliseconds(1))
        fixture.left.stream.pauseReading()
        fixture.right.first.stream.write([UInt8](repeating: 1, count: 500_000))
        fixture.right.first.stream.finish()
        fixture.world.pass(.seconds(1))
        #expect(fixture.outcome() == nil)
        fixture.left.stream.resumeReading()
        fixture.world.pass(.seconds(1))
        #expect(fixture.left.bytes.count == 500_000 && fixture.outcome() == true)
    }
}
