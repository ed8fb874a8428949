import KernelStructures

/// Durations as LogQL takes them: `1h30m`, `1.5s`, `250ms`, and with Prometheus's `d`, `w` and `y`.
enum GoDuration {
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("y", 31_536_000_000_000_000), ("w", 604_800_000_000_000), ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000),
        ("µs", 1000), ("μs", 1000), ("ns", 1),
    ]

    /// In nanoseconds; nil for what is no duration, and beyond 292 years. A sign may stand before it.
    static func parse(_ text: String) -> Int64? {
        var rest = Substring(text)
        let isNegative = rest.first == "-"
        if isNegative || rest.first == "+" { rest = rest.dropFirst() }
        if rest == "0" { return 0 }
        guard !rest.isEmpty else { return nil }
        var total: Int64 = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
            rest = rest.dropFirst(digits.count)
            let name = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(name.count)
            guard let unit = units.first(where: { $0.name == name }),
                let part = product(digits, unit.nanoseconds)
            else { return nil }
            let (sum, isTooLarge) = total.addingReportingOverflow(part)
            if isTooLarge { return nil }
            total = sum
        }
        return isNegative ? -total : total
    }

    private static func product(_ digits: Substring, _ unit: Int64) -> Int64? {
        if let whole = Int64(digits) {
            let (product, isTooLarge) = whole.multipliedReportingOverflow(by: unit)
            return isTooLarge ? nil : product
        }
        guard digits.first != ".", digits.last != ".", let value = Double(digits) else { return nil }
        let product = (value * Double(unit)).rounded()
        return product < 9.2e18 ? Int64(product) : nil
    }

    /// As Prometheus writes it where that is exact: `5m`, `1h30m`; below a millisecond as the lab does.
    static func text(_ nanoseconds: Int64) -> String {
        if nanoseconds < 0 { return "-" + text(nanoseconds == .min ? .max : -nanoseconds) }
        var rest = nanoseconds
        var text = ""
        for unit in units.prefix(6) where rest >= unit.nanoseconds {
            if unit.name == "y" || unit.name == "w", rest % unit.nanoseconds != 0 { continue }
            text += "\(rest / unit.nanoseconds)\(unit.name)"
            rest %= unit.nanoseconds
        }
        if rest > 0 {
            let unit = units[6...].first { $0.name != "µs" && $0.name != "μs" && rest % $0.nanoseconds == 0 }
            text += unit.map { "\(rest / $0.nanoseconds)\($0.name)" } ?? "\(rest)ns"
        }
        return text.isEmpty ? "0s" : text
    }
}

/// Sizes as LogQL takes them: `5KB` is 5,000 bytes, `5KiB` 5,120 (dustin/go-humanize).
enum ByteSize {
    private static let units: [String: Double] = [
        "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "pb": 1e15, "eb": 1e18,
        "kib": 0x1p10, "mib": 0x1p20, "gib": 0x1p30, "tib": 0x1p40, "pib": 0x1p50, "eib": 0x1p60,
        "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18,
        "ki": 0x1p10, "mi": 0x1p20, "gi": 0x1p30, "ti": 0x1p40, "pi": 0x1p50, "ei": 0x1p60,
    ]

    /// In bytes; nil for what is no size or exceeds 64 bits. A number alone is one of bytes.
    static func parse(_ text: String) -> Double? {
        let digits = text.prefix { $0.isASCII && $0.isNumber || $0 == "." }
        let unit = text.dropFirst(digits.count).drop { $0 == " " }.lowercased()
        guard digits.first != ".", digits.last != ".", let value = Double(digits),
            let factor = unit.isEmpty ? 1 : units[unit]
        else { return nil }
        let bytes = (value * factor).rounded(.down)
        return bytes < 0x1p64 ? bytes : nil
    }

    /// `5KB`, `1.5MiB`: with the unit that says it with the fewest digits.
    static func text(_ bytes: Double) -> String {
        var best = "\(trimmedDecimal(bytes, places: 0))B"
        for (name, factor) in [
            ("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("KiB", 0x1p10), ("MiB", 0x1p20), ("GiB", 0x1p30),
        ]
        where bytes >= factor {
            let shorter = trimmedDecimal(bytes / factor, places: 2) + name
            if parse(shorter) == bytes, shorter.utf8.count < best.utf8.count { best = shorter }
        }
        return best
    }
}
