import Glibc
import Testing

/// `sdlab ratelimiter` as a process: real clocks, real sockets, the clients that everybody has.
@Suite struct ProcessLimiterTests {
    private func curl(_ words: String...) throws -> String {
        let process = try ProgramProcess(["-s"] + words, program: try ProgramTool.needed("curl"))
        _ = try process.waitForExit()
        return process.output
    }

    @Test("the documented session with the system's curl", .enabled(if: ProgramTool.canRun("curl")))
    func documented() throws {
        let port = try ProgramPort.free()
        let limiter = try ProgramProcess.service(
            "ratelimiter", "--algorithm", "token-bucket", "--rate", "10", "--burst", "20", port: port)
        try limiter.waitFor("[RL] Token bucket: 10 tokens/sec, burst 20\n[RL] Listening on :\(port)\n")
        let url = "http://localhost:\(port)/api"
        #expect(try curl("-w", "%{http_code}\n", url) == "200\n")
        // One process asks for all: curl's own start takes longer than a token does.
        let codes = try curl("-o", "/dev/null", "-w", "%{http_code} ", "\(url)?[1-60]").split(separator: " ")
        let admitted = codes.prefix { $0 == "200" }.count
        #expect((19...30).contains(admitted) && codes.contains("429"))
        var head = ""
        for _ in 0..<40 where !head.hasPrefix("HTTP/1.1 429 ") { head = try curl("-i", url) }
        let lines = head.split(whereSeparator: \.isNewline).map(String.init)
        #expect(lines.first == "HTTP/1.1 429 Too Many Requests")
        #expect(lines.dropFirst().prefix(3) == ["Retry-After: 1", "X-RateLimit-Limit: 10", "X-RateLimit-Remaining: 0"])
        let reset = lines.first { $0.hasPrefix("X-RateLimit-Reset: ") }.flatMap { Int($0.split(separator: " ")[1]) }
        #expect(abs((reset ?? 0) - Int(time(nil))) <= 2)
    }

    @Test("a retry after exactly what Retry-After says passes, and one long before does not")
    func retryAfter() throws {
        let port = try ProgramPort.free()
        _ = try withExtendedLifetime(
            try ProgramProcess.service("ratelimiter", "--rate", "2", "--period", "3s", "--burst", "1", port: port)
        ) {
            let connection = try ProgramConnection(port: port)
            for _ in 0..<2 {
                var refused = try connection.get()
                for _ in 0..<3 where refused.status != 429 { refused = try connection.get() }
                #expect(refused.status == 429)
                let wait = try #require(
                    refused.head.split(whereSeparator: \.isNewline).first { $0.hasPrefix("Retry-After: ") }
                        .flatMap { Int32($0.split(separator: " ")[1]) })
                #expect((1...2).contains(wait))
                poll(nil, 0, 100)
                #expect(try connection.get().status == 429)
                poll(nil, 0, wait * 1000 - 100)
                #expect(try connection.get().status == 200)
            }
        }
    }

    @Test(
        "exactly 100 of 2,000 concurrent requests are admitted",
        arguments: [
            "token-bucket", "gcra", "fixed-window", "sliding-log", "sliding-counter",
        ])
    func concurrent(algorithm: String) throws {
        let port = try ProgramPort.free()
        // A window of thirty years has no seam within a test.
        let limiter = try ProgramProcess.service(
            "ratelimiter", "--algorithm", algorithm, "--rate", "100", "--period", "9000d", port: port)
        #expect(try Self.storm([port], requests: 2_000) == (100, 1_900))
        #expect(limiter.isRunning)
    }

    /// Requests on a hundred connections in turn, all sent before any answer is read: how many were admitted and
    /// refused.
    static func storm(_ ports: [UInt16], requests: Int) throws -> (admitted: Int, refused: Int) {
        let connections = try (0..<100).map { try ProgramConnection(port: ports[$0 % ports.count]) }
        let each = requests / connections.count
        let request = String(repeating: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", count: each)
        for connection in connections { try connection.send(request) }
        var counts = (admitted: 0, refused: 0)
        for connection in connections {
            for _ in 0..<each {
                switch try connection.response().status {
                case 200: counts.admitted += 1
                case 429: counts.refused += 1
                case let status: throw ProgramTrouble("answered \(status)")
                }
            }
        }
        return counts
    }

    @Test("SIGHUP reads the file again; with a mistake in it all stays as it was")
    func reload() throws {
        let directory = try ProgramDirectory()
        try directory.place("rl.yaml", "rules: [{algorithm: gcra, rate: 1/day, burst: 1}]\n")
        let port = try ProgramPort.free()
        let limiter = try ProgramProcess.service(
            "ratelimiter", "--config", "rl.yaml", port: port, directory: directory.path)
        let connection = try ProgramConnection(port: port)
        #expect(try [connection.get().status, connection.get().status] == [200, 429])
        try directory.place("rl.yaml", "rules: [{algorithm: gcra, rat: 1}]\n")
        limiter.send(SIGHUP)
        try limiter.waitFor("Not reloaded: rl.yaml:1:27: unknown key 'rat' in a rule; did you mean rate?")
        #expect(try connection.get().status == 429)
        try directory.place("rl.yaml", "rules: [{algorithm: gcra, rate: 1/day, burst: 3}]\n")
        limiter.send(SIGHUP)
        try limiter.waitFor("Reloaded: 1 rule")
        #expect(try (0..<4).map { _ in try connection.get().status } == [200, 200, 200, 429])
        limiter.send(SIGTERM)
        #expect(try limiter.waitForExit() == 0)
    }

    @Test("--check, and mistakes on the command line")
    func commandLine() throws {
        let directory = try ProgramDirectory()
        try directory.place(
            "rl.yaml", "rules: [{name: a, algorithm: sliding-log, rate: 100/minute, key: [ip, route]}]\n")
        let good = try ProgramProcess.run("ratelimiter", "--config", "rl.yaml", "--check", directory: directory.path)
        #expect(good.status == 0)
        #expect(good.output == "rl.yaml: OK, 1 rule\n  a: sliding-log, 100 requests/1m, by ip + route\n")
        for (words, status, text) in [
            (["--rate", "10"], 2, "on which port?"), (["--port", "8080"], 2, "how much?"),
            (["--rate", "x", "--port", "1"], 2, "600/minute"),
            (["--config", "none.yaml", "--port", "1"], 1, "none.yaml"),
            (["--rate", "5", "--port", "1", "--store", "http://x"], 2, "redis://host:port"),
            (["--rate", "5", "--port", "1", "--upstream", "http://x"], 2, "host:port"),
            (["--rate", "5", "--port", "1", "--key", "ipp"], 2, "did you mean ip?"),
            (["--rate", "5", "--algorithm", "fixed-window", "--burst", "2", "--port", "1"], 2, "no burst"),
            (["--rate", "5", "--period", "1001ns", "--port", "1", "--store", "redis://x"], 1, "microseconds"),
        ] {
            let run = try ProgramProcess(["ratelimiter"] + words, directory: directory.path)
            #expect(try run.waitForExit() == status, "\(words)")
            #expect(run.errors.contains(text), "\(words): \(run.errors)")
            #expect(run.output == "")
        }
    }

    @Test("CL.THROTTLE from redis-cli", .enabled(if: ProgramTool.canRun("redis-cli")))
    func throttle() throws {
        let port = try ProgramPort.free()
        let resp = try ProgramPort.free()
        let limiter = try ProgramProcess.service("ratelimiter", "--rate", "1", "--throttle", "\(resp)", port: port)
        try limiter.waitFor("CL.THROTTLE on")
        #expect(try ProgramRedis.cli(resp, ["CL.THROTTLE", "user123", "15", "30", "60", "1"]) == "0\n16\n15\n-1\n2\n")
        for _ in 0..<15 { _ = try ProgramRedis.cli(resp, ["CL.THROTTLE", "user123", "15", "30", "6000"]) }
        let lines = try ProgramRedis.cli(resp, ["CL.THROTTLE", "user123", "15", "30", "6000"]).split(separator: "\n")
        #expect(lines.prefix(3) == ["1", "16", "0"])
        #expect((1...200).contains(lines.count == 5 ? Int(lines[3]) ?? 0 : 0))
        #expect(try ProgramRedis.cli(resp, ["PING"]) == "PONG\n")
        #expect(try ProgramRedis.cli(resp, ["CL.THROTTLE", "user123", "x", "30", "60"]).hasPrefix("ERR max_burst"))
    }
}
