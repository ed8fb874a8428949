import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterEngine
import RateLimiterService
import TestSupport
import Testing

/// Several limiters with one count, and what becomes of it when they cannot talk.
@Suite struct DistributedTests {
    private let world: World
    private let store: ServiceBench
    private let fronts: [ServiceBench]
    static let rule = "{name: api, algorithm: ALGORITHM, rate: 10/minute, key: header X-Key, on_store_failure: FAILURE}"

    init() throws { self = try Self(algorithm: "token-bucket") }

    init(
        algorithm: String = "token-bucket", lease: Int = 1, failure: String = "local", nodes: Int = 3, seed: UInt64 = 1
    )
        throws
    {
        world = memoryWorld(seed: seed)
        let rules =
            "rules: [\(Self.rule.replacing("ALGORITHM", with: algorithm).replacing("FAILURE", with: failure))]\n"
        store = try ServiceBench(rules, world: world, name: "store", throttle: 6380)
        fronts = try (1...nodes).map { [world] in
            try ServiceBench(rules + "store: store:6380\nlease: \(lease)\n", world: world, name: "rl-\($0)")
        }
    }

    private func audit() -> Audit? {
        Audit.run((fronts + [store]).map { ($0.host.engine.policies, $0.host.admissions) }).first
    }

    /// Requests of one key, to the limiters in turn.
    private func storm(_ count: Int, pause: LabDuration = .zero) throws -> [Int] {
        try (0..<count).map { index in
            world.pass(pause)
            return try fronts[index % fronts.count].ask("/", "X-Key: k").status
        }
    }

    @Test(
        "three limiters with a lease of 1 admit exactly what one would, whatever their calendars say",
        arguments: ["token-bucket", "gcra", "fixed-window", "sliding-log", "sliding-counter"])
    func exact(algorithm: String) throws {
        let bench = try Self(algorithm: algorithm)
        bench.fronts[0].host.node.clockSkew = .seconds(3_600)
        bench.fronts[1].host.node.clockSkew = .zero - .seconds(3_600)
        bench.store.host.node.clockSkew = .seconds(600)
        let statuses = try bench.storm(40)
        #expect(statuses.count { $0 == 200 } == 10 && statuses.count { $0 == 429 } == 30)
        #expect(statuses.prefix(10).allSatisfy { $0 == 200 })
        let audit = try #require(bench.audit())
        #expect(audit.nodes == 3 && audit.admitted == 10 && audit.overAdmitted == 0)
        #expect(bench.fronts.map { $0.host.storeCounters!.asked }.reduce(0, +) == 40)
    }

    @Test("simultaneous requests through three limiters: exactly the limit gets in")
    func simultaneous() throws {
        let clients = try (0..<90).map { try fronts[$0 % 3].client("c\($0 % 7)") }
        for client in clients { client.write("GET / HTTP/1.1\r\nHost: rl\r\nX-Key: k\r\n\r\n") }
        world.pass(.seconds(1))
        #expect(clients.count { $0.statuses == [200] } == 10)
        #expect(clients.count { $0.statuses == [429] } == 80)
    }

    @Test("leases save round trips, and nothing is admitted that was not charged")
    func leases() throws {
        let bench = try Self(algorithm: "token-bucket", lease: 3)
        let statuses = try bench.storm(60)
        #expect(statuses.count { $0 == 200 } == 10)
        let counters = bench.fronts.map { $0.host.storeCounters! }
        #expect(counters.map(\.fromLease).reduce(0, +) == 6)
        #expect(try #require(bench.audit()).overAdmitted == 0)
    }

    @Test("a lease that is not spent in its time is lost, not kept for later")
    func leaseExpiry() throws {
        let bench = try Self(algorithm: "fixed-window", lease: 10, nodes: 1)
        #expect(try bench.storm(3) == [200, 200, 200])
        bench.world.pass(.seconds(2))
        #expect(try bench.storm(1) == [429])
        #expect(bench.fronts[0].host.storeCounters!.leaseLost == 7)
    }

    @Test("the price of a lease: a window can hold too much, by a lease a node at the most")
    func leaseOverAdmission() throws {
        let bench = try Self(algorithm: "fixed-window", lease: 5)
        bench.world.pass(.milliseconds(59_500))
        // Just before the full minute each takes a lease and spends one of it; just after it they spend the rest,
        // besides what the new minute gives them.
        _ = try bench.storm(3)
        bench.world.pass(.milliseconds(600))
        let later = try bench.storm(40)
        #expect(later.count { $0 == 200 } > 10 && later.count { $0 == 200 } <= 10 + 3 * 4)
    }

    @Test(
        "a partition: local counts alone, closed refuses, open admits, and the audit says what it cost",
        arguments: [
            ("local", 30, 20), ("closed", 0, 0), ("open", 60, 50),
        ])
    func partition(failure: String, admitted: Int, over: Int) throws {
        let bench = try Self(failure: failure)
        bench.world.inject(.block(partition: true), to: "store", both: true)
        let statuses = try (0..<60).map { index in
            let front = bench.fronts[index % 3]
            let client = try front.client()
            client.write("GET / HTTP/1.1\r\nHost: rl\r\nX-Key: k\r\n\r\n")
            // The first request to each waits for its timeout, the others fail at once.
            bench.world.pass(index < 3 ? .milliseconds(300) : .milliseconds(1))
            return client.statuses.first
        }
        #expect(statuses.count { $0 == 200 } == admitted)
        #expect(statuses.count { $0 == (failure == "closed" ? 503 : 429) } == 60 - admitted)
        let audit = bench.audit()
        #expect((audit?.overAdmitted ?? 0) == over)
        // Healed, they agree again.
        _ = bench.world.faults.removeAll()
        bench.world.pass(.seconds(70))
        #expect(try bench.storm(20).count { $0 == 200 } == 10)
    }

    @Test("a store that was killed and comes back: refused connections, then it goes on")
    func restart() throws {
        let bench = try Self(failure: "closed")
        #expect(try bench.storm(3) == [200, 200, 200])
        let node = bench.store.host.node
        node.end(.killed)
        #expect(try bench.storm(3) == [503, 503, 503])
        node.start()
        let again = RateLimiterHost(
            node: node, source: .init(fixed: bench.store.host.configuration), port: 8080, throttle: 6380)
        try again.start()
        bench.world.pass(.seconds(2))
        #expect(try bench.storm(3) == [200, 200, 200])
    }

    @Test("several rules through a store: all or nothing there, too")
    func severalRules() throws {
        let world = memoryWorld()
        let rules = """
            rules:
              - {name: wide, algorithm: gcra, rate: 10/minute}
              - {name: narrow, algorithm: fixed-window, rate: 2/minute}

            """
        let store = try ServiceBench(rules, world: world, name: "store", throttle: 6380)
        let front = try ServiceBench(rules + "store: store:6380\nlease: 4", world: world)
        let statuses = try (0..<12).map { _ in try front.ask().status }
        #expect(statuses.count { $0 == 200 } == 2)
        #expect(store.host.engine.counters[0].refusedByOthers > 0)
    }

    @Test("a shadow that a shared store refuses is counted as one, and refuses nobody")
    func shadowThroughStore() throws {
        let world = memoryWorld()
        let rules = """
            rules:
              - {name: trial, algorithm: fixed-window, rate: 2/minute, shadow: true}
              - {name: real, algorithm: fixed-window, rate: 5/minute}

            """
        let store = try ServiceBench(rules, world: world, name: "store", throttle: 6380)
        let front = try ServiceBench(rules + "store: store:6380", world: world)
        let statuses = try (0..<8).map { _ in try front.ask().status }
        #expect(statuses == [200, 200, 200, 200, 200, 429, 429, 429])
        let (trial, real) = (front.host.engine.counters[0], front.host.engine.counters[1])
        #expect(trial.shadowOverLimit == 6 && trial.overLimit == 0 && trial.withinLimit == 2)
        #expect(real.overLimit == 3 && real.withinLimit == 5 && real.refusedByOthers == 0)
        #expect(store.host.engine.counters[0].overLimit == 0 && front.host.storeCounters!.failed == 0)
    }

    @Test("the same seed gives the same journal, byte for byte, leases, partition and recovery included")
    func journal() throws {
        func run(_ seed: UInt64) throws -> String {
            let bench = try Self(algorithm: "sliding-counter", lease: 3, seed: seed)
            _ = try bench.storm(20, pause: .milliseconds(70))
            bench.world.inject(.block(partition: true), to: "store", both: true, for: .seconds(2))
            for front in bench.fronts {
                try front.client().write("GET / HTTP/1.1\r\nHost: rl\r\nX-Key: k\r\n\r\n")
                bench.world.pass(.milliseconds(300))
            }
            bench.world.pass(.seconds(5))
            _ = try bench.storm(20, pause: .milliseconds(70))
            return bench.world.journal.text
        }
        for seed in 1...3 as ClosedRange<UInt64> {
            let first = try run(seed)
            #expect(first.contains("failed: no answer within 250ms") && first.contains("answers again"))
            #expect(try run(seed) == first)
        }
    }

    // MARK: The RESP port

    private func command(_ words: String...) throws -> RESPValue {
        let client = RESPClientConnection()
        var answer: RESPValue?
        try client.connect(from: world.nodes["caller"] ?? world.node("caller"), to: HostPort(host: "store", port: 6380))
        client.send(words) { if case .success(let value) = $0 { answer = value } }
        world.pass(.milliseconds(1))
        client.close()
        return try #require(answer)
    }

    private func numbers(_ value: RESPValue) -> [Int] { value.elements?.compactMap(\.integer) ?? [] }

    @Test("CL.THROTTLE as redis-cell documents it")
    func throttle() throws {
        #expect(numbers(try command("CL.THROTTLE", "user123", "15", "30", "60", "1")) == [0, 16, 15, -1, 2])
        for _ in 0..<15 { _ = try command("cl.throttle", "user123", "15", "30", "60") }
        // A millisecond a call has passed: the wait is a little less than two seconds, and two is said.
        #expect(numbers(try command("CL.THROTTLE", "user123", "15", "30", "60")) == [1, 16, 0, 2, 32])
        world.pass(.seconds(2))
        #expect(numbers(try command("CL.THROTTLE", "user123", "15", "30", "60")).first == 0)
        #expect(numbers(try command("CL.THROTTLE", "user123", "15", "30", "60", "0"))[1...] == [16, 0, -1, 32])
        #expect(numbers(try command("CL.THROTTLE", "other", "0", "1", "10")) == [0, 1, 0, -1, 10])
        #expect(numbers(try command("CL.THROTTLE", "other", "3", "1", "10", "9")).prefix(4) == [1, 4, 3, -1])
    }

    @Test(
        "CL.THROTTLE with words that make no sense",
        arguments: [
            ["CL.THROTTLE", "k"], ["CL.THROTTLE", "k", "a", "1", "1"], ["CL.THROTTLE", "k", "1", "0", "1"],
            ["CL.THROTTLE", "k", "1", "1", "0"], ["CL.THROTTLE", "k", "-1", "1", "1"],
            ["CL.THROTTLE", "k", "1", "1", "1", "1", "1"], ["CL.THROTTLE", "k", "999999999", "7", "999999999"],
            ["RL.TAKE", "api", "k", "1"], ["RL.TAKE", "apo", "k", "1", "0"], ["RL.TAKE", "api", "k", "x", "0"],
            ["RL.TAKE", "api", "k", "1", "0", "api", "k", "1", "0"], ["RL.TAKE", "api", "k", "-1", "0"],
        ])
    func badWords(words: [String]) throws {
        let client = RESPClientConnection()
        var answer: RESPValue?
        try client.connect(from: world.node("caller"), to: HostPort(host: "store", port: 6380))
        client.send(words) { if case .success(let value) = $0 { answer = value } }
        world.pass(.milliseconds(1))
        #expect(answer?.errorText?.hasPrefix("ERR ") == true, "\(words)")
    }

    @Test("a store that answers nonsense counts as failed")
    func nonsense() throws {
        let world = memoryWorld()
        let server = try ScriptedServer(world.node("store"), port: 6380)
        let front = try ServiceBench(
            "rules: [{algorithm: gcra, rate: 10, on_store_failure: closed}]\nstore: store:6380", world: world)
        for (index, reply) in [
            "*1\r\n:1\r\n", "+OK\r\n", "-ERR no\r\n", "*7\r\n:1\r\n:1\r\n:1\r\n:-9\r\n:1\r\n:1\r\n:1\r\n", "!!\r\n",
        ]
        .enumerated() {
            server.onReceived = { $0.write(reply) }
            #expect(try front.ask().status == 503)
            #expect(front.host.storeCounters!.failed == index + 1)
            world.pass(.seconds(2))
        }
    }
}
