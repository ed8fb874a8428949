import KernelStructures

/// A day, counted from 2000-01-01 in the Gregorian calendar, which also holds for days before it was made.
public struct PostgresDate: Hashable, Comparable, Sendable {
    public var days: Int32

    public init(days: Int32) { self.days = days }

    public static let infinity = PostgresDate(days: .max)
    public static let negativeInfinity = PostgresDate(days: .min)
    /// 4713-11-24 BC (Julian day 0) to 5874897-12-31.
    public static let range = -2_451_545...2_145_031_948

    /// 2000-01-01, in days since 1970-01-01.
    private static let firstDay = 10_957

    public static func < (a: Self, b: Self) -> Bool { a.days < b.days }

    init(checking days: Int32) throws(PostgresError) {
        self.days = days
        if self == .infinity || self == .negativeInfinity { return }
        guard Self.range.contains(Int(days)) else { throw PostgresError(.datetimeFieldOverflow, "date out of range") }
    }

    /// `2026-01-02`, `infinity`, `-infinity`, `epoch`; a time behind it is passed over.
    ///
    /// - Throws: 22007 for what is none, 22008 for a day that does not exist.
    public init(parsing text: String) throws(PostgresError) {
        switch try DateTimeText(parsing: text, type: .date) {
        case .infinity: self = .infinity
        case .negativeInfinity: self = .negativeInfinity
        case .moment(let day, _, _):
            guard Self.range.contains(day) else {
                throw PostgresError(.datetimeFieldOverflow, "date out of range: \"\(text)\"")
            }
            days = Int32(day)
        }
    }

    /// The day with these numbers; nil if there is none. Year 0 is 1 BC.
    public static func dayNumber(year: Int, month: Int, day: Int) -> Int? {
        guard (1...12).contains(month), day >= 1, day <= CivilDate.length(ofMonth: month, year: year) else {
            return nil
        }
        return CivilDate.dayNumber(year: year, month: month, day: day) - firstDay
    }

    /// A day that is counted from 2000-01-01.
    public static func civil(_ dayNumber: Int) -> CivilDate { CivilDate(dayNumber: dayNumber + firstDay) }

    /// Without BC.
    static func digits(_ dayNumber: Int) -> (text: String, isBeforeChrist: Bool) {
        let civil = civil(dayNumber)
        let year = civil.year
        let shown = year > 0 ? year : 1 - year
        return ("\(padded(shown, 4))-\(padded(civil.month, 2))-\(padded(civil.day, 2))", year <= 0)
    }
}

extension PostgresDate: CustomStringConvertible {
    public var description: String {
        if self == .infinity { return "infinity" }
        if self == .negativeInfinity { return "-infinity" }
        let (text, isBeforeChrist) = Self.digits(Int(days))
        return isBeforeChrist ? text + " BC" : text
    }
}

/// A time of a day, or a moment in UTC: microseconds from 2000-01-01 00:00.
public struct PostgresTimestamp: Hashable, Comparable, Sendable {
    public var microseconds: Int64

    public init(microseconds: Int64) { self.microseconds = microseconds }

    public static let infinity = PostgresTimestamp(microseconds: .max)
    public static let negativeInfinity = PostgresTimestamp(microseconds: .min)
    /// Between the World's epoch, 1970-01-01, and 2000-01-01.
    public static let unixEpochMicroseconds: Int64 = 946_684_800_000_000
    public static let dayMicroseconds: Int64 = 86_400_000_000
    /// 4713-11-24 BC to 294276-12-31.
    public static let range: ClosedRange<Int64> = -211_813_488_000_000_000...9_223_371_331_199_999_999

    public static func < (a: Self, b: Self) -> Bool { a.microseconds < b.microseconds }

    /// - Parameter unixMicroseconds: from 1970-01-01 00:00 UTC.
    public init(unixMicroseconds: Int64) {
        let (value, isOver) = unixMicroseconds.subtractingReportingOverflow(Self.unixEpochMicroseconds)
        microseconds = isOver ? Int64.min + 1 : value
    }

    init(checking microseconds: Int64) throws(PostgresError) {
        self.microseconds = microseconds
        if self == .infinity || self == .negativeInfinity { return }
        guard Self.range.contains(microseconds) else {
            throw PostgresError(.datetimeFieldOverflow, "timestamp out of range")
        }
    }

    /// `2026-01-02 03:04:05.678`, with `T` between, `Z`, `+02` or `-03:30` behind it; `infinity`, `epoch`.
    ///
    /// - Parameter hasZone: whether an offset counts; otherwise it is passed over.
    /// - Throws: 22007 for what is none, 22008 for a time that does not exist.
    public init(parsing text: String, hasZone: Bool) throws(PostgresError) {
        let type: PostgresOID = hasZone ? .timestamptz : .timestamp
        switch try DateTimeText(parsing: text, type: type) {
        case .infinity: self = .infinity
        case .negativeInfinity: self = .negativeInfinity
        case .moment(let day, let time, let offset):
            let outside = PostgresError(.datetimeFieldOverflow, "timestamp out of range: \"\(text)\"")
            // Far fewer days than would overflow.
            guard abs(day) < 200_000_000 else { throw outside }
            let (start, isOver) = Int64(day).multipliedReportingOverflow(by: Self.dayMicroseconds)
            let (value, isFarOver) = start.addingReportingOverflow(
                time - (hasZone ? Int64(offset ?? 0) * 1_000_000 : 0))
            guard !isOver, !isFarOver, Self.range.contains(value) else { throw outside }
            microseconds = value
        }
    }

    /// - Parameter zone: what stands behind the digits, before BC.
    public func text(zone: String) -> String {
        if self == .infinity { return "infinity" }
        if self == .negativeInfinity { return "-infinity" }
        var day = microseconds / Self.dayMicroseconds
        var rest = microseconds % Self.dayMicroseconds
        if rest < 0 {
            rest += Self.dayMicroseconds
            day -= 1
        }
        let (date, isBeforeChrist) = PostgresDate.digits(Int(day))
        return date + " " + Self.timeText(rest) + zone + (isBeforeChrist ? " BC" : "")
    }

    /// As `timestamptz` is written in UTC: `2026-01-02 03:04:05+00`.
    public var textInUTC: String { text(zone: "+00") }

    /// `03:04:05.5` for microseconds of a day.
    public static func timeText(_ microseconds: Int64) -> String {
        let seconds = Int(microseconds / 1_000_000)
        var text = "\(padded(seconds / 3600, 2)):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))"
        let fraction = Int(microseconds % 1_000_000)
        if fraction > 0 {
            text += "." + padded(fraction, 6)
            while text.hasSuffix("0") { text.removeLast() }
        }
        return text
    }
}

extension PostgresTimestamp: CustomStringConvertible {
    /// As `timestamp` is written: `2026-01-02 03:04:05`.
    public var description: String { text(zone: "") }
}
