import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// Faults of links, each on an open connection unless its name says otherwise.
@Suite("Link faults")
struct LinkFaultTests {
    /// Lab time that a one-byte message takes from one end to the other.
    private func oneWay(_ pair: Pair, from sender: Recorder, to receiver: Recorder, wait: LabDuration = .seconds(60))
        -> LabDuration?
    {
        let before = receiver.bytes.count
        let start = pair.world.now
        sender.stream.write("x")
        pair.world.pass(wait)
        return receiver.bytes.count > before ? receiver.times.last.map { $0 - start } : nil
    }

    @Test("latency acts in its own direction only, at once, and adds up")
    func latency() throws {
        let pair = try Pair()
        pair.world.inject(.latency(.milliseconds(200), jitter: .zero), from: "a", to: "b")
        #expect(oneWay(pair, from: pair.client, to: pair.server) == .milliseconds(200) + MemoryTransport.hopLatency)
        #expect(oneWay(pair, from: pair.server, to: pair.client) == MemoryTransport.hopLatency)
        let second = pair.world.inject(.latency(.milliseconds(50), jitter: .zero), both: true)
        #expect(oneWay(pair, from: pair.client, to: pair.server) == .milliseconds(250) + MemoryTransport.hopLatency)
        #expect(oneWay(pair, from: pair.server, to: pair.client) == .milliseconds(50) + MemoryTransport.hopLatency)
        pair.world.faults.remove(second)
        #expect(oneWay(pair, from: pair.server, to: pair.client) == MemoryTransport.hopLatency)
    }

    @Test("jitter spreads over its whole range and never reorders a stream")
    func jitter() throws {
        let pair = try Pair()
        pair.world.inject(.latency(.milliseconds(200), jitter: .milliseconds(50)), from: "a")
        let delays = (0..<200).compactMap { _ in oneWay(pair, from: pair.client, to: pair.server, wait: .seconds(1)) }
        let hop = MemoryTransport.hopLatency
        #expect(delays.count == 200)
        #expect(delays.allSatisfy { $0 >= .milliseconds(150) + hop && $0 <= .milliseconds(250) + hop })
        #expect(delays.min()! < .milliseconds(160) && delays.max()! > .milliseconds(240))
        let start = pair.server.bytes.count
        let text = (0..<500).map { "\($0)," }
        for piece in text {
            pair.client.stream.write(piece)
            pair.world.pass(.microseconds(100))
        }
        pair.world.pass(.seconds(1))
        #expect(String(decoding: pair.server.bytes[start...], as: UTF8.self) == text.joined())
    }

    @Test("a rule that comes later does not hold up what is under way")
    func laterRule() throws {
        let pair = try Pair()
        pair.world.inject(.latency(.seconds(1), jitter: .zero), from: "a", to: "b")
        let start = pair.world.now
        pair.client.stream.write("x")
        pair.world.pass(.milliseconds(900))
        pair.world.inject(.latency(.seconds(5), jitter: .zero), from: "a", to: "b")
        pair.world.pass(.seconds(60))
        #expect(pair.server.times.last.map { $0 - start } == .seconds(1) + MemoryTransport.hopLatency)
    }

    @Test("connecting takes the latency of both directions")
    func connecting() throws {
        let world = memoryWorld()
        let (a, b) = (world.node("a"), world.node("b"))
        _ = try Acceptor(b)
        world.inject(.latency(.milliseconds(300), jitter: .zero), from: "a")
        world.inject(.latency(.milliseconds(100), jitter: .zero), from: "b")
        let client = try a.dial("b")
        world.pass(.seconds(1))
        #expect(client.times[0] - world.epoch == .milliseconds(400) + MemoryTransport.hopLatency * 2)
    }

    @Test(
        "a throttled line passes its rate in lab time, whatever the size of the writes", arguments: [100, 5000, 60_000])
    func throttle(_ piece: Int) throws {
        let pair = try Pair()
        pair.world.inject(.throttle(bytesPerSecond: 64 * 1024), from: "a")
        let start = pair.world.now
        let bytes = randomBytes(640 * 1024, seed: 1)
        for offset in stride(from: 0, to: bytes.count, by: piece) {
            pair.client.stream.write(Array(bytes[offset..<min(bytes.count, offset + piece)]))
        }
        pair.world.pass(.seconds(5))
        let half = pair.server.bytes.count
        #expect(abs(half - 320 * 1024) <= max(piece, 1000))
        pair.world.pass(.seconds(10))
        #expect(pair.server.bytes == bytes)
        let took = (pair.server.times.last! - start).seconds
        #expect(abs(took - 10) < 0.01)
    }

    @Test("a throttled line gives way at once when the rule goes")
    func throttleEnds() throws {
        let pair = try Pair()
        let fault = pair.world.inject(.throttle(bytesPerSecond: 1000), from: "a")
        pair.client.stream.write(randomBytes(100_000, seed: 1))
        pair.world.pass(.seconds(1))
        pair.world.faults.remove(fault)
        pair.world.pass(.milliseconds(1))
        #expect(pair.server.bytes == randomBytes(100_000, seed: 1))
    }

    @Test("loss costs retransmissions, never bytes; total loss is a blocked line")
    func loss() throws {
        let pair = try Pair()
        pair.world.inject(.loss(0.3), both: true)
        var slow = 0
        for _ in 0..<300 {
            let delay = try #require(oneWay(pair, from: pair.client, to: pair.server))
            if delay >= .milliseconds(200) { slow += 1 }
        }
        // 300 draws of 0.3: five standard deviations are 40.
        #expect(abs(slow - 90) < 40)
        #expect(pair.server.bytes.count == 300)
        let total = pair.world.inject(.loss(1), from: "a")
        #expect(oneWay(pair, from: pair.client, to: pair.server) == nil)
        pair.world.faults.remove(total)
        pair.world.pass(.seconds(5))
        #expect(pair.server.bytes.count == 301)
    }

    @Test("corruption flips one bit of some messages and keeps their length")
    func corrupt() throws {
        let pair = try Pair()
        pair.world.inject(.corrupt(0.5), from: "a")
        var changed = 0
        for _ in 0..<200 {
            let before = pair.server.bytes.count
            pair.client.stream.write([UInt8](repeating: 0, count: 100))
            pair.world.pass(.milliseconds(1))
            let arrived = pair.server.bytes[before...]
            #expect(arrived.count == 100)
            let bits = arrived.reduce(0) { $0 + $1.nonzeroBitCount }
            #expect(bits <= 1)
            changed += bits
        }
        #expect(abs(changed - 100) < 40)
    }

    @Test("a partition holds everything back in both directions, and lets it go when it heals")
    func partition() throws {
        let pair = try Pair()
        let fault = pair.world.inject(.block(partition: true), from: "a", to: "b", both: true)
        pair.client.stream.write("to b")
        pair.server.stream.write("to a")
        let late = try pair.a.dial("b")
        pair.world.pass(.seconds(60))
        #expect(pair.server.text == "" && pair.client.text == "" && late.events.isEmpty)
        pair.world.faults.remove(fault)
        pair.world.pass(.milliseconds(1))
        #expect(pair.server.text == "to b" && pair.client.text == "to a")
        pair.world.pass(.seconds(4))
        #expect(late.events == ["opened"], "the SYN at 63 s finds the way free")
    }

    @Test("nobody hears across a partition that the other side was killed, aborted or closed")
    func silence() throws {
        for end in ["kill", "abort", "close"] {
            let pair = try Pair()
            let fault = pair.world.inject(.block(partition: true), from: "a", to: "b", both: true)
            switch end {
            case "kill": pair.b.end(.killed)
            case "abort": pair.server.stream.abort()
            default: pair.server.stream.close()
            }
            pair.world.pass(.seconds(30))
            #expect(pair.client.events == ["opened"], "\(end)")
            pair.world.faults.remove(fault)
            pair.world.pass(.seconds(3))
            #expect(pair.client.lastEvent == (end == "abort" ? "closed reset" : "ended"), "\(end)")
            #expect(pair.world.network.orphanCount == 0)
            pair.world.shutDown()
        }
    }

    @Test("what was sent before a close arrives, however long faults hold it up")
    func slowGoodbye() throws {
        let pair = try Pair()
        pair.world.inject(.latency(.seconds(5), jitter: .zero), from: "b")
        pair.server.stream.write("last words")
        pair.server.stream.close()
        pair.world.pass(.milliseconds(4999))
        #expect(pair.client.events == ["opened"])
        pair.world.pass(.milliseconds(2))
        #expect(pair.client.text == "last words" && pair.client.lastEvent == "ended")

        let throttled = try Pair()
        throttled.world.inject(.throttle(bytesPerSecond: 10_000), from: "b")
        throttled.server.stream.write(randomBytes(100_000, seed: 1))
        throttled.server.stream.close()
        throttled.world.pass(.seconds(11))
        #expect(throttled.client.bytes == randomBytes(100_000, seed: 1) && throttled.client.lastEvent == "ended")
    }

    @Test("what a killed process had handed to a slow line still arrives before its end")
    func killedBehindLatency() throws {
        let pair = try Pair()
        pair.world.inject(.latency(.seconds(1), jitter: .zero), from: "b")
        pair.server.stream.write("sent")
        pair.b.end(.killed)
        pair.world.pass(.milliseconds(900))
        #expect(pair.client.events == ["opened"])
        pair.world.pass(.milliseconds(200))
        #expect(pair.client.events == ["opened", "received", "ended"] && pair.client.text == "sent")
    }

    @Test("a sender into the dark gives up after fifteen retransmissions")
    func givesUp() throws {
        let pair = try Pair()
        pair.world.inject(.block(partition: false), from: "a")
        pair.client.stream.write("x")
        pair.world.pass(.seconds(924))
        #expect(pair.client.events == ["opened"])
        pair.world.pass(.seconds(1))
        #expect(pair.client.lastEvent == "closed timedOut")
        #expect(pair.server.events == ["opened"])
    }

    @Test("reset ends open connections for both ends, and later ones with their first bytes")
    func reset() throws {
        let pair = try Pair()
        pair.world.inject(.reset, from: "a", to: "b", both: true)
        pair.world.pass(.milliseconds(1))
        #expect(pair.client.lastEvent == "closed reset" && pair.server.lastEvent == "closed reset")
        let late = try pair.a.dial("b")
        pair.world.pass(.milliseconds(1))
        #expect(late.events == ["opened"])
        late.stream.write("x")
        pair.world.pass(.milliseconds(1))
        #expect(late.lastEvent == "closed reset" && pair.acceptor.accepted[1].lastEvent == "closed reset")
        #expect(pair.world.network.openStreamCount == 0)
    }

    @Test("refuse turns new connections away and leaves open ones alone")
    func refuse() throws {
        let pair = try Pair()
        let fault = pair.world.inject(.refuse, to: "b")
        let late = try pair.a.dial("b")
        #expect(oneWay(pair, from: pair.client, to: pair.server) == MemoryTransport.hopLatency)
        #expect(late.events == ["closed refused"])
        pair.world.faults.remove(fault)
        let after = try pair.a.dial("b")
        pair.world.pass(.milliseconds(1))
        #expect(after.events == ["opened"])
    }

    @Test("a selector means the nodes it names, in its direction, and no others")
    func selectors() throws {
        let world = memoryWorld()
        let nodes = ["a", "b", "c"].map { world.node($0) }
        let link = LinkSelector(from: .names(["a", "b"]), to: .names(["c"]), isBothWays: false, text: "")
        #expect(link.matches(from: nodes[0], to: nodes[2]) && link.matches(from: nodes[1], to: nodes[2]))
        #expect(!link.matches(from: nodes[2], to: nodes[0]) && !link.matches(from: nodes[0], to: nodes[1]))
        var both = link
        both.isBothWays = true
        #expect(both.matches(from: nodes[2], to: nodes[0]) && !both.matches(from: nodes[0], to: nodes[1]))
        #expect(NodeSelector.names(["outside"]).matches(nil) && !NodeSelector.names(["outside"]).matches(nodes[0]))
        #expect(NodeSelector.names(["server-a"]).matches(world.node("Server-A")), "without regard to case")
    }
}

/// Latency takes no bandwidth, and no more memory than is stated.
@Suite("Windows under latency", .serialized)
struct LinkWindowTests {
    /// Writes so many bytes as fast as the stream takes them, and says how much it ever held.
    private final class Producer {
        private var left: Int
        private let recorder: Recorder
        private(set) var largest = 0
        private(set) var isDone = false

        init(_ byteCount: Int, into recorder: Recorder) {
            left = byteCount
            self.recorder = recorder
            recorder.onDrained = { [unowned self] _ in produce() }
            produce()
        }

        private func produce() {
            while left > 0, !recorder.stream.isCongested {
                recorder.stream.write([UInt8](repeating: 120, count: min(left, 64 * 1024)))
                left -= min(left, 64 * 1024)
                largest = max(largest, recorder.stream.unsentByteCount)
            }
            isDone = left == 0
        }
    }

    private static let size = 8 << 20

    @Test("half a second of latency costs half a second, not a window for each delay; on both transports")
    func latency() throws {
        for world in [memoryWorld(), try SocketLab().world] {
            defer { world.shutDown() }
            let pair = try Pair(world)
            world.inject(.latency(.milliseconds(500), jitter: .zero), from: "a")
            let start = world.now
            let producer = Producer(Self.size, into: pair.client)
            world.pass(.seconds(3))
            #expect(producer.isDone && pair.server.bytes.count == Self.size)
            #expect(pair.server.times.last! - start < .milliseconds(550))
        }
    }

    @Test("a line of 1 MiB/s behind half a second takes 8.5 s for 8 MiB, and holds its product and a buffer")
    func throttle() throws {
        for world in [memoryWorld(), try SocketLab().world] {
            defer { world.shutDown() }
            let pair = try Pair(world)
            world.inject(.latency(.milliseconds(500), jitter: .zero), from: "a")
            world.inject(.throttle(bytesPerSecond: 1 << 20), from: "a")
            let start = world.now
            let producer = Producer(Self.size, into: pair.client)
            world.pass(.seconds(20))
            #expect(pair.server.bytes.count == Self.size)
            #expect(abs((pair.server.times.last! - start).seconds - 8.5) < 0.05)
            #expect(producer.largest <= (512 + 256 + 64) * 1024)
        }
    }

    @Test("a reader that stops is felt through the longest line, which holds no more than its limit")
    func bounds() throws {
        let pair = try Pair()
        pair.world.inject(.latency(.seconds(5), jitter: .zero), from: "a")
        pair.server.stream.pauseReading()
        let producer = Producer(1 << 30, into: pair.client)
        pair.world.pass(.seconds(60))
        #expect(!producer.isDone && producer.largest <= (64 << 20) + 64 * 1024)
        #expect(pair.client.stream.unsentByteCount == producer.largest)
        pair.server.stream.resumeReading()
        pair.world.pass(.seconds(5))
        #expect(pair.server.bytes.count > 64 << 20)
        pair.client.stream.abort()
        pair.server.stream.pauseReading()
        pair.world.pass(.seconds(6))
        #expect(pair.server.lastEvent == "closed reset", "a reset needs no room")
    }

    @Test("many slow lines together hold no more than the budget and a buffer each")
    func budget() throws {
        let world = memoryWorld()
        let (a, b) = (world.node("a"), world.node("b"))
        let acceptor = try Acceptor(b)
        world.inject(.latency(.seconds(30), jitter: .zero), from: "a")
        let clients = try (0..<8).map { _ in try a.dial("b") }
        world.pass(.seconds(40))
        #expect(acceptor.accepted.count == 8)
        let producers = clients.map { Producer(1 << 30, into: $0) }
        let held = clients.reduce(0) { $0 + $1.stream.unsentByteCount }
        #expect(held <= (256 << 20) + 8 * (256 + 64) * 1024 && held > 200 << 20 && !producers[7].isDone)
        world.shutDown()
    }

    @Test("a paused reader hears nothing from a line that comes in from outside the lab either")
    func pausedIngress() throws {
        let pair = try Pair()
        pair.world.inject(.latency(.milliseconds(100), jitter: .zero), from: "a")
        pair.client.stream.write("x")
        pair.server.stream.pauseReading()
        pair.world.pass(.seconds(1))
        #expect(pair.server.bytes.isEmpty)
        pair.server.stream.resumeReading()
        pair.world.pass(.milliseconds(1))
        #expect(pair.server.text == "x")
    }
}
