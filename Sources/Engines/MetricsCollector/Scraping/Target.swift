import KernelStructures
import TimeSeriesEngine

/// One thing that is scraped: where, and which labels its series get.
public struct Target: Sendable {
    public let job: String
    /// As they were discovered, with `__address__` and its like.
    public let discovered: Labels
    /// What its series get: those without `__` in front, after relabelling.
    public let labels: Labels
    public let scheme: String
    public let address: String
    /// With the parameters of the query.
    public let path: String
    public let interval: LabDuration
    public let timeout: LabDuration

    public var url: String { "\(scheme)://\(address)\(path)" }
    /// Two targets of a job with the same are one.
    public var identity: String { "\(url) \(labels)" }

    /// - Returns: nil if the rules of relabelling drop it.
    public init?(_ address: String, group: Labels, _ scrape: ScrapeConfiguration, meta: Labels = Labels()) {
        var pairs: [(String, String)] = [
            ("__address__", address), ("__scheme__", scrape.scheme), ("__metrics_path__", scrape.metricsPath),
            ("job", scrape.job), ("__scrape_interval__", "\(scrape.interval)"),
            ("__scrape_timeout__", "\(scrape.timeout)"),
        ]
        for (name, values) in scrape.parameters {
            if let first = values.first { pairs.append(("__param_\(name)", first)) }
        }
        pairs += meta.pairs.map { ($0.name, $0.value) }
        pairs += group.pairs.map { ($0.name, $0.value) }
        discovered = Labels(pairs)
        guard var result = RelabelRule.apply(scrape.targetRules, to: discovered) else { return nil }
        var host = result["__address__"]
        if host.isEmpty { return nil }
        if HostPort(parsing: host) == nil { host += result["__scheme__"] == "https" ? ":443" : ":80" }
        if !result.has("instance") { result = result.setting("instance", to: host) }
        job = scrape.job
        self.address = host
        scheme = result["__scheme__"] == "https" ? "https" : "http"
        path = Self.path(result, scrape)
        interval =
            (try? PrometheusDuration.parse(result["__scrape_interval__"])).map { .milliseconds(Int($0)) }
            ?? scrape.interval
        timeout = min(
            interval,
            (try? PrometheusDuration.parse(result["__scrape_timeout__"])).map { .milliseconds(Int($0)) }
                ?? scrape.timeout)
        labels = result.filter { !$0.starts(with: "__".utf8) }
    }

    private static func path(_ labels: Labels, _ scrape: ScrapeConfiguration) -> String {
        var items: [String] = []
        var seen: Set<String> = []
        func add(_ name: String, _ value: String) { items.append("\(encoded(name))=\(encoded(value))") }
        for (name, values) in scrape.parameters {
            seen.insert(name)
            let first = labels["__param_\(name)"]
            if !first.isEmpty { add(name, first) }
            for value in values.dropFirst() { add(name, value) }
        }
        for (name, value) in labels.pairs where name.hasPrefix("__param_") {
            let own = String(name.dropFirst("__param_".count))
            if !seen.contains(own) { add(own, value) }
        }
        var path = labels["__metrics_path__"]
        if !path.hasPrefix("/") { path = "/" + path }
        guard !items.isEmpty else { return path }
        return path + (path.contains("?") ? "&" : "?") + items.joined(separator: "&")
    }

    private static func encoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            if ExpositionReader.isLabelByte(byte) || "-.~".utf8.contains(byte) {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                result += "%" + hexadecimal(UInt64(byte), 2).uppercased()
            }
        }
        return result
    }

    /// When in its interval it is scraped: by its name, so that a thousand targets do not come at the same moment, and
    /// one keeps its place when others come and go.
    public func offset(seed: UInt64) -> LabDuration {
        let span = max(1, UInt64(clamping: interval.nanoseconds / 1_000_000))
        return .milliseconds(Int(mixed(stableHash(identity) ^ seed) % span))
    }

    /// The first scrape at or after `now`, so that scrapes are on the interval's grid, shifted by the offset.
    public func firstScrape(now: LabTime, seed: UInt64) -> LabTime {
        let step = max(1_000_000, interval.nanoseconds)
        let shift = offset(seed: seed).nanoseconds
        let rest = (now.nanoseconds &- shift) % step
        let wait = rest == 0 ? 0 : rest < 0 ? -rest : step - rest
        return now + LabDuration(nanoseconds: wait)
    }
}
