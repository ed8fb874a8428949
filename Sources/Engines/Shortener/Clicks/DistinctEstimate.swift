import KernelStructures

/// How many different visitors there were, in a kilobyte, whether ten or ten million.
///
/// The everyday picture: throw coins, and note only the longest row of heads. Whoever has seen twenty in a row has
/// thrown many. Each visitor's hash is such a row of throws, the same each time that he comes; 1,024 registers each
/// note the longest of their share, and their harmonic mean says how many visitors there were, give or take 3 %
/// (HyperLogLog: Flajolet, Fusy, Gandouet and Meunier 2007). Few visitors leave registers empty, and their number says
/// more than the mean (linear counting: Whang et al. 1990).
public struct DistinctEstimate: Equatable, Sendable {
    public private(set) var registers: [UInt8]

    static let registerBits: UInt64 = 10
    static let registerCount = 1 << 10

    public init() { registers = [UInt8](repeating: 0, count: Self.registerCount) }

    /// - Parameter registers: as `registers` gave them; anything else is an estimate of nothing.
    public init(registers: [UInt8]) {
        self.init()
        if registers.count == Self.registerCount, registers.allSatisfy({ $0 <= 55 }) { self.registers = registers }
    }

    public mutating func insert(_ hash: UInt64) {
        let index = Int(hash >> (64 - Self.registerBits))
        let rank = UInt8((hash << Self.registerBits | 1 << (Self.registerBits - 1)).leadingZeroBitCount + 1)
        registers[index] = max(registers[index], rank)
    }

    public mutating func merge(_ other: DistinctEstimate) {
        for index in registers.indices { registers[index] = max(registers[index], other.registers[index]) }
    }

    public var count: Int {
        let m = Double(Self.registerCount)
        var sum = 0.0
        var empty = 0
        for rank in registers {
            sum += 1 / Double(UInt64(1) << UInt64(rank))
            if rank == 0 { empty += 1 }
        }
        let estimate = 0.7213 / (1 + 1.079 / m) * m * m / sum
        guard estimate <= 2.5 * m, empty > 0 else { return Int(estimate.rounded()) }
        return Int((m * Self.naturalLogarithm(m / Double(empty))).rounded())
    }

    /// Of a number of 1 to 1,024, by its halves and the series of atanh: the engine does without a mathematics library.
    private static func naturalLogarithm(_ x: Double) -> Double {
        var (rest, halves) = (x, 0.0)
        while rest > 1.5 {
            rest /= 2
            halves += 1
        }
        let t = (rest - 1) / (rest + 1)
        var (term, sum) = (t, t)
        for n in 1...20 {
            term *= t * t
            sum += term / Double(2 * n + 1)
        }
        return 2 * sum + halves * 0.693147180559945
    }
}
