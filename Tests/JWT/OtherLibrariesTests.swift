import KernelJSON
import KernelJWT
import KernelStructures
import TestSupport
import Testing

/// PyJWT, joserfc and Authlib, in both directions: what they sign is accepted here, and what is signed here by them.
@Suite("Other people's libraries", .enabled(if: TestPython.canRun, "no Python with PyJWT, joserfc and Authlib"))
struct OtherLibrariesTests {
    /// They read the host's clock: good until the year 2286.
    private static let claims: JSONValue = ["sub": "u1", "iss": "us", "aud": ["shop", "b"], "exp": 9_999_999_999]

    private static let program = """
        import json, sys, warnings
        warnings.simplefilter("ignore")
        import jwt as pyjwt
        from joserfc import jwt as joserfc_jwt, jwk as joserfc_jwk
        from authlib.jose import JsonWebToken, JsonWebKey

        def pyjwt_key(key, alg):
            return pyjwt.PyJWK(key, algorithm=alg).key

        LIBRARIES = {
            "PyJWT": (
                lambda key, alg, claims, kid: pyjwt.encode(
                    claims, pyjwt_key(key, alg), algorithm=alg, headers={"kid": kid}),
                lambda key, alg, token: pyjwt.decode(
                    token, pyjwt_key(key, alg), algorithms=[alg], audience="shop", issuer="us"),
            ),
            "joserfc": (
                lambda key, alg, claims, kid: joserfc_jwt.encode(
                    {"alg": alg, "kid": kid}, claims, joserfc_jwk.import_key(key), algorithms=[alg]),
                lambda key, alg, token: joserfc_jwt.decode(token, joserfc_jwk.import_key(key), algorithms=[alg]).claims,
            ),
            "Authlib": (
                lambda key, alg, claims, kid: JsonWebToken([alg]).encode(
                    {"alg": alg, "kid": kid}, claims, JsonWebKey.import_key(key)).decode(),
                lambda key, alg, token: dict(JsonWebToken([alg]).decode(token, JsonWebKey.import_key(key))),
            ),
        }

        for line in sys.stdin:
            case = json.loads(line)
            for name, (encode, decode) in LIBRARIES.items():
                answer = {"library": name, "alg": case["alg"]}
                if "token" in case:
                    answer["claims"] = decode(case["key"], case["alg"], case["token"])
                    head, body, signature = case["token"].split(".")
                    changed = ("B" if signature[0] == "A" else "A") + signature[1:]
                    try:
                        decode(case["key"], case["alg"], ".".join([head, body, changed]))
                        answer["forged"] = "accepted"
                    except Exception as error:
                        answer["forged"] = "refused"
                else:
                    answer["token"] = encode(case["key"], case["alg"], case["claims"], case["kid"])
                print(json.dumps(answer))
        """

    private static func answers(_ cases: [JSONValue]) throws -> [JSONValue] {
        let input = cases.map { $0.text(.compact) + "\n" }.joined()
        return try TestPython.run(program, input: input).split(separator: "\n").map {
            try JSONValue(parsing: String($0))
        }
    }

    @Test("they accept what is signed here, and refuse it when it was changed")
    func ours() throws {
        let cases = try JWSAlgorithm.allCases.map { algorithm -> JSONValue in
            let key = Keys.of(algorithm)
            return [
                "alg": .string(algorithm.rawValue), "key": key.json(withPrivate: key.isSymmetric),
                "token": .string(try JWTSigner(key: key, algorithm: algorithm).sign(Self.claims)),
            ]
        }
        let answers = try Self.answers(cases)
        #expect(answers.count == 3 * JWSAlgorithm.allCases.count)
        for answer in answers {
            #expect(answer["claims"]?["sub"] == "u1" && answer["forged"] == "refused", "\(answer.text)")
        }
    }

    @Test("what they sign is accepted here")
    func theirs() throws {
        let cases = JWSAlgorithm.allCases.map { algorithm -> JSONValue in
            let key = Keys.of(algorithm)
            return [
                "alg": .string(algorithm.rawValue), "key": key.json(withPrivate: true), "claims": Self.claims,
                "kid": .string(key.keyID ?? ""),
            ]
        }
        let answers = try Self.answers(cases)
        #expect(answers.count == 3 * JWSAlgorithm.allCases.count)
        for answer in answers {
            let algorithm = try #require(JWSAlgorithm(rawValue: text(answer["alg"]) ?? ""))
            let token = Array((text(answer["token"]) ?? "").utf8)
            let keys = try JWKSet(keys: [Keys.of(algorithm).publicKey])
            let policy = JWTPolicy(algorithms: [algorithm], issuers: ["us"], audiences: ["shop"])
            #expect(failure(token, keys, policy) == nil, "\(answer.text)")
        }
    }
}
