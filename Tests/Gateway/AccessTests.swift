import GatewayEngine
import KernelCryptography
import KernelJSON
import KernelStructures
import KernelWire
import TestSupport
import Testing

// @covers GW-C2 GW-C4
@Suite("Access") struct AccessTests {
    private func credential(_ field: String...) -> Credential {
        var text = "GET / HTTP/1.1\r\nHost: h\r\n"
        for line in field { text += line + "\r\n" }
        return Credential.read(head(text), bearer: true, apiKeyField: "X-API-Key")
    }

    @Test("a Bearer token as RFC 6750 has it, and nothing else") func credentials() {
        #expect(credential() == .none)
        #expect(credential("Authorization: Bearer abc.def") == .bearer(Array("abc.def".utf8)))
        #expect(credential("authorization: bearer  a+/=") == .bearer(Array("a+/=".utf8)))
        #expect(credential("X-API-Key: k1", "Authorization: Bearer t") == .apiKey(Array("k1".utf8)))
        for wrong in ["Basic YTpi", "Bearer", "Bearer ", "Bearer a b", "Bearer ä", "Bearerabc", "Bearer a,b"] {
            if case .malformed = credential("Authorization: \(wrong)") { continue }
            Issue.record("'\(wrong)' was taken")
        }
        #expect(
            credential("Authorization: Bearer a", "Authorization: Bearer b")
                == .malformed("Authorization stands there twice"))
        #expect(credential("X-API-Key: a", "X-API-Key: b") == .malformedKey("X-API-Key stands there twice"))
    }

    @Test("answers are the documented ones, and RFC 6750's") func refusals() {
        #expect(AccessRefusal.missingToken.body == #"{"error": "Authorization header required"}"#)
        #expect(
            AccessRefusal.missingToken.status == 401
                && AccessRefusal.missingToken.challenge == "Bearer realm=\"gateway\"")
        let invalid = AccessRefusal.invalidToken("a \"quote\" \\ and\r\nmore", reason: "x")
        #expect(
            invalid.challenge
                == "Bearer realm=\"gateway\", error=\"invalid_token\", error_description=\"a quote  andmore\"")
        #expect(AccessRefusal.insufficientScope(["a", "b"]).status == 403)
        #expect(HTTPWriter.isSafeField(name: "X", value: invalid.challenge ?? "\n"))
        for refusal in [
            AccessRefusal.missingToken, .unknownKey, .missingKey("X-K"), invalid, .undecided("x"), .wrongClaim("r"),
        ] {
            #expect((try? JSONValue(parsing: Array(refusal.body.utf8))) != nil, "\(refusal.body)")
        }
    }

    @Test("API keys are known by their digests alone, and end") func keys() {
        var key = APIKey(name: "alice", digest: APIKey.digest(of: Array("secret".utf8)))
        key.expiresAt = LabTime(nanoseconds: 1000)
        let table = APIKeyTable([key])
        #expect(table.owner(of: Array("secret".utf8), now: LabTime(nanoseconds: 999))?.name == "alice")
        #expect(table.owner(of: Array("secret".utf8), now: LabTime(nanoseconds: 1000)) == nil)
        #expect(table.owner(of: Array("secre".utf8), now: LabTime(nanoseconds: 1)) == nil)
    }

    @Test("what a client says of itself is known in every spelling") func spoofs() {
        let fields = IdentityFields(["X-User-Id"])
        for name in ["X-User-Id", "x-user-id", "X_User_Id", "x_USER-id"] {
            #expect(fields.contains(Array(name.utf8)[...]))
        }
        for name in ["X-User-Ids", "X-User", "XUserId"] { #expect(!fields.contains(Array(name.utf8)[...])) }
    }

    @Test("what no field and no log can hold is refused, and said") func unfitClaims() {
        func reason(_ claims: JSONValue) -> String {
            do throws(AccessRefusal) {
                _ = try Claims.identity(claims, fields: [.init(claim: "email", field: "X-Email")])
                return "taken"
            } catch { return "\(error.status) \(error.reason) \(error.body)" }
        }
        for text in ["a\r\nX-Admin: 1", "a\0b", "a\u{1b}[2J"] {
            #expect(reason(["sub": .string(text)]).contains("401 invalid_claim"))
            #expect(reason(["sub": "u", "email": .string(text)]).contains("email has characters"))
        }
        #expect(reason(["sub": .string(String(repeating: "a", count: 5000))]).contains("sub has 5000 bytes"))
        #expect(reason(["sub": "u", "email": "e"]) == "taken")
    }

    @Test("who comes with a key is never sent away for a token") func keyChallenges() {
        let identity = Identity(subject: "key:alice")
        var access = Route.Access()
        access.scopes = ["write"]
        for refusal in [access.refusal(of: identity), .malformedKey("X-K stands there twice"), .unknownKey] {
            #expect(refusal?.challenge == "ApiKey realm=\"gateway\"", "\(String(describing: refusal))")
        }
        #expect(AccessRefusal.malformedKey("X-K stands there twice").body.contains("X-K stands there twice"))
    }

    @Test("claims become fields only where they can stand there") func claims() throws {
        let claims: JSONValue = [
            "sub": "u1", "scope": "a b", "roles": ["x", "y"], "deep": ["er": "z"], "https://e.org/r": "q",
            "none": .null,
        ]
        let fields = [
            ("sub", "X-User"), ("roles", "X-Roles"), ("deep.er", "X-Deep"), ("none", "X-None"),
        ]
        let identity = try #require(
            try? Claims.identity(claims, fields: fields.map { .init(claim: $0.0, field: $0.1) }))
        #expect(identity.subject == "user:u1" && identity.scopes == ["a", "b"])
        #expect(String(decoding: identity.lines, as: UTF8.self) == "X-User: u1\r\nX-Roles: x,y\r\nX-Deep: z\r\n")
        #expect(Claims.values(claims, "https://e.org/r") == ["q"])
        #expect((try? Claims.identity(["scope": "a"], fields: [])) == nil)
        var access = Route.Access()
        access.scopes = ["a"]
        access.claims = [("roles", "y")]
        #expect(access.refusal(of: identity) == nil)
        access.claims = [("roles", "z")]
        #expect(access.refusal(of: identity)?.status == 403)
        // All of them are needed, and one is not there.
        access.scopes = ["a", "c"]
        #expect(access.refusal(of: identity)?.reason == "insufficient_scope")
        access.scopes = ["c"]
        #expect(access.refusal(of: identity)?.reason == "insufficient_scope")
    }

    @Test("an issuer's answer is a yes only if it says so, until its end") func introspection() throws {
        func read(_ text: String) throws -> IntrospectedToken { try IntrospectedToken(parsing: Array(text.utf8)) }
        let now = LabTime(nanoseconds: 0) + .seconds(100)
        #expect(try read(#"{"active": true, "sub": "u", "exp": 101}"#).isGood(at: now))
        #expect(try !read(#"{"active": true, "sub": "u", "exp": 100}"#).isGood(at: now))
        #expect(try !read(#"{"active": false}"#).isGood(at: now))
        for wrong in [
            "", "{}", #"{"active": "true"}"#, "[]", #"{"active": true, "exp": "x"}"#, #"{"active":true,"exp":1e300}"#,
        ] {
            #expect(throws: (any Error).self) { try read(wrong) }
        }
        var cache = IntrospectionCache(time: .seconds(30))
        cache.note(try read(#"{"active": true, "sub": "u"}"#), for: [1], now: now)
        #expect(cache.find([1], now: now + .seconds(29)) != nil && cache.find([1], now: now + .seconds(30)) == nil)
    }

    @Test("paths are rewritten within the path") func rewrites() throws {
        func rewrite(_ setting: String, _ path: String) throws -> String {
            let yaml = "routes:\n- {path: /a/*, service: s, auth: none, \(setting)}"
            let rewrite = try #require(try gateway(yaml).routes[0].rewrite)
            return String(decoding: rewrite.apply(to: Array(path.utf8)[...], prefixLength: 2), as: UTF8.self)
        }
        #expect(try rewrite("strip: /a", "/a/b") == "/b")
        #expect(try rewrite("strip: /a", "/a") == "/")
        #expect(try rewrite("strip: /a/b", "/a/bc") == "/a/bc")
        #expect(try rewrite("rewrite: /new", "/a/b/c") == "/new/b/c")
        #expect(try rewrite("rewrite: /", "/a/b") == "/b")
        #expect(try rewrite("rewrite: {path: /all}", "/a/b") == "/all")
        #expect(try rewrite("rewrite: {match: '^/a/(.*)/(.*)', with: '/$2/$1'}", "/a/x/y") == "/y/x")
        #expect(try rewrite("rewrite: {match: '/a', with: 'b'}", "/a/x") == "/b/x")
        #expect(try rewrite("rewrite: {match: 'x', with: ' HTTP/1.1'}", "/a/x") == "/a/x")
    }
}
