import KernelCryptography
import KernelStructures

/// A hash of keys and of labels: 64 bits, the same on every machine and in every process.
///
/// Swift's own `Hasher` draws a new seed in each process. For a dictionary that is right, and for a ring it would be a
/// disaster that no test in one process can see: two clients would look for the same key on different nodes.
///
/// | hash      | position                                        | who does it so                      |
/// |-----------|-------------------------------------------------|-------------------------------------|
/// | `md5`     | the digest's first 8 bytes, big-endian          | what `md5sum` prints begins with it |
/// | `sha1`    | the digest's first 8 bytes, big-endian          | `sha1sum`                           |
/// | `murmur3` | the first half of MurmurHash3_x64_128, seed 0   | Cassandra, apart from its sign bug  |
/// | `xxh64`   | XXH64, seed 0                                   | Envoy                               |
/// | `fnv1a`   | FNV-1a of 64 bits                               | libmemcached, as a choice           |
///
/// None of them is a secret: whoever may choose keys can choose them all for one node.
///
/// `fnv1a` is here to be looked at. Its last step is a multiplication, so the last character of a label hardly
/// reaches the upper bits: `A-1` … `A-9` sit next to each other on the ring, and shares are far from even. `compare
/// --hash fnv1a` shows how far.
public enum RingHash: String, CaseIterable, Sendable {
    case md5, sha1, murmur3, xxh64, fnv1a

    /// The position of a text's UTF-8 bytes.
    public func position(of text: String) -> UInt64 {
        var text = text
        return text.withUTF8 { position(of: UnsafeRawBufferPointer($0)) }
    }

    /// The position of some bytes.
    public func position(of bytes: UnsafeRawBufferPointer) -> UInt64 {
        switch self {
        case .md5: MessageDigest.md5.withDigest(of: bytes) { $0.loadUnaligned(as: UInt64.self).bigEndian }
        case .sha1: MessageDigest.sha1.withDigest(of: bytes) { $0.loadUnaligned(as: UInt64.self).bigEndian }
        case .murmur3: murmurHash3(bytes, seed: 0).low
        case .xxh64: xxHash64(bytes, seed: 0)
        case .fnv1a: Self.fnv1a(bytes)
        }
    }

    /// The same as the Kernel's `stableHash`, of bytes.
    private static func fnv1a(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
}
