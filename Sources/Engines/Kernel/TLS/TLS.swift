import COpenSSL
import KernelStructures

/// TLS 1.2 and 1.3 on any connection of the lab, by OpenSSL.
///
/// ## The problem
///
/// Whoever sits on the way of a connection can read it, change it, and answer in the server's place. A server that is
/// asked for `https://bank/` has to prove that it is `bank` to somebody who never met it, and from then on nobody
/// between the two may understand a byte or change one unnoticed.
///
/// ## An everyday picture
///
/// Two strangers do business by post. The seller encloses a passport (the certificate): a notary whom the buyer trusts
/// (the authority) has stamped it, it bears the seller's name, and it is not out of date. The seller signs today's
/// letter, so the passport is not a stolen copy. In the same letters both agree on a box with two keys; what follows
/// travels in sealed boxes, numbered, so that a missing, opened or repeated one is noticed. The last box says "this was
/// the last": a post office that merely stops delivering cannot pass for the end.
///
/// ## How
///
/// OpenSSL does the cryptography and the handshake (RFC 8446, RFC 5246) and sees no socket: bytes that arrive go into
/// one buffer of memory, bytes to be sent come out of another (`TLSEngine`). `TLSLayer` puts that between a `Stream`
/// and its handler, so every protocol of the lab runs over TLS on both transports and knows nothing of it. `TLSServer`
/// and `TLSClient` are what many connections share: certificates, demands, and sessions to resume.
/// `CertificateAuthority` is the notary, `LabAuthority` the one that every lab has.
///
/// What makes two runs alike: keys are RSA-2048 and serial numbers have 16 bytes, so certificates and signatures have
/// the same length always; sessions are kept by the server and named by 32 bytes, so tickets have too. The bytes
/// themselves are random, and nothing in a journal shows them.
///
/// ## Where it is wrong
///
/// OpenSSL reads the host's clock for the age of sessions; certificates are judged at the node's own time. Certificates
/// are not checked for revocation (no CRL, no OCSP), which curl does not do either unless asked.
public enum TLSVersion: Int32, Sendable, Comparable, CaseIterable, CustomStringConvertible {
    case tls12 = 0x0303
    case tls13 = 0x0304

    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
    /// As curl's flags and configurations write it.
    public var description: String { self == .tls12 ? "1.2" : "1.3" }

    /// Reads `1.2` or `1.3`.
    public init?(parsing text: some StringProtocol) {
        guard let version = Self.allCases.first(where: { $0.description == text }) else { return nil }
        self = version
    }
}

/// Something given to be used for TLS that cannot be: a file that holds no certificate, a key that does not fit.
public struct TLSConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Sendable { case certificate, key, mismatch, authorities, store, other }

    public let kind: Kind
    /// What is wrong and what to do about it.
    public let description: String
    /// OpenSSL's own words; empty where it had none.
    public let reason: String

    public init(_ kind: Kind, _ description: String, reason: String = "") {
        self.kind = kind
        self.description = description
        self.reason = reason
    }
}
