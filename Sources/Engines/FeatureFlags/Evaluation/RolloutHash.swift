/// Which bucket somebody is in: MurmurHash3_x86_32 by Austin Appleby (2011, public domain), as all of Unleash's clients
/// use it.
///
/// ```
/// bucket = murmur3("group:id") mod buckets + 1          1 to 100 for rollouts, 1 to the sum of weights for variants
/// ```
///
/// The group keeps flags apart: without it the same one percent of people would be the first in every rollout.
public enum RolloutHash {
    /// Keeps the choice of a variant apart from the choice of who is let in.
    public static let variantSeed: UInt32 = 86_028_157

    /// - Parameter buckets: at least 1.
    /// - Returns: 1 to `buckets`.
    public static func bucket(group: String, id: String, of buckets: Int, seed: UInt32 = 0) -> Int {
        Int(hash(group: group, id: id, seed: seed)) % max(1, buckets) + 1
    }

    /// The hash of `group:id`, without a string being made.
    public static func hash(group: String, id: String, seed: UInt32 = 0) -> UInt32 {
        let count = group.utf8.count + 1 + id.utf8.count
        return withUnsafeTemporaryAllocation(byteCount: count, alignment: 4) { bytes in
            var place = 0
            append(group, to: bytes, at: &place)
            bytes[place] = UInt8(ascii: ":")
            place += 1
            append(id, to: bytes, at: &place)
            return murmur3(UnsafeRawBufferPointer(bytes), seed: seed)
        }
    }

    @inline(__always)
    private static func append(_ text: String, to bytes: UnsafeMutableRawBufferPointer, at place: inout Int) {
        let start = place
        let isCopied: Void? = text.utf8.withContiguousStorageIfAvailable { source in
            let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[start...])
            rest.copyMemory(from: UnsafeRawBufferPointer(source))
            place += source.count
        }
        if isCopied != nil { return }
        for byte in text.utf8 {
            bytes[place] = byte
            place += 1
        }
    }

    /// Four bytes a step: multiply, rotate, multiply, mix in; then the bytes that are left, the length, and a
    /// finalizer.
    public static func murmur3(_ bytes: UnsafeRawBufferPointer, seed: UInt32) -> UInt32 {
        var hash = seed
        let blocks = bytes.count / 4
        for block in 0..<blocks {
            let word = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: block * 4, as: UInt32.self))
            hash ^= scrambled(word)
            hash = (hash << 13 | hash >> 19) &* 5 &+ 0xE654_6B64
        }
        var tail: UInt32 = 0
        for index in (blocks * 4..<bytes.count).reversed() { tail = tail << 8 | UInt32(bytes[index]) }
        hash ^= scrambled(tail)
        hash ^= UInt32(truncatingIfNeeded: bytes.count)
        hash = (hash ^ hash >> 16) &* 0x85EB_CA6B
        hash = (hash ^ hash >> 13) &* 0xC2B2_AE35
        return hash ^ hash >> 16
    }

    @inline(__always)
    private static func scrambled(_ word: UInt32) -> UInt32 {
        let product = word &* 0xCC9E_2D51
        return (product << 15 | product >> 17) &* 0x1B87_3593
    }
}
