import GatewayEngine
import GatewayService
import KernelCryptography
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// Keys that come from somewhere else and change, and tokens that only their issuer can read.
// @covers GW-C2 GW-H2 GW-M2
@Suite("Tokens at the gateway") struct TokenTests {
    private static let yaml = """
        jwt: {keys: "http://issuer/jwks.json", issuer: "https://issuer", audience: gateway}
        routes: [{path: /*, service: s, url: "http://s", auth: jwt}]
        """

    private final class KeyServer {
        let server: ScriptedServer
        var body: [UInt8]
        var fetches = 0

        init(_ bench: GatewayBench, _ body: [UInt8]) throws {
            self.body = body
            server = try ScriptedServer(bench.world.nodes["issuer"] ?? bench.world.node("issuer"), port: 80)
            server.onReceived = { [self] connection in
                guard connection.text.hasSuffix("\r\n\r\n") else { return }
                fetches += 1
                let text = String(decoding: self.body, as: UTF8.self)
                connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)")
            }
        }
    }

    private static let claims: [(String, JSONValue)] = [("iss", "https://issuer"), ("aud", ["other", "gateway"])]

    private func bearer(_ issuer: Issuer, key: Int = 0) throws -> String {
        "Authorization: Bearer \(try issuer.token(claims: Self.claims, key: key))"
    }

    private func start(_ issuer: Issuer) throws -> (GatewayBench, KeyServer) {
        let world = memoryWorld()
        _ = world.node("issuer")
        let bench = try GatewayBench(Self.yaml, services: ["s"], world: world)
        let keys = try KeyServer(bench, issuer.jwks)
        return (bench, keys)
    }

    @Test("the first request waits for the keys; later ones do not") func fetched() throws {
        let issuer = try Issuer()
        let (bench, keys) = try start(issuer)
        #expect(try bench.ask("/", try bearer(issuer)).status == 200)
        for _ in 0..<10 { #expect(try bench.ask("/", try bearer(issuer)).status == 200) }
        #expect(keys.fetches == 1)
        bench.world.pass(.seconds(301))
        #expect(keys.fetches == 2)
    }

    @Test("a thousand unknown keys in a minute are one fetch") func storm() throws {
        let issuer = try Issuer()
        let (bench, keys) = try start(issuer)
        try bench.ask("/", try bearer(issuer))
        bench.world.pass(.seconds(61))
        let before = keys.fetches
        let stranger = try Issuer(keyID: "stranger")
        for _ in 0..<1000 { #expect(try bench.ask("/", try bearer(stranger)).status == 401) }
        #expect(keys.fetches - before <= 1 && bench.heard("s").count == 1)
    }

    @Test("a rotation, rehearsed: the new key is found at once, the old one holds until it is taken out")
    func rotation() throws {
        var issuer = try Issuer()
        let (bench, keys) = try start(issuer)
        let old = try bearer(issuer)
        #expect(try bench.ask("/", old).status == 200)
        bench.world.pass(.seconds(120))
        try issuer.rotate(to: "second")
        keys.body = issuer.jwks
        #expect(try bench.ask("/", try bearer(issuer)).status == 200)
        #expect(try bench.ask("/", old).status == 200)
        issuer.retireOldest()
        keys.body = issuer.jwks
        // Known tokens are forgotten when the keys have changed.
        bench.world.pass(.seconds(301))
        #expect(try bench.ask("/", old).status == 401)
        #expect(try bench.ask("/", try bearer(issuer)).status == 200)
    }

    @Test("what would become of a request later, or with other keys, is told without anything being done")
    func rehearsal() throws {
        var issuer = try Issuer()
        let bench = try GatewayBench(
            "routes: [{path: /*, service: s, url: 'http://s', auth: jwt, rate_limit: 2/min}]",
            files: ["jwks.json": issuer.jwks], services: ["s"])
        let token = try issuer.token(expires: .seconds(600))
        func rehearse(later: LabDuration = .zero, keys: [UInt8]? = nil) throws -> [String: String] {
            var circumstances = GatewayHost.Circumstances()
            circumstances.later = later
            circumstances.keys = keys.map { ("new.json", $0) }
            let request = RouteRequest(get("/x", "Authorization: Bearer \(token)"), path: Array("/x".utf8))
            let steps = try bench.host.rehearse(request, in: circumstances)
            return Dictionary(steps.map { ($0.name, $0.text) }) { first, _ in first }
        }
        #expect(try rehearse()["auth"] == "user:abc123")
        #expect(try rehearse()["limit"] == "0 of 2 used by user:abc123")
        #expect(try rehearse(later: .seconds(599))["auth"] == "user:abc123")
        #expect(try rehearse(later: .seconds(600))["auth"] == "expired")
        // A rotation that keeps the old key, and one that does not.
        try issuer.rotate(to: "second")
        #expect(try rehearse(keys: issuer.jwks)["auth"] == "user:abc123")
        issuer.retireOldest()
        #expect(try rehearse(keys: issuer.jwks)["auth"] == "unknown_key")
        #expect(throws: (any Error).self) { try rehearse(keys: Array("{".utf8)) }
        // Nothing has happened: no request, no charge, and the keys are those that they were.
        #expect(bench.heard("s").isEmpty && bench.host.routeStates[0].counters.requests == 0)
        #expect(try bench.ask("/x", "Authorization: Bearer \(token)").status == 200)
    }

    @Test("where no token is to be kept, each is checked each time") func nothingKept() throws {
        let issuer = try Issuer()
        for (setting, verifications) in [("cache: 0", 5), ("cache: 10", 1)] {
            let bench = try GatewayBench(
                "jwt: {\(setting)}\nroutes: [{path: /*, service: s, url: 'http://s', auth: jwt}]",
                files: ["jwks.json": issuer.jwks], services: ["s"])
            for _ in 0..<5 { #expect(try bench.ask("/", try issuer.bearer()).status == 200) }
            let counted = bench.host.statistics.first { $0.key == "tokens_verified" }
            #expect(counted?.value == .integer(verifications), "\(setting)")
        }
    }

    @Test("while the issuer is away old keys do; without any it is a 503, and no 401") func issuerAway() throws {
        let issuer = try Issuer()
        let bench = try GatewayBench(Self.yaml, services: ["s"])
        let answer = try bench.ask("/", try bearer(issuer))
        #expect(answer.status == 503 && answer["Retry-After"] != nil && answer["WWW-Authenticate"] == nil)
        let keys = try KeyServer(bench, issuer.jwks)
        bench.world.pass(.seconds(61))
        #expect(try bench.ask("/", try bearer(issuer)).status == 200)
        keys.body = Array("not JSON".utf8)
        bench.world.pass(.seconds(1800))
        #expect(try bench.ask("/", try bearer(issuer)).status == 200)
    }

    @Test("a reload keeps the keys that were fetched: their issuer may be away") func reload() throws {
        let issuer = try Issuer()
        let (bench, keys) = try start(issuer)
        #expect(try bench.ask("/", try bearer(issuer)).status == 200)
        keys.body = Array("not JSON".utf8)
        try bench.reload(Self.yaml + "\nlog: none")
        #expect(try bench.ask("/", try bearer(issuer)).status == 200 && keys.fetches == 1)
    }

    @Test("an end is an end for known tokens as well, and audience and issuer count") func claims() throws {
        let issuer = try Issuer()
        let (bench, _) = try start(issuer)
        let short = "Authorization: Bearer \(try issuer.token(expires: .seconds(10), claims: Self.claims))"
        #expect(try bench.ask("/", short).status == 200)
        bench.world.pass(.seconds(11))
        let late = try bench.ask("/", short)
        #expect(late.status == 401 && late["WWW-Authenticate"]?.contains("invalid_token") == true)
        #expect(try bench.ask("/", try issuer.bearer()).status == 401)
        #expect(
            try bench.ask("/", try issuer.bearer(claims: [("iss", "https://issuer"), ("aud", "other")])).status == 401)
    }

    @Test("API keys: hashed in the file, told to the service by name, never by value") func apiKeys() throws {
        let digest = Hexadecimal.encode(MessageDigest.sha256.digest(of: "secret-1"))
        let bench = try GatewayBench(
            """
            api_keys: {keys: [{name: alice, sha256: \(digest), scopes: [read]}]}
            routes:
            - {path: /a, service: s, url: "http://s", auth: api-key, scopes: [read], rate_limit: 1/min}
            - {path: /b, service: s, auth: api-key, scopes: [write]}
            """, services: ["s"])
        let missing = try bench.ask("/a")
        #expect(missing.status == 401 && missing.body == "{\"error\": \"X-API-Key header required\"}\n")
        #expect(try bench.ask("/a", "X-API-Key: secret-2").status == 401)
        #expect(try bench.ask("/a", "X-API-Key: secret-1", "X-Consumer: bob").status == 200)
        let heard = bench.heard("s")[0]
        #expect(heard.contains("X-Consumer: alice\r\n") && !heard.contains("bob") && !heard.contains("secret"))
        #expect(try bench.ask("/a", "X-API-Key: secret-1").status == 429)
        #expect(try bench.ask("/b", "X-API-Key: secret-1").status == 403)
    }

    @Test("opaque tokens: their issuer is asked, once for a while, and a no is a no") func introspection() throws {
        let bench = try GatewayBench(
            """
            introspection: {url: "http://issuer/introspect", client: gw, secret_file: secret, cache: 30s}
            routes: [{path: /*, service: s, url: "http://s", auth: introspection, scopes: [a]}]
            """, files: ["secret": Array("pw\n".utf8)], services: ["s"])
        let issuer = try ScriptedServer(bench.world.node("issuer"), port: 80)
        issuer.onReceived = { connection in
            guard connection.text.contains("token_type_hint=access_token") else { return }
            let isGood = connection.text.contains("token=good")
            let body = isGood ? "{\"active\": true, \"sub\": \"u1\", \"scope\": \"a b\"}" : "{\"active\": false}"
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        }
        for _ in 0..<5 { #expect(try bench.ask("/", "Authorization: Bearer good").status == 200) }
        #expect(issuer.heard.count == 1 && issuer.heard[0].contains("Authorization: Basic Z3c6cHc=\r\n"))
        #expect(bench.heard("s")[0].contains("X-User-Id: u1\r\n") && !bench.heard("s")[0].contains("Bearer"))
        #expect(try bench.ask("/", "Authorization: Bearer bad").status == 401)
        bench.world.pass(.seconds(31))
        try bench.ask("/", "Authorization: Bearer good")
        #expect(issuer.heard.count == 3)
    }
}
