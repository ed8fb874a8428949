import Glibc
import Testing

/// Of the tests' own Python.
private enum GatewayOracle {
    static let path = ProgramPlace.root + "/.build/venv-test/bin/schemathesis"
    static let canRun = ProgramTool.mayNotSkip || access(path, X_OK) == 0
}

/// The API gateway as programs outside see it: the real curl over real TLS, with tokens that were signed here.
// @covers GW-C2 GW-M2
@Suite struct ProcessGatewayTests {
    private static let described = """
        api_keys: {keys: [{name: alice, sha256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b}]}
        services: {backend: "http://127.0.0.1:@port@"}
        routes:
        - {path: /api/*, service: backend, auth: jwt, method: [GET, POST], rate_limit: 1000000/min}
        - {path: /api/items/*, service: backend, auth: jwt, method: [GET, DELETE], version: v2}
        - {path: /keys/*, service: backend, auth: api-key, method: GET}
        - {path: /search, service: backend, auth: none, method: GET, query: {page: "~ [0-9]+"}}
        - {path: /small, service: backend, auth: none, max_body: 64, method: POST}
        - {path: /old/*, auth: none, method: GET, redirect: {prefix: /search, status: 308}}
        - path: /dashboard
          auth: jwt
          aggregate:
            parts:
            - {group: user, service: backend, path: /me, required: true}
            - {group: orders, service: backend, path: "/orders?user={user.id}"}
        """

    @Test(
        "schemathesis finds nothing that the gateway's own OpenAPI document does not say",
        .enabled(if: GatewayOracle.canRun, "no schemathesis: run scripts/setup test"))
    func schemathesis() throws {
        let scratch = try ProgramDirectory()
        let (port, behind) = (try ProgramPort.free(), try ProgramPort.free())
        let backend = try ProgramProcess.service("backend", "--body", "{\"id\": 1}", port: behind)
        func sdlab(_ words: String...) throws -> String {
            let process = try ProgramProcess(words, directory: scratch.path)
            #expect(try process.waitForExit() == 0, "\(words): \(process.errors)")
            return process.output
        }
        _ = try sdlab("jwt", "keys", "new")
        _ = try scratch.place("jwks.json", try sdlab("jwt", "jwks"))
        let token = try sdlab("jwt", "issue", "u1", "--expires", "1h").filter { !$0.isWhitespace }
        let file = try scratch.place("gateway.yaml", Self.described.replacing("@port@", with: "\(behind)"))
        _ = try scratch.place("openapi.json", try sdlab("gateway", "openapi", "--config", file))
        let gateway = try ProgramProcess.service("api-gateway", "--config", file, port: port, directory: scratch.path)
        let run = try ProgramProcess(
            [
                "run", "openapi.json", "--url", "http://127.0.0.1:\(port)", "--header",
                "Authorization: Bearer \(token)",
                "--header", "X-API-Key: secret", "--max-examples", "\(ProgramSize.full(50, else: 5))", "--seed", "1",
                "--no-color", "--phases", "examples,coverage,fuzzing",
            ], directory: scratch.path, program: GatewayOracle.path)
        #expect(try run.waitForExit(within: 300) == 0, "\(run.output.suffix(4000))\(run.errors)")
        #expect(run.output.contains("API Operations:") && gateway.isRunning && backend.isRunning)
    }

    private static let configuration = """
        routes:
        - {path: /api/*, service: backend, url: "http://127.0.0.1:@port@", auth: jwt, rate_limit: 5/min}
        - {path: /public/*, service: backend, auth: none}
        """

    @Test("curl over TLS: refused, let in, refused again", .enabled(if: ProgramTool.canRun("curl")))
    func curl() throws {
        let scratch = try ProgramDirectory()
        let (port, behind) = (try ProgramPort.free(), try ProgramPort.free())
        let backend = try ProgramProcess.service("backend", "--name", "users", port: behind)
        func sdlab(_ words: String...) throws -> String {
            let process = try ProgramProcess(words, directory: scratch.path)
            #expect(try process.waitForExit() == 0, "\(words): \(process.errors)")
            return process.output
        }
        _ = try sdlab("jwt", "keys", "new")
        let keys = try sdlab("jwt", "jwks")
        _ = try scratch.place("jwks.json", keys)
        let text = Self.configuration.replacing("@port@", with: "\(behind)")
        let file = try scratch.place("gateway.yaml", text)
        let gateway = try ProgramProcess.service(
            "api-gateway", "--config", file, "--tls", "--tls-dir", scratch.path + "/ca", port: port,
            directory: scratch.path)
        try gateway.waitFor("[GW] Loaded 2 routes")
        func curl(_ path: String, _ words: String...) throws -> String {
            let process = try ProgramProcess(
                ["-sS", "--path-as-is", "--cacert", "ca/ca.pem", "-w", "%{http_code}"] + words
                    + ["https://localhost:\(port)\(path)"], directory: scratch.path,
                program: try ProgramTool.needed("curl"))
            #expect(try process.waitForExit() == 0, "\(process.errors)")
            return process.output
        }
        #expect(try curl("/api/users/1") == "{\"error\": \"Authorization header required\"}\n401")
        let token = try sdlab("jwt", "issue", "abc123").filter { !$0.isWhitespace }
        let bearer = "Authorization: Bearer \(token)"
        for _ in 0..<5 { #expect(try curl("/api/users/1", "-H", bearer) == "Response from users\n200") }
        #expect(try curl("/api/users/1", "-H", bearer).contains("\"Rate limit exceeded\", \"retry_after\": "))
        #expect(try curl("/public/../api/users/1").hasSuffix("401"))
        #expect(try curl("/public/..%2fapi/users/1").hasSuffix("400"))
        #expect(try curl("/public/x", "-H", "Expect: 100-continue", "-d", "hello") == "Response from users\n200")
        #expect(gateway.isRunning && backend.isRunning)
    }
}
