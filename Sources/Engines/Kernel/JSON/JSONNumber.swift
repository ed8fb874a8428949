/// A number's text, which is known to be one of JSON's, as the value that loses nothing of it that can be kept.
enum JSONNumber {
    static func value(of text: UnsafeRawBufferPointer, keepsDecimals: Bool = false) -> JSONValue {
        let isNegative = text.first == UInt8(ascii: "-")
        var magnitude: UInt64 = 0
        for byte in text.dropFirst(isNegative ? 1 : 0) {
            // A point or an exponent.
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else {
                return keepsDecimals ? asWritten(text) : real(text)
            }
            let (product, isTooLarge) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, carries) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            // More digits than 64 bits hold, or digits and then a point.
            if isTooLarge || carries {
                return text.contains { $0 != UInt8(ascii: "-") && !(48...57).contains($0) }
                    && !keepsDecimals
                    ? real(text) : asWritten(text)
            }
            magnitude = sum
        }
        guard isNegative else { return Int(exactly: magnitude).map { .integer($0) } ?? .unsigned(magnitude) }
        if magnitude == 0 { return .number(-0.0) }
        if magnitude <= UInt64(Int.max) + 1 { return .integer(Int(truncatingIfNeeded: 0 &- magnitude)) }
        return asWritten(text)
    }

    /// The nearest `Double`.
    private static func real(_ text: UnsafeRawBufferPointer) -> JSONValue {
        guard let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite else { return asWritten(text) }
        return .number(value)
    }

    private static func asWritten(_ text: UnsafeRawBufferPointer) -> JSONValue {
        .decimal(String(decoding: text, as: UTF8.self))
    }
}

/// Members of one object that bear the same name.
enum JSONDuplicates {
    /// Leaves of each name the last value in the place of the first. Returns a name that stood there twice, if any did.
    static func merge(_ members: inout [(key: String, value: JSONValue)]) -> String? {
        if members.count <= 8, !hasRepetition(members) { return nil }
        // Names that repeat become neighbours, in the order in which they stood there. Sorting costs the same for
        // names that were chosen to collide.
        let order = members.indices.sorted { a, b in
            isSameText(members[a].key, members[b].key)
                ? a < b : members[a].key.utf8.lexicographicallyPrecedes(members[b].key.utf8)
        }
        guard var first = order.first else { return nil }
        var repeated: String?
        var isMerged = [Bool](repeating: false, count: members.count)
        for next in order.dropFirst() {
            if isSameText(members[first].key, members[next].key) {
                members[first].value = members[next].value
                isMerged[next] = true
                repeated = repeated ?? members[next].key
            } else {
                first = next
            }
        }
        if repeated != nil { members = members.indices.filter { !isMerged[$0] }.map { members[$0] } }
        return repeated
    }

    private static func hasRepetition(_ members: [(key: String, value: JSONValue)]) -> Bool {
        for index in members.indices {
            for other in members[..<index] where isSameText(other.key, members[index].key) { return true }
        }
        return false
    }
}
