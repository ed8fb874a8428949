import KernelStructures

/// Says of a code at once that it is certainly free, or perhaps taken (Bloom 1970; the store's tables have the same,
/// and its essay).
///
/// Ten bits a code and seven of them set: one free code in 120 is thought taken, and the database asked for nothing.
/// Unlike a table's it grows: when there are twice as many codes as it was made for, the owner makes a new one.
public struct AliasFilter: Sendable {
    private var bits: [UInt64]
    public private(set) var count = 0
    public let capacity: Int
    private let seed: UInt64

    static let bitsPerCode = 10
    static let probes = 7
    /// Codes that a filter can be made for: 1.25 GB of bits are not spent on it.
    static let capacityLimit = 100_000_000

    /// - Parameter seed: so that nobody can choose codes that collide.
    public init(capacity: Int, seed: UInt64) {
        self.capacity = min(max(1024, capacity), Self.capacityLimit)
        self.seed = seed
        bits = [UInt64](repeating: 0, count: (self.capacity * Self.bitsPerCode + 63) / 64)
    }

    public var isFull: Bool { count >= capacity && capacity < Self.capacityLimit }

    public mutating func insert(_ code: String) {
        for place in places(code) { bits[place.word] |= place.bit }
        count += 1
    }

    /// False: it is not there.
    public func mayContain(_ code: String) -> Bool {
        places(code).allSatisfy { bits[$0.word] & $0.bit != 0 }
    }

    /// Two hashes make seven (Kirsch and Mitzenmacher 2006).
    private func places(_ code: String) -> [(word: Int, bit: UInt64)] {
        let first = mixed(keyHash(code) ^ seed)
        let step = mixed(first) | 1
        return (0..<UInt64(Self.probes)).map { probe in
            let place = (first &+ probe &* step) % UInt64(bits.count * 64)
            return (Int(place >> 6), 1 << (place & 63))
        }
    }
}
