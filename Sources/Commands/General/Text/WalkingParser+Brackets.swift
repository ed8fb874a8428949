/// `[…]`: the sets of characters in a pattern.
extension WalkingParser {
    /// `[…]`, whose first `]` is itself.
    mutating func brackets() throws(WalkingError) -> WalkingSet {
        var set = WalkingSet()
        if take("^") { set.isNegated = true }
        var isFirst = true
        while let next = peek() {
            if next == "]", !isFirst {
                place += 1
                if options.ignoresCase { addCases(&set) }
                return set
            }
            isFirst = false
            if take("[:") {
                try className(&set)
                continue
            }
            guard let low = try member(&set) else { continue }
            if peek() == "-", let high = peek(1), high != "]" {
                place += 1
                guard let end = try member(&set), end >= low else { throw error("a range from more to less") }
                set.insert(low...end)
            } else {
                set.insert(low...low)
            }
        }
        throw error("missing ]")
    }

    private func addCases(_ set: inout WalkingSet) {
        for range in set.ranges {
            for (low, high, distance) in [(65, 90, 32), (97, 122, -32)] as [(UInt32, UInt32, Int)] {
                let (first, last) = (max(low, range.lowerBound), min(high, range.upperBound))
                if first <= last { set.insert(UInt32(Int(first) + distance)...UInt32(Int(last) + distance)) }
            }
        }
    }

    private mutating func className(_ set: inout WalkingSet) throws(WalkingError) {
        let isNegated = isPerl && take("^")
        var name = ""
        while let next = peek(), next != ":" {
            name.unicodeScalars.append(next)
            place += 1
        }
        guard take(":]"), WalkingSet.names.contains(name) else { throw error("there is no class '\(name)'") }
        let folded = options.ignoresCase && (name == "upper" || name == "lower") ? "alpha" : name
        set.insert(folded, isNegated: isNegated)
    }

    /// One character of a set; nil for a class, which has been put into it.
    private mutating func member(_ set: inout WalkingSet) throws(WalkingError) -> UInt32? {
        guard let scalar = peek() else { throw error("missing ]") }
        place += 1
        if scalar == "[", peek() == "." || peek() == "=", let member = peek(1) {
            let sign = text[place]
            guard peek(2) == sign, peek(3) == "]" else { throw error("missing \(sign)]") }
            place += 4
            return member.value
        }
        guard scalar == "\\", isPerl, let next = peek() else { return scalar.value }
        place += 1
        if let (name, isNegated) = Self.classes[next] {
            set.insert(name, isNegated: isNegated)
            return nil
        }
        if next == "x" { return try hexadecimal() }
        return Self.controls[next] ?? (next == "b" ? 8 : next.value)
    }
}
