import KernelStructures
import KernelTLS
import KernelWorld
import TestSupport
import Testing

@Suite("A connection behind TLS")
struct TLSStreamTests {
    @Test("sends what was written before it was open, in order")
    func early() throws {
        let connection = try Connection(
            prepare: { end in
                end.stream.write("hello ")
                end.onOpened = { $0.write("world") }
            },
            begin: { end in
                end.stream.write("a")
                end.stream.write("b")
                end.onOpened = { $0.write("c") }
            })
        #expect(connection.far.text == "abc" && connection.near.text == "hello world")
        #expect(connection.near.events == ["opened", "received"])
    }

    @Test("carries a megabyte each way, and an end in each direction")
    func integrity() throws {
        let connection = try Connection()
        let (there, back) = (randomBytes(1 << 20, seed: 1), randomBytes(1 << 20, seed: 2))
        connection.near.stream.write(there)
        connection.near.stream.finish()
        connection.far.stream.write(back)
        connection.world.pass(.seconds(1))
        #expect(connection.far.bytes == there && connection.far.events.last == "ended")
        #expect(connection.near.bytes == back && connection.near.events.last != "ended")
        connection.far.stream.write("more")
        connection.far.stream.finish()
        connection.world.pass(.seconds(1))
        #expect(connection.near.bytes == back + Array("more".utf8) && connection.near.events.last == "closed finished")
        #expect(connection.world.network.openStreamCount == 0)
    }

    @Test("slows the sender down while the reader does not read, and hands over nothing meanwhile")
    func backPressure() throws {
        let connection = try Connection()
        connection.far.stream.pauseReading()
        connection.near.stream.write([UInt8](repeating: 7, count: 8 << 20))
        connection.world.pass(.seconds(1))
        #expect(connection.far.bytes.isEmpty)
        #expect(connection.near.stream.isCongested && connection.near.stream.unsentByteCount > 7 << 20)
        connection.far.stream.resumeReading()
        connection.world.pass(.seconds(5))
        #expect(connection.far.bytes.count == 8 << 20 && connection.near.events.last == "drained")
    }

    @Test("delivers one record at a time to a reader that pauses after each, and the end last")
    func pauses() throws {
        var received: [Int] = []
        let connection = try Connection(
            prepare: { end in
                end.onReceived = { [unowned end] stream in
                    received.append(end.bytes.count)
                    stream.pauseReading()
                }
            })
        connection.near.stream.write([UInt8](repeating: 1, count: 40_000))
        connection.near.stream.finish()
        var rounds = 0
        while connection.far.events.last != "ended", rounds < 20 {
            rounds += 1
            connection.world.pass(.milliseconds(1))
            #expect(received.count <= rounds)
            connection.far.stream.resumeReading()
        }
        connection.world.pass(.milliseconds(1))
        #expect(received == [16_384, 32_768, 40_000] && connection.far.events.last == "ended")
    }

    @Test("opens for a handler that reads nothing yet")
    func pausedFromTheStart() throws {
        let connection = try Connection(
            prepare: { $0.stream.pauseReading() }, begin: { $0.stream.write("early") })
        connection.world.pass(.milliseconds(1))
        #expect(connection.far.events == ["opened"] && connection.near.events == ["opened"])
        connection.far.stream.resumeReading()
        connection.world.pass(.milliseconds(1))
        #expect(connection.far.text == "early")
    }

    @Test("tells an end from a truncation")
    func truncation() throws {
        let connection = try Connection()
        connection.near.stream.write("half of it")
        connection.world.pass(.milliseconds(1))
        connection.clientNode.end(.killed)
        connection.world.pass(.milliseconds(1))
        #expect(connection.far.events == ["opened", "received", "closed TLS failed"])
        #expect(connection.far.failure == .truncated)
        #expect(connection.world.network.openStreamCount == 0)
    }

    @Test("passes a reset on as a reset")
    func reset() throws {
        let connection = try Connection()
        connection.near.stream.abort()
        connection.world.pass(.milliseconds(1))
        #expect(connection.far.events == ["opened", "closed reset"] && connection.far.failure == nil)
    }

    @Test("closed at once, it still delivers everything, its goodbye included")
    func closeAfterWrite() throws {
        let connection = try Connection(begin: { end in
            end.stream.write([UInt8](repeating: 1, count: 300_000))
            end.onOpened = { $0.close() }
        })
        connection.world.pass(.seconds(1))
        #expect(connection.far.bytes.count == 300_000 && connection.far.events.last == "ended")
        connection.far.stream.close()
        connection.world.pass(.seconds(3))
        #expect(connection.world.network.openStreamCount == 0)
    }

    @Test("closed within the handshake with something to say, it says it; with nothing, it just ends")
    func closeWhileOpening() throws {
        let world = memoryWorld()
        let connection = try Connection(world)
        let talker = End()
        talker.attach(try connection.clientNode.connect(to: HostPort(host: "web", port: 443), handler: talker))
        talker.stream.secure(with: connection.client, host: "web")
        talker.stream.write("last words")
        world.pass(.microseconds(50))
        #expect(talker.stream.isOpen)
        talker.stream.close()
        world.pass(.milliseconds(5))
        #expect(connection.far.text == "last words" && connection.far.events.last == "ended")
        let silent = End()
        silent.attach(try connection.clientNode.connect(to: HostPort(host: "web", port: 443), handler: silent))
        silent.stream.secure(with: connection.client, host: "web")
        world.pass(.microseconds(50))
        silent.stream.close()
        world.pass(.milliseconds(5))
        #expect(connection.far.events == ["closed TLS failed"] && connection.far.failure == .closed)
        #expect(silent.events == [] && talker.events == [])
    }

    @Test("ended within the handshake by a handler that goes on reading, it opens first")
    func finishWhileOpening() throws {
        let connection = try Connection(
            prepare: { $0.onOpened = { $0.write("answer") } }, begin: { $0.stream.finish() })
        #expect(connection.near.events == ["opened", "received"] && connection.near.text == "answer")
        #expect(connection.far.events == ["opened", "ended"])
    }

    @Test("stands still with its node, and goes on with it")
    func frozen() throws {
        let connection = try Connection()
        connection.serverNode.freeze()
        connection.near.stream.write("ping")
        connection.world.pass(.seconds(20))
        #expect(connection.far.bytes.isEmpty)
        connection.serverNode.thaw()
        connection.world.pass(.milliseconds(1))
        #expect(connection.far.text == "ping")
    }

    @Test("opens across a slow line, and breaks on a bit that was flipped")
    func faults() throws {
        let world = memoryWorld()
        world.inject(.latency(.milliseconds(100), jitter: .zero), from: "client-1", to: "web", both: true)
        let connection = try Connection(world)
        #expect(connection.near.events == [])
        world.pass(.seconds(1))
        #expect(connection.near.events == ["opened"] && connection.far.events == ["opened"])
        world.inject(.corrupt(1), from: "client-1", to: "web")
        connection.near.stream.write([UInt8](repeating: 1, count: 1000))
        world.pass(.seconds(1))
        #expect(connection.far.events == ["opened", "closed TLS failed"] && connection.far.bytes.isEmpty)
        #expect(connection.near.events == ["opened", "closed TLS failed"])
        #expect(connection.near.failure?.kind == .alert(20), "bad_record_mac")
    }

    @Test("shows two runs of one seed the same journal, with the lengths of all messages")
    func determinism() throws {
        func journal() throws -> [String] {
            let world = memoryWorld(seed: 7)
            world.inject(.latency(.milliseconds(3), jitter: .milliseconds(2)), from: "client-1", to: "web", both: true)
            let connection = try Connection(
                world,
                server: {
                    $0.clientCertificates = .required
                    $0.clientAuthorities = [Keys.authority.certificate]
                    $0.identities = [try! Keys.authority.issue(["web"], key: Keys.key)]
                }, client: { $0.identity = try! Keys.authority.issue(["alice"], key: Keys.key) })
            for round in 1...4 {
                world.pass(.seconds(1))
                connection.near.stream.write(randomBytes(round * 9000, seed: 3))
                connection.far.stream.write("answer \(round)")
                world.pass(.seconds(1))
                connection.near.stream.close()
                world.pass(.seconds(3))
                if round < 4 { try connection.dial() }
            }
            return (0..<world.journal.events.count).map { index in
                let event = world.journal.events[index]
                return "\(event.time) \(event.cause) \(event.body)"
            }
        }
        let first = try journal()
        #expect(first.count > 40)
        for _ in 0..<10 { #expect(try journal() == first) }
    }
}
