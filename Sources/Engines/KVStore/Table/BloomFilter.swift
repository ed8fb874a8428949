/// A set that answers "certainly not" or "perhaps", in ten bits a key (Bloom 1970).
///
/// ## The problem
///
/// A key that a table does not hold costs as much to look for as one that it does: a block is read from the disk to
/// find nothing. With several levels most tables that a read could ask do not hold its key, and a read of a key that
/// exists nowhere asks them all.
///
/// ## An everyday picture
///
/// A cloakroom attendant with a bad memory for faces and a good one for three features: hat, coat, shoes. *No red hat
/// came in today* means you were not here. All three seen today, though perhaps on three different people, means
/// *perhaps*, and somebody goes and looks.
///
/// ## How
///
/// A key sets k bits of the array, at places that follow from its hash; a question looks at the same k places. One
/// that is clear: the key was never added. With n keys in m bits the share of wrong answers is about (1 − e^(−kn/m))ᵏ,
/// least at k = m/n · ln 2: for ten bits a key, k = 7 and one in 120.
///
/// The k hashes are one: its value plus multiples of its rotation (Kirsch and Mitzenmacher 2006). Hash, places and the
/// number k in the last byte are LevelDB's, so that its own filters and these are the same bytes.
///
/// ## Where it is wrong
///
/// Keys cannot be taken out. The hash is known to everybody and has no seed: who may choose the keys can choose them
/// so that all of them collide. The filter of a table that was made for n keys is useless for a scan, which has no key
/// to ask for.
enum BloomFilter {
    static let policyName = "leveldb.BuiltinBloomFilter2"

    /// LevelDB's hash, which resembles Murmur's.
    static func hash(_ key: Bytes) -> UInt32 {
        let multiplier: UInt32 = 0xC6A4_A793
        var hash: UInt32 = 0xBC9F_1D34 ^ UInt32(truncatingIfNeeded: key.count) &* multiplier
        var place = key.start
        var left = key.count
        while left >= 4 {
            hash = (hash &+ place.fixed32) &* multiplier
            hash ^= hash >> 16
            place += 4
            left &-= 4
        }
        if left >= 3 { hash = hash &+ UInt32(place[2]) << 16 }
        if left >= 2 { hash = hash &+ UInt32(place[1]) << 8 }
        if left >= 1 {
            hash = (hash &+ UInt32(place[0])) &* multiplier
            hash ^= hash >> 24
        }
        return hash
    }

    /// Bits that each key sets.
    static func probes(bitsPerKey: Int) -> Int { max(1, min(30, Int(Double(bitsPerKey) * 0.69))) }

    /// The share of wrong answers that is to be expected.
    static func falsePositiveRate(bitsPerKey: Int) -> Double {
        let perBit = Double(probes(bitsPerKey: bitsPerKey)) / Double(bitsPerKey)
        // e^-x by its series' limit: the engine does without a mathematics library.
        var clear = 1 - perBit / 4096
        for _ in 0..<12 { clear *= clear }
        var rate = 1.0
        for _ in 0..<probes(bitsPerKey: bitsPerKey) { rate *= 1 - clear }
        return rate
    }

    /// Appends the filter of the keys with these hashes.
    static func append(_ hashes: UnsafeBufferPointer<UInt32>, bitsPerKey: Int, to output: ByteBuffer) {
        let byteCount = (max(64, hashes.count * bitsPerKey) + 7) / 8
        let bitCount = UInt32(byteCount * 8)
        let probes = probes(bitsPerKey: bitsPerKey)
        output.reserve(byteCount + 1)
        let array = output.start + output.count
        array.update(repeating: 0, count: byteCount)
        for first in hashes {
            var hash = first
            let step = hash >> 17 | hash << 15
            for _ in 0..<probes {
                let bit = Int(hash % bitCount)
                array[bit / 8] |= 1 << UInt8(bit % 8)
                hash = hash &+ step
            }
        }
        array[byteCount] = UInt8(probes)
        output.count += byteCount + 1
    }

    /// Whether a filter may hold the key with this hash.
    @inline(__always) static func mayContain(_ filter: Bytes, _ first: UInt32) -> Bool {
        if filter.count < 2 { return false }
        let probes = filter.start[filter.count &- 1]
        // Kept free for other kinds of filters: no answer is "perhaps".
        if probes > 30 { return true }
        let bitCount = UInt32(truncatingIfNeeded: (filter.count &- 1) &* 8)
        var hash = first
        let step = hash >> 17 | hash << 15
        for _ in 0..<probes {
            let bit = hash % bitCount
            if filter.start[Int(bit / 8)] & (1 << UInt8(truncatingIfNeeded: bit % 8)) == 0 { return false }
            hash = hash &+ step
        }
        return true
    }
}
