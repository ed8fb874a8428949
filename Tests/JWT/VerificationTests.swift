import KernelCryptography
import KernelJSON
import KernelJWT
import KernelStructures
import Testing

@Suite("Tokens are verified")
struct VerificationTests {
    // @covers GW-C2
    @Test("each algorithm signs, and its public half verifies", arguments: JWSAlgorithm.allCases)
    func roundTrip(_ algorithm: JWSAlgorithm) throws {
        let token = try token(algorithm)
        let key = Keys.of(algorithm)
        let keys = try JWKSet(keys: [key.publicKey])
        let policy = JWTPolicy(algorithms: [algorithm])
        let jwt = try JWTVerification.verify(token, keys: keys, policy: policy, now: epoch)
        #expect(jwt.claims.subject == "u1" && jwt.algorithm == algorithm && jwt.keyID == key.keyID)
        // One bit of the payload and one of the signature.
        for place in [token.firstIndex(of: UInt8(ascii: "."))! + 8, token.count - 8] {
            var changed = token
            changed[place] = changed[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            let failure = failure(changed, keys, policy)
            #expect(failure == .signature, "\(failure.map { "\($0)" } ?? "accepted")")
        }
    }

    @Test("HMAC is refused unless it was asked for, and a public key is never its secret")
    func confusion() throws {
        let secretKeys = try JWKSet(keys: [Keys.of(.hs256)])
        #expect(failure(try token(.hs256), secretKeys) == .algorithm("HS256"))
        #expect(failure(try token(.hs256), secretKeys, JWTPolicy(algorithms: [.hs256])) == nil)
        // The old trick: HS256 with the bytes of the public key, under that key's name.
        let rsa = Keys.of(.rs256)
        let secret = rsa.publicKey.json().bytes(.compact)
        let forger = try JWK(secret: secret, keyID: rsa.keyID)
        let forged = Array(try JWTSigner(key: forger).sign(["sub": "root", "exp": .integer(epochSeconds + 60)]).utf8)
        let keys = try JWKSet(keys: [rsa.publicKey])
        #expect(failure(forged, keys, JWTPolicy(algorithms: [.hs256, .rs256])) == .algorithm("HS256"))
    }

    @Test("a key is pinned to its algorithm: the same RSA key signs nothing else")
    func pinning() throws {
        let rsa = Keys.of(.rs256)
        guard case .object(var members) = rsa.json(withPrivate: true) else { return }
        members.removeAll { $0.key == "alg" }
        let free = try JWK(JSONCursor(.object(members)))
        for algorithm in [JWSAlgorithm.rs512, .ps256] {
            let token = Array(
                try JWTSigner(key: free, algorithm: algorithm).sign(["exp": .integer(epochSeconds + 60)]).utf8)
            #expect(failure(token, try JWKSet(keys: [rsa.publicKey])) == .algorithm(algorithm.rawValue))
            #expect(failure(token, try JWKSet(keys: [free.publicKey])) == nil)
        }
    }

    @Test("'none' in any spelling is no algorithm", arguments: ["none", "None", "NONE", "nOnE", ""])
    func none(_ name: String) throws {
        let header = Base64.url.encode(Array("{\"alg\":\"\(name)\"}".utf8))
        let token = Array("\(header).\(Base64.url.encode(Array("{\"exp\":9999999999}".utf8))).".utf8)
        #expect(failure(token, try JWKSet(keys: [Keys.of(.eddsa)])) == .algorithm(name))
    }

    @Test("the time is read: expired at the second itself, not before nbf, with leeway on both sides")
    func time() throws {
        let keys = try JWKSet(keys: [Keys.of(.eddsa)])
        let expiring = try token(.eddsa, ["exp": .integer(epochSeconds + 60)])
        let end = epoch + .seconds(60)
        #expect(failure(expiring, keys, now: end - LabDuration(nanoseconds: 1)) == nil)
        #expect(failure(expiring, keys, now: end) == .expired(end))
        let lenient = JWTPolicy(leeway: .seconds(30))
        #expect(failure(expiring, keys, lenient, now: end + .seconds(29)) == nil)
        #expect(failure(expiring, keys, lenient, now: end + .seconds(30)) == .expired(end))
        let early = try token(.eddsa, ["nbf": .integer(epochSeconds + 10), "exp": .integer(epochSeconds + 60)])
        #expect(failure(early, keys) == .notYetValid(epoch + .seconds(10)))
        #expect(failure(early, keys, now: epoch + .seconds(10)) == nil)
        #expect(failure(early, keys, lenient) == nil)
        // A fraction, and numbers that no clock reaches.
        #expect(failure(try token(.eddsa, ["exp": .number(Double(epochSeconds) + 0.5)]), keys) == nil)
        #expect(failure(try token(.eddsa, ["exp": .number(1e300)]), keys) == nil)
        #expect(failure(try token(.eddsa, ["exp": .integer(.min)]), keys)?.reason == "expired")
        #expect(failure(try token(.eddsa, ["exp": "tomorrow"]), keys) == .invalidClaim("exp"))
        #expect(failure(try token(.eddsa, ["sub": "u1"]), keys) == .missingClaim("exp"))
        #expect(failure(try token(.eddsa, ["sub": "u1"]), keys, JWTPolicy(requiresExpiry: false)) == nil)
    }

    @Test("issuer, audience, type and required claims")
    func claims() throws {
        let keys = try JWKSet(keys: [Keys.of(.eddsa)])
        func make(_ more: [(key: String, value: JSONValue)]) throws -> [UInt8] {
            try token(.eddsa, .object([("exp", .integer(epochSeconds + 60))] + more))
        }
        let policy = JWTPolicy(issuers: ["https://id.shop"], audiences: ["shop", "admin"])
        let right: [(key: String, value: JSONValue)] = [("iss", "https://id.shop"), ("aud", "shop")]
        #expect(failure(try make(right), keys, policy) == nil)
        #expect(failure(try make([right[0], ("aud", ["other", "admin"])]), keys, policy) == nil)
        #expect(failure(try make([right[0], ("aud", ["other"])]), keys, policy) == .audience(["other"]))
        #expect(failure(try make([right[0]]), keys, policy) == .audience([]))
        #expect(failure(try make([right[0], ("aud", 7)]), keys, policy) == .invalidClaim("aud"))
        #expect(failure(try make([right[1]]), keys, policy) == .issuer(nil))
        #expect(failure(try make([("iss", "https://id.shop.evil"), right[1]]), keys, policy)?.reason == "issuer")
        let typed = JWTPolicy(types: ["at+jwt"], requiredClaims: ["sub", "realm.roles"])
        let payload = "{\"exp\":\(epochSeconds + 9),\"sub\":\"u\",\"realm\":{\"roles\":[\"a\"]}}"
        #expect(failure(try token(header: [("typ", "application/AT+jwt")], payload: payload), keys, typed) == nil)
        #expect(failure(try token(header: [("typ", "JWT")], payload: payload), keys, typed) == .type("JWT"))
        #expect(failure(try make([("sub", "u")]), keys, JWTPolicy(requiredClaims: ["tid"])) == .missingClaim("tid"))
    }

    @Test("what the header says beyond what is understood")
    func critical() throws {
        let keys = try JWKSet(keys: [Keys.of(.eddsa)])
        let payload = "{\"exp\":\(epochSeconds + 9)}"
        func reason(_ header: [(key: String, value: JSONValue)]) throws -> String? {
            failure(try token(header: header, payload: payload), keys)?.reason
        }
        #expect(try reason([]) == nil)
        #expect(try reason([("crit", ["exp"]), ("exp", 1)]) == "critical")
        #expect(try reason([("crit", []), ("b64", true)]) == "critical")
        #expect(try reason([("crit", ["b64", "b64"]), ("b64", true)]) == "critical")
        #expect(try reason([("crit", ["b64"])]) == "critical")
        #expect(try reason([("crit", ["b64"]), ("b64", true)]) == nil)
        #expect(try reason([("crit", ["b64"]), ("b64", false)]) == "malformed")
        // Keys that come along are nobody's.
        #expect(try reason([("jku", "http://evil/jwks.json"), ("jwk", ["kty": "oct", "k": "AAAA"])]) == nil)
    }

    @Test("forms that are none")
    func malformed() throws {
        let keys = try JWKSet(keys: [Keys.of(.eddsa)])
        let good = String(decoding: try token(), as: UTF8.self)
        let parts = good.split(separator: ".").map(String.init)
        let bad = [
            "", ".", "..", "...", good + ".", "." + good, good + "=", " " + good, good + "\n",
            parts[0] + "." + parts[1],
            parts[0] + ".." + parts[2], "e30." + parts[1] + "." + parts[2], parts[0] + "=." + parts[1] + "." + parts[2],
            "W10." + parts[1] + "." + parts[2], String(repeating: "a", count: 20_000),
        ]
        for token in bad {
            #expect(
                ["malformed", "signature"].contains(failure(Array(token.utf8), keys)?.reason), "\(token.prefix(60))")
        }
        // Signed and still no claims.
        for payload in ["", "[]", "7", "{\"exp\":1,\"exp\":9999999999}", "{\"exp\":9999999999", "\u{FEFF}{}"] {
            #expect(failure(try token(header: [], payload: payload), keys)?.reason == "malformed", "\(payload)")
        }
    }

    @Test("a key is looked up by its name, and no other is tried")
    func keyIDs() throws {
        let a = Keys.of(.eddsa)
        var random = SeededRandom(seed: 5)
        let b = try JWK.make(.eddsa, keyID: "b", random: &random)
        let claims: JSONValue = ["exp": .integer(epochSeconds + 60)]
        let ofB = Array(try JWTSigner(key: b).sign(claims).utf8)
        #expect(failure(ofB, try JWKSet(keys: [a])) == .unknownKey("b"))
        #expect(failure(ofB, try JWKSet(keys: [a, b])) == nil)
        // Without a name any that fits may have signed; a key without one may be meant by every name.
        let nameless = try JWK.make(.eddsa, keyID: nil, random: &random)
        let ofNameless = Array(try JWTSigner(key: nameless).sign(claims).utf8)
        #expect(failure(ofNameless, try JWKSet(keys: [a, b, nameless])) == nil)
        #expect(failure(ofNameless, try JWKSet(keys: [a, b])) == .signature)
        #expect(failure(ofB, try JWKSet(keys: [a, nameless])) == .signature)
        #expect(failure(ofNameless, .empty) == .unknownKey(nil))
    }

    @Test("what it says about a failure can stand in a header")
    func descriptions() {
        let failures: [JWTFailure] = [
            .malformed("a \"b\" \\ \u{0}\r\n ü"), .algorithm(String(repeating: "x", count: 500)), .unknownKey(nil),
            .noKeys("refused"), .signature, .expired(epoch), .audience(["a", "b"]), .issuer("\"\n"), .critical("x"),
        ]
        for failure in failures {
            #expect(failure.description.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C })
            #expect(failure.description.utf8.count <= 400)
        }
        #expect(JWTFailure.expired(epoch).description == "The token expired at 2023-12-20T15:00:00Z")
    }
}
