/// xoshiro256** (Blackman and Vigna 2018), seeded through SplitMix64: the lab's only source of chance.
///
/// Equal seeds give equal sequences on every machine. `fork` derives an independent stream from a label, so that a
/// node added to a case does not change what the others draw.
public struct SeededRandom: RandomNumberGenerator, Sendable {
    private var s0: UInt64
    private var s1: UInt64
    private var s2: UInt64
    private var s3: UInt64
    private let seed: UInt64

    public init(seed: UInt64) {
        self.seed = seed
        var state = seed
        func splitMix() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            return mixed(state)
        }
        s0 = splitMix()
        s1 = splitMix()
        s2 = splitMix()
        s3 = splitMix()
    }

    /// A seed that outsiders cannot guess, the same throughout the process: for libraries, which have no World to ask.
    public static var processSeed: UInt64 {
        var system = Hasher()
        system.combine(1)
        // A `Hasher` begins with a secret of the process.
        return UInt64(bitPattern: Int64(system.finalize()))
    }

    public mutating func next() -> UInt64 {
        let result = rotated(s1 &* 5, by: 7) &* 9
        let t = s1 << 17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= t
        s3 = rotated(s3, by: 45)
        return result
    }

    /// A stream that depends on this generator's seed and on `label`, not on what was drawn so far.
    public func fork(_ label: String) -> SeededRandom {
        SeededRandom(seed: mixed(seed ^ stableHash(label)))
    }

    /// Uniform in `0..<bound` without modulo bias (Lemire 2019). `bound` must be positive.
    public mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0, "a random choice needs at least one possibility")
        let range = UInt64(bound)
        var product = next().multipliedFullWidth(by: range)
        if product.low < range {
            let threshold = (0 &- range) % range
            while product.low < threshold { product = next().multipliedFullWidth(by: range) }
        }
        return Int(product.high)
    }

    /// Uniform in [0, 1) with 53 random bits.
    public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// True with the given probability.
    public mutating func chance(_ probability: Double) -> Bool { unit() < probability }

    /// Uniform in `-spread ... spread`.
    public mutating func jitter(_ spread: LabDuration) -> LabDuration {
        if spread.nanoseconds <= 0 { return .zero }
        return LabDuration(nanoseconds: Int64((unit() * 2 - 1) * Double(spread.nanoseconds)))
    }
}

@inline(__always) private func rotated(_ x: UInt64, by k: UInt64) -> UInt64 { (x << k) | (x >> (64 - k)) }

/// The finalizer of SplitMix64: a bijection on 64 bits in which every input bit reaches every output bit.
public func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
}

/// A sequence of chance numbers from a seed (SplitMix64, as in `SeededRandom`): equal seeds give equal numbers.
///
/// Neighbouring seeds give unrelated numbers; two of the sequences could only overlap if their seeds were chosen so.
@inlinable
public func chance(_ seed: UInt64, _ index: Int) -> UInt64 {
    mixed(seed &+ UInt64(truncatingIfNeeded: index) &* 0x9E37_79B9_7F4A_7C15)
}

/// FNV-1a over the UTF-8 bytes: the same on every machine and in every process, unlike `Hasher`.
///
/// Not flood-safe: use it for names that the lab chose, never for keys that a client chose.
public func stableHash(_ text: some StringProtocol) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return hash
}
