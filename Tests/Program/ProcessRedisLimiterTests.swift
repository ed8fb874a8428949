import Glibc
import KernelStructures
import KernelWire
import RateLimiterEngine
import RateLimiterService
import Testing

/// Counts that two limiters share in a real Redis.
// @covers RL-C2 RL-H3 RL-M3
@Suite(.enabled(if: ProgramTool.canRun("redis-server", "redis-cli"))) struct ProcessRedisLimiterTests {
    private func limiters(_ redis: ProgramRedis, _ words: String...) throws -> [(process: ProgramProcess, port: UInt16)]
    {
        try (0..<2).map { _ in
            let port = try ProgramPort.free()
            let arguments =
                ["ratelimiter"] + words + ["--store", "redis://127.0.0.1:\(redis.port)", "--port", "\(port)"]
            let process = try ProgramProcess(arguments)
            try process.waitUntilListening(on: port)
            return (process, port)
        }
    }

    @Test(
        "two limiters, 2,000 concurrent requests: exactly 100 are admitted, and no key lives for ever",
        arguments: [
            "token-bucket", "gcra", "fixed-window", "sliding-log", "sliding-counter",
        ])
    func exact(algorithm: String) throws {
        let redis = try ProgramRedis()
        let limiters = try limiters(
            redis, "--algorithm", algorithm, "--rate", "100", "--period", "7d", "--store-timeout", "30s")
        // A process ends with its last reference.
        defer { withExtendedLifetime(limiters) {} }
        #expect(try ProcessLimiterTests.storm(limiters.map(\.port), requests: 2_000) == (100, 1_900))
        let keys = try redis.cli("KEYS", "ratelimit:*").split(separator: "\n").map(String.init)
        #expect(!keys.isEmpty)
        for key in keys { #expect(Int(try redis.cli("PTTL", key).filter { $0 != "\n" }) ?? -1 > 0, "\(key)") }
    }

    @Test("the script is called by its digest, and sent again when Redis has forgotten it")
    func scripts() throws {
        let redis = try ProgramRedis()
        let limiters = try limiters(redis, "--rate", "50/day", "--burst", "50")
        defer { withExtendedLifetime(limiters) {} }
        let connection = try ProgramConnection(port: limiters[0].port)
        for _ in 0..<10 { #expect(try connection.get().status == 200) }
        _ = try redis.cli("SCRIPT", "FLUSH")
        for _ in 0..<10 { #expect(try connection.get().status == 200) }
        #expect(try connection.get().head.contains("X-RateLimit-Remaining: 29\r\n"))
        let calls = try redis.cli("INFO", "commandstats").split(whereSeparator: \.isNewline)
        func count(_ name: String) -> Int {
            calls.first { $0.hasPrefix("cmdstat_\(name):calls=") }
                .flatMap { Int($0.drop { $0 != "=" }.dropFirst().prefix { $0.isNumber }) } ?? 0
        }
        #expect(count("evalsha") >= 15 && count("eval") <= 6, "\(calls)")
    }

    @Test(
        "Redis dies and comes back: each rule does what it says",
        arguments: [
            ("closed", [503, 503, 503, 503]), ("open", [200, 200, 200, 200]), ("local", [200, 200, 429, 429]),
        ])
    func death(failure: String, expected: [Int]) throws {
        let redis = try ProgramRedis()
        let limiter = try limiters(redis, "--rate", "2/day", "--burst", "2", "--on-store-failure", failure)[0]
        defer { withExtendedLifetime(limiter) {} }
        let connection = try ProgramConnection(port: limiter.port)
        #expect(try connection.get().status == 200)
        try redis.kill()
        #expect(try (0..<4).map { _ in try connection.get().status } == expected)
        try limiter.process.waitFor("failed: ")
        try redis.restart()
        let isBack = ProgramClock.wait {
            (try? connection.get().head.contains("HTTP/1.1 200")) == true && limiter.process.isRunning
        }
        // An empty Redis has given everybody a new quota: that is what losing the counts means.
        #expect(isBack)
    }

    @Test("Redis that stops answering costs a request its timeout, and the others nothing")
    func frozen() throws {
        let redis = try ProgramRedis()
        let limiter = try limiters(redis, "--rate", "1000", "--on-store-failure", "open")[0]
        defer { withExtendedLifetime(limiter) {} }
        let connection = try ProgramConnection(port: limiter.port)
        #expect(try connection.get().status == 200)
        redis.process.send(SIGSTOP)
        defer { redis.process.send(SIGCONT) }
        let began = ProgramClock.seconds
        for _ in 0..<50 { #expect(try connection.get().status == 200) }
        #expect(ProgramClock.seconds - began < 3)
    }

    // MARK: The script beside the engine

    @Test(
        "the script decides as the engine does, over random quotas, times and costs",
        arguments: [
            RateLimitPolicy.Algorithm.tokenBucket, .gcra, .leakyBucket, .fixedWindow, .slidingLog, .slidingCounter,
        ])
    func sameAsEngine(algorithm: RateLimitPolicy.Algorithm) throws {
        let redis = try ProgramRedis()
        let client = try ProgramRESP(port: redis.port)
        // The same script, but for the clock, which the test has in its hand.
        let lines = RedisScript.source.split(separator: "\n", maxSplits: 2, omittingEmptySubsequences: false)
        try #require(lines[0].contains("TIME") && lines[1].contains("now"))
        let script = Array("local now = tonumber(ARGV[#ARGV])\n\(lines[2])".utf8)
        let base = Int(time(nil)) * 1_000_000 + 60_000_000
        var refused = 0
        for seed in 1...12 as ClosedRange<UInt64> {
            var random = SeededRandom(seed: seed)
            let periods: [LabDuration] = [.milliseconds(8), .seconds(1), .seconds(60)]
            let quota = try Quota(
                1 + random.below(30), per: periods[random.below(3)], burst: 1 + random.below(40))
            var policy = RateLimitPolicy("p\(seed)", algorithm, quota)
            policy.logSize = [4, 5, 8, 100][random.below(4)]
            let ledger = Ledger.make(policy)
            var now = base
            for step in 0..<250 {
                now += random.chance(0.3) ? 0 : random.below(Int(quota.period.nanoseconds / 1_000) / 8)
                let cost = random.below(4)
                let charge = RateLimiter.Charge(policy: 0, key: "k", cost: cost)
                let words = [Array("EVAL".utf8), script] + RedisStore.arguments([charge], [policy])
                let value = try client.ask(words + [Array("\(now)".utf8)])
                let found = try #require(RedisStore.assessments(value, [policy])?.first, "\(value)")
                let own = ledger.assess(
                    SipHash.Digest(high: 1, low: 1), cost: Int64(cost), LabTime(nanoseconds: Int64(now) * 1_000))
                if own.isAllowed { ledger.commit() } else { refused += 1 }
                #expect(
                    found.isAllowed == own.isAllowed && found.remaining == own.remaining
                        && found.retryAfter == Self.microseconds(own.retryAfter)
                        && found.resetAfter == Self.microseconds(own.resetAfter)
                        && found.delay == Self.microseconds(own.delay),
                    "seed \(seed), step \(step), \(quota) burst \(quota.burst): \(found) \(own)")
                if found.isAllowed != own.isAllowed { return }
            }
        }
        #expect(refused > 100)
    }

    private static func microseconds(_ duration: LabDuration) -> LabDuration {
        duration == .infinite ? duration : LabDuration(nanoseconds: (duration.nanoseconds + 999) / 1_000 * 1_000)
    }
}
