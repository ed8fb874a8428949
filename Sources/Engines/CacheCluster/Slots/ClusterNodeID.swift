import KernelStructures

/// What a node is known by for as long as its configuration lives: 160 bits of chance, 40 digits where it is written.
public struct ClusterNodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    let high: UInt64
    let middle: UInt64
    let low: UInt32

    public init(random: inout SeededRandom) {
        self.init(high: random.next(), middle: random.next(), low: UInt32(truncatingIfNeeded: random.next()))
    }

    init(high: UInt64, middle: UInt64, low: UInt32) {
        self.high = high
        self.middle = middle
        self.low = low
    }

    /// 40 digits of base 16, in either case.
    public init?(_ text: some StringProtocol) {
        let digits = Array(text.utf8)
        guard digits.count == 40 else { return nil }
        var words: [UInt64] = [0, 0, 0]
        for (place, digit) in digits.enumerated() {
            let value: UInt8
            switch digit {
            case 48...57: value = digit - 48
            case 97...102: value = digit - 87
            case 65...70: value = digit - 55
            default: return nil
            }
            words[place / 16] = words[place / 16] << 4 | UInt64(value)
        }
        self.init(high: words[0], middle: words[1], low: UInt32(words[2]))
    }

    public static func < (a: ClusterNodeID, b: ClusterNodeID) -> Bool {
        (a.high, a.middle, a.low) < (b.high, b.middle, b.low)
    }

    public var description: String { Self.digits(high, 16) + Self.digits(middle, 16) + Self.digits(UInt64(low), 8) }
    /// Enough of it to tell a handful of nodes apart.
    public var short: String { String(description.prefix(8)) }

    var hash64: UInt64 { mixed(high ^ mixed(middle ^ UInt64(low))) }

    private static func digits(_ value: UInt64, _ count: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: count - text.utf8.count) + text
    }
}

extension RecordWriter {
    mutating func append(_ id: ClusterNodeID) {
        append(id.high)
        append(id.middle)
        append(UInt64(id.low))
    }

    /// An identity or nothing.
    mutating func append(_ id: ClusterNodeID?) {
        append(id != nil)
        if let id { append(id) }
    }
}

extension RecordReader {
    mutating func nodeID() throws(Malformed) -> ClusterNodeID {
        let high = try unsigned()
        let middle = try unsigned()
        guard let low = UInt32(exactly: try unsigned()) else { throw Malformed(position: position) }
        return ClusterNodeID(high: high, middle: middle, low: low)
    }

    mutating func optionalNodeID() throws(Malformed) -> ClusterNodeID? { try flag() ? try nodeID() : nil }
}
