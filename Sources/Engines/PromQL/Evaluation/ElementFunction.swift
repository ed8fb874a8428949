import Glibc
import KernelStructures
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
        let whole = seconds.magnitude < 9.2e18 ? Int(seconds) : .max
        let (quotient, remainder) = whole.quotientAndRemainder(dividingBy: 86_400)
        let dayNumber = remainder < 0 ? quotient - 1 : quotient
        let secondOfDay = remainder < 0 ? remainder + 86_400 : remainder
        let date = CivilDate(dayNumber: dayNumber)
        switch self {
        case .hour: return Double(secondOfDay / 3600)
        case .minute: return Double(secondOfDay / 60 % 60)
        case .month: return Double(date.month)
        case .year: return Double(date.year)
        case .dayOfMonth: return Double(date.day)
        case .dayOfWeek: return Double(CivilDate.weekday(dayNumber))
        case .dayOfYear: return Double(date.dayOfYear)
        default: return Double(CivilDate.length(ofMonth: date.month, year: date.year))
        }
    }
}
