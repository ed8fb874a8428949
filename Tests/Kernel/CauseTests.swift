import KernelLoopback
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@Suite("Causes", .serialized)
struct CauseTests {
    enum Net: CaseIterable { case memory, loopback }

    /// Two nodes, an open connection between them, and everything the journal has heard.
    private struct Bench {
        let world: World
        let pair: Pair

        init(_ net: Net) throws {
            switch net {
            case .memory: world = memoryWorld()
            case .loopback:
                let poller = try Poller()
                let transport = try SocketTransport(poller: poller, place: .lab(exposesLocalhost: false))
                world = World(WorldConfiguration(transport: transport, eventSource: poller))
            }
            pair = try Pair(world)
        }

        var events: [JournalEvent] { (0..<world.journal.events.count).map { world.journal.events[$0] } }

        /// The event with this text, and those that led to it, the first cause first.
        func chain(to text: String) -> [String] {
            var result: [String] = []
            var next = events.last { $0.body.description == text }
            while let event = next {
                result.insert("\(event.body)", at: 0)
                next = events.first { $0.number == event.cause }
            }
            return result
        }

        /// The last event of this text.
        func event(_ text: String) throws -> JournalEvent {
            try #require(events.last { $0.body.description == text }, "\(text) in \(world.journal.text)")
        }

        /// Does `body` as something that the terminal's command with that text led to.
        func command(_ text: String, _ body: () -> Void) {
            let number = world.journal.record(.command(terminal: 1, text))
            world.journal.withCause(number, body)
        }
    }

    @Test("a timer, the message it sends, and what the receiver logs hang together", arguments: Net.allCases)
    func chain(_ net: Net) throws {
        let bench = try Bench(net)
        defer { bench.world.shutDown() }
        let (a, b) = (bench.pair.a, bench.pair.b)
        bench.pair.server.onReceived = { recorder in
            b.log("T", "heard")
            recorder.stream.write("answer")
            b.after(.seconds(1)) { b.log("T", "later") }
        }
        bench.pair.client.onReceived = { _ in a.log("T", "answered") }
        bench.command("go") { a.after(.seconds(1)) { bench.pair.client.stream.write("hello") } }
        bench.world.pass(.seconds(3))
        let start = ["terminal 1 $ go", "message a->b 5 B on 1"]
        #expect(bench.chain(to: "[T] heard") == start + ["[T] heard"])
        #expect(bench.chain(to: "[T] later") == start + ["[T] later"])
        #expect(bench.chain(to: "[T] answered") == start + ["message b->a 6 B on 2", "[T] answered"])
    }

    @Test("a write is not the cause of what its writer does next", arguments: Net.allCases)
    func afterWriting(_ net: Net) throws {
        let bench = try Bench(net)
        defer { bench.world.shutDown() }
        let (a, b) = (bench.pair.a, bench.pair.b)
        bench.command("go") {
            bench.pair.client.stream.write("one")
            a.log("T", "sent one")
            bench.pair.client.stream.write("two")
            a.after(.seconds(1)) { a.log("T", "after both") }
        }
        bench.pair.server.onReceived = { recorder in
            recorder.stream.write("x")
            b.log("T", "after the answer")
        }
        bench.world.pass(.seconds(2))
        let go = try bench.event("terminal 1 $ go").number
        #expect(try bench.event("[T] sent one").cause == go)
        #expect(try bench.event("message a->b 3 B on 1").cause == go)
        #expect(try bench.event("[T] after both").cause == go)
        let answer = bench.chain(to: "[T] after the answer")
        #expect(answer.dropLast().last == "message a->b 3 B on 1", "\(answer)")
    }

    @Test("bytes that waited for room or for their reader still name the message they are", arguments: Net.allCases)
    func afterWaiting(_ net: Net) throws {
        let bench = try Bench(net)
        defer { bench.world.shutDown() }
        let (a, b) = (bench.pair.a, bench.pair.b)
        let server = bench.pair.server
        server.stream.pauseReading()
        // More than fits into any buffer on the way, and a last word behind it.
        bench.command("bulk") {
            for _ in 0..<64 { bench.pair.client.stream.write([UInt8](repeating: 1, count: 256 * 1024)) }
        }
        bench.world.pass(.seconds(1))
        #expect(bench.pair.client.stream.unsentByteCount > 0)
        bench.command("last word") { bench.pair.client.stream.write("last word") }
        bench.command("end") { bench.pair.client.stream.finish() }
        server.onReceived = { recorder in if recorder.text.hasSuffix("last word") { b.log("T", "heard all") } }
        bench.command("resume") { server.stream.resumeReading() }
        bench.world.pass(.seconds(5))
        #expect(
            bench.chain(to: "[T] heard all") == [
                "terminal 1 $ last word", "message a->b 9 B on 1", "[T] heard all",
            ])
        _ = a
    }

    @Test("an end, a refusal and a reset have the cause of whoever made them", arguments: Net.allCases)
    func ends(_ net: Net) throws {
        let bench = try Bench(net)
        defer { bench.world.shutDown() }
        let (a, b) = (bench.pair.a, bench.pair.b)
        bench.pair.server.onReceived = { $0.stream.close() }
        let other = Listening { b.log("T", "ended") }
        _ = try b.listen(on: 81) { _ in other }
        bench.command("connect") { _ = try? a.connect(to: HostPort(host: "b", port: 81), handler: other) }
        bench.world.pass(.seconds(1))
        let connect = try bench.event("terminal 1 $ connect").number
        let opened = bench.events.filter { $0.body.description.hasSuffix("a->b opened") }.last
        let accepted = bench.events.filter { $0.body.description.hasSuffix("b->a opened") }.last
        #expect(opened?.cause == connect && accepted?.cause == connect)
        bench.command("refused") { _ = try? a.connect(to: HostPort(host: "b", port: 99), handler: Listening {}) }
        bench.world.pass(.seconds(1))
        #expect(bench.events.last?.cause == (try bench.event("terminal 1 $ refused").number))
        bench.command("kill") { a.end(.killed) }
        bench.world.pass(.seconds(1))
        let kill = try bench.event("terminal 1 $ kill").number
        let killed = try bench.event("killed")
        #expect(killed.cause == kill)
        #expect(try bench.event("[T] ended").cause == killed.number)
    }

    @Test("a fault is the cause of the resets it makes, and its injection of its end", arguments: Net.allCases)
    func faults(_ net: Net) throws {
        let bench = try Bench(net)
        defer { bench.world.shutDown() }
        bench.command("inject") { bench.world.inject(.reset, from: "a", for: .seconds(5)) }
        bench.world.pass(.seconds(10))
        let injected = try bench.event("fault 1 injected: reset")
        #expect(injected.cause == (try bench.event("terminal 1 $ inject").number))
        #expect(try bench.event("connection 1 a->b reset").cause == injected.number)
        #expect(try bench.event("fault 1 expired: reset").cause == injected.number)
    }

    @Test("a trail gives each stretch its cause, however it is cut")
    func trail() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<200 {
            var trail = CauseTrail()
            var owners: [UInt64] = []
            var cause: UInt64 = 0
            for _ in 0..<300 {
                if random.chance(0.5) {
                    let count = random.below(6)
                    cause += UInt64(random.below(2))
                    trail.append(count, cause: cause)
                    owners += Array(repeating: cause, count: count)
                } else {
                    let count = random.below(9)
                    let taken = owners.prefix(count)
                    #expect(trail.consume(count) == taken.last)
                    owners.removeFirst(taken.count)
                }
                #expect(trail.isEmpty == owners.isEmpty && trail.first?.cause == owners.first)
                #expect((trail.first?.byteCount ?? 0) == owners.prefix { $0 == owners.first }.count)
            }
        }
    }

    @Test("a trail of countless messages stays small, and remembers the latest")
    func boundedTrail() {
        var trail = CauseTrail()
        for cause in 1...100_000 { trail.append(1, cause: UInt64(cause)) }
        #expect(trail.consume(1) == 1 && trail.consume(99_998) == 100_000 && trail.consume(1) == 100_000)
        #expect(trail.isEmpty)
    }
}

private final class Listening: StreamHandler {
    private let ended: () -> Void
    init(_ ended: @escaping () -> Void) { self.ended = ended }
    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {}
    func streamEnded(_ stream: Stream) {
        ended()
        stream.close()
    }
    func stream(_ stream: Stream, closed reason: CloseReason) {}
}
