import KernelStructures

/// Why a token is not accepted.
public enum JWTFailure: Error, Equatable, Sendable, CustomStringConvertible {
    case malformed(String)
    /// Not an algorithm that is allowed here, or not its key's.
    case algorithm(String)
    /// No key of that name; nil: the token names none, and there is none that would fit.
    case unknownKey(String?)
    /// There are no keys to verify with, and why.
    case noKeys(String)
    case signature
    case expired(LabTime)
    case notYetValid(LabTime)
    case issuer(String?)
    case audience([String])
    /// Something critical (`crit`) that is not understood here.
    case critical(String)
    case type(String?)
    case missingClaim(String)
    case invalidClaim(String)

    /// One word, for counters and logs.
    public var reason: String {
        switch self {
        case .malformed: "malformed"
        case .algorithm: "algorithm"
        case .unknownKey: "unknown_key"
        case .noKeys: "no_keys"
        case .signature: "signature"
        case .expired: "expired"
        case .notYetValid: "not_yet_valid"
        case .issuer: "issuer"
        case .audience: "audience"
        case .critical: "critical"
        case .type: "type"
        case .missingClaim: "missing_claim"
        case .invalidClaim: "invalid_claim"
        }
    }

    /// A sentence that may stand in `error_description` (RFC 6750 section 3): printable ASCII without `"` and `\`.
    public var description: String {
        switch self {
        case .malformed(let why): Self.plain("The token is malformed: \(why)")
        case .algorithm(let name): Self.plain("The algorithm '\(shortened(name))' is not allowed")
        case .unknownKey(let name?): Self.plain("No key is called '\(shortened(name))'")
        case .unknownKey(nil): "The token names no key, and none fits"
        case .noKeys(let why): Self.plain("There are no keys to verify with: \(why)")
        case .signature: "The signature is not valid"
        case .expired(let time): "The token expired at \(time)"
        case .notYetValid(let time): "The token is valid from \(time)"
        case .issuer(let name?): Self.plain("The issuer '\(shortened(name))' is not accepted")
        case .issuer(nil): "The token names no issuer"
        case .audience(let names):
            names.isEmpty
                ? "The token is for no audience"
                : Self.plain("The token is for '\(shortened(names.prefix(3).joined(separator: ", ")))'")
        case .critical(let why): Self.plain("The token asks for more than is understood: \(why)")
        case .type(let name): Self.plain("A token of type '\(shortened(name ?? ""))' is not accepted")
        case .missingClaim(let name): Self.plain("The claim '\(shortened(name))' is missing")
        case .invalidClaim(let name): Self.plain("The claim '\(shortened(name))' is not what it must be")
        }
    }

    private static func plain(_ text: String) -> String {
        String(
            decoding: text.utf8.prefix(400).map { byte in
                switch byte {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"): UInt8(ascii: "'")
                case 0x20...0x7E: byte
                default: UInt8(ascii: "?")
                }
            }, as: UTF8.self)
    }
}
