import KernelCryptography

/// How a signature is made: the names of RFC 7518 section 3.1 and RFC 8037 section 3.1.
///
/// `none` is missing on purpose: a token that nobody has signed is no token.
public enum JWSAlgorithm: String, CaseIterable, Sendable {
    /// HMAC: whoever can verify can sign as well.
    case hs256 = "HS256"
    case hs384 = "HS384"
    case hs512 = "HS512"
    /// RSASSA-PKCS1-v1_5
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    /// RSASSA-PSS, with a salt as long as the digest
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"
    /// ECDSA on P-256, P-384 and P-521
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    /// Ed25519 or Ed448, as the key has it
    case eddsa = "EdDSA"

    /// Whether one secret both signs and verifies.
    public var isSymmetric: Bool { family == .hmac }

    /// What may be asked for without thinking: a public key gives nothing away. HMAC has to be asked for by name, since
    /// a verifier that allows both takes a public key, which everybody knows, for the secret of an HMAC.
    public static let asymmetric = allCases.filter { !$0.isSymmetric }

    enum Family { case hmac, rsa, pss, ecdsa, edwards }

    var family: Family {
        switch self {
        case .hs256, .hs384, .hs512: .hmac
        case .rs256, .rs384, .rs512: .rsa
        case .ps256, .ps384, .ps512: .pss
        case .es256, .es384, .es512: .ecdsa
        case .eddsa: .edwards
        }
    }

    /// What is signed is the digest; Ed25519 and Ed448 choose their own.
    var digest: MessageDigest {
        switch self {
        case .hs256, .rs256, .ps256, .es256: .sha256
        case .hs384, .rs384, .ps384, .es384: .sha384
        case .hs512, .rs512, .ps512, .es512, .eddsa: .sha512
        }
    }
}

/// The curves of keys (RFC 7518 section 6.2.1.1, RFC 8037 section 2).
public enum JWKCurve: String, CaseIterable, Sendable {
    case p256 = "P-256"
    case p384 = "P-384"
    case p521 = "P-521"
    case ed25519 = "Ed25519"
    case ed448 = "Ed448"

    /// Bytes of a coordinate, and of the private number.
    var byteCount: Int {
        switch self {
        case .p256, .ed25519: 32
        case .p384: 48
        case .p521: 66
        case .ed448: 57
        }
    }

    var isEdwards: Bool { self == .ed25519 || self == .ed448 }

    var algorithm: JWSAlgorithm {
        switch self {
        case .p256: .es256
        case .p384: .es384
        case .p521: .es512
        case .ed25519, .ed448: .eddsa
        }
    }
}
