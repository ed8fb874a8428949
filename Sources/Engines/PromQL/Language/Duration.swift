/// Durations as PromQL writes them: `1h30m`, `5m`, `100ms`. Days have 24 hours, weeks 7 days, years 365.
enum PromQLDuration {
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000),
        ("ms", 1),
    ]
    /// What 64 bits of nanoseconds hold, 292 years.
    private static let limitMilliseconds: Int64 = 9_223_372_036_854

    /// - Returns: milliseconds, or what is wrong with the text in Prometheus's words.
    static func parse(_ text: String) -> Result<Int64, PromQLError> {
        func bad(_ message: String) -> Result<Int64, PromQLError> { .failure(PromQLError(.badData, message)) }
        if text.isEmpty { return bad("empty duration string") }
        if text == "0" { return .success(0) }
        var total: Int64 = 0
        var rest = Substring(text)
        var unit = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let name = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(name.count)
            guard !digits.isEmpty, let place = units[unit...].firstIndex(where: { $0.name == name }) else {
                return bad("not a valid duration string: \(quotedByGo(text))")
            }
            unit = place + 1
            guard let count = Int64(digits) else { return bad("duration out of range") }
            let (product, isTooLarge) = count.multipliedReportingOverflow(by: units[place].milliseconds)
            guard !isTooLarge, product <= limitMilliseconds - total else { return bad("duration out of range") }
            total += product
        }
        return .success(total)
    }

    /// As Prometheus writes it: `1h30m`, `0s`; weeks and years only if nothing is left over.
    static func text(_ milliseconds: Int64) -> String {
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
