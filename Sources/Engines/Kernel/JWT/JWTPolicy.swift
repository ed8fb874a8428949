import KernelJSON
import KernelStructures

/// What is wanted of a token. It never changes; a configuration that is read again makes a new one.
public struct JWTPolicy: Sendable {
    /// Those that may be used at all; a key narrows them further.
    public let algorithms: [JWSAlgorithm]
    /// One of these; empty: anybody.
    public let issuers: [String]
    /// The token must be for one of these; empty: it is not looked at.
    public let audiences: [String]
    /// `typ`, one of these without regard to case and to `application/` in front of it (RFC 8725 section 3.11); empty:
    /// any.
    public let types: [String]
    /// How far the clocks of issuer and verifier may be apart.
    public let leeway: LabDuration
    /// Whether a token without `exp`, which would be good for ever, is refused.
    public let requiresExpiry: Bool
    /// Must be there, with whatever value: names or paths.
    public let requiredClaims: [String]
    /// Longer tokens are refused before anything is read.
    public let tokenLimitBytes: Int

    public init(
        algorithms: [JWSAlgorithm] = JWSAlgorithm.asymmetric, issuers: [String] = [], audiences: [String] = [],
        types: [String] = [], leeway: LabDuration = .zero, requiresExpiry: Bool = true, requiredClaims: [String] = [],
        tokenLimitBytes: Int = 16 << 10
    ) {
        self.algorithms = algorithms
        self.issuers = issuers
        self.audiences = audiences
        self.types = types.map(Self.bareType)
        self.leeway = max(.zero, leeway)
        self.requiresExpiry = requiresExpiry
        self.requiredClaims = requiredClaims
        self.tokenLimitBytes = tokenLimitBytes
    }

    /// Whether it is within its time: what has to be asked again each time that a token is shown.
    public func checkTime(_ claims: JWTClaims, now: LabTime) throws(JWTFailure) {
        // The moment of expiry itself is too late (RFC 7519 section 4.1.4).
        if let time = claims.expiresAt, now >= time + leeway { throw .expired(time) }
        if let time = claims.notBefore, now + leeway < time { throw .notYetValid(time) }
    }

    /// Everything else about what it says.
    func checkRest(_ jwt: JWT) throws(JWTFailure) {
        let claims = jwt.claims
        if requiresExpiry, claims.expiresAt == nil { throw .missingClaim("exp") }
        if !issuers.isEmpty, claims.issuer.map({ issuers.contains($0) }) != true { throw .issuer(claims.issuer) }
        if !audiences.isEmpty, !claims.audiences.contains(where: { audiences.contains($0) }) {
            throw .audience(claims.audiences)
        }
        for name in requiredClaims where claims[name] == nil { throw .missingClaim(name) }
        if !types.isEmpty {
            var type: String?
            if case .string(let name)? = jwt.header["typ"] { type = name }
            guard let type, types.contains(Self.bareType(type)) else { throw .type(type) }
        }
    }

    private static func bareType(_ name: String) -> String {
        let name = name.lowercased()
        return name.hasPrefix("application/") ? String(name.dropFirst("application/".count)) : name
    }
}

/// Verifying without memory.
public enum JWTVerification {
    /// - Throws: the first thing that is wrong, in the order form, algorithm, key, signature, claims, time: what it
    ///   says is not looked at before it is known who has said it.
    public static func verify(
        _ token: [UInt8], keys: JWKSet, policy: JWTPolicy, now: LabTime
    ) throws(JWTFailure) -> JWT {
        let jwt = try authenticate(token, keys: keys, policy: policy)
        try policy.checkRest(jwt)
        try policy.checkTime(jwt.claims, now: now)
        return jwt
    }

    /// A token by its signature alone.
    static func authenticate(_ token: [UInt8], keys: JWKSet, policy: JWTPolicy) throws(JWTFailure) -> JWT {
        guard token.count <= policy.tokenLimitBytes else {
            throw .malformed("longer than \(byteCountText(policy.tokenLimitBytes))")
        }
        let jws: JWS
        do throws(JWSError) {
            jws = try JWS(compact: token)
        } catch {
            throw error.isCritical ? .critical(error.description) : .malformed(error.description)
        }
        // RFC 7797 section 7: a JWT is always base64url.
        if jws.isPayloadRaw { throw .malformed("the payload of a token must be base64url") }
        let entry = jws.entries[0]
        guard let algorithm = JWSAlgorithm(rawValue: entry.algorithmName), policy.algorithms.contains(algorithm) else {
            throw .algorithm(entry.algorithmName)
        }
        let candidates = keys.candidates(keyID: entry.keyID)
        guard !candidates.isEmpty else { throw .unknownKey(entry.keyID) }
        let fitting = candidates.filter { $0.canVerify && $0.algorithms.contains(algorithm) }
        guard !fitting.isEmpty else {
            if entry.keyID == nil || candidates[0].keyID == nil { throw .unknownKey(entry.keyID) }
            throw .algorithm(entry.algorithmName)
        }
        guard fitting.contains(where: { jws.isSigned(entry, by: $0, algorithm) }) else { throw .signature }
        return JWT(
            header: entry.header, claims: try JWTClaims(parsing: jws.payload), keyID: entry.keyID, algorithm: algorithm)
    }
}

/// Signs tokens with one key.
public struct JWTSigner: Sendable {
    public let key: JWK
    public let algorithm: JWSAlgorithm

    /// - Parameter algorithm: nil: the first that the key is for.
    /// - Throws: if the key cannot sign, or not with that.
    public init(key: JWK, algorithm: JWSAlgorithm? = nil) throws(JWKError) {
        let algorithm = algorithm ?? key.algorithms[0]
        guard key.canSign, key.algorithms.contains(algorithm) else {
            throw JWKError("the key (\(key.kindName)) cannot sign with \(algorithm.rawValue)")
        }
        self.key = key
        self.algorithm = algorithm
    }

    /// - Parameters:
    ///   - claims: an object.
    ///   - type: `typ`; nil: none.
    public func sign(_ claims: JSONValue, type: String? = "JWT") throws(JWKError) -> String {
        guard case .object = claims else { throw JWKError("claims are an object, not \(claims.kindName)") }
        return try JWS.compact(
            payload: claims.bytes(.compact), header: type.map { [("typ", .string($0))] } ?? [], key: key,
            algorithm: algorithm)
    }
}
