import KernelJSON
import KernelStructures

/// A token whose signature is good (RFC 7519): who somebody is, said by an issuer who has signed it.
///
/// ## An everyday picture
///
/// A wristband at a festival. At the entrance they look at your passport once and close a band around your wrist that
/// says who you are, for which stages, and until which day. At each stage a guard looks at the band, not at the
/// passport, and asks nobody: the seal is the organizer's, the day has not passed, the stage is this one. That is
/// quick, and nobody at the entrance has to be asked. It is also the catch: a band that was closed yesterday stays
/// closed until its day is over, even if the organizer would like it back.
///
/// ## How
///
/// ```
/// eyJhbGciOiJFZERTQSIsImtpZCI6ImEifQ . eyJzdWIiOiJ1MTIzIiwiZXhwIjoxNzAzMDg1MzAwfQ . 5kX…
/// {"alg":"EdDSA","kid":"a"}            {"sub":"u123","exp":1703085300}               signature over both, by key a
/// ```
///
/// `JWTVerification.verify` reads it (`JWS`), looks its key up in a `JWKSet`, judges the signature with an algorithm
/// that the key is pinned to, and then the claims against a `JWTPolicy`, with the time that it is given. `JWTVerifier`
/// adds a memory of tokens and keys that are fetched; `JWTSigner` writes tokens.
///
/// Mistakes that real verifiers have made, and what there is against them here: `alg: none` is no algorithm; HMAC with
/// a public key as its secret (`JWK.algorithms`); keys that the token brings along (never looked at); `exp` unread when
/// it comes from a memory (read each time); members named twice (refused); signatures of lengths that others would fill
/// up (refused).
///
/// ## Where it is wrong
///
/// A token cannot be called back: short lives and a refresh token are what there is, or a list of those that were
/// revoked, which brings back the question at the entrance. Encrypted tokens (JWE) are not read.
public final class JWT: Sendable {
    public let header: JSONValue
    public let claims: JWTClaims
    public let keyID: String?
    public let algorithm: JWSAlgorithm

    init(header: JSONValue, claims: JWTClaims, keyID: String?, algorithm: JWSAlgorithm) {
        self.header = header
        self.claims = claims
        self.keyID = keyID
        self.algorithm = algorithm
    }
}

/// What a token says.
public struct JWTClaims: Sendable {
    /// All of it, in its order.
    public let json: JSONValue
    public let issuer: String?
    public let subject: String?
    public let audiences: [String]
    public let expiresAt: LabTime?
    public let notBefore: LabTime?
    public let issuedAt: LabTime?
    /// `jti`
    public let id: String?

    /// - Throws: `malformed` for what is no object of claims; `invalidClaim` for one of the wrong kind.
    public init(parsing bytes: [UInt8]) throws(JWTFailure) {
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: bytes, limits: JSONLimits(bytes: 1 << 20, depth: 32, values: 10_000))
        } catch {
            throw .malformed("the claims are not JSON")
        }
        guard case .object = value else { throw .malformed("the claims are no object") }
        try self.init(value)
    }

    public init(_ json: JSONValue) throws(JWTFailure) {
        self.json = json
        issuer = try Self.text("iss", json)
        subject = try Self.text("sub", json)
        id = try Self.text("jti", json)
        switch json["aud"] {
        case nil: audiences = []
        case .string(let name)?: audiences = [name]
        case .array(let elements)?:
            var names: [String] = []
            for element in elements {
                guard case .string(let name) = element else { throw .invalidClaim("aud") }
                names.append(name)
            }
            audiences = names
        default: throw .invalidClaim("aud")
        }
        expiresAt = try Self.time("exp", json)
        notBefore = try Self.time("nbf", json)
        issuedAt = try Self.time("iat", json)
    }

    /// What the holder may do: `scope` as a text with blanks (RFC 8693 section 4.2), or `scp`, which some issuers
    /// write.
    public var scopes: [String] {
        switch json["scope"] ?? json["scp"] {
        case .string(let text)?: text.split(separator: " ").map(String.init)
        case .array(let elements)?: elements.compactMap { if case .string(let name) = $0 { name } else { nil } }
        default: []
        }
    }

    /// A claim by its name; where there is none, by a path: `realm_access.roles`.
    public subscript(path: String) -> JSONValue? {
        if let value = json[path] { return value }
        var value = json
        for name in path.split(separator: ".", omittingEmptySubsequences: false) {
            guard let next = value[String(name)] else { return nil }
            value = next
        }
        return value
    }

    private static func text(_ name: String, _ json: JSONValue) throws(JWTFailure) -> String? {
        switch json[name] {
        case nil: return nil
        case .string(let text)?: return text
        default: throw .invalidClaim(name)
        }
    }

    /// Seconds since 1970, perhaps with a fraction; beyond what the clock can say: its end.
    private static func time(_ name: String, _ json: JSONValue) throws(JWTFailure) -> LabTime? {
        guard let value = json[name] else { return nil }
        switch value {
        case .integer(let seconds): return LabTime(nanoseconds: 0) + .seconds(seconds)
        case .unsigned: return .distantFuture
        case .number(let seconds) where seconds.isFinite: return LabTime(nanoseconds: 0) + .seconds(seconds)
        default: throw .invalidClaim(name)
        }
    }
}
