import KernelStructures
import KernelWorld
import LoadBalancerEngine
import LoadBalancerService
import TestSupport
import Testing

/// Simulations of which the outcome can be worked out by hand.
@Suite("Replay of recorded requests")
struct ReplayTests {
    private let start = LabTime.documentedEpoch

    /// One request every `pause` of milliseconds, each recorded on the next of some servers, numbered from 1.
    private func requests(_ count: Int, every pause: Int, on services: [Int]) -> [Replay.Request] {
        (0..<count).map { index in
            let server = index % services.count
            return .init(
                arrived: start + .milliseconds(index * pause), key: UInt64(index), server: server + 1,
                serviceTime: .milliseconds(services[server]))
        }
    }

    private func servers(_ weights: [Int], limit: Int? = nil) -> [Replay.Server] {
        weights.enumerated().map {
            .init(serial: $0.offset + 1, name: "\($0.offset + 1)", weight: $0.element, maxConnections: limit)
        }
    }

    /// The first of those with the fewest requests.
    private func shortest(_ count: Int) -> Replay.Chooser {
        { _, load, mayBeChosen in
            (0..<count).filter(mayBeChosen).min { (load($0), $0) < (load($1), $1) }
        }
    }

    @Test("percentiles are the least value that enough do not exceed")
    func percentiles() {
        let hundred = (1...100).map { LabDuration.milliseconds($0) }
        #expect(Replay.percentile(hundred, 50) == .milliseconds(50))
        #expect(Replay.percentile(hundred, 99) == .milliseconds(99))
        #expect(Replay.percentile(hundred + [.seconds(1)], 99) == .milliseconds(100))
        #expect(Replay.percentile([.seconds(3)], 50) == .seconds(3))
        #expect(Replay.percentile([], 99) == .zero)
    }

    // @covers LB-M2
    @Test("with equal costs round robin is fair, in requests and in time", arguments: 1...6)
    func equalCosts(_ count: Int) {
        let recording = Replay(
            requests(count * 40, every: 3, on: Array(repeating: 10, count: count)),
            on: servers(Array(repeating: 1, count: count)))
        let outcome = recording.run(.roundRobin, random: SeededRandom(seed: 1))
        #expect(outcome.requests == count * 40)
        #expect(outcome.imbalance == 1)
        #expect(abs(outcome.busyImbalance - 1) < 1e-9)
        #expect(outcome.median == .milliseconds(10) && outcome.slowest == .milliseconds(10))
        #expect(outcome.moved == 0)
    }

    @Test("one slow server among three spoils the tail of round robin, and not of who looks at the load")
    func slowServer() {
        let replay = Replay(requests(1200, every: 5, on: [10, 10, 2000]), on: servers([1, 1, 1]))
        let turns = replay.run(.roundRobin, random: SeededRandom(seed: 1))
        #expect(turns.percentile99 == .seconds(2))
        #expect(turns.median == .milliseconds(10))
        #expect(turns.imbalance == 1)
        #expect(turns.busyImbalance > 2.9)
        let looking = replay.run(shortest(3))
        // Two servers take 200 requests a second of 10 ms without ever having two at once.
        #expect(looking.percentile99 == .milliseconds(10) && looking.slowest == .milliseconds(10))
        #expect(looking.requestsByServer == [1: 600, 2: 600])
        #expect(looking.imbalance == 1.5)
    }

    @Test("least connections keeps the tail short where round robin does not, and a hash keeps keys together")
    func algorithms() {
        var recorded = requests(1200, every: 5, on: [10, 10, 2000])
        let replay = Replay(recorded, on: servers([1, 1, 1]))
        let looking = replay.run(.leastConnections, random: SeededRandom(seed: 1))
        #expect(looking.percentile99 < .seconds(1) && looking.median == .milliseconds(10))
        // It gets as many as it has done: about one in two seconds, and one more.
        #expect((1...9).contains(looking.requestsByServer[3] ?? 0))
        #expect(replay.run(.random, random: SeededRandom(seed: 1)).percentile99 < .seconds(1))
        for index in recorded.indices { recorded[index].key = 7 }
        for algorithm in [LoadBalancerConfiguration.Algorithm.hash, .maglev] {
            let outcome = Replay(recorded, on: servers([1, 1, 1])).run(algorithm, random: SeededRandom(seed: 1))
            #expect(outcome.requestsByServer.count == 1 && outcome.imbalance == 3)
        }
    }

    @Test("the recording is given as it was measured, waiting included")
    func recorded() {
        let list = [
            Replay.Request(arrived: start, server: 1, serviceTime: .milliseconds(10)),
            .init(arrived: start, server: 1, waited: .milliseconds(30), serviceTime: .milliseconds(10)),
            .init(arrived: start, server: 1, serviceTime: .milliseconds(10)),
            .init(arrived: start, server: 2, serviceTime: .milliseconds(90)),
        ]
        let outcome = Replay(list, on: servers([1, 1])).recorded()
        #expect(outcome.requests == 4 && outcome.moved == 0)
        #expect(outcome.median == .milliseconds(10) && outcome.slowest == .milliseconds(90))
        #expect(outcome.percentile99 == .milliseconds(90))
        #expect(outcome.imbalance == 1.5)
        // 30 ms and 90 ms, mean 60.
        #expect(abs(outcome.busyImbalance - 1.5) < 1e-9)
    }

    @Test("shares are counted by weight")
    func weights() {
        let replay = Replay(requests(40, every: 1, on: [10]), on: servers([3, 1]))
        let outcome = replay.run(.roundRobin, random: SeededRandom(seed: 1))
        #expect(outcome.requestsByServer == [1: 30, 2: 10])
        #expect(outcome.imbalance == 1)
        #expect(outcome.moved == 10)
        // All on the weaker one: it has four times its share.
        #expect(replay.run { _, _, _ in 1 }.imbalance == 4)
    }

    @Test("a full server lets requests wait, first come, first served")
    func limit() {
        let together = (0..<3).map { _ in
            Replay.Request(arrived: start, server: 1, serviceTime: .milliseconds(10))
        }
        let late = Replay.Request(arrived: start + .milliseconds(30), server: 1, serviceTime: .milliseconds(10))
        let outcome = Replay(together + [late], on: servers([1], limit: 1)).run(shortest(1))
        // 10, 20, 30, and the last one comes at the moment when the third is done.
        #expect(outcome.slowest == .milliseconds(30))
        #expect(outcome.median == .milliseconds(10))
        #expect(outcome.requests == 4)
        let halls = Replay(together, on: servers([1], limit: 1)).run(shortest(1))
        #expect(halls.median == .milliseconds(20))
    }

    @Test("nobody overtakes the line, even if there is room for him")
    func line() {
        var order: [UInt64] = []
        let list = (0..<4).map { index in
            Replay.Request(
                arrived: start + .milliseconds(index), key: UInt64(index), server: 1, serviceTime: .milliseconds(10))
        }
        // The second request only wants the first server, which is taken; the others would take any.
        let replay = Replay(list, on: servers([1, 1], limit: 1))
        let outcome = replay.run { key, _, mayBeChosen in
            let wanted = key == 1 ? [0] : [0, 1]
            guard let found = wanted.first(where: mayBeChosen) else { return nil }
            order.append(key)
            return found
        }
        #expect(order == [0, 1, 2, 3])
        #expect(outcome.requests == 4)
    }

    @Test("a request takes longer on a slower server, by the ratio of medians; unknown servers are the middle")
    func scaling() {
        let recording = requests(30, every: 100, on: [10, 20, 40])
        let replay = Replay(recording, on: servers([1, 1, 1, 1]))
        #expect(replay.run { _, _, _ in 0 }.slowest == .milliseconds(10))
        #expect(replay.run { _, _, _ in 2 }.median == .milliseconds(40))
        #expect(replay.run { _, _, _ in 3 }.slowest == .milliseconds(20))
        #expect(replay.run { _, _, _ in 3 }.moved == 30)
    }

    @Test("requests that took no time can be replayed, too")
    func instantaneous() {
        let replay = Replay(requests(10, every: 0, on: [0, 0]), on: servers([1, 1]))
        let outcome = replay.run(shortest(2))
        #expect(outcome.slowest == .zero && outcome.requests == 10)
        #expect(outcome.busyImbalance == 1)
    }

    @Test(
        "every request is served exactly once, whatever the loads and limits, twice in the same way",
        arguments: 1...30 as ClosedRange<UInt64>)
    func conservation(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let count = random.below(5) + 1
        var now = start
        let list = (0..<random.below(400) + 1).map { _ in
            now = now + .microseconds(random.below(3000))
            return Replay.Request(
                arrived: now, key: random.next(), server: random.below(count) + 1,
                serviceTime: .microseconds(random.below(20_000)))
        }
        let pool = servers((0..<count).map { _ in random.below(5) + 1 }, limit: random.below(4) + 1)
        let replay = Replay(list, on: pool)
        for algorithm in LoadBalancerConfiguration.Algorithm.allCases {
            let outcome = replay.run(algorithm, random: SeededRandom(seed: seed))
            #expect(outcome.requests == list.count, "\(algorithm)")
            #expect(outcome.requestsByServer.values.reduce(0, +) == list.count)
            #expect(outcome == replay.run(algorithm, random: SeededRandom(seed: seed)))
        }
    }

    // MARK: What is recorded

    @Test("a balancer in the lab records who asked, who answered and how long it took")
    func recording() throws {
        let farm = try Farm(2)
        _ = try farm.ask(3, "/delay/20ms", every: .milliseconds(50))
        let entries = try #require(farm.host.engine.recording).entries
        #expect(entries.map(\.request) == [1, 2, 3])
        #expect(entries.map(\.server) == [1, 2, 1])
        #expect(entries.allSatisfy { $0.state == .answered && $0.source == farm.client.address })
        for entry in entries {
            #expect(entry.serviceTime >= .milliseconds(20) && entry.serviceTime < .milliseconds(21))
        }
        #expect(Set(entries.map(\.key)).count == 1)
        let replay = try #require(farm.host.engine.replay)
        #expect(replay.requests.count == 3 && replay.servers.map(\.name) == ["8081", "8082"])
        #expect(replay.recorded().requestsByServer == [1: 2, 2: 1])
    }

    @Test("in TCP mode a connection is a request, and takes as long as it is open")
    func connections() throws {
        let farm = try Farm(2) { $0.mode = .tcp }
        let client = try farm.dial()
        client.write("GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        farm.pass(.milliseconds(300))
        #expect(client.statuses == [200])
        #expect(farm.host.engine.recording?.entry(of: 1)?.state == .open)
        #expect(farm.host.engine.replay?.requests.isEmpty == true)
        client.stream.close()
        farm.pass(.milliseconds(10))
        let entry = try #require(farm.host.engine.recording?.entry(of: 1))
        #expect(entry.state == .answered && entry.server == 1)
        #expect(entry.serviceTime >= .milliseconds(299) && entry.serviceTime < .milliseconds(310))
    }

    @Test("a request that a second server answered counts for that one, and one that nobody answered for none")
    func retried() throws {
        let farm = try Farm(2)
        farm.backends[0].node.end(.killed)
        #expect(try farm.ask() == ["b"])
        farm.backends[1].node.end(.killed)
        #expect(try farm.ask() == ["!503"])
        let engine = farm.host.engine
        #expect(engine.recording?.entries.map(\.state) == [.answered, .failed])
        #expect(engine.recording?.entry(of: 1)?.server == 2)
        #expect(engine.replay?.requests.count == 1)
    }

    @Test("a process of its own records nothing")
    func unrecorded() throws {
        var configuration = WorldConfiguration(transport: MemoryTransport())
        configuration.journalCapacity = 0
        let world = World(configuration)
        let node = try world.nodes.start("lb")
        let list = [LoadBalancerConfiguration.Backend(name: "a", destination: HostPort(host: "localhost", port: 8081))]
        let host = LoadBalancerHost(node: node, source: .init(fixed: .init(backends: list)), port: 80)
        #expect(host.engine.recording == nil && host.engine.traffic == nil && host.engine.replay == nil)
        world.shutDown()
    }

    @Test("the recording keeps the last hundred thousand, whatever numbers are left out")
    func bounded() throws {
        let list = [LoadBalancerConfiguration.Backend(name: "a", destination: HostPort(host: "localhost", port: 8081))]
        var engine = LoadBalancer(.init(backends: list), now: start)
        // Before it records, and one that never asks for a server.
        for _ in 0..<6 { engine.requestArrived() }
        engine.startRecording()
        engine.requestArrived()
        let total = ArrivalRecording.limit + 50
        for index in 0..<total {
            if index == 10 { engine.requestArrived() }
            let request = engine.requestArrived()
            _ = engine.choose(Arrival(request: request, source: .loopback), now: start)
            engine.requestBegan(server: 0)
            _ = engine.requestEnded(server: 0, .answered(200), latency: .zero, request: request, now: start)
        }
        let entries = try #require(engine.recording).entries
        #expect(entries.count == ArrivalRecording.limit)
        #expect(entries.first?.request == 59 && entries.last?.request == total + 8)
        #expect(entries.allSatisfy { $0.state == .answered && $0.server == 1 })
        #expect(engine.recording?.entry(of: 58) == nil)
        #expect(engine.recording?.entry(of: 59)?.request == 59)
    }
}
