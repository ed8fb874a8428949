import CCrypto

/// HMAC (RFC 2104): a digest that only those can make who know a key.
public enum MessageAuthentication {
    /// The code of some bytes under a key of any length.
    public static func code(of bytes: [UInt8], key: [UInt8], _ digest: MessageDigest = .sha256) -> [UInt8] {
        var code = [UInt8](repeating: 0, count: digest.byteCount)
        // An empty key must have an address: without one OpenSSL takes the key of the last call.
        let key = key.isEmpty ? [0] : key
        let isDone =
            key.withUnsafeBytes { key in
                bytes.withUnsafeBytes { bytes in
                    HMAC(
                        digest.algorithm, key.baseAddress, Int32(clamping: key.count),
                        bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, &code, nil)
                }
            } != nil
        precondition(isDone, "OpenSSL has no HMAC of \(digest.rawValue)")
        return code
    }

    /// Whether `code` is the code of the bytes, compared in a time that tells nothing.
    public static func isValid(
        _ code: [UInt8], of bytes: [UInt8], key: [UInt8], _ digest: MessageDigest = .sha256
    ) -> Bool {
        isEqualInConstantTime(code, Self.code(of: bytes, key: key, digest))
    }
}

/// Whether two byte strings are equal, in a time that depends on their lengths only: an ordinary comparison stops at
/// the first difference, and so tells a forger how far a guess was right.
public func isEqualInConstantTime(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
}

/// Why something cannot be done.
public struct CryptographyError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
}
