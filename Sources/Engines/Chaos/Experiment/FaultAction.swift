import KernelConfiguration
import KernelJSON
import KernelStructures

/// The names that the short form has for what can be done, `network-latency` and its kin, and what each of them means.
public enum FaultAction {
    /// One name: the fault in the words of `inject`, with the parameters that it takes.
    struct Entry {
        let name: String
        let words: [String]
        /// In the order in which their values follow the words; a question mark where one may be missing.
        let parameters: [String]
    }

    static let faults: [Entry] = [
        Entry(name: "network-latency", words: ["latency"], parameters: ["latency"]),
        Entry(name: "network-loss", words: ["loss"], parameters: ["loss"]),
        Entry(name: "network-corruption", words: ["corrupt"], parameters: ["share"]),
        Entry(name: "network-duplication", words: ["duplicate"], parameters: ["share"]),
        Entry(name: "network-reordering", words: ["reorder"], parameters: ["share"]),
        Entry(name: "network-throttle", words: ["throttle"], parameters: ["rate"]),
        Entry(name: "network-partition", words: ["partition"], parameters: []),
        Entry(name: "network-blackhole", words: ["blackhole"], parameters: []),
        Entry(name: "connection-reset", words: ["reset"], parameters: []),
        Entry(name: "connection-refuse", words: ["refuse"], parameters: []),
        Entry(name: "http-failure", words: ["fail", "http"], parameters: ["status"]),
        Entry(name: "disk-full", words: ["disk-full"], parameters: []),
        Entry(name: "disk-slow", words: ["disk-slow"], parameters: ["latency"]),
        Entry(name: "disk-sync-failure", words: ["fail-sync"], parameters: ["count?"]),
        Entry(name: "disk-torn-write", words: ["torn-write"], parameters: ["count?"]),
        Entry(name: "cpu-hog", words: ["cpu"], parameters: ["share"]),
        Entry(name: "memory-exhaustion", words: ["memory"], parameters: ["latency?"]),
    ]

    private static let restores: [(name: String, kind: String?)] = [
        ("network-restore", "network"), ("disk-restore", "disk"), ("restore", nil), ("heal", nil),
    ]
    private static let signals: [(name: String, signal: String)] = [
        ("process-kill", "KILL"), ("process-stop", "TERM"), ("process-pause", "STOP"), ("process-resume", "CONT"),
        ("power-failure", "POWER"),
    ]

    /// All names, for errors and help.
    public static var names: [String] {
        faults.map(\.name) + signals.map(\.name) + ["process-restart", "clock-skew"] + restores.map(\.name)
    }

    /// All keys that an action may have.
    static let parameters = [
        "target", "latency", "jitter", "loss", "share", "percent", "rate", "status", "count", "signal", "by",
        "duration", "cohort", "budget", "selector_percent",
    ]

    /// Which kinds of faults a `restore` takes back; nil for all.
    public static func kinds(ofGroup group: String) -> [String]? {
        switch group {
        case "network":
            [
                "latency", "loss", "throttle", "corrupt", "duplicate", "reorder", "partition", "blackhole", "reset",
                "refuse",
            ]
        case "disk": ["disk-full", "disk-slow", "fail-sync", "torn-write"]
        case "all": nil
        default: [group]
        }
    }

    /// The provider that an action of the short form is.
    static func provider(_ name: String, _ item: ConfigurationMapping) throws(ConfigurationError) -> JSONValue {
        if let entry = faults.first(where: { $0.name == name }) {
            let target = try needed("target", item)
            return LabAction.inject(
                words: entry.words + (try values(entry, item)), target: target,
                lasts: try item.duration("duration"), radius: try radius(item)
            ).document
        }
        if let restore = restores.first(where: { $0.name == name }) {
            return LabAction.restore(kind: restore.kind, target: try item.text("target")).document
        }
        if let signal = signals.first(where: { $0.name == name }) {
            let wanted = try item.text("signal")?.uppercased() ?? signal.signal
            return LabAction.signal(
                wanted, target: try needed("target", item), lasts: try item.duration("duration"),
                radius: try radius(item)
            ).document
        }
        switch name {
        case "process-restart": return LabAction.restart(target: try needed("target", item)).document
        case "clock-skew":
            return .object([
                ("type", "lab"), ("skew", .string(try needed("by", item))),
                ("target", .string(try needed("target", item))),
            ])
        default:
            let hint = didYouMean(name, among: names)
            throw ConfigurationError(
                item["action"]?.place ?? item.place,
                "unknown action '\(name)'" + (hint.isEmpty ? "; it can be \(names.joined(separator: ", "))" : hint))
        }
    }

    private static func needed(_ key: String, _ item: ConfigurationMapping) throws(ConfigurationError) -> String {
        guard let text = try item.text(key) else {
            throw ConfigurationError(item.place, "an action of this kind requires \(key):")
        }
        return text
    }

    private static func values(_ entry: Entry, _ item: ConfigurationMapping) throws(ConfigurationError) -> [String] {
        var words: [String] = []
        for parameter in entry.parameters {
            let isOptional = parameter.hasSuffix("?")
            let key = isOptional ? String(parameter.dropLast()) : parameter
            var given = try item.text(key)
            if given == nil, ["share", "loss"].contains(key) { given = try item.text("percent") }
            guard var text = given else {
                if isOptional { continue }
                throw ConfigurationError(item.place, "\(entry.name) requires \(key):")
            }
            if key == "latency", let jitter = try item.text("jitter") { text += "±" + jitter }
            if ["share", "loss"].contains(key), !text.hasSuffix("%") { text += "%" }
            if let problem = problem(key, text) {
                throw ConfigurationError((item[key] ?? item["percent"])?.place ?? item.place, "\(key): \(problem)")
            }
            words.append(text)
        }
        return words
    }

    /// What is wrong with a parameter, with its place in the file; the grammar of faults has the last word.
    private static func problem(_ key: String, _ text: String) -> String? {
        switch key {
        case "latency":
            let parts = text.replacing("+-", with: "±").split(separator: "±", omittingEmptySubsequences: false)
            let isTime = parts.count <= 2 && parts.allSatisfy { LabDuration(parsing: $0) != nil }
            return isTime ? nil : "'\(text)' is not a time such as 200ms or 200ms±50ms"
        case "share", "loss":
            guard let percent = Double(text.dropLast()), percent > 0, percent <= 100 else {
                return "'\(text)' is not a percentage of 0 to 100 such as 10%"
            }
        case "rate":
            guard text.hasSuffix("/s"), let count = parseByteCount(text.dropLast(2)), count > 0 else {
                return "'\(text)' is not a rate such as 64KB/s"
            }
        case "status":
            guard let status = Int(text), (100...599).contains(status) else {
                return "'\(text)' is not a status of HTTP, 100 to 599"
            }
        case "count":
            guard let count = Int(text), (1...1_000_000).contains(count) else {
                return "'\(text)' is not a number of times, 1 to 1000000"
            }
        default: break
        }
        return nil
    }

    private static func radius(_ item: ConfigurationMapping) throws(ConfigurationError) -> BlastRadius {
        BlastRadius(
            percent: try item.percent("selector_percent", in: 1...100) ?? 100, cohort: try item.text("cohort"),
            budget: try item.integer("budget", in: 1...BlastRadius.budgetLimit))
    }
}
