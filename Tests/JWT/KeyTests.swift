import KernelCryptography
import KernelJSON
import KernelJWT
import KernelStructures
import Testing

@Suite("Keys are read and refused")
struct KeyTests {
    private func problem(_ json: JSONValue) -> String? {
        do throws(JWKError) {
            _ = try JWK(JSONCursor(json))
            return nil
        } catch {
            return error.description
        }
    }

    private func changed(_ algorithm: JWSAlgorithm, _ changes: [String: JSONValue?], withPrivate: Bool = false)
        -> JSONValue
    {
        guard case .object(var members) = Keys.of(algorithm).json(withPrivate: withPrivate) else { return .null }
        for (name, value) in changes.sorted(by: { $0.key < $1.key }) {
            members.removeAll { $0.key == name }
            if let value { members.append((name, value)) }
        }
        return .object(members)
    }

    @Test("what is wrong with a key is said, with its place")
    func refusals() {
        let short = Base64.url.encode([UInt8](repeating: 0xC1, count: 128))
        let even = Base64.url.encode([UInt8](repeating: 0xC2, count: 256))
        let cases: [(JSONValue, String)] = [
            ([], "$: expected an object"), ([:], "$.kty: missing"), (["kty": "XYZ"], "'XYZ' is no type of key"),
            (changed(.rs256, ["n": .string(short)]), "$.n: a modulus of 1024 bits"),
            (changed(.rs256, ["n": .string(even)]), "$.n: an even modulus"),
            (changed(.rs256, ["e": "AQ"]), "$.e: an exponent must be odd, from 3"),
            (changed(.rs256, ["e": "AQAA"]), "$.e: an exponent must be odd, from 3"),
            (changed(.rs256, ["e": "AQAB=="]), "$.e: not base64url"), (changed(.rs256, ["e": "AAAA"]), "$.e: zero"),
            (changed(.rs256, ["alg": "ES256"]), "$.alg: 'ES256' does not fit the key"),
            (changed(.rs256, ["alg": "RSA1_5"]), "$.alg: 'RSA1_5' does not fit the key"),
            (changed(.rs256, ["use": "enc"]), "$.use: the key is for 'enc'"),
            (changed(.rs256, ["key_ops": ["encrypt"]]), "$.key_ops: the key is not for signatures"),
            (changed(.rs256, ["key_ops": ["verify", "verify"]]), "$.key_ops: an operation is named twice"),
            (
                changed(
                    .rs256, ["d": "AQAB", "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil], withPrivate: true),
                "the private half does not belong"
            ),
            (changed(.rs256, ["p": nil], withPrivate: true), "there must be all or none"),
            (changed(.es256, ["x": "AAAA"]), "$.x: 3 bytes; it must be 32"),
            (changed(.es256, ["crv": "P-384"]), "$.x: 32 bytes; it must be 48"),
            (changed(.es256, ["crv": "secp256k1"]), "$.crv: 'secp256k1' is no curve"),
            (
                changed(.es256, ["x": .string(Base64.url.encode([UInt8](repeating: 1, count: 32)))]),
                "are no point of P-256"
            ),
            (changed(.es256, ["alg": "ES512"]), "$.alg: 'ES512' does not fit"),
            (
                changed(.eddsa, ["d": .string(Base64.url.encode([UInt8](repeating: 1, count: 32)))]),
                "or not the one of d"
            ),
            (changed(.eddsa, ["x": "AA"]), "$.x: 1 byte; it must be 32"),
            (["kty": "oct", "k": "AAECAwQFBgc", "alg": "HS256"], "$.k: 8 bytes; HS256 needs a secret"),
            (["kty": "oct", "k": "", "alg": "HS256"], "$.k: 0 bytes"), (["kty": "oct", "k": 7], "$.k: expected text"),
            (changed(.eddsa, ["kid": ""]), "$.kid: a name of 1 to 256 bytes"),
        ]
        for (json, expected) in cases {
            let problem = problem(json) ?? "taken"
            #expect(problem.contains(expected), "\(problem); expected \(expected)")
        }
    }

    @Test("keys survive being written and read, and their public half has no private number")
    func writing() throws {
        for algorithm in JWSAlgorithm.allCases {
            let key = Keys.of(algorithm)
            let read = try JWK(JSONCursor(try JSONValue(parsing: key.json(withPrivate: true).bytes(.compact))))
            #expect(read.algorithms == key.algorithms && read.thumbprint == key.thumbprint && read.canSign)
            #expect(read.json(withPrivate: true) == key.json(withPrivate: true))
            for name in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                #expect(
                    key.json()[name] == nil && key.publicKey.json(withPrivate: key.isSymmetric == false)[name] == nil)
            }
            #expect(key.publicKey.thumbprint == key.thumbprint)
        }
    }

    @Test("RFC 7638's example has its thumbprint")
    func thumbprint() throws {
        let key = try JWK(
            JSONCursor([
                "kty": "RSA",
                "n": .string(
                    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1"
                        + "L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4"
                        + "QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbO"
                        + "pbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csF"
                        + "Cur-kEgU8awapJzKnqDKgw"),
                "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
            ]))
        #expect(key.thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
    }

    @Test("a seed makes the same keys of curves again, and another seed others")
    func seeds() throws {
        for algorithm in [JWSAlgorithm.es256, .es384, .es512, .eddsa, .hs256] {
            func print(_ seed: UInt64) throws -> String {
                var random = SeededRandom(seed: seed)
                return try JWK.make(algorithm, keyID: nil, random: &random).thumbprint
            }
            #expect(try print(1) == print(1))
            #expect(try print(1) != print(2))
        }
    }

    @Test("sets: one bad key is left out, what is doubtful refuses all")
    func sets() throws {
        let good = Keys.of(.es256).json()
        let bad: JSONValue = ["kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"]
        let set = try JWKSet(parsing: JSONValue.object([("keys", [bad, good, ["kty": "new"]])]).bytes())
        #expect(set.keys.count == 1 && set.refused.count == 2)
        #expect(set.refused[0].hasPrefix("$.keys[0].x: 1 byte"))
        #expect(set.key(id: "key-ES256") != nil && set.key(id: "x") == nil)
        func problem(_ text: String) -> String {
            do throws(JWKError) {
                _ = try JWKSet(parsing: Array(text.utf8))
                return ""
            } catch {
                return error.description
            }
        }
        #expect(problem("<html>").hasPrefix("not JSON: line 1"))
        #expect(problem("{}").hasPrefix("$.keys: missing"))
        #expect(problem("{\"keys\":[\(bad.text)]}").hasPrefix("$.keys[0].x"))
        #expect(problem("{\"keys\":[\(good.text),\(good.text)]}").contains("two keys have the kid 'key-ES256'"))
        let secret = Keys.of(.hs256).json(withPrivate: true)
        #expect(problem("{\"keys\":[\(good.text),\(secret.text)]}").contains("secrets among public keys"))
        #expect(try JWKSet(parsing: Array("{\"keys\":[]}".utf8)).keys.isEmpty)
        // What is published has neither secrets nor private halves.
        let own = try JWKSet(keys: [Keys.of(.eddsa), Keys.of(.rs256)])
        #expect(!own.json().text.contains("\"d\""))
        #expect(try JWKSet(parsing: own.jsonWithPrivate().bytes()) == own)
    }

    @Test("a modulus that is a power of 65537 modulo every small prime comes from a broken generator")
    func brokenGenerator() {
        // 65537^128 is one by construction: 2,049 bits.
        var modulus: [UInt8] = [1]
        for _ in 0..<128 {
            // n · 65537 = n · 2^16 + n, the most significant byte first.
            let shifted = modulus + [0, 0]
            var sum: [UInt8] = []
            var carry = 0
            for index in 0..<shifted.count {
                let low = index < modulus.count ? Int(modulus[modulus.count - 1 - index]) : 0
                let total = Int(shifted[shifted.count - 1 - index]) + low + carry
                sum.insert(UInt8(total & 0xFF), at: 0)
                carry = total >> 8
            }
            modulus = carry == 0 ? sum : [UInt8(carry)] + sum
        }
        let problem = problem(["kty": "RSA", "e": "AQAB", "n": .string(Base64.url.encode(modulus))])
        #expect(problem?.contains("ROCA") == true, "\(problem ?? "taken")")
    }

    @Test("any bytes are a set or an error, and what is read can be written and read again")
    func fuzzing() throws {
        var random = SeededRandom(seed: 23)
        let seeds = JWSAlgorithm.allCases.map {
            JSONValue.object([("keys", [Keys.of($0).json(withPrivate: true)])]).bytes()
        }
        for round in 0..<400 {
            var bytes = seeds[round % seeds.count]
            for _ in 0...Int.random(in: 0...3, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                bytes[place] = UInt8.random(in: 32...126, using: &random)
            }
            guard let set = try? JWKSet(parsing: bytes) else { continue }
            let again = try JWKSet(parsing: set.jsonWithPrivate().bytes())
            #expect(again.keys.map(\.thumbprint) == set.keys.map(\.thumbprint))
            #expect(again.keys.map(\.algorithms) == set.keys.map(\.algorithms))
        }
    }
}
