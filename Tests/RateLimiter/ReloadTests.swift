import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterService
import TestSupport
import Testing

@Suite("Rules that change while requests are under way")
struct ReloadTests {
    private static let three = """
        rules:
          - {name: a, algorithm: gcra, rate: 1000}
          - {name: b, algorithm: gcra, rate: 1000}
          - {name: c, algorithm: concurrency, rate: 2}

        """
    private static let one = "rules: [{name: z, algorithm: gcra, rate: 100/hour}]\n"

    /// A limiter in front of a server that answers when it is told to.
    private final class Setting {
        let bench: ServiceBench
        let server: ScriptedServer
        private var waiting: [RawClient] = []
        private let more: String

        init(_ rules: String) throws {
            more = "upstream: origin:9000\n"
            bench = try ServiceBench(rules + more)
            server = try ScriptedServer(bench.world.node("origin"), port: 9000)
            server.onReceived = { [unowned self] in waiting.append($0) }
        }

        deinit { bench.world.shutDown() }

        func begin() throws -> RawClient {
            let client = try bench.client()
            send(client)
            return client
        }

        func send(_ client: RawClient) {
            client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            bench.world.pass(.milliseconds(5))
        }

        func reload(_ rules: String) throws { try bench.reload(rules + more) }

        func answerAll() {
            for client in waiting { client.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") }
            waiting = []
            bench.world.pass(.milliseconds(5))
        }
    }

    @Test("a request under three rules ends under them, though one other is all there is by then")
    func fewerRules() throws {
        let setting = try Setting(Self.three)
        let client = try setting.begin()
        let gone = try setting.begin()
        try setting.reload(Self.one)
        gone.stream.abort()
        setting.answerAll()
        #expect(
            client.bodies == ["ok"] && client.answers[0].head.value(of: "ratelimit-policy")?.contains("\"c\"") == true)
        // The same connection, and the new rules.
        setting.send(client)
        setting.answerAll()
        #expect(client.bodies == ["ok", "ok"])
        #expect(client.answers[1].head.value(of: "ratelimit-policy") == "\"z\";q=100;w=3600")
    }

    @Test("a place is given back to the rule that it was taken from, if that one stayed, wherever it stands now")
    func places() throws {
        let setting = try Setting(Self.three)
        let clients = try (0..<2).map { _ in try setting.begin() }
        try setting.reload("rules:\n  - {name: c, algorithm: concurrency, rate: 2}\n")
        #expect(try setting.begin().statuses == [429])
        setting.answerAll()
        #expect(clients.map(\.statuses) == [[200], [200]])
        let third = try setting.begin()
        let fourth = try setting.begin()
        setting.answerAll()
        #expect(third.statuses == [200] && fourth.statuses == [200])
    }

    @Test("a rule that is made anew is not given back what was taken from the old")
    func anotherQuota() throws {
        let setting = try Setting(Self.three)
        _ = try setting.begin()
        try setting.reload("rules:\n  - {name: c, algorithm: concurrency, rate: 1}\n")
        let second = try setting.begin()
        setting.answerAll()
        #expect(second.statuses == [200])
        let third = try setting.begin()
        #expect(try setting.begin().statuses == [429])
        setting.answerAll()
        #expect(third.statuses == [200])
    }

    @Test("a store's answer that comes after a reload is about the rules it was asked under", arguments: [true, false])
    func lateStore(_ answers: Bool) throws {
        let world = memoryWorld()
        let rules = """
            rules:
              - {name: a, algorithm: gcra, rate: 1000}
              - {name: b, algorithm: gcra, rate: 1000}

            """
        let store = try ServiceBench(rules, world: world, name: "store", throttle: 6380)
        let asking = try ServiceBench(rules + "store: store:6380\nstore_timeout: 2s\n", world: world)
        #expect(try asking.ask().status == 200)
        if answers { world.inject(.latency(.milliseconds(500), jitter: .zero), from: "rl", to: "store", both: true) }
        if !answers { store.host.node.freeze() }
        let client = try asking.client()
        client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        world.pass(.milliseconds(100))
        try asking.reload("rules: [{name: b, algorithm: gcra, rate: 1000}]\nstore: store:6380\nstore_timeout: 2s\n")
        world.pass(.seconds(5))
        #expect(client.statuses == [200])
        #expect(asking.host.node.isAlive)
        world.shutDown()
    }

    @Test("clients' timeouts are those of the file that was read last, for connections that come then")
    func timeouts() throws {
        let bench = try ServiceBench(Self.one)
        let old = try bench.client()
        bench.world.pass(.milliseconds(1))
        try bench.reload(Self.one + "timeouts: {idle: 5s}\n")
        let new = try bench.client()
        for client in [old, new] { client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n") }
        bench.world.pass(.seconds(10))
        #expect(new.hasEnded && !old.hasEnded && old.statuses == [200])
        bench.world.shutDown()
    }
}
