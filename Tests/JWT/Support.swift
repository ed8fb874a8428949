import KernelJSON
import KernelJWT
import KernelStructures

let epoch = LabTime.documentedEpoch
let epochSeconds = Int(epoch.unixSeconds)

/// Keys of each kind, made once: RSA's take a second.
enum Keys {
    static let all: [JWSAlgorithm: JWK] = {
        var random = SeededRandom(seed: 17)
        var keys: [JWSAlgorithm: JWK] = [:]
        for algorithm in JWSAlgorithm.allCases {
            keys[algorithm] = try? JWK.make(algorithm, keyID: "key-\(algorithm.rawValue)", random: &random)
        }
        return keys
    }()

    static func of(_ algorithm: JWSAlgorithm) -> JWK { all[algorithm]! }
}

func token(
    _ algorithm: JWSAlgorithm = .eddsa, _ claims: JSONValue = ["sub": "u1", "exp": .integer(epochSeconds + 60)]
) throws -> [UInt8] {
    Array(try JWTSigner(key: Keys.of(algorithm), algorithm: algorithm).sign(claims).utf8)
}

/// With others' headers, which no honest signer writes.
func token(header: [(key: String, value: JSONValue)], payload: String, _ algorithm: JWSAlgorithm = .eddsa) throws
    -> [UInt8]
{
    Array(
        try JWS.compact(
            payload: Array(payload.utf8), header: header, key: Keys.of(algorithm), algorithm: algorithm
        ).utf8)
}

func failure(_ token: [UInt8], _ keys: JWKSet, _ policy: JWTPolicy = JWTPolicy(), now: LabTime = epoch) -> JWTFailure? {
    do throws(JWTFailure) {
        _ = try JWTVerification.verify(token, keys: keys, policy: policy, now: now)
        return nil
    } catch {
        return error
    }
}
