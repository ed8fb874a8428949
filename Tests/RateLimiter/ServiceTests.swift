import KernelStructuredFields
import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterService
import TestSupport
import Testing

/// The HTTP service: who is admitted, and what clients are told.
@Suite struct ServiceTests {
    private func rule(_ text: String) -> String { "rules: [{\(text)}]" }

    @Test("a request is admitted until the quota is spent, and then refused with what the seed shows")
    func tellsClients() throws {
        let bench = try ServiceBench(rule("algorithm: token-bucket, rate: 10, burst: 20"))
        for left in (0..<20).reversed() {
            let head = try bench.ask()
            #expect(head.status == 200 && head.number("X-RateLimit-Limit") == 10)
            #expect(head.number("X-RateLimit-Remaining") == min(left, 10))
            #expect(head.value(of: "RateLimit") == "\"default\";r=\(left)" + ";t=\((29 - left) / 10)")
            #expect(head.value(of: "Retry-After") == nil)
        }
        let head = try bench.ask()
        #expect(head.status == 429 && head.value(of: "Retry-After") == "1" && head.number("X-RateLimit-Remaining") == 0)
        #expect(head.number("X-RateLimit-Reset") == Int(start.unixSeconds) + 1)
        #expect(head.value(of: "Content-Length") == "0")
        #expect(bench.host.counters.refused == 1 && bench.host.counters.admitted == 20)
    }

    @Test(
        "Retry-After is never 0 and never early: a retry exactly then passes",
        arguments: [
            "algorithm: token-bucket, rate: 3, burst: 4", "algorithm: gcra, rate: 7/minute, burst: 2",
            "algorithm: leaky-bucket, rate: 2, burst: 3, delay: false", "algorithm: fixed-window, rate: 5/10s",
            "algorithm: sliding-log, rate: 4/7s", "algorithm: sliding-counter, rate: 6/5s",
            "algorithm: sliding-log, rate: 40/7s, log_size: 4", "algorithm: token-bucket, rate: 1000, burst: 3",
        ])
    func retryAfter(text: String) throws {
        let bench = try ServiceBench(rule(text))
        var refusals = 0
        for step in 0..<60 {
            bench.world.pass(.milliseconds(step * 37 % 400))
            let client = try bench.client()
            let request = "GET / HTTP/1.1\r\nHost: rl\r\n\r\n"
            for _ in 0..<50 where !client.statuses.contains(429) {
                client.write(request)
                bench.world.pass(.microseconds(100))
            }
            guard let refused = client.answers.last, refused.status == 429 else { continue }
            refusals += 1
            let wait = try #require(refused.head.number("Retry-After"))
            #expect(wait >= 1)
            bench.world.pass(.seconds(wait) - .microseconds(100))
            #expect(try bench.ask().status == 200)
        }
        #expect(refusals > 10)
    }

    @Test("RateLimit and RateLimit-Policy are structured fields, and say the same as the others")
    func structuredFields() throws {
        let bench = try ServiceBench(
            """
            rules:
              - {name: a.b:c-d_e, algorithm: token-bucket, rate: 10, burst: 15}
              - {name: window, algorithm: sliding-log, rate: 100/minute, key: header X-Key}
              - {name: jobs, algorithm: concurrency, burst: 3}
              - {name: silent, algorithm: gcra, rate: 1, shadow: true}
            partition_key: true
            """)
        for index in 0..<20 {
            let head = try bench.ask("/", "X-Key: k\(index)\"\\ü")
            let policies = try #require(head.value(of: "RateLimit-Policy").flatMap(QuotaList.init)).items
            let limits = try #require(head.value(of: "RateLimit").flatMap(QuotaList.init)).items
            #expect(
                policies.map(\.name) == ["a.b:c-d_e", "window", "jobs"] && limits.map(\.name) == policies.map(\.name))
            #expect(policies[0].parameters.integer("q") == 15 && policies[0].parameters.integer("w") == 2)
            #expect(policies[1].parameters.integer("q") == 100 && policies[1].parameters.integer("w") == 60)
            #expect(policies[2].parameters.integer("q") == 3)
            #expect(policies[2].parameters["qu"] == .string("concurrent-requests"))
            #expect(limits[0].parameters.integer("r") == max(0, 14 - index) || index > 14)
            #expect(limits.allSatisfy { $0.parameters.integer("t") ?? 1 >= 1 })
            #expect(limits[0].parameters["pk"] != nil)
            if index == 0 {
                let address = "\(try #require(bench.world.nodes["client"]).address)"
                #expect(limits[0].parameters["pk"] == .bytes(Array(address.utf8)))
            }
        }
        #expect(bench.host.engine.counters[3].shadowOverLimit > 0)
    }

    @Test(
        "which families of fields a response has is the operator's choice",
        arguments: [
            ("both", true, true), ("x-ratelimit", true, false), ("ratelimit", false, true), ("none", false, false),
        ])
    func families(name: String, customary: Bool, standard: Bool) throws {
        let bench = try ServiceBench("rules: [{algorithm: gcra, rate: 1}]\nheaders: \(name)")
        for status in [200, 429] {
            let head = try bench.ask()
            #expect(head.status == status)
            #expect((head.value(of: "X-RateLimit-Limit") != nil) == customary)
            #expect((head.value(of: "RateLimit") != nil) == standard)
            #expect((head.value(of: "RateLimit-Policy") != nil) == standard)
            #expect((head.value(of: "Retry-After") != nil) == (status == 429))
        }
    }

    @Test(
        "a problem document only for those who ask for one",
        arguments: [
            ("application/problem+json", true), ("application/json;q=0.5, */*", true),
            ("text/html, application/json", true),
            ("*/*", false), ("text/html", false), ("application/json;q=0", false), ("application/json; q=0.0", false),
        ])
    func problem(accept: String, wants: Bool) throws {
        let bench = try ServiceBench(rule("name: api, algorithm: gcra, rate: 1"))
        _ = try bench.ask()
        let client = try bench.client()
        client.write("GET / HTTP/1.1\r\nHost: rl\r\nAccept: \(accept)\r\n\r\n")
        bench.world.pass(.milliseconds(1))
        let answer = client.answers[0]
        #expect(answer.status == 429)
        #expect((answer.head.value(of: "Content-Type") == "application/problem+json") == wants)
        let body = client.bodies[0]
        #expect(body.isEmpty == !wants)
        if wants {
            #expect(body.contains("#quota-exceeded") && body.contains("\"violated-policies\": [\"api\"]"))
        }
    }

    @Test("a calendar that is an hour wrong makes the reset time wrong, and no decision")
    func skewedCalendar() throws {
        let bench = try ServiceBench(rule("algorithm: fixed-window, rate: 3/minute"))
        for skew in [LabDuration.zero, .seconds(3_600), .zero - .seconds(3_600)] {
            bench.host.node.clockSkew = skew
            let head = try bench.ask()
            #expect(head.status == 200)
            #expect(head.number("X-RateLimit-Reset") == Int(start.unixSeconds) + 60 + Int(skew.seconds))
        }
        for skew in [LabDuration.seconds(7_200), .zero - .seconds(7_200)] {
            bench.host.node.clockSkew = skew
            #expect(try bench.ask().status == 429)
        }
    }

    @Test("several rules: a request takes from all that concern it, or from none")
    func severalRules() throws {
        let bench = try ServiceBench(
            """
            rules:
              - {name: all, algorithm: gcra, rate: 100, burst: 100}
              - {name: login, algorithm: fixed-window, rate: 2/minute, path: /login, method: POST}
            exempt: [/health]
            """)
        #expect(try bench.ask("/login", "Content-Length: 0", method: "POST").status == 200)
        #expect(try bench.ask("/login", "Content-Length: 0", method: "POST").status == 200)
        let refused = try bench.ask("/login", "Content-Length: 0", method: "POST")
        #expect(refused.status == 429 && refused.number("X-RateLimit-Limit") == 2)
        for path in ["/login", "/loginx", "/a"] { #expect(try bench.ask(path).status == 200) }
        #expect(bench.host.engine.counters[0].refusedByOthers == 1)
        #expect(bench.host.engine.counters[0].withinLimit == 5)
        for _ in 0..<300 where try bench.ask("/health/live").status != 200 { Issue.record("/health has no limits") }
        #expect(bench.host.counters.exempt == 300)
    }

    @Test(
        "a limit by path cannot be passed by spelling",
        arguments: [
            "/login", "//login", "/%6cogin", "/./login", "/x/../login", "/login/", "/login?x=1", "http://rl/login",
            "/login/%2e", "/../login", "/%4C%4fGIN/../login",
        ])
    func spelling(path: String) throws {
        let bench = try ServiceBench(
            "rules: [{name: login, algorithm: gcra, rate: 1/minute, path: /login, key: [ip, route]}]")
        #expect(try bench.ask(path.hasSuffix("/") || path.hasSuffix("%2e") ? "/login/" : "/login").status == 200)
        #expect(try bench.ask(path).status == 429)
    }

    @Test("what a request costs: the rule's number, or a trusted proxy's word")
    func cost() throws {
        let yaml = "rules: [{algorithm: gcra, rate: 10/minute, cost: 2, cost_header: X-Cost}]\n"
        let open = try ServiceBench(yaml)
        #expect(try open.ask("/", "X-Cost: 1").number("X-RateLimit-Remaining") == 8)
        let trusting = try ServiceBench(yaml + "trusted_proxies: [127.0.0.0/8]")
        #expect(try trusting.ask("/", "X-Cost: 7").number("X-RateLimit-Remaining") == 3)
        // Nonsense is no cost.
        #expect(try trusting.ask("/", "X-Cost: -5").number("X-RateLimit-Remaining") == 1)
        let never = try trusting.ask("/", "X-Cost: 11")
        #expect(never.status == 429 && never.value(of: "Retry-After") == nil)
    }

    @Test("leaky bucket: requests leave evenly, and a client that goes away leaves its place")
    func holding() throws {
        let bench = try ServiceBench(rule("algorithm: leaky-bucket, rate: 10, burst: 5"))
        let clients = try (0..<7).map { _ in try bench.client() }
        for client in clients { client.write("GET / HTTP/1.1\r\nHost: rl\r\n\r\n") }
        var answered: [Double] = []
        for _ in 0..<600 {
            let before = clients.count { $0.statuses == [200] }
            bench.world.pass(.milliseconds(1))
            for _ in before..<clients.count(where: { $0.statuses == [200] }) { answered.append(bench.world.seconds) }
        }
        #expect(clients.count { $0.statuses == [429] } == 2)
        #expect(answered.count == 5)
        #expect(zip(answered, answered.dropFirst()).allSatisfy { abs($1 - $0 - 0.1) < 0.0021 })
        // Two more, of which the second leaves while it is held.
        let first = try bench.client()
        let second = try bench.client()
        for client in [first, second] { client.write("GET / HTTP/1.1\r\nHost: rl\r\n\r\n") }
        bench.world.pass(.milliseconds(1))
        #expect(bench.host.heldCount == 1)
        second.stream.abort()
        bench.world.pass(.milliseconds(1))
        #expect(bench.host.heldCount == 0)
    }

    @Test("a held request whose client has said good-bye is answered, and the end of its connection ends nothing else")
    func heldGoodbye() throws {
        let bench = try ServiceBench(rule("algorithm: leaky-bucket, rate: 10, burst: 5"))
        let clients = try (0..<3).map { _ in try bench.client() }
        for client in clients {
            client.write("GET / HTTP/1.1\r\nHost: rl\r\nConnection: close\r\n\r\n")
        }
        bench.world.pass(.milliseconds(2))
        #expect(bench.host.heldCount == 2)
        for client in clients { client.stream.close() }
        bench.world.pass(.seconds(1))
        #expect(bench.host.heldCount == 0)
        #expect(bench.host.counters.admitted == 3)
        #expect(try bench.ask("/").status == 200)
    }

    @Test("reload: new limits at once, old counts where the rule stayed, and with a mistake nothing changes")
    func reload() throws {
        let bench = try ServiceBench("rules: [{name: a, algorithm: gcra, rate: 1/hour}]")
        #expect(try bench.ask().status == 200)
        try bench.reload(
            "rules: [{name: a, algorithm: gcra, rate: 1/hour}, {name: b, algorithm: gcra, rate: 5/hour}]")
        #expect(try bench.ask().status == 429)
        try bench.reload("rules: [{name: b, algorithm: gcra, rate: 5/hour}]")
        #expect(try bench.ask().number("X-RateLimit-Remaining") == 4)
        #expect(throws: (any Error).self) {
            try bench.reload("rules: [{name: b, algorithm: gcra, rate: none}]")
        }
        #expect(try bench.ask().number("X-RateLimit-Remaining") == 3)
    }

    @Test("fuzz: whatever stands in a request's line and fields, it is answered, and the limiter lives on")
    func fuzz() throws {
        let bench = try ServiceBench(
            """
            rules:
              - {name: a, algorithm: gcra, rate: 1000, key: [user, route], path: [/a, /b/c]}
              - {name: b, algorithm: sliding-counter, rate: 500, key: [header X-Key, ip], cost_header: X-Cost}
            trusted_proxies: [0.0.0.0/0]
            partition_key: true
            """)
        var random = SeededRandom(seed: 3)
        let alphabet = Array("abc/%.2e \t\"\\|;:=,[]ABC?#&*~é0123456789".utf8)
        func text(_ count: Int) -> String {
            String(
                decoding: (0..<random.below(count)).map { _ in alphabet[random.below(alphabet.count)] }, as: UTF8.self)
        }
        var answered = 0
        for round in 0..<600 {
            let client = try bench.client()
            var fields = ""
            for name in ["X-Forwarded-For", "X-Forwarded-For", "Authorization", "X-Key", "X-Cost", "Accept"] {
                fields += "\(name): \(text(40))\r\n"
            }
            let path = random.chance(0.5) ? "/" + text(20).filter { $0 != " " && $0 != "\t" } : text(30)
            client.write("GET \(path) HTTP/1.1\r\nHost: h\r\n\(fields)\r\n")
            bench.world.pass(.milliseconds(2))
            if let answer = client.answers.first {
                answered += 1
                #expect([200, 400, 414, 429, 501].contains(answer.status), "round \(round)")
                if answer.status == 429 || answer.status == 200, let field = answer.head.value(of: "RateLimit") {
                    #expect(QuotaList(field) != nil, "\(field)")
                }
            }
            client.stream.abort()
        }
        #expect(answered > 500)
        #expect(try bench.ask("/", "X-Key: last").status == 200)
    }
}
