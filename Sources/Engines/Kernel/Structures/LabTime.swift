/// A point of lab time: nanoseconds since 1970-01-01T00:00:00Z.
///
/// Under virtual time it starts at the case's epoch; in a process of its own it starts at the machine's wall clock.
public struct LabTime: Comparable, Hashable, Sendable {
    public var nanoseconds: Int64

    @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// 2023-12-20T15:00:00Z, the moment at which the documented sessions take place.
    public static let documentedEpoch = LabTime(nanoseconds: 1_703_084_400_000_000_000)
    /// Later than every other time.
    public static let distantFuture = LabTime(nanoseconds: .max)

    /// Whole seconds since 1970, rounded down.
    @inlinable public var unixSeconds: Int64 {
        let (quotient, remainder) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        return remainder < 0 ? quotient - 1 : quotient
    }

    @inlinable public static func < (a: LabTime, b: LabTime) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable public static func + (t: LabTime, d: LabDuration) -> LabTime {
        LabTime(nanoseconds: (LabDuration(nanoseconds: t.nanoseconds) + d).nanoseconds)
    }
    @inlinable public static func - (t: LabTime, d: LabDuration) -> LabTime {
        LabTime(nanoseconds: (LabDuration(nanoseconds: t.nanoseconds) - d).nanoseconds)
    }
    @inlinable public static func - (a: LabTime, b: LabTime) -> LabDuration {
        LabDuration(nanoseconds: a.nanoseconds) - LabDuration(nanoseconds: b.nanoseconds)
    }
}

/// A day and a time of day in UTC, for reading and writing dates.
public struct CivilTime: Hashable, Sendable {
    public var year: Int
    /// 1 to 12
    public var month: Int
    /// 1 to 31
    public var day: Int
    public var hour: Int
    public var minute: Int
    public var second: Int
    public var nanosecond: Int

    public init(_ time: LabTime) {
        let seconds = Int(time.unixSeconds)
        // Not a difference of products: the first second there is begins before the first nanosecond.
        let remainder = Int(time.nanoseconds % 1_000_000_000)
        nanosecond = remainder < 0 ? remainder + 1_000_000_000 : remainder
        let dayNumber = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
        let secondOfDay = seconds - dayNumber * 86_400
        hour = secondOfDay / 3600
        minute = secondOfDay / 60 % 60
        second = secondOfDay % 60

        let date = CivilDate(dayNumber: dayNumber)
        (year, month, day) = (date.year, date.month, date.day)
    }

    /// The moment; the nearest end of the range for years that it does not reach (1677 to 2262).
    public var labTime: LabTime { exactLabTime ?? LabTime(nanoseconds: year < 1970 ? .min : .max) }

    /// Nil beyond the years that 64 bits of nanoseconds reach.
    var exactLabTime: LabTime? {
        let seconds = dayNumber * 86_400 + hour * 3600 + minute * 60 + second
        // Counted from the second's end before 1970, because the range's first second is not whole.
        let isBefore = seconds < 0
        let (whole, overflow) = Int64(isBefore ? seconds + 1 : seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = whole.addingReportingOverflow(Int64(isBefore ? nanosecond - 1_000_000_000 : nanosecond))
        return overflow || carry ? nil : LabTime(nanoseconds: sum)
    }

    /// Days since 1970-01-01.
    public var dayNumber: Int { CivilDate.dayNumber(year: year, month: month, day: day) }

    /// 0 is Sunday.
    public var weekday: Int { CivilDate.weekday(dayNumber) }
}

extension LabTime: CustomStringConvertible {
    /// RFC 3339 in UTC; the fraction appears only when there is one: `2023-12-20T15:00:00Z`, `…:00.25Z`.
    public var description: String {
        let c = CivilTime(self)
        var text = "\(padded(c.year, 4))-\(padded(c.month, 2))-\(padded(c.day, 2))T\(timeOfDay)"
        if c.nanosecond != 0 {
            var digits = padded(c.nanosecond, 9)
            while digits.hasSuffix("0") { digits.removeLast() }
            text += "." + digits
        }
        return text + "Z"
    }

    /// `15:00:05`, in UTC.
    public var timeOfDay: String {
        let c = CivilTime(self)
        return "\(padded(c.hour, 2)):\(padded(c.minute, 2)):\(padded(c.second, 2))"
    }

    /// `15:00:05.012`, in UTC.
    public var timeOfDayToMilliseconds: String {
        "\(timeOfDay).\(padded(CivilTime(self).nanosecond / 1_000_000, 3))"
    }

    /// The `Date` header's form, RFC 9110 §5.6.7: `Wed, 20 Dec 2023 15:00:00 GMT`.
    public var httpDate: String {
        let c = CivilTime(self)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        return "\(days[c.weekday]), \(padded(c.day, 2)) \(months[c.month - 1]) \(padded(c.year, 4)) \(timeOfDay) GMT"
    }

    /// Reads RFC 3339 with `Z` or a numeric offset: `2023-12-20T14:59:58Z`, `…58.25+01:00`. Nil for anything else.
    public init?(parsing text: some StringProtocol) {
        let bytes = Array(text.utf8)
        var position = 0
        func number(_ digits: Int) -> Int? {
            guard position + digits <= bytes.count else { return nil }
            var value = 0
            for byte in bytes[position..<position + digits] {
                guard byte >= 48, byte <= 57 else { return nil }
                value = value * 10 + Int(byte - 48)
            }
            position += digits
            return value
        }
        func literal(_ choices: String) -> Bool {
            guard position < bytes.count, choices.utf8.contains(bytes[position]) else { return false }
            position += 1
            return true
        }
        guard let year = number(4), literal("-"), let month = number(2), literal("-"), let day = number(2),
            literal("Tt "), let hour = number(2), literal(":"), let minute = number(2), literal(":"),
            let second = number(2)
        else { return nil }
        guard (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 61 else { return nil }
        var nanosecond = 0
        if literal(".") {
            var place = 100_000_000
            guard position < bytes.count, bytes[position] >= 48, bytes[position] <= 57 else { return nil }
            while let digit = number(1) {
                nanosecond += digit * place
                place /= 10
            }
        }
        var offsetSeconds = 0
        if !literal("Zz") {
            let negative = position < bytes.count && bytes[position] == UInt8(ascii: "-")
            guard literal("+-"), let hours = number(2), literal(":"), let minutes = number(2), hours < 24, minutes < 60
            else { return nil }
            offsetSeconds = (hours * 3600 + minutes * 60) * (negative ? -1 : 1)
        }
        guard position == bytes.count else { return nil }
        let civil = CivilTime(
            year: year, month: month, day: day, hour: hour, minute: minute, second: second, nanosecond: nanosecond)
        guard let time = civil.exactLabTime, CivilTime(time).day == day || second == 60 else { return nil }
        self = time - .seconds(offsetSeconds)
    }
}

extension CivilTime {
    /// Days, hours, minutes and seconds beyond their ranges carry over; the month is 1 to 12, the year below 2^40.
    public init(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int, nanosecond: Int) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
        self.nanosecond = nanosecond
    }
}
