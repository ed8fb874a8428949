import KernelStructures

/// A universally unique identifier (RFC 9562): 16 bytes that nobody else has drawn.
///
/// Chance is the World's, so that a case gives the same identifiers each time it runs.
public struct LabUUID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The first eight bytes, big-endian, and the other eight.
    private let high: UInt64
    private let low: UInt64

    private init(version: UInt64, _ high: UInt64, _ low: UInt64) {
        self.high = high & ~0xF000 | version << 12
        self.low = low & ~(3 << 62) | 2 << 62
    }

    /// Version 4 (section 5.4): 122 random bits.
    public static func random(using random: inout some RandomNumberGenerator) -> LabUUID {
        LabUUID(version: 4, random.next(), random.next())
    }

    /// Version 7 (section 5.7): the milliseconds since 1970, then 74 random bits. Later ones sort behind earlier ones,
    /// which databases like. Times before 1970 count as 1970.
    public static func timeOrdered(
        at time: LabTime, using random: inout some RandomNumberGenerator
    ) -> LabUUID {
        let milliseconds = UInt64(max(0, time.nanoseconds / 1_000_000)) & 0xFFFF_FFFF_FFFF
        return LabUUID(version: 7, milliseconds << 16 | random.next() & 0xFFFF, random.next())
    }

    /// Reads `6ba7b810-9dad-11d1-80b4-00c04fd430c8` in either case, of any version. Nil for anything else.
    public init?(parsing text: some StringProtocol) {
        let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard parts.map(\.count) == [8, 4, 4, 4, 12], let bytes = Hexadecimal.decode(Array(parts.joined())) else {
            return nil
        }
        self.init(bytes: bytes)
    }

    /// Nil unless there are 16 bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        high = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes[8...].reduce(0) { $0 << 8 | UInt64($1) }
    }

    public var bytes: [UInt8] {
        [high, low].flatMap { half in stride(from: 56, through: 0, by: -8).map { UInt8(half >> UInt64($0) & 0xFF) } }
    }

    /// 0 to 15; what the bits say, whoever wrote them.
    public var version: Int { Int(high >> 12 & 15) }

    public var description: String {
        // A proxy gives each of its requests one.
        String(unsafeUninitializedCapacity: 36) { text in
            var place = 0
            for index in 0..<32 {
                if index == 8 || index == 12 || index == 16 || index == 20 {
                    text[place] = UInt8(ascii: "-")
                    place += 1
                }
                let digit = UInt8(truncatingIfNeeded: (index < 16 ? high : low) >> UInt64(60 - 4 * (index & 15)) & 15)
                text[place] = digit < 10 ? 48 + digit : 87 + digit
                place += 1
            }
            return place
        }
    }

    public static func < (a: LabUUID, b: LabUUID) -> Bool { (a.high, a.low) < (b.high, b.low) }
}
