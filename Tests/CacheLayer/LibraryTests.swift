import CacheLayerEngine
import KernelStructures
import Synchronization
import TestSupport
import Testing

/// The library as another package uses it: many tasks at a time.
@Suite(.timeLimit(.minutes(5))) struct LibraryTests {
    private final class Source: CacheableRepository {
        struct Trouble: Error, Equatable {}
        struct Torn: UncertainOutcome {}

        let loads = Atomic<Int>(0)
        let writes = Mutex<[String]>([])
        let isBroken = Atomic<Bool>(false)
        let isStuck = Atomic<Bool>(false)
        let isTorn = Atomic<Bool>(false)
        let began = Atomic<Int>(0)
        /// Loads wait until it is opened.
        let gate = Gate()

        func fetch(_ key: Int) async throws -> String? {
            began.add(1, ordering: .relaxed)
            if isStuck.load(ordering: .relaxed) { try await Task.sleep(for: .seconds(3600)) }
            await gate.pass()
            try Task.checkCancellation()
            loads.add(1, ordering: .relaxed)
            if isBroken.load(ordering: .relaxed) { throw Trouble() }
            return key < 0 ? nil : "value \(key)"
        }

        func fetchAll(_ keys: [Int]) async throws -> [Int: String] {
            loads.add(1, ordering: .relaxed)
            if isBroken.load(ordering: .relaxed) { throw Trouble() }
            return Dictionary(uniqueKeysWithValues: keys.filter { $0 >= 0 }.map { ($0, "value \($0)") })
        }

        func update(_ value: String?, for key: Int) async throws -> UInt64 {
            if isTorn.load(ordering: .relaxed) { throw Torn() }
            if isBroken.load(ordering: .relaxed) { throw Trouble() }
            writes.withLock { $0.append("\(key)=\(value ?? "-")") }
            return 0
        }
    }

    /// Closed until somebody opens it.
    private final class Gate: Sendable {
        private let isOpen = Atomic<Bool>(true)
        func close() { isOpen.store(false, ordering: .releasing) }
        func open() { isOpen.store(true, ordering: .releasing) }
        func pass() async {
            while !isOpen.load(ordering: .acquiring) && !Task.isCancelled { await Task.yield() }
        }
    }

    private func until(_ isSo: () -> Bool) async {
        for _ in 0..<2_000_000 {
            if isSo() { return }
            await Task.yield()
        }
        Issue.record("it never came to be")
    }

    private func waiting(_ cached: Cached<Source>) -> Int { cached.withEngine { layer, _ in layer.waitingCount } }

    @Test("a thousand tasks want a cold key, and it is loaded once")
    func singleFlight() async throws {
        // @covers CL-M2 CL-C1
        let source = Source()
        source.gate.close()
        let cached = try Cached.wrap(source, clock: CacheClock(ManualClock()))
        try await withThrowingTaskGroup(of: String?.self) { group in
            for _ in 0..<1_000 { group.addTask { try await cached.value(7) } }
            await until { waiting(cached) == 999 }
            source.gate.open()
            for try await value in group { #expect(value == "value 7") }
        }
        #expect(source.loads.load(ordering: .relaxed) == 1)
        #expect(cached.cached(7) == "value 7")
        #expect(cached.withEngine { layer, _ in layer.brokenInvariants } == [])
    }

    @Test("the one who loads is cancelled: the next goes on, and nobody else sees an error")
    func cancelledLeader() async throws {
        let source = Source()
        source.gate.close()
        let cached = try Cached.wrap(source, clock: CacheClock(ManualClock()))
        await withTaskGroup(of: Void.self) { others in
            await withTaskGroup(of: Void.self) { leader in
                leader.addTask {
                    await #expect(throws: CancellationError.self) { try await cached.value(7) }
                }
                await until { source.began.load(ordering: .relaxed) == 1 }
                for _ in 0..<10 {
                    others.addTask {
                        let value = try? await cached.value(7)
                        #expect(value == "value 7")
                    }
                }
                await until { waiting(cached) == 10 }
                leader.cancelAll()
                await until { source.began.load(ordering: .relaxed) == 2 }
            }
            source.gate.open()
        }
        #expect(source.loads.load(ordering: .relaxed) == 1)
        #expect(cached.withEngine { layer, _ in layer.loadCount } == 0)
    }

    @Test("those who wait and are cancelled leave, whoever is left")
    func cancelledWaiters() async throws {
        let source = Source()
        source.gate.close()
        let cached = try Cached.wrap(source, clock: CacheClock(ManualClock()))
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                let value = try? await cached.value(7)
                #expect(value == "value 7")
            }
            await until { source.began.load(ordering: .relaxed) == 1 }
            await withTaskGroup(of: Void.self) { waiters in
                for _ in 0..<50 {
                    waiters.addTask { await #expect(throws: CancellationError.self) { try await cached.value(7) } }
                }
                await until { waiting(cached) == 50 }
                waiters.cancelAll()
            }
            #expect(waiting(cached) == 0)
            source.gate.open()
        }
        #expect(source.loads.load(ordering: .relaxed) == 1)
    }

    @Test("a source that never answers: all are told when the time is over, and the next one may try")
    func stuck() async throws {
        let source = Source()
        source.isStuck.store(true, ordering: .relaxed)
        let clock = ManualClock()
        let cached = try Cached.wrap(source, clock: CacheClock(clock))
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<5 {
                group.addTask { do { return try await cached.value(7) == nil } catch { return true } }
            }
            await until { waiting(cached) == 4 && clock.sleeperCount >= 5 }
            clock.advance(by: .seconds(11))
            for await isError in group { #expect(isError) }
        }
        source.isStuck.store(false, ordering: .relaxed)
        #expect(try await cached.value(7) == "value 7")
    }

    @Test("an error is the repository's own for the one who loaded, and is not kept")
    func errors() async throws {
        let source = Source()
        source.isBroken.store(true, ordering: .relaxed)
        let cached = try Cached.wrap(source, clock: CacheClock(ManualClock()))
        await #expect(throws: Source.Trouble()) { try await cached.value(7) }
        source.isBroken.store(false, ordering: .relaxed)
        #expect(try await cached.value(7) == "value 7")
        #expect(try await cached.value(-1) == nil)
        #expect(source.loads.load(ordering: .relaxed) == 3)
    }

    @Test("several keys: what is there, and the rest in one load; two who ask for the same do not wait in a ring")
    func bulk() async throws {
        let source = Source()
        let cached = try Cached.wrap(source, clock: CacheClock(ManualClock()))
        _ = try await cached.value(1)
        let values = try await cached.values([1, 2, 3, -4, 2])
        #expect(values == [1: "value 1", 2: "value 2", 3: "value 3"])
        #expect(source.loads.load(ordering: .relaxed) == 2)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for task in 0..<20 {
                group.addTask {
                    let keys = (10..<30).map { task % 2 == 0 ? $0 : 39 - $0 }
                    return try await cached.values(keys).count
                }
            }
            for try await count in group { #expect(count == 20) }
        }
        source.isBroken.store(true, ordering: .relaxed)
        await #expect(throws: Source.Trouble()) { try await cached.values([1, 100, 101]) }
        #expect(cached.withEngine { layer, _ in layer.loadCount } == 0)
    }

    @Test("writes: through, refused, and torn")
    func writes() async throws {
        let source = Source()
        let cached = try Cached.wrap(source, clock: CacheClock(ManualClock()))
        try await cached.update("new", for: 7)
        #expect(cached.cached(7) == "new")
        source.isBroken.store(true, ordering: .relaxed)
        await #expect(throws: Source.Trouble()) { try await cached.update("other", for: 7) }
        #expect(cached.cached(7) == "new", "nothing has changed")
        source.isTorn.store(true, ordering: .relaxed)
        await #expect(throws: Source.Torn.self) { try await cached.update("other", for: 7) }
        #expect(cached.cached(7) == nil, "nobody knows")
        try await withThrowingTaskGroup(of: Void.self) { group in
            source.isTorn.store(false, ordering: .relaxed)
            source.isBroken.store(false, ordering: .relaxed)
            for task in 0..<100 { group.addTask { try await cached.update("by \(task)", for: 8) } }
            try await group.waitForAll()
        }
        let last = source.writes.withLock { $0.last }
        #expect(cached.cached(8).map { "8=\($0)" } == last, "the cache has what the source was told last")
    }

    private final class Paper: CacheJournal {
        let bytes = Mutex<[UInt8]>([])
        func contents() async throws -> [UInt8] { bytes.withLock { $0 } }
        func append(_ more: [UInt8]) async throws { bytes.withLock { $0 += more } }
    }

    @Test("write-behind: at once for the reader, later for the source, and all of it at flush")
    func behind() async throws {
        let source = Source()
        let cached = try Cached.wrap(
            source, .init(strategy: [.readThrough, .writeBehind]), clock: CacheClock(ManualClock()))
        for round in 0..<3 { for key in 0..<5 { try await cached.update("round \(round)", for: key) } }
        #expect(try await cached.value(3) == "round 2")
        #expect(source.writes.withLock { $0 } == [])
        try await cached.flush()
        #expect(source.writes.withLock { $0 } == (0..<5).map { "\($0)=round 2" })
    }

    @Test("run loads what is near its end beside the readers, and brings what was written to the source")
    func running() async throws {
        let source = Source()
        let clock = ManualClock()
        var configuration = CacheConfiguration(
            strategy: [.readThrough, .writeBehind, .refreshAhead], ttl: .seconds(10), jitter: 0)
        configuration.earlyExpiration = 0
        let cached = try Cached.wrap(source, configuration, clock: CacheClock(clock))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await cached.run() }
            _ = try await cached.value(7)
            clock.advance(by: .seconds(9))
            #expect(try await cached.value(7) == "value 7")
            await until { source.loads.load(ordering: .relaxed) == 2 }
            try await cached.update("new", for: 8)
            await until {
                clock.advance(by: .milliseconds(10))
                return source.writes.withLock { !$0.isEmpty }
            }
            group.cancelAll()
        }
        #expect(source.writes.withLock { $0 } == ["8=new"])
    }

    /// A server that tells who has read a key that it has changed; no order of replies and news beyond that.
    private final class TellingServer: CacheBackend {
        let entries = Mutex<[[UInt8]: [UInt8]]>([:])
        let words = Mutex<[String]>([])

        private func reply(_ command: [[UInt8]]) -> RESPReply {
            words.withLock { $0.append(String(decoding: command[0], as: UTF8.self)) }
            return entries.withLock { entries in
                switch String(decoding: command[0], as: UTF8.self) {
                case "GET": return entries[command[1]].map { .bytes($0) } ?? .null
                case "SET":
                    if command.contains(Array("NX".utf8)), entries[command[1]] != nil { return .null }
                    entries[command[1]] = command[2]
                case "DEL": entries[command[1]] = nil
                case "EXEC": return .array([])
                default: break
                }
                return .bytes(Array("OK".utf8))
            }
        }

        func send(_ commands: RESPDialect.Commands) async throws -> [RESPReply] { commands.map(reply) }
        func send(_ commands: RESPDialect.Commands, then: @Sendable ([RESPReply]) -> RESPDialect.Commands)
            async throws -> [RESPReply]
        { then(commands.map(reply)).map(reply) }
    }

    @Test("what the shared cache says has changed is loaded anew; while nothing is heard, nothing is believed for long")
    func tracked() async throws {
        let source = Source()
        let server = TellingServer()
        let clock = ManualClock()
        var configuration = CacheConfiguration(strategy: [.readThrough, .writeThrough], ttl: .seconds(600))
        configuration.keyPrefix = "user:"
        let cached = try Cached.wrap(
            source, configuration, backend: server, tracksReads: true, clock: CacheClock(clock))
        #expect(try await cached.value(7) == "value 7" && cached.cached(7) != nil)
        #expect(server.words.withLock { $0.contains("EXISTS") && !$0.contains("PUBLISH") })
        cached.heard(changed: ["order:7", "user:8"])
        #expect(cached.cached(7) != nil)
        cached.heard(changed: ["user:7"])
        #expect(cached.cached(7) == nil)
        #expect(try await cached.value(7) == "value 7")
        #expect(source.loads.load(ordering: .relaxed) == 1, "the server has it still")
        cached.heard(changed: nil)
        #expect(cached.cached(7) == nil)
        cached.hears(false)
        _ = try await cached.value(7)
        #expect(cached.cached(7) != nil)
        clock.advance(by: .seconds(1))
        #expect(cached.cached(7) == nil, "deaf: for a second only")
    }
}

extension String: CacheCodable {
    public init(cacheBytes: [UInt8]) throws { self.init(decoding: cacheBytes, as: UTF8.self) }
    public var cacheBytes: [UInt8] { Array(utf8) }
}
