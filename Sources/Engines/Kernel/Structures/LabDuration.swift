/// A length of lab time in nanoseconds; negative values are allowed in arithmetic.
///
/// The whole lab counts time in one integer type: sums are exact, equal inputs give equal outputs on every
/// machine, and an `Int64` of nanoseconds reaches 292 years.
public struct LabDuration: Comparable, Hashable, Sendable {
    public var nanoseconds: Int64

    @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static let zero = LabDuration(nanoseconds: 0)
    /// The longest duration there is; used as "never".
    public static let infinite = LabDuration(nanoseconds: .max)

    @inlinable public static func microseconds(_ n: Int) -> LabDuration { LabDuration(nanoseconds: Int64(n) * 1000) }
    @inlinable public static func milliseconds(_ n: Int) -> LabDuration {
        LabDuration(nanoseconds: Int64(n) * 1_000_000)
    }
    @inlinable public static func seconds(_ n: Int) -> LabDuration {
        LabDuration(nanoseconds: Int64(n) * 1_000_000_000)
    }

    /// Rounds to the nearest nanosecond and saturates at the ends of the range.
    public static func seconds(_ n: Double) -> LabDuration {
        let nanoseconds = (n * 1e9).rounded()
        if nanoseconds.isNaN { return .zero }
        return LabDuration(nanoseconds: Int64(exactly: nanoseconds) ?? (nanoseconds < 0 ? .min : .max))
    }

    @inlinable public var seconds: Double { Double(nanoseconds) / 1e9 }
    @inlinable public var milliseconds: Double { Double(nanoseconds) / 1e6 }

    @inlinable public static func < (a: LabDuration, b: LabDuration) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable public static func + (a: LabDuration, b: LabDuration) -> LabDuration {
        let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.nanoseconds)
        return LabDuration(nanoseconds: overflow ? (a.nanoseconds < 0 ? .min : .max) : sum)
    }
    @inlinable public static func - (a: LabDuration, b: LabDuration) -> LabDuration {
        let (difference, overflow) = a.nanoseconds.subtractingReportingOverflow(b.nanoseconds)
        return LabDuration(nanoseconds: overflow ? (a.nanoseconds < 0 ? .min : .max) : difference)
    }
    @inlinable public static func * (a: LabDuration, n: Int) -> LabDuration {
        let (product, overflow) = a.nanoseconds.multipliedReportingOverflow(by: Int64(n))
        return LabDuration(nanoseconds: overflow ? ((a.nanoseconds < 0) == (n < 0) ? .max : .min) : product)
    }
    @inlinable public static func += (a: inout LabDuration, b: LabDuration) { a = a + b }
    @inlinable public static func -= (a: inout LabDuration, b: LabDuration) { a = a - b }
}

extension LabDuration {
    /// The units of text, longest first, in nanoseconds.
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
        ("ms", 1_000_000), ("us", 1000), ("ns", 1),
    ]

    /// The names under which a unit may be written, beyond the short ones.
    private static let aliases: [String: String] = [
        "µs": "us", "μs": "us", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m",
        "minute": "m", "minutes": "m", "hour": "h", "hours": "h", "day": "d", "days": "d",
        "millisecond": "ms", "milliseconds": "ms", "msec": "ms",
    ]

    /// Reads `5s`, `1.5s`, `200ms`, `1m30s`, `30 seconds`; a bare number counts in `bareUnit` if one is given.
    ///
    /// Returns nil for anything else, including negative numbers and values beyond 292 years.
    public init?(parsing text: some StringProtocol, bareUnit: LabDuration? = nil) {
        var rest = Substring(text)
        guard !rest.isEmpty else { return nil }
        var total: Double = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            guard let number = Double(digits), number.isFinite else { return nil }
            rest = rest.dropFirst(digits.count).drop { $0 == " " }
            let word = String(rest.prefix { $0.isLetter })
            rest = rest.dropFirst(word.count).drop { $0 == " " }
            let unit: Double
            if word.isEmpty {
                guard let bareUnit, rest.isEmpty, total == 0 else { return nil }
                unit = Double(bareUnit.nanoseconds)
            } else {
                let name = Self.aliases[word] ?? word
                guard let found = Self.units.first(where: { $0.name == name }) else { return nil }
                unit = Double(found.nanoseconds)
            }
            total += number * unit
        }
        guard let nanoseconds = Int64(exactly: total.rounded()) else { return nil }
        self.init(nanoseconds: nanoseconds)
    }
}

extension LabDuration: CustomStringConvertible {
    /// The shortest exact form that reads well: `5s`, `200ms`, `1.5s`, `1m30s`, `2h`, `0s`.
    public var description: String {
        if nanoseconds == .max { return "∞" }
        if nanoseconds < 0 {
            return "-" + LabDuration(nanoseconds: nanoseconds == .min ? .max : -nanoseconds).description
        }
        if nanoseconds == 0 { return "0s" }
        if nanoseconds < 60_000_000_000 { return Self.inOneUnit(nanoseconds) }
        var rest = nanoseconds
        var text = ""
        for unit in Self.units.prefix(3) where rest >= unit.nanoseconds {
            text += "\(rest / unit.nanoseconds)\(unit.name)"
            rest %= unit.nanoseconds
        }
        return rest == 0 ? text : text + Self.inOneUnit(rest)
    }

    private static func inOneUnit(_ nanoseconds: Int64) -> String {
        for unit in units.dropFirst(3) where nanoseconds >= unit.nanoseconds {
            return decimal(nanoseconds, per: unit.nanoseconds) + unit.name
        }
        return "0s"
    }

    /// `numerator / denominator` without a trailing zero; the denominator is a power of ten.
    private static func decimal(_ numerator: Int64, per denominator: Int64) -> String {
        let whole = numerator / denominator
        var fraction = numerator % denominator
        if fraction == 0 { return "\(whole)" }
        var digits = ""
        var place = denominator / 10
        while fraction > 0 {
            digits += "\(fraction / place)"
            fraction %= place
            place /= 10
        }
        return "\(whole).\(digits)"
    }

    /// At most three significant digits, for tables: `1.2ms`, `46ms`, `2.34s`.
    public var rounded: String {
        let magnitude = abs(Double(nanoseconds))
        for unit in Self.units.dropFirst(3) where magnitude >= Double(unit.nanoseconds) {
            if unit.name == "s" && magnitude >= 60e9 { return description }
            let value = Double(nanoseconds) / Double(unit.nanoseconds)
            let places = abs(value) >= 100 ? 0 : abs(value) >= 10 ? 1 : 2
            return trimmedDecimal(value, places: places) + unit.name
        }
        return "0s"
    }
}
