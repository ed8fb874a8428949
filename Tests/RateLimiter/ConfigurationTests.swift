import KernelConfiguration
import KernelStructures
import RateLimiterService
import Testing

@Suite struct ConfigurationTests {
    private func read(_ text: String) throws -> RateLimiterConfiguration {
        try RateLimiterConfiguration(yaml: Array(text.utf8), file: "rl.yaml")
    }

    @Test("everything that can be said, and what it means where nothing is said")
    func whole() throws {
        let full = try read(
            """
            rules:
              - name: a
                algorithm: sliding-log
                rate: 600/minute
                key: [api-key, route]
                path: [/api, /v2/]
                method: [get, POST]
                cost: 3
                cost_header: X-Cost
                shadow: true
                log_size: 64
                keys: 500
                on_store_failure: closed
              - {name: b, algorithm: leaky-bucket, rate: 5, period: 2s, burst: 9, delay: false}
            upstream: 9000
            trusted_proxies: [10.0.0.0/8, "::1"]
            ipv6_prefix: 56
            exempt: /health
            headers: ratelimit
            partition_key: true
            store: redis://h:7000/3
            lease: 8
            store_timeout: 1s
            timeouts: {connect: 1s, response: 2s, idle: 3s}
            """)
        let a = full.rules[0]
        #expect(a.policy.quota.count == 600 && a.policy.quota.period == .seconds(60) && a.policy.logSize == 64)
        #expect(a.key.parts == [.header("X-API-Key"), .route] && a.methods == ["GET", "POST"] && a.cost == 3)
        #expect(a.policy.isShadow && a.policy.keyLimit == 500 && a.onStoreFailure == .closed)
        let b = full.rules[1].policy
        #expect(b.quota.burst == 9 && b.quota.period == .seconds(2) && !b.isDelaying)
        #expect(full.store == .redis(HostPort(host: "h", port: 7000), database: 3) && full.lease == 8)
        let bare = try read("rules: [{algorithm: gcra, rate: 10}]")
        #expect(bare.rules[0].key.parts == [.address] && bare.rules[0].policy.quota.burst == 10)
        #expect(bare.rules[0].policy.name == "default" && bare.store == nil && bare.rules[0].onStoreFailure == .local)
        // A rate is all that has to be said.
        #expect(try read("rules: [{rate: 5}]").rules[0].policy.algorithm == .tokenBucket)
    }

    @Test(
        "mistakes are refused with their place and a remedy",
        arguments: [
            ("rules: [{algorithm: token-buckett, rate: 1}]", "rl.yaml:1:21: ", "did you mean token-bucket?"),
            ("rules: [{algorithm: gcra, rat: 1}]", "rl.yaml:1:27: ", "did you mean rate?"),
            ("rules: [{algorithm: gcra}]", "rl.yaml:1:9: ", "needs a rate"),
            ("rules: [{name: a}]", "rl.yaml:1:9: ", "needs a rate"),
            ("rules: []", "rl.yaml:1:8: ", "empty"), ("upstream: 1", "rl.yaml:1:1: ", "no rules"),
            ("rules: [{algorithm: gcra, rate: ten}]", "rl.yaml:1:33: ", "600/minute"),
            ("rules: [{algorithm: gcra, rate: 0}]", "rl.yaml:1:33: ", "'0'"),
            ("rules: [{algorithm: gcra, rate: 5/minute, period: 2s}]", "rl.yaml:1:33: ", "leave out"),
            ("rules: [{algorithm: sliding-log, rate: 5, burst: 2}]", "rl.yaml:1:50: ", "no burst"),
            ("rules: [{algorithm: gcra, rate: 5, key: iq}]", "rl.yaml:1:41: ", "header NAME"),
            ("rules: [{algorithm: gcra, rate: 5, key: header A:B}]", "rl.yaml:1:41: ", "none of"),
            ("rules: [{algorithm: gcra, rate: 5, key: []}]", "rl.yaml:1:41: ", "needs a part"),
            ("rules: [{algorithm: gcra, rate: 5, path: api}]", "rl.yaml:1:42: ", "must begin with /"),
            ("rules: [{algorithm: gcra, rate: 5, name: a b}]", "rl.yaml:1:42: ", "name"),
            ("rules: [{algorithm: gcra, rate: 5}, {algorithm: gcra, rate: 5}]", "rl.yaml:1:37: ", "two rules"),
            ("rules: [{algorithm: concurrency}]", "rl.yaml:1:9: ", "at a time"),
            ("rules: [{algorithm: gcra, rate: 999983/day, burst: 1000000}]", "rl.yaml:1:33: ", "shorter period"),
            ("rules: [{algorithm: gcra, rate: 5}]\ntrusted_proxies: [10.0.0.0/99]", "rl.yaml:2:19: ", "no network"),
            ("rules: [{algorithm: gcra, rate: 5}]\nstore: rediss://x", "rl.yaml:2:8: ", "redis://host:port"),
            ("rules: [{algorithm: gcra, rate: 5}]\nstore: redis://x:1/99", "rl.yaml:2:8: ", "redis://host:port"),
            ("rules: [{algorithm: gcra, rate: 5}]\nlease: 0", "rl.yaml:2:8: ", "1 to"),
            ("rules: [{algorithm: gcra, rate: 5}]\nexempts: /x", "rl.yaml:2:1: ", "did you mean exempt?"),
            ("rules: [{algorithm: gcra, rate: 5, shadow: maybe}]", "rl.yaml:1:44: ", "shadow"),
            ("rules: {", "rl.yaml:", ""),
        ])
    func mistakes(text: String, place: String, hint: String) {
        do {
            _ = try read(text)
            Issue.record("accepted: \(text)")
        } catch {
            #expect("\(error)".hasPrefix(place), "\(error)")
            #expect(hint.isEmpty || "\(error)".contains(hint), "\(error)")
        }
    }

    @Test("what Redis cannot count exactly is refused before it counts")
    func redisLimits() throws {
        func complaint(_ rule: String, _ store: String = "redis://h") throws -> String? {
            try read("rules: [{\(rule)}]\nstore: \(store)").storeComplaint
        }
        #expect(try complaint("algorithm: gcra, rate: 100/minute") == nil)
        #expect(try complaint("algorithm: sliding-counter, rate: 50000/day") == nil)
        #expect(try complaint("algorithm: concurrency, burst: 3")?.contains("concurrency") == true)
        #expect(try complaint("algorithm: concurrency, burst: 3", "peer:1")?.contains("concurrency") == true)
        #expect(try complaint("algorithm: gcra, rate: 3, period: 1001ns")?.contains("microseconds") == true)
        #expect(try complaint("algorithm: sliding-counter, rate: 1000000/day")?.contains("exactly") == true)
        #expect(try complaint("algorithm: sliding-counter, rate: 1000000/day", "peer:1") == nil)
    }
}
