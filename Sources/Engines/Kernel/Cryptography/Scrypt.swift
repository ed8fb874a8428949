import CCrypto

/// scrypt (RFC 7914): a key from a password, slow and large on purpose.
///
/// Whoever steals a table of password hashes tries passwords until one fits. An ordinary digest lets a graphics card
/// try billions a second; this one needs 128 × blockSize × cost bytes of memory for each try, which no card has a
/// billion times. With the parameters below that is 16 MiB and about 40 ms: a service does it on a worker, never on its
/// loop.
public struct Scrypt: Equatable, Sendable {
    /// N: a power of two, at least 2.
    public let cost: Int
    /// r
    public let blockSize: Int
    /// p
    public let parallelism: Int

    /// The greatest that may be asked for, in bytes: parameters come from stored hashes, which come from outside.
    public static let defaultMemoryLimitBytes = 64 << 20

    /// - Throws: `CryptographyError` for parameters that RFC 7914 section 6 excludes, or that need more memory than the
    ///   limit.
    public init(
        cost: Int = 1 << 14, blockSize: Int = 8, parallelism: Int = 1,
        memoryLimitBytes: Int = defaultMemoryLimitBytes
    ) throws(CryptographyError) {
        guard cost >= 2, cost & (cost - 1) == 0 else {
            throw CryptographyError(description: "scrypt's cost must be a power of two from 2, not \(cost)")
        }
        guard blockSize >= 1, parallelism >= 1, blockSize <= 1 << 20, parallelism <= 1 << 20,
            blockSize * parallelism < 1 << 30
        else {
            throw CryptographyError(
                description: "scrypt's block size and parallelism must be from 1, with a product below 2^30")
        }
        let (rows, isTooLarge) = cost.addingReportingOverflow(parallelism + 2)
        let (bytes, isFarTooLarge) = rows.multipliedReportingOverflow(by: 128 * blockSize)
        guard !isTooLarge, !isFarTooLarge, bytes <= memoryLimitBytes else {
            throw CryptographyError(
                description: "scrypt with cost \(cost) and block size \(blockSize) needs more than the "
                    + "\(memoryLimitBytes) bytes of memory that are allowed")
        }
        self.cost = cost
        self.blockSize = blockSize
        self.parallelism = parallelism
    }

    /// The key of a password.
    ///
    /// - Parameters:
    ///   - salt: at least 16 bytes that are different for each password.
    ///   - byteCount: 1 to 1,024.
    public func key(password: [UInt8], salt: [UInt8], byteCount: Int = 32) throws(CryptographyError) -> [UInt8] {
        guard (1...1024).contains(byteCount) else {
            throw CryptographyError(description: "a key has 1 to 1024 bytes, not \(byteCount)")
        }
        var key = [UInt8](repeating: 0, count: byteCount)
        // An empty password must have an address; without one OpenSSL only checks the parameters.
        let isDone = (password + [0]).withUnsafeBytes { bytes in
            EVP_PBE_scrypt(
                bytes.baseAddress!.assumingMemoryBound(to: CChar.self), password.count, salt, salt.count,
                UInt64(cost), UInt64(blockSize), UInt64(parallelism), .max, &key, byteCount) == 1
        }
        guard isDone else { throw CryptographyError(description: "scrypt: OpenSSL has not the memory for it") }
        return key
    }
}
