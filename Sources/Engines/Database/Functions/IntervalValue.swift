import KernelStructures
import KernelWire

/// A span of time. Months and days are no fixed number of hours, so there are three numbers (section 8.5.4).
///
/// SQLite stores it as the text `months:days:microseconds`, and orders such texts by `comparisonKey`.
public struct IntervalValue: Hashable, Sendable {
    public var months: Int32
    public var days: Int32
    public var microseconds: Int64

    public init(months: Int32 = 0, days: Int32 = 0, microseconds: Int64 = 0) {
        self.months = months
        self.days = days
        self.microseconds = microseconds
    }

    init?(stored: some StringProtocol) {
        let parts = stored.split(separator: ":")
        guard parts.count == 3, let months = Int32(parts[0]), let days = Int32(parts[1]), let rest = Int64(parts[2])
        else { return nil }
        self.init(months: months, days: days, microseconds: rest)
    }

    var stored: String { "\(months):\(days):\(microseconds)" }

    static let outOfRange = PostgresError(.datetimeFieldOverflow, "interval out of range")

    /// A month counts 30 days and a day 24 hours.
    var comparisonKey: Int128 {
        (Int128(months) * 30 + Int128(days)) * Int128(PostgresTimestamp.dayMicroseconds) + Int128(microseconds)
    }

    static func + (a: Self, b: Self) throws(PostgresError) -> Self {
        let (months, one) = a.months.addingReportingOverflow(b.months)
        let (days, two) = a.days.addingReportingOverflow(b.days)
        let (rest, three) = a.microseconds.addingReportingOverflow(b.microseconds)
        guard !one, !two, !three else { throw outOfRange }
        return Self(months: months, days: days, microseconds: rest)
    }

    func negated() throws(PostgresError) -> Self {
        guard months != .min, days != .min, microseconds != .min else { throw Self.outOfRange }
        return Self(months: -months, days: -days, microseconds: -microseconds)
    }

    /// As PostgreSQL does it: what is left of a month goes to days, and of a day to hours.
    func multiplied(by factor: Double) throws(PostgresError) -> Self {
        guard factor.isFinite else { throw Self.outOfRange }
        let months = Double(self.months) * factor
        let days = Double(self.days) * factor
        let wholeMonths = months.rounded(.towardZero)
        let wholeDays = days.rounded(.towardZero)
        var monthDays = ((months - wholeMonths) * 30 * 1e6).rounded() / 1e6
        var seconds = (days - wholeDays + monthDays - monthDays.rounded(.towardZero)) * 86_400
        seconds = (seconds * 1e6).rounded() / 1e6
        monthDays = monthDays.rounded(.towardZero)
        if abs(seconds) >= 86_400 {
            monthDays += (seconds / 86_400).rounded(.towardZero)
            seconds -= (seconds / 86_400).rounded(.towardZero) * 86_400
        }
        let rest = (Double(microseconds) * factor + seconds * 1e6).rounded(.toNearestOrEven)
        guard let resultMonths = Int32(exactly: wholeMonths), let resultDays = Int32(exactly: wholeDays + monthDays),
            let resultRest = Int64(exactly: rest)
        else { throw Self.outOfRange }
        return Self(months: resultMonths, days: resultDays, microseconds: resultRest)
    }
}

extension IntervalValue: CustomStringConvertible {
    /// `1 year 2 mons 3 days 04:05:06.7`
    public var description: String {
        var parts: [String] = []
        var wasNegative = false
        func add(_ value: Int, _ unit: String) {
            guard value != 0 else { return }
            parts.append("\(wasNegative && value > 0 ? "+" : "")\(value) \(unit)\(value == 1 ? "" : "s")")
            wasNegative = value < 0
        }
        add(Int(months) / 12, "year")
        add(Int(months) % 12, "mon")
        add(Int(days), "day")
        if microseconds != 0 || parts.isEmpty {
            let sign = microseconds < 0 ? "-" : wasNegative ? "+" : ""
            let magnitude = microseconds.magnitude
            let seconds = magnitude / 1_000_000
            let whole =
                "\(padded(Int(seconds / 3600), 2)):\(padded(Int(seconds / 60 % 60), 2)):\(padded(Int(seconds % 60), 2))"
            var fraction = padded(Int(magnitude % 1_000_000), 6)
            while fraction.hasSuffix("0") { fraction.removeLast() }
            parts.append(sign + whole + (fraction.isEmpty ? "" : "." + fraction))
        }
        return parts.joined(separator: " ")
    }
}

// MARK: Reading

extension IntervalValue {
    /// `1 day 02:03`, `2 hours ago`, `1-2`, `P1Y2M3DT4H5M6S`.
    init(parsing text: String) throws(PostgresError) {
        var reader = IntervalReader(text)
        self = try reader.read()
    }
}

private struct IntervalReader {
    let text: String
    var bytes: ArraySlice<UInt8>
    var months = 0.0
    var days = 0.0
    var microseconds = 0.0
    var hasAny = false

    init(_ text: String) {
        self.text = text
        bytes = Array(PostgresText.trimmed(text).lowercased().utf8)[...]
    }

    var invalid: PostgresError {
        PostgresError(.invalidDatetimeFormat, "invalid input syntax for type interval: \"\(text)\"")
    }

    mutating func read() throws(PostgresError) -> IntervalValue {
        var isAgo = false
        if bytes.first == UInt8(ascii: "p") {
            try readISO8601()
        } else {
            if bytes.first == UInt8(ascii: "@") { bytes.removeFirst() }
            while skipBlanks() {
                if bytes.starts(with: "ago".utf8), bytes.count == 3 {
                    isAgo = true
                    bytes = []
                } else {
                    try readField()
                }
            }
        }
        guard hasAny else { throw invalid }
        let sign = isAgo ? -1.0 : 1.0
        let wholeMonths = months.rounded(.towardZero)
        let allDays = days + (months - wholeMonths) * 30
        let wholeDays = allDays.rounded(.towardZero)
        let rest = (microseconds + (allDays - wholeDays) * 86_400e6).rounded(.toNearestOrEven)
        guard let resultMonths = Int32(exactly: sign * wholeMonths), let resultDays = Int32(exactly: sign * wholeDays),
            let resultRest = Int64(exactly: sign * rest)
        else { throw PostgresError(.datetimeFieldOverflow, "interval field value out of range: \"\(text)\"") }
        return IntervalValue(months: resultMonths, days: resultDays, microseconds: resultRest)
    }

    /// Whether anything is left.
    private mutating func skipBlanks() -> Bool {
        bytes = bytes.drop { $0 == 32 || (9...13).contains($0) }
        return !bytes.isEmpty
    }

    private mutating func number() throws(PostgresError) -> Double {
        var length = bytes.first == UInt8(ascii: "-") || bytes.first == UInt8(ascii: "+") ? 1 : 0
        length += bytes.dropFirst(length).prefix { (48...57).contains($0) || $0 == UInt8(ascii: ".") }.count
        guard let value = Double(String(decoding: bytes.prefix(length), as: UTF8.self)) else { throw invalid }
        bytes = bytes.dropFirst(length)
        return value
    }

    private mutating func word() -> String {
        let letters = bytes.prefix { (97...122).contains($0) }
        bytes = bytes.dropFirst(letters.count)
        return String(decoding: letters, as: UTF8.self)
    }

    private mutating func readField() throws(PostgresError) {
        let isNegative = bytes.first == UInt8(ascii: "-")
        let first = try number()
        hasAny = true
        if bytes.first == UInt8(ascii: ":") { return try readClock(hours: first, isNegative: isNegative) }
        // Years and months, in SQL's own way: 1-2.
        if bytes.first == UInt8(ascii: "-") {
            bytes.removeFirst()
            let more = try number()
            months += first * 12 + (isNegative ? -more : more)
            return
        }
        _ = skipBlanks()
        let unit = word()
        if unit.isEmpty, bytes.isEmpty { microseconds += first * 1e6 } else { try add(first, unit) }
    }

    private mutating func readClock(hours: Double, isNegative: Bool) throws(PostgresError) {
        bytes.removeFirst()
        let minutes = try number()
        var seconds = 0.0
        if bytes.first == UInt8(ascii: ":") {
            bytes.removeFirst()
            seconds = try number()
        }
        guard minutes < 60, seconds < 61 else {
            throw PostgresError(.datetimeFieldOverflow, "interval field value out of range: \"\(text)\"")
        }
        let rest = (minutes * 60 + seconds) * 1e6
        microseconds += hours * 3600e6 + (isNegative ? -rest : rest)
    }

    private mutating func add(_ value: Double, _ unit: String) throws(PostgresError) {
        switch unit {
        case "us", "usec", "usecs", "usecond", "useconds", "microsecond", "microseconds": microseconds += value
        case "ms", "msec", "msecs", "msecond", "mseconds", "millisecond", "milliseconds": microseconds += value * 1e3
        case "s", "sec", "secs", "second", "seconds": microseconds += value * 1e6
        case "m", "min", "mins", "minute", "minutes": microseconds += value * 60e6
        case "h", "hr", "hrs", "hour", "hours": microseconds += value * 3600e6
        case "d", "day", "days": days += value
        case "w", "week", "weeks": days += value * 7
        case "mon", "mons", "month", "months": months += value
        case "y", "yr", "yrs", "year", "years": months += value * 12
        case "dec", "decs", "decade", "decades": months += value * 120
        case "c", "cent", "century", "centuries": months += value * 1200
        case "mil", "mils", "millennium", "millennia": months += value * 12_000
        default: throw invalid
        }
    }

    private mutating func readISO8601() throws(PostgresError) {
        bytes.removeFirst()
        var isTime = false
        while let first = bytes.first {
            if first == UInt8(ascii: "t") {
                isTime = true
                bytes.removeFirst()
                continue
            }
            let value = try number()
            hasAny = true
            let unit = word()
            switch (unit.first, isTime) {
            case ("y", false): months += value * 12
            case ("m", false): months += value
            case ("w", false): days += value * 7
            case ("d", false):
                days += value
                // `p1dt2h`: the word runs on into the time.
                isTime = unit.hasSuffix("t")
            case ("h", true): microseconds += value * 3600e6
            case ("m", true): microseconds += value * 60e6
            case ("s", true): microseconds += value * 1e6
            default: throw invalid
            }
            if !isTime, unit.count > 1, unit.hasSuffix("t") { isTime = true }
        }
    }
}
