/// The checksum CRC-32C (Castagnoli), as RFC 9260 appendix A and RFC 3720 define it: it finds every change of one, two
/// or three bits in a few thousand bytes, and all but one in four thousand million of the others.
///
/// It finds accidents and not intentions: whoever changes bytes on purpose changes the checksum with them.
public struct CRC32C: Sendable {
    /// What is left after the bytes so far: the checksum before its last inversion.
    public private(set) var remainder: UInt32

    /// - Parameter remainder: to go on where another sum stopped.
    public init(remainder: UInt32 = .max) { self.remainder = remainder }

    /// What each value of a byte leaves behind, for the polynomial 0x1EDC6F41 with its bits in reverse.
    private static let table: [UInt32] = (0..<256).map { (index: UInt32) in
        (0..<8).reduce(index) { value, _ in value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
    }

    public mutating func update(_ bytes: some Sequence<UInt8>) {
        let table = Self.table
        for byte in bytes {
            remainder = remainder >> 8 ^ table[Int(UInt8(truncatingIfNeeded: remainder) ^ byte)]
        }
    }

    /// The same without the cost of asking a sequence for each byte.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        remainder = Self.table.withUnsafeBufferPointer { table in
            var rest = remainder
            for byte in bytes { rest = rest >> 8 ^ table[Int(UInt8(truncatingIfNeeded: rest) ^ byte)] }
            return rest
        }
    }

    /// The checksum of everything up to here.
    public var value: UInt32 { ~remainder }

    public static func of(_ bytes: [UInt8]) -> UInt32 {
        var sum = CRC32C()
        bytes.withUnsafeBytes { sum.update($0) }
        return sum.value
    }

    public static func of(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var sum = CRC32C()
        sum.update(bytes)
        return sum.value
    }
}
