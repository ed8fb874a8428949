import CCrypto

/// AES-128 (FIPS 197) of single blocks: a permutation of 16 bytes that nobody without the key can undo, foresee, or
/// tell from chance.
///
/// It makes names out of numbers: the numbers go up by one, the names say nothing, and who has the key reads the number
/// again. It is not for messages: equal blocks look equal (ECB).
public final class BlockCipher {
    private let sealing = EVP_CIPHER_CTX_new()
    private let opening = EVP_CIPHER_CTX_new()

    /// Bytes of a block, and of a key.
    public static let blockBytes = 16

    // Never changed, and alive as long as the process.
    nonisolated(unsafe) private static let algorithm = EVP_CIPHER_fetch(nil, "AES-128-ECB", nil)

    /// - Parameter key: 16 bytes.
    public init(key: [UInt8]) {
        precondition(key.count == Self.blockBytes, "AES-128 has keys of 16 bytes")
        let isReady =
            EVP_EncryptInit_ex2(sealing, Self.algorithm, key, nil, nil) == 1
            && EVP_DecryptInit_ex2(opening, Self.algorithm, key, nil, nil) == 1
        precondition(isReady, "OpenSSL has no AES-128")
        EVP_CIPHER_CTX_set_padding(sealing, 0)
        EVP_CIPHER_CTX_set_padding(opening, 0)
    }

    deinit {
        EVP_CIPHER_CTX_free(sealing)
        EVP_CIPHER_CTX_free(opening)
    }

    /// Each of the blocks, which stand one behind the other, as another one.
    public func seal(_ blocks: [UInt8]) -> [UInt8] { carried(blocks) { EVP_EncryptUpdate(sealing, $0, $1, $2, $3) } }

    /// What `seal` has made of them.
    public func open(_ blocks: [UInt8]) -> [UInt8] { carried(blocks) { EVP_DecryptUpdate(opening, $0, $1, $2, $3) } }

    private typealias Step = (UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<Int32>?, [UInt8], Int32) -> Int32

    private func carried(_ blocks: [UInt8], _ step: Step) -> [UInt8] {
        precondition(blocks.count % Self.blockBytes == 0 && blocks.count <= 1 << 24, "whole blocks, and not too many")
        // OpenSSL may write up to a block more than it has said.
        return [UInt8](unsafeUninitializedCapacity: blocks.count + Self.blockBytes) { out, count in
            var written: Int32 = 0
            let isDone = step(out.baseAddress, &written, blocks, Int32(blocks.count)) == 1
            precondition(isDone && Int(written) == blocks.count, "OpenSSL has refused a block")
            count = blocks.count
        }
    }
}
