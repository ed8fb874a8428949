/// SipHash-1-3 with a result of 128 bits: a hash of bytes that somebody else chose, under a key that only this process
/// knows.
///
/// Who does not know the key cannot choose inputs that collide, so a table that is indexed by it cannot be flooded into
/// one long chain. With 128 bits two inputs never have the same hash in practice (a billion of them: one chance in
/// 10^20), so a table may keep the hash instead of the input.
///
/// Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012); one round a word and three at the end, which is
/// what the tables of Swift, Rust and Python use. Slower than `keyHash`, which everybody can compute.
public struct SipHash: Sendable {
    private let key0: UInt64
    private let key1: UInt64

    public init(key: (UInt64, UInt64)) { (key0, key1) = key }

    /// With a key from a stream of chance.
    public init(random: inout SeededRandom) { self.init(key: (random.next(), random.next())) }

    public struct Digest: Hashable, Sendable {
        public let high: UInt64
        public let low: UInt64

        @inlinable public init(high: UInt64, low: UInt64) {
            self.high = high
            self.low = low
        }
    }

    public func hash(_ bytes: UnsafeRawBufferPointer) -> Digest {
        var state = State(key0, key1)
        let count = bytes.count
        var position = 0
        while position + 8 <= count {
            state.absorb(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)))
            position += 8
        }
        var last = UInt64(truncatingIfNeeded: count) << 56
        var shift: UInt64 = 0
        while position < count {
            last |= UInt64(bytes[position]) << shift
            shift += 8
            position += 1
        }
        state.absorb(last)
        state.v2 ^= 0xEE
        let low = state.squeeze()
        state.v1 ^= 0xDD
        return Digest(high: state.squeeze(), low: low)
    }

    public func hash(_ text: String) -> Digest {
        var text = text
        return text.withUTF8 { hash(UnsafeRawBufferPointer($0)) }
    }

    private struct State {
        var v0: UInt64
        var v1: UInt64
        var v2: UInt64
        var v3: UInt64

        @inline(__always) init(_ key0: UInt64, _ key1: UInt64) {
            v0 = key0 ^ 0x736F_6D65_7073_6575
            v1 = key1 ^ 0x646F_7261_6E64_6F6D ^ 0xEE
            v2 = key0 ^ 0x6C79_6765_6E65_7261
            v3 = key1 ^ 0x7465_6462_7974_6573
        }

        @inline(__always) mutating func absorb(_ word: UInt64) {
            v3 ^= word
            round()
            v0 ^= word
        }

        @inline(__always) mutating func squeeze() -> UInt64 {
            round()
            round()
            round()
            return v0 ^ v1 ^ v2 ^ v3
        }

        @inline(__always) mutating func round() {
            v0 = v0 &+ v1
            v1 = v1 << 13 | v1 >> 51
            v1 ^= v0
            v0 = v0 << 32 | v0 >> 32
            v2 = v2 &+ v3
            v3 = v3 << 16 | v3 >> 48
            v3 ^= v2
            v0 = v0 &+ v3
            v3 = v3 << 21 | v3 >> 43
            v3 ^= v0
            v2 = v2 &+ v1
            v1 = v1 << 17 | v1 >> 47
            v1 ^= v2
            v2 = v2 << 32 | v2 >> 32
        }
    }
}
