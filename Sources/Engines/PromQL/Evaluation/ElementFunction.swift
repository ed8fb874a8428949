import Glibc
import TimeSeriesEngine

extension ElementFunction {
    /// The result for one sample; the numbers beside it are those of its step. Nil where there is none.
    func apply(_ value: Double, _ first: Double, _ second: Double) -> Double? {
        switch self {
        case .abs: value.magnitude
        case .ceil: value.rounded(.up)
        case .floor: value.rounded(.down)
        case .round: Self.rounded(value, to: first)
        case .clamp: second < first ? nil : Self.larger(first, Self.smaller(second, value))
        case .clampMin: Self.larger(first, value)
        case .clampMax: Self.smaller(first, value)
        case .sgn: value < 0 ? -1 : value > 0 ? 1 : value
        case .deg: value * 180 / .pi
        case .rad: value * .pi / 180
        case .sqrt: value.squareRoot()
        case .exp: Glibc.exp(value)
        case .ln: Glibc.log(value)
        case .log2: Glibc.log2(value)
        case .log10: Glibc.log10(value)
        case .histogramCount, .histogramSum: nil
        case .hour, .minute, .month, .year, .dayOfMonth, .dayOfWeek, .dayOfYear, .daysInMonth: calendar(value)
        default: trigonometric(value)
        }
    }

    private func trigonometric(_ value: Double) -> Double {
        switch self {
        case .acos: Glibc.acos(value)
        case .acosh: Glibc.acosh(value)
        case .asin: Glibc.asin(value)
        case .asinh: Glibc.asinh(value)
        case .atan: Glibc.atan(value)
        case .atanh: Glibc.atanh(value)
        case .cos: Glibc.cos(value)
        case .cosh: Glibc.cosh(value)
        case .sin: Glibc.sin(value)
        case .sinh: Glibc.sinh(value)
        case .tan: Glibc.tan(value)
        case .tanh: Glibc.tanh(value)
        default: value
        }
    }

    /// To the nearest multiple, halves up.
    private static func rounded(_ value: Double, to nearest: Double) -> Double {
        // The reciprocal first, so that round(x, 0.1) gives what is written with one digit.
        let inverse = 1 / nearest
        return (value * inverse + 0.5).rounded(.down) / inverse
    }

    /// Infinity wins, then NaN, as in Go.
    private static func larger(_ a: Double, _ b: Double) -> Double {
        if a == .infinity || b == .infinity { return .infinity }
        if a.isNaN || b.isNaN { return .nan }
        return a > b ? a : b
    }

    private static func smaller(_ a: Double, _ b: Double) -> Double {
        if a == -.infinity || b == -.infinity { return -.infinity }
        if a.isNaN || b.isNaN { return .nan }
        return a < b ? a : b
    }

    /// A part of a date, in UTC, of seconds since 1970.
    private func calendar(_ seconds: Double) -> Double {
        // What no 64 bits hold (NaN, too) is the last second that they do, as in Go.
        let date = CivilDate(seconds: seconds.magnitude < 9.2e18 ? Int64(seconds) : .max)
        switch self {
        case .hour: return Double(date.secondOfDay / 3600)
        case .minute: return Double(date.secondOfDay / 60 % 60)
        case .month: return Double(date.month)
        case .year: return Double(date.year)
        case .dayOfMonth: return Double(date.day)
        case .dayOfWeek: return Double(date.weekday)
        case .dayOfYear: return Double(date.dayOfYear)
        default: return Double(date.daysInMonth)
        }
    }
}

/// A date of the Gregorian calendar, extended to both sides.
struct CivilDate {
    let year: Int64
    let month: Int64
    let day: Int64
    let secondOfDay: Int64
    /// From Sunday, 0.
    let weekday: Int64
    /// From 1.
    let dayOfYear: Int64

    init(seconds: Int64) {
        var days = seconds / 86_400
        var rest = seconds % 86_400
        if rest < 0 {
            rest += 86_400
            days -= 1
        }
        secondOfDay = rest
        weekday = ((days + 4) % 7 + 7) % 7
        // Years that begin in March have their odd day at their end, in eras of 400 years, which are all alike.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfMarchYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfMarchYear + 2) / 153
        day = dayOfMarchYear - (153 * marchMonth + 2) / 5 + 1
        month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let isLeap = Self.isLeap(year)
        let before: [Int64] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
        dayOfYear = before[Int(month) - 1] + day + (month > 2 && isLeap ? 1 : 0)
    }

    static func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    var daysInMonth: Int64 {
        switch month {
        case 2: Self.isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}
