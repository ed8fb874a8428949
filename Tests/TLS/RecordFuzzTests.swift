import KernelStructures
import KernelTLS
import KernelWorld
import TestSupport
import Testing

/// Stands between two ends and does something to the bytes of one direction.
private final class Meddler {
    final class Half: StreamHandler {
        weak var other: Stream?
        var waiting: [UInt8] = []
        var change: ((UnsafeRawBufferPointer) -> [UInt8]?)?

        func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
            guard let changed = change?(bytes) ?? (change == nil ? Array(bytes) : nil) else {
                other?.close()
                return stream.close()
            }
            if let other { other.write(changed) } else { waiting += changed }
        }
        func streamEnded(_ stream: Stream) { other?.finish() }
        func stream(_ stream: Stream, closed reason: CloseReason) { other?.close() }
    }

    let left = Half()
    let right = Half()

    init(_ node: Node) throws {
        _ = try node.listen(on: 443) { [left, right] stream in
            let onward = try? node.connect(to: HostPort(host: "web", port: 443), handler: right)
            left.other = onward
            right.other = stream
            return left
        }
    }
}

@Suite("TLS and what strangers send")
struct RecordFuzzTests {
    /// A connection through a meddler, and what both ends have received when all is over.
    private func run(
        _ version: TLSVersion, changeThere: ((UnsafeRawBufferPointer) -> [UInt8]?)? = nil,
        changeBack: ((UnsafeRawBufferPointer) -> [UInt8]?)? = nil
    ) throws -> (client: End, server: End, world: World) {
        let world = memoryWorld()
        let connection = try Connection(world, server: { $0.versions = version...version })
        connection.near.stream.abort()
        let meddler = try Meddler(world.node("middle"))
        meddler.left.change = changeThere
        meddler.right.change = changeBack
        let client = End()
        client.onOpened = { $0.write(Self.question) }
        client.attach(try connection.clientNode.connect(to: HostPort(host: "middle", port: 443), handler: client))
        // A context of its own: no session to resume, so that each run has a whole handshake.
        var options = TLSClientOptions()
        options.authorities = [Keys.authority.certificate]
        client.stream.secure(with: try TLSClient(options), host: "web")
        world.pass(.milliseconds(5))
        let server = connection.far
        if server.stream.isOpen { server.stream.write(Self.answer) }
        world.pass(.seconds(30))
        return (client, server, world)
    }

    private static let question = randomBytes(20_000, seed: 1)
    private static let answer = randomBytes(20_000, seed: 2)

    /// Nobody may take changed bytes for real ones: what was received is a beginning of what was sent.
    private func expectHonesty(_ run: (client: End, server: End, world: World), _ what: String) {
        #expect(Self.question.starts(with: run.server.bytes), "\(what)")
        #expect(Self.answer.starts(with: run.client.bytes), "\(what)")
        let isWhole = run.server.bytes.count == Self.question.count && run.client.bytes.count == Self.answer.count
        let isNoticed = (run.client.events + run.server.events).contains { $0.hasPrefix("closed") || $0 == "ended" }
        #expect(isWhole || isNoticed, "\(what): \(run.client.events) \(run.server.events)")
    }

    @Test("a flipped bit anywhere is noticed, and never delivered", arguments: TLSVersion.allCases)
    func flips(_ version: TLSVersion) throws {
        var random = SeededRandom(seed: UInt64(version.rawValue))
        for _ in 0..<60 {
            let place = random.below(6000)
            let bit = UInt8(1 << random.below(8))
            let isThere = random.below(2) == 0
            var passed = 0
            let change: (UnsafeRawBufferPointer) -> [UInt8]? = { bytes in
                var copy = Array(bytes)
                if passed <= place, place < passed + copy.count { copy[place - passed] ^= bit }
                passed += copy.count
                return copy
            }
            let result = try run(version, changeThere: isThere ? change : nil, changeBack: isThere ? nil : change)
            expectHonesty(result, "byte \(place) bit \(bit) \(isThere ? "there" : "back")")
        }
    }

    @Test("a cut anywhere is noticed, and leaves nothing behind", arguments: TLSVersion.allCases)
    func cuts(_ version: TLSVersion) throws {
        var random = SeededRandom(seed: 5)
        for _ in 0..<40 {
            let place = random.below(5000)
            let isThere = random.below(2) == 0
            var passed = 0
            let change: (UnsafeRawBufferPointer) -> [UInt8]? = { bytes in
                passed += bytes.count
                return passed > place ? nil : Array(bytes)
            }
            let result = try run(version, changeThere: isThere ? change : nil, changeBack: isThere ? nil : change)
            expectHonesty(result, "cut at \(place)")
            #expect(result.client.events.last?.hasPrefix("closed") == true, "\(result.client.events)")
            #expect(result.server.events.isEmpty || result.server.events.last?.hasPrefix("closed") == true)
            #expect(result.world.network.openStreamCount == 0, "cut at \(place)")
        }
    }

    @Test("bytes in the smallest pieces make the same connection", arguments: TLSVersion.allCases)
    func pieces(_ version: TLSVersion) throws {
        let world = memoryWorld()
        world.inject(.throttle(bytesPerSecond: 20_000), from: "client-1", to: "web", both: true)
        let connection = try Connection(world, server: { $0.versions = version...version })
        world.pass(.seconds(5))
        connection.near.stream.write(Self.question)
        connection.far.stream.write(Self.answer)
        world.pass(.seconds(5))
        #expect(connection.far.bytes == Self.question && connection.near.bytes == Self.answer)
    }

    @Test("what is no TLS is refused at once, and garbage within bounds")
    func garbage() throws {
        let world = memoryWorld()
        let connection = try Connection(world)
        func reason(_ bytes: [UInt8]) throws -> String? {
            let end = End()
            end.attach(try connection.clientNode.connect(to: HostPort(host: "web", port: 443), handler: end))
            end.stream.write(bytes)
            world.pass(.milliseconds(5))
            defer { end.stream.close() }
            return connection.far.failure?.reason
        }
        #expect(try reason(Array("GET / HTTP/1.1\r\nHost: web\r\n\r\n".utf8)) == "http request")
        #expect(try reason(Array("SSH-2.0-OpenSSH\r\n".utf8)) == "wrong version number")
        var random = SeededRandom(seed: 3)
        for seed in 0..<200 {
            var bytes = randomBytes(random.below(2000), seed: UInt64(seed))
            // Half of them begin as a record does.
            if seed % 2 == 0 { bytes.replaceSubrange(0..<min(3, bytes.count), with: [22, 3, UInt8(seed % 5)]) }
            _ = try reason(bytes)
        }
        world.pass(.seconds(20))
        #expect(world.network.openStreamCount == 2 && connection.near.events == ["opened"])
    }

    @Test("a peer that is killed at any step of the handshake leaves no trace", arguments: TLSVersion.allCases)
    func kills(_ version: TLSVersion) throws {
        for step in 0..<12 {
            let world = memoryWorld()
            world.inject(.latency(.milliseconds(1), jitter: .zero), from: "client-1", to: "web", both: true)
            let connection = try Connection(
                world, server: { $0.versions = version...version },
                begin: { end in
                    end.stream.write("question")
                    world.pass(.microseconds(700 * step))
                    (step % 2 == 0 ? end.stream.node : world.nodes["web"]!).end(.killed)
                })
            world.pass(.seconds(30))
            #expect(world.network.openStreamCount == 0, "step \(step): \(connection.near.events)")
            let survivor = step % 2 == 0 ? nil : connection.near
            #expect(survivor?.events.last?.hasPrefix("closed") ?? true, "step \(step)")
        }
    }
}
