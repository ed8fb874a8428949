/// An IPv4 address as one number in host order.
public struct IPv4Address: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let bits: UInt32

    @inlinable public init(bits: UInt32) { self.bits = bits }
    public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        bits = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
    }

    /// Reads four decimal numbers of 0 to 255 without leading zeros; nil for anything else.
    public init?(parsing text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            guard let number = UInt8(part), String(number) == part else { return nil }
            bits = bits << 8 | UInt32(number)
        }
        self.bits = bits
    }

    public var description: String { "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)" }
    public static func < (a: IPv4Address, b: IPv4Address) -> Bool { a.bits < b.bits }
}
