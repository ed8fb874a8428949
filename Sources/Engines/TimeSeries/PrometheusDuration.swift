/// Durations as Prometheus writes them: `1h30m`, `15s`, `500ms` (`model.ParseDuration`). Days have 24 hours, weeks 7
/// days, years 365.
public enum PrometheusDuration {
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000),
        ("ms", 1),
    ]
    /// What 64 bits of nanoseconds hold, 292 years.
    private static let limitMilliseconds: Int64 = 9_223_372_036_854

    public enum Malformed: Error, Equatable, Sendable {
        case empty
        case invalid
        case outOfRange
    }

    /// In milliseconds.
    public static func parse(_ text: String) throws(Malformed) -> Int64 {
        if text.isEmpty { throw .empty }
        if text == "0" { return 0 }
        var total: Int64 = 0
        var rest = Substring(text)
        var unit = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let name = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(name.count)
            guard !digits.isEmpty, let place = units[unit...].firstIndex(where: { $0.name == name }) else {
                throw .invalid
            }
            unit = place + 1
            guard let count = Int64(digits) else { throw .outOfRange }
            let (product, isTooLarge) = count.multipliedReportingOverflow(by: units[place].milliseconds)
            guard !isTooLarge, product <= limitMilliseconds - total else { throw .outOfRange }
            total += product
        }
        return total
    }

    /// As Prometheus writes it: `1h30m`, `0s`; weeks and years only if nothing is left over.
    public static func text(_ milliseconds: Int64) -> String {
        if milliseconds == 0 { return "0s" }
        var rest = milliseconds
        var text = ""
        for (name, unit) in units {
            if name == "y" || name == "w" || name == "d", rest % unit != 0, name != "d" { continue }
            let count = rest / unit
            if count > 0 { text += "\(count)\(name)" }
            rest %= unit
        }
        return text
    }
}
