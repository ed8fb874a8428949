/// An IPv6 address as it is written; `IPAddress` is what both families have in common.
public struct IPv6Address: Hashable, Sendable, CustomStringConvertible {
    /// The first and the second half, in host order.
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads RFC 4291 §2.2: eight groups of one to four hexadecimal digits, one run of zero groups as `::`, the last
    /// two groups perhaps as an IPv4 address. No brackets, no zone. Nil for anything else.
    public init?(parsing text: some StringProtocol) {
        var groups: [UInt16] = []
        /// How many groups stand before the `::`.
        var gap: Int?
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count >= 3 else { return nil }
        for (index, part) in parts.enumerated() {
            if part.isEmpty {
                // `::` makes one empty part in the middle; at either end it makes two, of which the outer one is void.
                if index == 0 {
                    guard parts[1].isEmpty else { return nil }
                } else if index == parts.count - 1 {
                    guard parts[index - 1].isEmpty else { return nil }
                } else {
                    guard gap == nil else { return nil }
                    gap = groups.count
                }
            } else if part.utf8.count <= 4, part.utf8.allSatisfy(Self.isHexadecimal),
                let group = UInt16(part, radix: 16)
            {
                groups.append(group)
            } else if index == parts.count - 1, let address = IPv4Address(parsing: part) {
                groups += [UInt16(address.bits >> 16), UInt16(truncatingIfNeeded: address.bits)]
            } else {
                return nil
            }
            if groups.count > 8 { return nil }
        }
        if let gap {
            guard groups.count < 8 else { return nil }
            groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        func half(_ groups: ArraySlice<UInt16>) -> UInt64 { groups.reduce(0) { $0 << 16 | UInt64($1) } }
        self.init(high: half(groups[..<4]), low: half(groups[4...]))
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        byte >= 48 && byte <= 57 || byte | 0x20 >= 97 && byte | 0x20 <= 102
    }

    private func group(_ index: Int) -> UInt16 {
        UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - index % 4 * 16))
    }

    /// RFC 5952: lower case, no leading zeros, `::` for the first of the longest runs of at least two zero groups.
    ///
    /// Never the mixed form with an IPv4 address at its end, not even for mapped addresses: fewer programs read that.
    public var description: String {
        var longest = 0..<0
        var start = 0
        for index in 0...8 where index == 8 || group(index) != 0 {
            if index - start > max(1, longest.count) { longest = start..<index }
            start = index + 1
        }
        let text = { (range: Range<Int>) in range.map { String(group($0), radix: 16) }.joined(separator: ":") }
        return longest.isEmpty ? text(0..<8) : text(0..<longest.lowerBound) + "::" + text(longest.upperBound..<8)
    }
}
