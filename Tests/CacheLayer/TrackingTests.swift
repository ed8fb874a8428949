import CacheLayerEngine
import KernelStructures
import Testing

/// `CLIENT TRACKING`: the shared cache says what has changed, to whoever has read it.
@Suite struct TrackingTests {
    /// A Redis of which only what matters here exists: strings, WATCH, MULTI, and who has read what.
    private final class Server {
        private var entries: [[UInt8]: [UInt8]] = [:]
        private var readers: [[UInt8]: Set<Int>] = [:]
        private var watched: [Int: [[UInt8]: Bool]] = [:]
        private var queued: [Int: [[[UInt8]]]] = [:]
        var isBroadcasting = false
        /// What each connection is told, in order: replies and pushes.
        var told: [[Word]] = []
        enum Word { case reply([RESPReply]), changed(String) }

        func connect() -> Int {
            told.append([])
            return told.count - 1
        }

        func carryOut(_ commands: RESPDialect.Commands, by client: Int) {
            var pushes: [Word] = []
            let replies = commands.map { execute($0, client, &pushes) }
            told[client] += [.reply(replies)] + pushes
        }

        private func execute(_ words: [[UInt8]], _ client: Int, _ pushes: inout [Word]) -> RESPReply {
            let name = String(decoding: words[0], as: UTF8.self)
            if name == "EXEC" {
                let commands = queued.removeValue(forKey: client) ?? []
                let isTouched = watched.removeValue(forKey: client)?.values.contains(true) ?? false
                return isTouched ? .null : .array(commands.map { execute($0, client, &pushes) })
            }
            if queued[client] != nil {
                queued[client]?.append(words)
                return .bytes(Array("QUEUED".utf8))
            }
            switch name {
            case "MULTI": queued[client] = []
            case "UNWATCH": watched[client] = nil
            case "WATCH": watched[client, default: [:]][words[1]] = false
            case "GET": return look(words[1], client).map { .bytes($0) } ?? .null
            case "MGET": return .array(words.dropFirst().map { look($0, client).map { .bytes($0) } ?? .null })
            case "EXISTS": return .integer(look(words[1], client) == nil ? 0 : 1)
            case "DEL": for key in words.dropFirst() { change(key, nil, by: client) }
            case "SET":
                if words.contains(Array("NX".utf8)), entries[words[1]] != nil { return .null }
                change(words[1], words[2], by: client)
            default: break
            }
            return .bytes(Array("OK".utf8))
        }

        private func look(_ key: [UInt8], _ client: Int) -> [UInt8]? {
            readers[key, default: []].insert(client)
            return entries[key]
        }

        /// NOLOOP: the one who changes it hears nothing; and the server forgets all readers of the key, him too.
        func change(_ key: [UInt8], _ value: [UInt8]?, by client: Int?) {
            if value == nil, entries[key] == nil { return }
            entries[key] = value
            for other in watched.keys where watched[other]?[key] != nil { watched[other]?[key] = true }
            let others = isBroadcasting ? Set(told.indices) : readers.removeValue(forKey: key) ?? []
            for other in others where other != client {
                told[other].append(.changed(String(decoding: key, as: UTF8.self)))
            }
        }
    }

    /// A layer, and its one connection to the server.
    private struct Process {
        var layer: CacheLayer
        let number: Int
        var waiting: [(step: Step, request: RemoteRequest)] = []
        var sent: [(step: Step, request: RemoteRequest, isSecondTrip: Bool)] = []
        var hasLonely = false
        /// Loads of which the source has not been asked yet, and stores, and waits for a lease.
        var pending: [Pending] = []
        enum Step { case flight(FlightID), write(WriteID) }
        enum Pending {
            case load(FlightID), loaded(FlightID, Loaded), store(WriteID, String, Number?), stored(WriteID, UInt64)
            case pause(FlightID)
        }
    }

    /// Two processes, a server and a source, in any order that chance brings.
    private struct World {
        let server = Server()
        var processes: [Process]
        var source: [String: (value: Int, version: UInt64)] = [:]
        var random: SeededRandom
        let dialect: RESPDialect
        var now = LabTime.at(0)
        static let keys = ["a", "b"]

        init(seed: UInt64, isBroadcasting: Bool, readsBack: Bool, isVersioned: Bool) {
            random = SeededRandom(seed: seed)
            dialect = RESPDialect(readsBack: readsBack)
            server.isBroadcasting = isBroadcasting
            processes = []
            self.isVersioned = isVersioned
            for number in 0..<2 {
                var layer = makeLayer(codec: Number.codec, seed: seed * 2 + UInt64(number))
                layer.isToldOfReadsOnly = !isBroadcasting
                processes.append(Process(layer: layer, number: server.connect()))
            }
        }

        let isVersioned: Bool

        mutating func follow(_ index: Int, _ step: FlightStep, _ id: FlightID) {
            switch step {
            case .ask(let request): processes[index].waiting.append((.flight(id), request))
            case .pause: processes[index].pending.append(.pause(id))
            case .load: processes[index].pending.append(.load(id))
            case .done: break
            }
        }

        mutating func follow(_ index: Int, _ step: WriteStep, _ id: WriteID) {
            switch step {
            case .ask(let request): processes[index].waiting.append((.write(id), request))
            case .store(let key, let value):
                processes[index].pending.append(.store(id, key, value as? Number))
            case .append, .done: break
            }
            settle(index)
        }

        mutating func settle(_ index: Int) {
            for effect in processes[index].layer.takeEffects() {
                if case .mayWrite(let id) = effect {
                    follow(index, processes[index].layer.beginWrite(id, now: now), id)
                }
            }
        }

        /// Something happens.
        ///
        /// - Returns: whether anything could.
        mutating func step(mayBegin: Bool) -> Bool {
            var choices: [(inout World) -> Void] = []
            for index in processes.indices {
                if !processes[index].waiting.isEmpty { choices.append { $0.send(index) } }
                if !server.told[index].isEmpty { choices.append { $0.hear(index) } }
                for place in processes[index].pending.indices { choices.append { $0.proceed(index, place) } }
                guard mayBegin else { continue }
                choices.append { $0.begin(index) }
            }
            if mayBegin, random.below(20) == 0 {
                // Somebody who knows nothing of layers takes a key away.
                let key = Self.keys[random.below(Self.keys.count)]
                server.change(Array(key.utf8), nil, by: nil)
            }
            guard !choices.isEmpty else { return false }
            choices[random.below(choices.count)](&self)
            return true
        }

        private mutating func begin(_ index: Int) {
            let key = Self.keys[random.below(Self.keys.count)]
            if random.below(3) > 0 {
                if case .lead(let id) = processes[index].layer.read(key, now: now) {
                    follow(index, processes[index].layer.begin(id, now: now), id)
                }
            } else {
                let value = random.below(1000)
                if case .begin(let id) = processes[index].layer.write(key, Number(value), now: now) {
                    follow(index, processes[index].layer.beginWrite(id, now: now), id)
                }
            }
            settle(index)
        }

        /// Sends the first that may be sent: of those that need the connection for themselves, one at a time.
        private mutating func send(_ index: Int) {
            let place = processes[index].waiting.firstIndex {
                !dialect.needsOwnConnection($0.request) || !processes[index].hasLonely
            }
            guard let place else { return }
            let (step, request) = processes[index].waiting.remove(at: place)
            if dialect.needsOwnConnection(request) { processes[index].hasLonely = true }
            processes[index].sent.append((step, request, false))
            server.carryOut(dialect.commands(for: request), by: index)
        }

        private mutating func hear(_ index: Int) {
            switch server.told[index].removeFirst() {
            case .changed(let key): processes[index].layer.heard(ofKey: key, now: now, isInOrder: true)
            case .reply(let replies):
                let (step, request, isSecondTrip) = processes[index].sent.removeFirst()
                switch dialect.next(request, replies, isSecondTrip: isSecondTrip) {
                case .send(let more):
                    processes[index].sent.append((step, request, true))
                    server.carryOut(more, by: index)
                case .reply(let reply):
                    if dialect.needsOwnConnection(request) { processes[index].hasLonely = false }
                    answered(index, step, reply)
                }
            }
            settle(index)
        }

        private mutating func answered(_ index: Int, _ step: Process.Step, _ reply: RemoteReply) {
            switch step {
            case .flight(let id): follow(index, processes[index].layer.proceed(id, .reply(reply), now: now), id)
            case .write(let id): follow(index, processes[index].layer.proceedWrite(id, .reply(reply), now: now), id)
            }
        }

        private mutating func proceed(_ index: Int, _ place: Int) {
            switch processes[index].pending.remove(at: place) {
            case .load(let id):
                guard let key = processes[index].layer.key(of: id) else { return }
                let found = source[key].map { Loaded.value(Number($0.value), version: isVersioned ? $0.version : 0) }
                processes[index].pending.append(.loaded(id, found ?? .absent))
            case .loaded(let id, let loaded):
                follow(index, processes[index].layer.proceed(id, .loaded(loaded), now: now), id)
            case .store(let id, let key, let value):
                source[key] = (value?.value ?? 0, (source[key]?.version ?? 0) + 1)
                processes[index].pending.append(.stored(id, isVersioned ? source[key]?.version ?? 0 : 0))
            case .stored(let id, let version):
                follow(index, processes[index].layer.proceedWrite(id, .stored(version: version), now: now), id)
            case .pause(let id):
                now = now + .milliseconds(20)
                follow(index, processes[index].layer.proceed(id, .paused, now: now), id)
            }
            settle(index)
        }

        /// Keys that a process gives out although the source has something newer.
        var wrong: [String] {
            mutating get {
                var found: [String] = []
                for index in processes.indices {
                    for key in Self.keys {
                        guard let answer = processes[index].layer.fresh(key, now: now) else { continue }
                        if answer.number != source[key]?.value { found.append("\(index) \(key)") }
                    }
                }
                return found
            }
        }
    }

    private func run(seed: UInt64, isBroadcasting: Bool, readsBack: Bool) -> (wrong: [String], hits: Int) {
        var world = World(seed: seed, isBroadcasting: isBroadcasting, readsBack: readsBack, isVersioned: true)
        for _ in 0..<300 { _ = world.step(mayBegin: true) }
        while world.step(mayBegin: false) {}
        // What the server was never asked for may be used for that long.
        world.now = world.now + .seconds(1)
        let hits = world.processes.reduce(0) { $0 + $1.layer.counters.hits }
        return (world.wrong, hits)
    }

    @Test(
        "whatever the order, once all is said no process gives out what is not so any more", arguments: [false, true])
    func anyOrder(isBroadcasting: Bool) {
        // @covers CL-C2 CL-C3
        var hits = 0
        for seed in 1...(2000 as UInt64) {
            let (wrong, count) = run(seed: seed, isBroadcasting: isBroadcasting, readsBack: !isBroadcasting)
            #expect(wrong.isEmpty, "seed \(seed): \(wrong)")
            hits += count
        }
        #expect(hits > 8_000, "\(hits): the processes keep hardly anything")
    }

    @Test("who does not read what he has written is not told of the next change")
    func readsBack() {
        let isWrong = (1...500 as ClosedRange<UInt64>).contains {
            !run(seed: $0, isBroadcasting: false, readsBack: false).wrong.isEmpty
        }
        #expect(isWrong)
    }

    @Test("what a waiting process hears of the other's fill does not take its place from it")
    func waitingForALease() throws {
        var layer = makeLayer(codec: Number.codec)
        guard case .lead(let id) = layer.read("k", now: .at(0)) else { return #expect(Bool(false)) }
        _ = layer.begin(id, now: .at(0))
        let lease = SharedEntry(id: (1, 2), isLease: true).encoded(schema: 1)
        _ = layer.proceed(id, .reply(.entry(lease, tagWords: [])), now: .at(0))
        layer.heard(ofKey: "k", now: .at(0.1), isInOrder: true)
        _ = layer.proceed(id, .paused, now: .at(0.1))
        var stored = SharedEntry(id: (3, 4), isLease: false)
        stored.loadedAt = .at(0.1)
        stored.freshUntil = .at(10)
        stored.value = Number.codec.encode(Number(7))
        _ = layer.proceed(id, .reply(.entry(stored.encoded(schema: 1), tagWords: [])), now: .at(0.1))
        #expect(layer.fresh("k", now: .at(0.1))?.number == 7)
        // What has asked the source may have been there before the change.
        guard case .lead(let other) = layer.read("l", now: .at(1)) else { return #expect(Bool(false)) }
        _ = layer.begin(other, now: .at(1))
        _ = layer.proceed(other, .reply(.entry(nil, tagWords: [])), now: .at(1))
        _ = layer.proceed(other, .reply(.done), now: .at(1))
        layer.heard(ofKey: "l", now: .at(1), isInOrder: true)
        // So nobody joins it who comes after that.
        guard case .lead(let later) = layer.read("l", now: .at(1)) else { return #expect(Bool(false)) }
        #expect(later != other)
        _ = layer.proceed(other, .loaded(.value(Number(1))), now: .at(1))
        #expect(layer.fresh("l", now: .at(1)) == nil)
    }

    @Test("what the shared cache was never asked for is used for a second only")
    func unread() throws {
        for isToldOfReadsOnly in [true, false] {
            var layer = makeLayer(codec: Number.codec)
            layer.isToldOfReadsOnly = isToldOfReadsOnly
            layer.put("k", Number(1), now: .at(0))
            #expect(layer.fresh("k", now: .at(0.9)) != nil)
            #expect((layer.fresh("k", now: .at(1)) != nil) == !isToldOfReadsOnly)
        }
    }

    @Test("what is said to the server")
    func words() {
        func text(_ commands: RESPDialect.Commands) -> [String] {
            commands.map { $0.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ") }
        }
        let dialect = RESPDialect(readsBack: true)
        #expect(
            text(dialect.tracking(keyPrefix: "user:", isBroadcasting: false)) == [
                "HELLO 3", "CLIENT TRACKING ON NOLOOP",
            ])
        #expect(
            text(dialect.tracking(keyPrefix: "user:", isBroadcasting: true))[1]
                == "CLIENT TRACKING ON BCAST PREFIX user: PREFIX tag:user: NOLOOP")
        #expect(
            text(dialect.tracking(keyPrefix: "", isBroadcasting: true))[1] == "CLIENT TRACKING ON BCAST NOLOOP")
        #expect(
            text(dialect.tracking(keyPrefix: "t", isBroadcasting: true))[1]
                == "CLIENT TRACKING ON BCAST PREFIX t NOLOOP", "none may begin with another")
        let set = RemoteRequest.set(key: "k", bytes: [65], ttl: .seconds(1))
        #expect(text(dialect.commands(for: set)) == ["UNWATCH", "MULTI", "SET k A PX 1000", "EXISTS k", "EXEC"])
        #expect(dialect.needsOwnConnection(set) && !RESPDialect().needsOwnConnection(set))
        #expect(text(RESPDialect().commands(for: set)) == ["SET k A PX 1000"])
        #expect(dialect.next(set, [.null]) == .reply(.failed("the server has not carried out a transaction")))
        #expect(dialect.notice(ofKey: "tag:user:all") == .tag("user:all"))
        #expect(dialect.notice(ofKey: "user:7") == .key("user:7"))
    }
}
