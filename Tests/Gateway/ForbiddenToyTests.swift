import GatewayService
import KernelCryptography
import KernelJSON
import KernelJWT
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// What toy gateways get wrong, each shut out by name, from a client's request to what a service hears.
// @covers GW-C2 GW-C4 GW-C5 GW-M2
@Suite("Toy gateways") struct ForbiddenToyTests {
    private static let yaml = """
        jwt: {issuer: us, audience: gateway}
        routes:
        - {path: /api/*, service: s, url: "http://s", auth: jwt, retries: 3}
        - {path: /api/admin/*, service: admin, url: "http://admin", auth: jwt, scopes: [admin, write]}
        - {path: /public/*, service: s, auth: none, retries: 3}
        """
    private static let good: [(String, JSONValue)] = [("iss", "us"), ("aud", "gateway")]

    private func bench(_ keys: [UInt8]? = nil) throws -> GatewayBench {
        try GatewayBench(
            Self.yaml, files: ["jwks.json": try keys ?? Issuer().jwks], services: ["s", "admin"])
    }

    private func part(_ json: String) -> String { Base64.url.encode(Array(json.utf8)) }

    private func status(_ token: String, _ bench: GatewayBench, _ path: String = "/api/x") throws -> Int {
        try bench.ask(path, "Authorization: Bearer \(token)").status
    }

    @Test("the algorithm is the token's word: none in any spelling, with and without a signature")
    func algorithmNone() throws {
        let bench = try bench()
        let payload = part(#"{"sub": "root", "iss": "us", "aud": "gateway", "exp": 9999999999}"#)
        let signature = try Issuer().token(claims: Self.good).split(separator: ".")[2]
        for name in ["none", "None", "NONE", ""] {
            let head = part(#"{"alg": "\#(name)", "kid": "first"}"#)
            #expect(try status("\(head).\(payload).", bench) == 401, "\(name)")
            #expect(try status("\(head).\(payload).\(signature)", bench) == 401, "\(name)")
        }
        #expect(bench.heard("s").isEmpty)
    }

    @Test("a public key is a secret: HS256 by the bytes of the key set, or of the key in it")
    func confusion() throws {
        let issuer = try Issuer()
        let bench = try bench()
        let claims: JSONValue = ["sub": "root", "iss": "us", "aud": "gateway", "exp": 9_999_999_999]
        for secret in [issuer.jwks, issuer.keys[0].publicKey.json().bytes(.compact)] {
            let forger = try JWK(secret: secret, keyID: "first")
            #expect(try status(try JWTSigner(key: forger).sign(claims), bench) == 401)
        }
        #expect(bench.heard("s").isEmpty)
    }

    @Test("ECDSA signatures as certificates have them (DER) are none of a token's")
    func derSignature() throws {
        var random = SeededRandom(seed: 5)
        let key = try JWK.make(.es256, keyID: "ec", random: &random)
        let bench = try bench(JWKSet(keys: [key]).json().bytes())
        let claims: JSONValue = ["sub": "u", "iss": "us", "aud": "gateway", "exp": 9_999_999_999]
        let token = try JWTSigner(key: key).sign(claims)
        #expect(try status(token, bench) == 200)
        let parts = token.split(separator: ".")
        let raw = try #require(Base64.url.decode(parts[2].utf8))
        func integer(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
            var digits = Array(bytes.drop { $0 == 0 })
            if digits.isEmpty || digits[0] >= 128 { digits.insert(0, at: 0) }
            return [2, UInt8(digits.count)] + digits
        }
        let body = integer(raw[..<32]) + integer(raw[32...])
        let der = Base64.url.encode([0x30, UInt8(body.count)] + body)
        #expect(try status("\(parts[0]).\(parts[1]).\(der)", bench) == 401)
    }

    @Test("what is critical in a header and not understood is passed over")
    func critical() throws {
        let key = try Issuer().keys[0]
        let token = try JWS.compact(
            payload: Array(#"{"sub": "u", "iss": "us", "aud": "gateway", "exp": 9999999999}"#.utf8),
            header: [("kid", "first"), ("crit", ["example"]), ("example", 1)], key: key, algorithm: .eddsa)
        #expect(try status(token, try bench()) == 401)
    }

    @Test("claims are decoration: no end, another issuer, another audience, nobody; a list of audiences is fine")
    func claims() throws {
        let issuer = try Issuer()
        let bench = try bench()
        func signed(_ claims: JSONValue) throws -> String { try JWTSigner(key: issuer.keys[0]).sign(claims) }
        #expect(try status(try signed(["sub": "u", "iss": "us", "aud": "gateway"]), bench) == 401)
        #expect(try status(try issuer.token(claims: [("iss", "them"), ("aud", "gateway")]), bench) == 401)
        #expect(try status(try issuer.token(claims: [("iss", "us"), ("aud", "other")]), bench) == 401)
        #expect(try status(try issuer.token(claims: [("iss", "us"), ("aud", ["other"])]), bench) == 401)
        let nobody: JSONValue = ["iss": "us", "aud": "gateway", "exp": 9_999_999_999]
        #expect(try status(try signed(nobody), bench) == 401)
        #expect(try status(try issuer.token(claims: [("iss", "us"), ("aud", ["other", "gateway"])]), bench) == 200)
    }

    @Test("padding and other alphabets of base64 are as good as the right one")
    func padding() throws {
        let bench = try bench()
        let token = try Issuer().token(claims: Self.good)
        let parts = token.split(separator: ".").map(String.init)
        #expect(try status(token, bench) == 200)
        for changed in [
            "\(parts[0])=.\(parts[1]).\(parts[2])", "\(parts[0]).\(parts[1])==.\(parts[2])", token + "=",
            token + "==", "\(parts[0]).\(parts[1]).\(parts[2]).", ".\(token)",
        ] {
            #expect(try status(changed, bench) == 401, "\(changed)")
        }
    }

    @Test("one scope of two opens the door") func scopes() throws {
        let bench = try bench()
        let issuer = try Issuer()
        for (scope, expected) in [("admin", 403), ("write", 403), ("admin write", 200), ("write read admin", 200)] {
            let token = try issuer.token(claims: Self.good + [("scope", .string(scope))])
            let answer = try bench.ask("/api/admin/x", "Authorization: Bearer \(token)")
            #expect(answer.status == expected, "\(scope)")
            if expected == 403 {
                #expect(answer["WWW-Authenticate"]?.contains("error=\"insufficient_scope\"") == true)
            }
        }
        #expect(bench.heard("admin").count == 2)
    }

    @Test(
        "a path is whatever its bytes are: ways around a prefix, each with its rule still in force",
        arguments: [
            ("/apix", 404), ("/api", 401), ("/public/../api/x", 401), ("/public/%2e%2e/api/x", 401),
            ("/public/%2E%2E/api/x", 401), ("/public/.%2e/api/x", 401), ("//api//x", 401), ("/./api/x", 401),
            ("/%61pi/x", 401), ("/public/..%2fapi/x", 400), ("/public/..%5capi/x", 400), ("/public/..;/api/x", 400),
            ("/public/../../api/x", 400), ("/public/%00", 400), ("/API/x", 404),
        ])
    func paths(path: String, expected: Int) throws {
        let bench = try bench()
        #expect(try bench.ask(path).status == expected)
        #expect(bench.heard("s").isEmpty)
    }

    @Test("who a client says it is, a service believes") func identityFields() throws {
        let bench = try bench()
        let bearer = "Authorization: Bearer \(try Issuer().token("alice", claims: Self.good))"
        try bench.ask("/public/x", "X-User-Id: root")
        try bench.ask("/api/x", bearer, "X-User-Id: root", "X_USER_ID: root")
        #expect(bench.heard("s").count == 2 && !bench.heard("s").joined().contains("root"))
        #expect(bench.heard("s")[1].contains("X-User-Id: alice\r\n"))
    }

    @Test("a POST is sent again, whatever became of the first", arguments: ["closes", "is silent", "answers 503"])
    func postAgain(server: String) throws {
        let bench = try GatewayBench(
            """
            auth: none
            services: {s: {servers: ["a:80", "b:80"], breaker: false, outlier_ejection: false}}
            routes: [{path: /*, service: s, retries: 3, retry_on: [503], response_timeout: 1s}]
            """)
        for name in ["a", "b"] {
            try bench.serve(name)
            bench.server(name).onReceived = { connection in
                if connection.text.contains("POST "), !connection.text.contains("\r\n\r\npay") { return }
                switch server {
                case "closes": connection.stream.close()
                case "answers 503": connection.write("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
                default: break
                }
            }
        }
        let answer = try bench.ask("/x", method: "POST", body: "pay")
        #expect(answer.status == (server == "closes" ? 502 : server == "is silent" ? 504 : 503))
        #expect(bench.heard("a").count + bench.heard("b").count == 1)
        // What may be done twice is, so often as the route says and not once more.
        let before = bench.heard("a").count + bench.heard("b").count
        try bench.ask("/x")
        #expect(bench.heard("a").count + bench.heard("b").count - before == 4)
    }
}
