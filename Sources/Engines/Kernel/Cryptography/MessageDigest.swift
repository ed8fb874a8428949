import CCrypto

/// Digests: a short fingerprint of any number of bytes, by OpenSSL.
///
/// A fingerprint tells that something has changed, as a wax seal does: whoever changes the letter cannot make the same
/// seal. For that use `sha256` or longer. MD5 and SHA-1 no longer hold against forgers; they are here because protocols
/// prescribe them where nobody forges (ketama's ring, the WebSocket handshake, ETags).
///
/// Everything in this room is OpenSSL's: the lab invents no cryptography. It takes bytes and gives bytes, reads no
/// clock and draws no chance; what should be unpredictable is given by the caller from the World's seed. So keys that
/// the lab makes are as secret as its seed: for learning, not for keeping anything safe.
public enum MessageDigest: String, CaseIterable, Sendable {
    /// RFC 1321
    case md5
    /// FIPS 180-4, as are those that follow.
    case sha1
    case sha256, sha384, sha512

    public var byteCount: Int {
        switch self {
        case .md5: 16
        case .sha1: 20
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }

    /// The digest of some bytes.
    public func digest(of bytes: UnsafeRawBufferPointer) -> [UInt8] { withDigest(of: bytes) { Array($0) } }

    public func digest(of bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes { digest(of: $0) } }

    /// The digest of a text's UTF-8 bytes.
    public func digest(of text: String) -> [UInt8] { digest(of: Array(text.utf8)) }

    /// Calls `body` with the digest's bytes, without asking for memory on the way.
    public func withDigest<R>(of bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        withUnsafeTemporaryAllocation(byteCount: byteCount, alignment: 8) { digest in
            let out = digest.baseAddress!.assumingMemoryBound(to: UInt8.self)
            let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
            switch self {
            // The two that are on the way of requests; the general way asks for a context each time.
            case .md5: MD5(start, bytes.count, out)
            case .sha1: SHA1(start, bytes.count, out)
            default:
                let isDone = EVP_Digest(start, bytes.count, out, nil, algorithm, nil) == 1
                precondition(isDone, "OpenSSL has no \(rawValue)")
            }
            return body(UnsafeRawBufferPointer(digest))
        }
    }

    /// Looked up once: that takes longer than a short digest.
    var algorithm: OpaquePointer? {
        switch self {
        case .md5: Self.md5Algorithm
        case .sha1: Self.sha1Algorithm
        case .sha256: Self.sha256Algorithm
        case .sha384: Self.sha384Algorithm
        case .sha512: Self.sha512Algorithm
        }
    }

    // They are never changed and live as long as the process.
    nonisolated(unsafe) private static let md5Algorithm = EVP_MD_fetch(nil, "MD5", nil)
    nonisolated(unsafe) private static let sha1Algorithm = EVP_MD_fetch(nil, "SHA1", nil)
    nonisolated(unsafe) private static let sha256Algorithm = EVP_MD_fetch(nil, "SHA256", nil)
    nonisolated(unsafe) private static let sha384Algorithm = EVP_MD_fetch(nil, "SHA384", nil)
    nonisolated(unsafe) private static let sha512Algorithm = EVP_MD_fetch(nil, "SHA512", nil)
}

/// A digest of bytes that come in pieces.
public final class MessageDigestStream {
    private let kind: MessageDigest
    private let context = EVP_MD_CTX_new()

    public init(_ kind: MessageDigest) {
        self.kind = kind
        precondition(EVP_DigestInit_ex2(context, kind.algorithm, nil) == 1, "OpenSSL has no \(kind)")
    }

    deinit { EVP_MD_CTX_free(context) }

    public func update(_ bytes: UnsafeRawBufferPointer) { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }

    public func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// The digest of everything so far; the stream then begins anew.
    public func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: kind.byteCount)
        EVP_DigestFinal_ex(context, &digest, nil)
        EVP_DigestInit_ex2(context, kind.algorithm, nil)
        return digest
    }
}
