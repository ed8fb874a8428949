import KernelConfiguration
import KernelStructures
import TimeSeriesEngine

extension ConfigurationMapping {
    /// A duration as Prometheus writes it.
    func span(_ key: String, allowsZero: Bool = false) throws(ConfigurationError) -> LabDuration? {
        guard let value = self[key] else { return nil }
        let text = try value.text(for: key)
        guard let time = try? PrometheusDuration.parse(text), time > 0 || allowsZero else {
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
