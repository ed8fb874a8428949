import KernelConfiguration
import KernelStructures

/// Durations as Prometheus writes them: `1h30m`, `15s`, `500ms`, with days, weeks and years (`model.ParseDuration`).
enum PrometheusDuration {
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000),
        ("ms", 1),
    ]

    /// In milliseconds; nil for what is none, or is longer than 292 years.
    static func parse(_ text: String) -> Int64? {
        if text == "0" { return 0 }
        var rest = Substring(text)
        var total: Int64 = 0
        var last = -1
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            let word = String(rest.dropFirst(digits.count).prefix { $0.isLetter })
            guard let number = Int64(digits), let index = units.firstIndex(where: { $0.name == word }), index > last
            else {
                return nil
            }
            let (part, isTooLarge) = number.multipliedReportingOverflow(by: units[index].milliseconds)
            let (sum, overflows) = total.addingReportingOverflow(part)
            if isTooLarge || overflows || sum > 9_223_372_036_854 { return nil }
            total = sum
            last = index
            rest = rest.dropFirst(digits.count + word.count)
        }
        return last < 0 ? nil : total
    }
}

extension ConfigurationMapping {
    /// A duration as Prometheus writes it.
    func span(_ key: String, allowsZero: Bool = false) throws(ConfigurationError) -> LabDuration? {
        guard let value = self[key] else { return nil }
        let text = try value.text(for: key)
        guard let time = PrometheusDuration.parse(text), time > 0 || allowsZero else {
            throw ConfigurationError(value.place, "\(key) must be a duration such as 15s or 1m30s, not '\(text)'")
        }
        return LabDuration(nanoseconds: time * 1_000_000)
    }

    /// A list of texts; none if the key is absent.
    func texts(_ key: String) throws(ConfigurationError) -> [String] {
        guard let value = self[key] else { return [] }
        var texts: [String] = []
        for item in try value.list(for: key) { texts.append(try item.text(for: key)) }
        return texts
    }
}
