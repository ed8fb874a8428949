import KernelCryptography
import KernelJSON
import KernelStructures

/// A key for signatures (RFC 7517), read, checked and bound to what it may be used for.
///
/// ## An everyday picture
///
/// A specimen of somebody's signature at the bank. The clerk does not ask the cheque how it wants to be verified; the
/// card says whose hand it is, with which pen they sign, and that it is for cheques. A card that is torn, that is for
/// the safe and not for cheques, or that shows the same hand twice under two names, is not filed.
///
/// ## How
///
/// `algorithms` is the pen: what `alg` in the key says, otherwise what its type can do. It is settled when the key is
/// read, and a token that names another one is refused before any arithmetic. Keys that nobody should trust are refused
/// with a reason: RSA below 2048 bits, an even or tiny exponent, moduli of a broken generator, points that are off
/// their curve, secrets that are shorter than their digest, keys for encryption.
///
/// An RSA key that names `PS256` may sign with a longer digest of the same scheme too, as the example of RFC 7520
/// section 4.2 does; with a shorter one, or PKCS #1 v1.5, never.
///
/// ## Where it is wrong
///
/// X.509 members (`x5c`, `x5t`, `x5u`) are passed over: the set is trusted because of where it came from.
public struct JWK: Sendable {
    public enum Kind: Equatable, Sendable {
        case rsa(bits: Int)
        case curve(JWKCurve)
        case secret(bits: Int)
    }

    enum Material: Sendable {
        case secret([UInt8])
        case pair(KeyPointer)
    }

    public let kind: Kind
    /// `kid`
    public let keyID: String?
    /// What it may be used for; never empty.
    public let algorithms: [JWSAlgorithm]
    /// Whether it has what signing takes.
    public let isPrivate: Bool
    /// Whether the key itself names its algorithm.
    let isPinned: Bool
    let operations: [String]?
    let material: Material
    /// The members of the key itself, as JSON has them, in the order of their names: `crv`, `kty`, `x`, `y`.
    let publicMembers: [(name: String, value: String)]
    let privateMembers: [(name: String, value: String)]

    /// Bits of an RSA modulus: NIST SP 800-131A, and what one verification may cost.
    public static let modulusBits = 2048...8192
    /// Bytes of a shared secret at most.
    public static let secretLimitBytes = 1024

    public var isSymmetric: Bool { if case .secret = kind { true } else { false } }
    public var canSign: Bool { isPrivate && operations?.contains("sign") != false }
    var canVerify: Bool { operations?.contains("verify") != false }

    /// `RSA 2048`, `EC P-256`, `OKP Ed25519`, `oct 256`
    public var kindName: String {
        switch kind {
        case .rsa(let bits): "RSA \(bits)"
        case .curve(let curve): "\(curve.isEdwards ? "OKP" : "EC") \(curve.rawValue)"
        case .secret(let bits): "oct \(bits)"
        }
    }

    /// The key's fingerprint, whatever it is called (RFC 7638): base64url of SHA-256.
    public var thumbprint: String {
        let members = isSymmetric ? privateMembers + publicMembers : publicMembers
        let object = JSONValue.object(members.map { (key: $0.name, value: .string($0.value)) })
        return Base64.url.encode(MessageDigest.sha256.digest(of: object.bytes(.compact)))
    }

    /// The half that everybody may know; the key itself where it is a secret, which has no such half.
    public var publicKey: JWK {
        guard isPrivate, !isSymmetric else { return self }
        return JWK(
            kind: kind, keyID: keyID, algorithms: algorithms, isPrivate: false, isPinned: isPinned, operations: nil,
            material: material, publicMembers: publicMembers, privateMembers: [])
    }

    /// The key as RFC 7517 writes it.
    ///
    /// - Parameter withPrivate: with what signs. Secrets are written only then; without, nothing of them is.
    public func json(withPrivate: Bool = false) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = publicMembers.map { ($0.name, .string($0.value)) }
        if withPrivate { members += privateMembers.map { ($0.name, .string($0.value)) } }
        if let keyID { members.append(("kid", .string(keyID))) }
        members.append(("use", "sig"))
        if isPinned || algorithms.count == 1 { members.append(("alg", .string(algorithms[0].rawValue))) }
        return .object(members)
    }

    /// Whether both are the same key, under the same name and for the same use.
    func isSame(as other: JWK) -> Bool {
        keyID == other.keyID && algorithms == other.algorithms && isPrivate == other.isPrivate
            && operations == other.operations
            && zip(publicMembers + privateMembers, other.publicMembers + other.privateMembers)
                .allSatisfy { $0.name == $1.name && $0.value == $1.value }
            && publicMembers.count == other.publicMembers.count && privateMembers.count == other.privateMembers.count
    }
}

/// Why something is no key, or none that is taken.
public struct JWKError: Error, Equatable, Sendable, CustomStringConvertible {
    /// `$.keys[2].n: a modulus of 1024 bits; at least 2048 are needed`
    public let description: String

    public init(_ description: String) { self.description = description }
}
