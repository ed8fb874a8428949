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

    /// These saturate at the ends of the range, as all sums of times do: what somebody asks for may be any number.
    @inlinable public static func microseconds(_ n: Int) -> LabDuration { LabDuration(nanoseconds: 1000) * n }
    @inlinable public static func milliseconds(_ n: Int) -> LabDuration { LabDuration(nanoseconds: 1_000_000) * n }
    @inlinable public static func seconds(_ n: Int) -> LabDuration { LabDuration(nanoseconds: 1_000_000_000) * n }

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
        var total: Int64 = 0
        var isFirst = true
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            rest = rest.dropFirst(digits.count).drop { $0 == " " }
            let word = String(rest.prefix { $0.isLetter })
            rest = rest.dropFirst(word.count).drop { $0 == " " }
            let unit: Int64
            if word.isEmpty {
                guard let bareUnit, rest.isEmpty, isFirst else { return nil }
                unit = bareUnit.nanoseconds
            } else {
                let name = Self.aliases[word] ?? word
                guard let found = Self.units.first(where: { $0.name == name }) else { return nil }
                unit = found.nanoseconds
            }
            guard let part = exactProduct(ofDecimal: digits, unit) else { return nil }
            let (sum, overflow) = total.addingReportingOverflow(part)
            if overflow { return nil }
            total = sum
            isFirst = false
        }
        self.init(nanoseconds: total)
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

    /// For tables: at most three significant digits below a minute (`1.2ms`, `46ms`, `2.34s`), then two units
    /// (`1m30s`, `2h3m`, `2d7h`).
    public var rounded: String {
        if self == .infinite { return description }
        let magnitude = abs(Double(nanoseconds))
        if magnitude >= 59.95e9 { return inTwoUnits }
        // What three digits would round up to 1000 is written in the next unit.
        guard let unit = Self.units.dropFirst(3).first(where: { magnitude >= 0.9995 * Double($0.nanoseconds) }) else {
            return "0s"
        }
        let value = Double(nanoseconds) / Double(unit.nanoseconds)
        let places = abs(value) >= 99.95 ? 0 : abs(value) >= 9.995 ? 1 : 2
        return trimmedDecimal(value, places: places) + unit.name
    }

    /// Rounded to the second below an hour, to the minute below a day, to the hour beyond.
    private var inTwoUnits: String {
        let magnitude = Int64(clamping: nanoseconds.magnitude)
        let unit = magnitude < Self.units[1].nanoseconds ? 3 : magnitude < Self.units[0].nanoseconds ? 2 : 1
        let step = Self.units[unit].nanoseconds
        let whole = (magnitude / step + (magnitude % step >= step / 2 ? 1 : 0)) * step
        return LabDuration(nanoseconds: nanoseconds < 0 ? -whole : whole).description
    }
}
