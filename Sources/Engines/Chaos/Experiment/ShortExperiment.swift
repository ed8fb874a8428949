import KernelConfiguration
import KernelJSON
import KernelStructures

/// The documented short form, and its translation into the Toolkit's.
///
/// ```yaml
/// experiment:
///   name: "API resilience test"
///   hypothesis: "System returns degraded response when payment service is slow"
///   steady_state:
///     - probe: http
///       url: http://api/checkout
///       expect: status == 200 AND latency < 500ms
///       degraded: status == 200 AND body contains "pending"     # good enough while a fault is in force
///   method:
///     - action: network-latency
///       target: payment-service
///       latency: 2000ms
///       duration: 60s
///   rollback:
///     - action: network-restore
///       target: payment-service
/// ```
///
/// An action's duration becomes the pause after it; the hypothesis is looked at before, during and after.
struct ShortExperiment {
    private let root: ConfigurationMapping
    private let place: ConfigurationPlace

    private static let keys = [
        "name", "description", "hypothesis", "steady_state", "method", "rollback", "guards", "measures", "metrics",
        "node_budget", "programs", "strategy", "rollback_strategy", "frequency", "configuration",
    ]

    /// Nil if it is no such document.
    init?(_ value: ConfigurationValue) throws(ConfigurationError) {
        guard case .mapping(let pairs) = value.content, let first = pairs.first(where: { $0.key.isNamed("experiment") })
        else { return nil }
        let outer = try ConfigurationMapping(value, what: "the file", keys: ["experiment"])
        guard let inner = outer["experiment"] else {
            throw ConfigurationError(
                first.value.place,
                "the experiment is empty: what belongs to it stands below it, two columns to the right"
            )
        }
        root = try ConfigurationMapping(
            inner, what: "an experiment", keys: Self.keys,
            aliases: ["title": "name", "rollbacks": "rollback", "steady-state": "steady_state"])
        place = inner.place
    }

    var document: JSONValue {
        get throws(ConfigurationError) {
            guard let name = try root.text("name") else {
                throw ConfigurationError(place, "an experiment requires a name")
            }
            guard root["method"] != nil else { throw ConfigurationError(place, "an experiment requires a method") }
            let hypothesis = try root.text("hypothesis")
            var members: [(key: String, value: JSONValue)] = [
                ("version", "1.0.0"), ("title", .string(name)),
                ("description", .string(try root.text("description") ?? hypothesis ?? name)),
            ]
            if let configuration = root["configuration"] {
                members.append(("configuration", try ExperimentDocument.json(configuration)))
            }
            let probes = try list("steady_state", kind: .probe)
            if !probes.isEmpty {
                members.append(
                    (
                        "steady-state-hypothesis",
                        .object([("title", .string(hypothesis ?? name)), ("probes", .array(probes))])
                    ))
            }
            members.append(("method", .array(try list("method", kind: nil))))
            members.append(("rollbacks", .array(try list("rollback", kind: nil))))
            members.append(("runtime", try runtime))
            let lab = try extensions
            if !lab.isEmpty { members.append(("lab", .object(lab))) }
            return .object(members)
        }
    }

    private var runtime: JSONValue {
        get throws(ConfigurationError) {
            let strategy = try root.choice(
                "strategy", ChaosExperiment.HypothesisStrategy.allCases.map { ($0.rawValue, $0) })
            let rollbacks = try root.choice(
                "rollback_strategy", ChaosExperiment.RollbackStrategy.allCases.map { ($0.rawValue, $0) })
            var hypothesis: [(key: String, value: JSONValue)] = [
                ("strategy", .string((strategy ?? .continuously).rawValue))
            ]
            if let every = try root.duration("frequency") { hypothesis.append(("frequency", .number(every.seconds))) }
            return .object([
                ("hypothesis", .object(hypothesis)),
                ("rollbacks", .object([("strategy", .string((rollbacks ?? .default).rawValue))])),
            ])
        }
    }

    private var extensions: [(key: String, value: JSONValue)] {
        get throws(ConfigurationError) {
            var members: [(key: String, value: JSONValue)] = []
            let guards = try list("guards", kind: .probe)
            if !guards.isEmpty { members.append(("guards", .array(guards))) }
            let measures = try list("measures", kind: .probe)
            if !measures.isEmpty { members.append(("measures", .array(measures))) }
            if let programs = root["programs"] { members.append(("programs", try ExperimentDocument.json(programs))) }
            if let metrics = root["metrics"] { members.append(("metrics", try ExperimentDocument.json(metrics))) }
            if let budget = try root.integer("node_budget", in: 1...100_000) {
                members.append(("node_budget", .integer(budget)))
            }
            return members
        }
    }

    private func list(_ key: String, kind: Activity.Kind?) throws(ConfigurationError) -> [JSONValue] {
        guard let value = root[key] else { return [] }
        var found: [JSONValue] = []
        for item in try value.list(for: key) {
            found.append(try ShortActivity(item, kind: kind).document)
        }
        return found
    }
}

extension ConfigurationValue {
    func isNamed(_ name: String) -> Bool {
        if case .scalar(let text) = content { return text == name }
        return false
    }
}

/// One probe or action of the short form.
struct ShortActivity {
    private let item: ConfigurationMapping
    private let isProbe: Bool

    private static let longestWait = LabDuration.seconds(366 * 86_400)
    private static let common = ["name", "pauses", "background", "wait"]
    private static let probeKeys = [
        "probe", "url", "method", "headers", "body", "key", "expect", "degraded", "timeout", "every", "value",
        "command",
    ]

    init(_ value: ConfigurationValue, kind: Activity.Kind?) throws(ConfigurationError) {
        guard case .mapping(let pairs) = value.content else {
            throw ConfigurationError(value.place, "a step must be a mapping that begins with probe: or action:")
        }
        isProbe = pairs.contains { $0.key.isNamed("probe") }
        if !isProbe, kind == .probe { throw ConfigurationError(value.place, "only probes can stand here: probe: http") }
        if !isProbe, !pairs.contains(where: { $0.key.isNamed("action") }) {
            throw ConfigurationError(value.place, "a step requires probe: or action:")
        }
        item = try ConfigurationMapping(
            value, what: isProbe ? "a probe" : "an action",
            keys: Self.common + (isProbe ? Self.probeKeys : ["action"] + FaultAction.parameters))
    }

    var document: JSONValue {
        get throws(ConfigurationError) {
            isProbe ? try probe : try action
        }
    }

    // MARK: Probes

    private var probe: JSONValue {
        get throws(ConfigurationError) {
            let kind = try item.choice("probe", [("http", "http"), ("process", "process")]) ?? "http"
            let provider = kind == "http" ? try http : try process
            let fallback = try item.text(kind == "http" ? "url" : "command") ?? kind
            var members: [(key: String, value: JSONValue)] = [
                ("type", "probe"), ("name", .string(try item.text("name") ?? fallback)),
            ]
            for (key, name) in [("expect", "tolerance"), ("degraded", "degraded")] {
                guard let text = try item.text(key) else { continue }
                do throws(ProbeExpression.Malformed) { _ = try ProbeExpression(parsing: text) } catch {
                    throw ConfigurationError(item[key]!.place, "\(key): \(error)")
                }
                members.append((name, .object([("type", "expression"), ("expect", .string(text))])))
            }
            if kind == "process", item["expect"] == nil { members.append(("tolerance", 0)) }
            if let every = try item.duration("every") { members.append(("every", .number(every.seconds))) }
            if let path = try item.text("value") { members.append(("path", .string(path))) }
            members.append(("provider", provider))
            return .object(members + (try pauses))
        }
    }

    private var http: JSONValue {
        get throws(ConfigurationError) {
            guard let url = try item.text("url") else { throw ConfigurationError(item.place, "a probe requires a url") }
            var provider: [(key: String, value: JSONValue)] = [("type", "http"), ("url", .string(url))]
            if let method = try item.text("method") { provider.append(("method", .string(method))) }
            if let headers = item["headers"] { provider.append(("headers", try ExperimentDocument.json(headers))) }
            if let body = item["body"] { provider.append(("body", try ExperimentDocument.json(body))) }
            if let key = try item.word("key") { provider.append(("idempotency_key", .string(key))) }
            if let timeout = try item.duration("timeout") { provider.append(("timeout", .number(timeout.seconds))) }
            return .object(provider)
        }
    }

    private var process: JSONValue {
        get throws(ConfigurationError) {
            guard let command = try item.text("command") else {
                throw ConfigurationError(item.place, "a probe of a process requires a command")
            }
            var provider: [(key: String, value: JSONValue)] = [("type", "process")]
            if command.contains(where: { "|&;<>()$`*?[{~#\\".contains($0) }) {
                // More than words: a line for a shell, which the lab is itself.
                provider += [("path", "sh"), ("arguments", ["-c", .string(command)])]
            } else {
                let parts = command.split(separator: " ", maxSplits: 1).map(String.init)
                provider.append(("path", .string(parts.first ?? "")))
                if parts.count > 1 { provider.append(("arguments", .string(parts[1]))) }
            }
            if let timeout = try item.duration("timeout") { provider.append(("timeout", .number(timeout.seconds))) }
            return .object(provider)
        }
    }

    private var pauses: [(key: String, value: JSONValue)] {
        get throws(ConfigurationError) {
            var members: [(key: String, value: JSONValue)] = []
            let isInBackground = try item.boolean("background") ?? false
            if let pauses = item["pauses"] {
                members.append(("pauses", try ExperimentDocument.json(pauses)))
            } else {
                // Beside the next step a fault lasts by itself; otherwise the next step comes when it is over.
                var wait = try item.duration("wait")
                if wait == nil, !isProbe, !isInBackground { wait = try item.duration("duration") }
                if let wait, wait > Self.longestWait {
                    let place = (item["wait"] ?? item["duration"])?.place ?? item.place
                    throw ConfigurationError(place, "\(wait) is longer than \(Self.longestWait)")
                }
                if let wait { members.append(("pauses", .object([("after", .number(wait.seconds))]))) }
            }
            if isInBackground { members.append(("background", true)) }
            return members
        }
    }

    // MARK: Actions

    private var action: JSONValue {
        get throws(ConfigurationError) {
            let name = try item.text("action") ?? ""
            let provider = try FaultAction.provider(name, item)
            let target = try item.text("target")
            let fallback = target.map { "\(name) \($0)" } ?? name
            return .object(
                [
                    ("type", "action"), ("name", .string(try item.text("name") ?? fallback)), ("provider", provider),
                ] + (try pauses))
        }
    }
}
