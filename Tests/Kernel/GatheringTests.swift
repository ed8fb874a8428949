import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// Writes of one round of input leave together, where no journal wants to know what caused each.
@Suite("Gathering of writes")
struct GatheringTests {
    /// Input that is a closure: it runs once, as if a descriptor had become ready.
    private final class Input: EventSource {
        var action: (() -> Void)?
        var hostNanoseconds: Int64 { 0 }

        func poll(timeoutNanoseconds: Int64, onWake: () -> Void) -> Int {
            guard let action else { return 0 }
            self.action = nil
            onWake()
            action()
            return 1
        }
    }

    /// Takes everything and keeps what it was called for.
    private final class Recorder: StreamTransport {
        let name: String
        let log: Log
        init(_ name: String, _ log: Log) {
            self.name = name
            self.log = log
        }
        func send(_ bytes: UnsafeRawBufferPointer, cause: UInt64) -> Int {
            let text = bytes.count > 100 ? "\(bytes.count)" : String(decoding: bytes, as: UTF8.self)
            log.lines.append("\(name) \(text)")
            return bytes.count
        }
        func sendEnd(cause: UInt64) { log.lines.append("\(name) end") }
        func setReading(_ isReading: Bool) {}
        func close(_ manner: CloseManner) { log.lines.append("\(name) closed") }
    }

    private final class Log { var lines: [String] = [] }

    private final class Place {
        let world: World
        let input = Input()
        let log = Log()
        private(set) var streams: [Stream] = []

        init(_ count: Int, recordsTraffic: Bool = false) throws {
            var configuration = WorldConfiguration(transport: MemoryTransport(), eventSource: input)
            configuration.recordsTraffic = recordsTraffic
            world = World(configuration)
            let server = try ScriptedServer(world.node("server"), port: 80)
            let node = world.node("client")
            let clients = try (0..<count).map { _ in try RawClient(node, "server", 80) }
            world.pass(.milliseconds(1))
            #expect(server.connections.count == count)
            streams = clients.map(\.stream)
            for (number, stream) in streams.enumerated() { stream.transport = Recorder("\(number)", log) }
        }

        func round(_ action: @escaping () -> Void) -> [String] {
            input.action = action
            world.turn(longestWait: .zero)
            return log.lines
        }
    }

    @Test("small writes of a round leave at its end, one piece a connection, in the order of the first of each")
    func together() throws {
        let place = try Place(2)
        let lines = place.round { [streams = place.streams] in
            streams[1].write("a")
            streams[0].write("b")
            streams[1].write("c")
        }
        #expect(lines == ["1 ac", "0 b"])
    }

    @Test("with a journal of traffic each leaves at once")
    func apart() throws {
        let place = try Place(2, recordsTraffic: true)
        let lines = place.round { [streams = place.streams] in
            streams[1].write("a")
            streams[0].write("b")
            streams[1].write("c")
        }
        #expect(lines == ["1 a", "0 b", "1 c"])
    }

    @Test("outside a round each leaves at once")
    func outside() throws {
        let place = try Place(1)
        place.streams[0].write("a")
        place.streams[0].write("b")
        #expect(place.log.lines == ["0 a", "0 b"])
    }

    @Test("what is large takes what was before it along, and an end comes last")
    func order() throws {
        let place = try Place(1)
        let lines = place.round { [streams = place.streams] in
            streams[0].write("a")
            streams[0].write([UInt8](repeating: 0, count: 20_000))
            streams[0].write("b")
            streams[0].finish()
        }
        #expect(lines == ["0 a", "0 20000", "0 b", "0 end"])
    }

    @Test("what must be done before anything leaves is done once, ahead of the first that leaves, however that goes")
    func duties() throws {
        func lines(_ count: Int, _ writes: @escaping ([Stream]) -> Void) throws -> [String] {
            let place = try Place(count)
            let network = place.world.network!
            return place.round { [streams = place.streams, log = place.log] in
                #expect(network.beforeLeaving { log.lines.append("done") })
                writes(streams)
            }
        }
        #expect(try lines(2) { for stream in $0 { stream.write("x") } } == ["done", "0 x", "1 x"])
        let large = [UInt8](repeating: 0, count: 20_000)
        #expect(try lines(1) { $0[0].write(large) } == ["done", "0 20000"])
        let much = try lines(1) { streams in for _ in 0..<20 { streams[0].write([UInt8](large.prefix(10_000))) } }
        #expect(much.first == "done" && much.count { $0 == "done" } == 1)
        #expect(try lines(65) { for stream in $0 { stream.write("x") } }.prefix(2) == ["done", "0 x"])
        #expect(try lines(1) { _ in } == ["done"], "also where nobody says anything")
        let place = try Place(1)
        var isDone = false
        let isLater = place.world.network.beforeLeaving { isDone = true }
        #expect(!isLater && !isDone, "outside a round: do it yourself")
    }

    @Test("what is reset loses what it had, and nothing comes after")
    func abort() throws {
        let place = try Place(2)
        let lines = place.round { [streams = place.streams] in
            streams[0].write("a")
            streams[1].write("b")
            streams[0].abort()
        }
        #expect(lines == ["0 closed", "1 b"])
    }

    @Test("with very many, the first do not wait for the last, and nothing is forgotten", arguments: [63, 64, 65, 200])
    func many(count: Int) throws {
        let place = try Place(count)
        var afterMost: [String] = []
        let lines = place.round { [streams = place.streams, log = place.log] in
            for stream in streams { stream.write("x") }
            afterMost = log.lines
        }
        #expect(lines == (0..<count).map { "\($0) x" })
        #expect(afterMost.count == (count - 1) / 64 * 64)
    }
}
