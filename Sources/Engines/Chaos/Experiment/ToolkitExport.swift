import KernelJSON
import KernelStructures

/// An experiment as the Chaos Toolkit's own program can run it: `chaos run FILE`.
///
/// What the lab does to its nodes becomes a request to the lab's API of faults, which the `toxiproxy` node serves. An
/// expression becomes what the Toolkit has for it: a status is a tolerance, a limit of latency the request's timeout,
/// each text a pattern in a probe of its own. What cannot be said there is left out and listed in `losses`.
public struct ToolkitExport: Sendable {
    public let document: JSONValue
    /// What the exported experiment does not ask any more, in words.
    public private(set) var losses: [String] = []

    private let api: String

    /// - Parameter api: where the API of faults is, `http://localhost:8474`.
    public init(_ experiment: ChaosExperiment, api: String) {
        self.api = api.hasSuffix("/") ? String(api.dropLast()) : api
        var exporter = Exporter(api: self.api)
        document = exporter.document(experiment)
        losses = exporter.losses
    }

    private typealias Members = [(key: String, value: JSONValue)]

    private struct Exporter {
        let api: String
        var losses: [String] = []

        mutating func document(_ experiment: ChaosExperiment) -> JSONValue {
            guard case .object(let members) = experiment.document else { return experiment.document }
            var result: Members = []
            for (key, value) in members {
                switch key {
                case "steady-state-hypothesis":
                    guard case .object(let parts) = value else { continue }
                    result.append(
                        (key, .object(parts.map { ($0.key, $0.key == "probes" ? probes($0.value) : $0.value) })))
                case "method": result.append((key, method(value, experiment)))
                case "rollbacks": result.append((key, activities(value)))
                case "runtime":
                    // Beside the method it would ask for what no fault may change; what is good enough then has probes.
                    let strategy = experiment.rollbackStrategy.rawValue
                    result.append(
                        (
                            key,
                            [
                                "hypothesis": ["strategy": "default"],
                                "rollbacks": ["strategy": .string(strategy == "default" ? "always" : strategy)],
                            ]
                        ))
                case "lab": lose(value)
                default: result.append((key, value))
                }
            }
            return .object(result)
        }

        private mutating func lose(_ lab: JSONValue) {
            for (key, what) in [
                ("guards", "guards, which abort"), ("measures", "measures"), ("node_budget", "the budget of nodes"),
                ("metrics", "figures of a metrics system"), ("programs", "programs that it starts itself"),
            ] where lab[key] != nil { losses.append(what) }
        }

        // MARK: Activities

        private mutating func activities(_ value: JSONValue) -> JSONValue {
            guard case .array(let items) = value else { return value }
            return .array(items.map { activity($0) })
        }

        private mutating func activity(_ value: JSONValue) -> JSONValue {
            guard case .object(let members) = value, let provider = value["provider"] else { return value }
            var result = members.filter { $0.key != "degraded" }
            if let at = result.firstIndex(where: { $0.key == "provider" }) { result[at].value = plain(provider) }
            guard provider["type"] == "lab", let at = result.firstIndex(where: { $0.key == "provider" }) else {
                return .object(result)
            }
            result[at].value = request(provider)
            return .object(result)
        }

        /// Without what makes each request different.
        private mutating func plain(_ provider: JSONValue) -> JSONValue {
            guard case .object(let members) = provider, provider["idempotency_key"] != nil else { return provider }
            let loss = "Idempotency-Key of its own for each request"
            if !losses.contains(loss) { losses.append(loss) }
            return .object(members.filter { $0.key != "idempotency_key" })
        }

        /// The request that has the lab do what the provider says.
        private func request(_ provider: JSONValue) -> JSONValue {
            guard case .object(let members) = provider else { return provider }
            return [
                "type": "http", "url": .string(api + "/faults"), "method": "POST",
                "headers": ["Content-Type": "application/json"],
                "arguments": .object(members.filter { $0.key != "type" }),
            ]
        }

        /// The method, and behind its first fault a probe for what is good enough while it is in force.
        private mutating func method(_ value: JSONValue, _ experiment: ChaosExperiment) -> JSONValue {
            guard case .array(let items) = value else { return value }
            var result: [JSONValue] = []
            var hasProbes = false
            for item in items {
                guard item["provider"]?["type"] == "lab", !hasProbes, item["provider"]?["inject"] != nil else {
                    result.append(activity(item))
                    continue
                }
                hasProbes = true
                // The pause moves behind the probes: they are to be asked while the fault is in force.
                guard case .object(let members) = item else { continue }
                let pause = members.filter { $0.key == "pauses" }
                var during = experiment.hypothesis?.probes.flatMap { degraded($0) } ?? []
                if during.isEmpty {
                    result.append(activity(item))
                    continue
                }
                result.append(activity(.object(members.filter { $0.key != "pauses" })))
                if case .object(let last) = during.removeLast() { result += during + [.object(last + pause)] }
            }
            return .array(result)
        }

        private mutating func degraded(_ probe: Activity) -> [JSONValue] {
            guard case .expression(let expression)? = probe.degraded else { return [] }
            return split(probe, expression, suffix: " while degraded")
        }

        // MARK: Tolerances

        private mutating func probes(_ value: JSONValue) -> JSONValue {
            guard case .array(let items) = value else { return value }
            var result: [JSONValue] = []
            for item in items {
                guard item["tolerance"]?["type"] == "expression",
                    case .string(let text)? = item["tolerance"]?["expect"],
                    let expression = try? ProbeExpression(parsing: text), let provider = item["provider"],
                    case .string(let name)? = item["name"]
                else {
                    result.append(activity(item))
                    continue
                }
                result += split(name, provider, expression, suffix: "")
            }
            return .array(result)
        }

        private mutating func split(_ probe: Activity, _ expression: ProbeExpression, suffix: String) -> [JSONValue] {
            split(probe.name, probe.document["provider"] ?? .null, expression, suffix: suffix)
        }

        /// One probe for each thing that the Toolkit can look at.
        private mutating func split(
            _ name: String, _ provider: JSONValue, _ expression: ProbeExpression, suffix: String
        ) -> [JSONValue] {
            var comparisons: [ProbeExpression.Comparison] = []
            guard case .object(var members) = plain(provider), expression.conjunction(into: &comparisons) else {
                losses.append("'\(expression.text)' of \(name), which is not only AND")
                return []
            }
            for one in comparisons {
                guard one.subject == .latency, [.below, .atMost].contains(one.sign), case .time(let limit) = one.literal
                else { continue }
                members.removeAll { $0.key == "timeout" }
                members.append(("timeout", .number(limit.seconds)))
            }
            var probes: [JSONValue] = []
            for one in comparisons where one.subject != .latency {
                guard let tolerance = tolerance(one) else {
                    losses.append("'\(one.subject.name) \(one.sign.rawValue) \(one.literal.text)' of \(name)")
                    continue
                }
                let number = probes.isEmpty ? "" : " (\(probes.count + 1))"
                probes.append([
                    "type": "probe", "name": .string(name + suffix + number), "tolerance": tolerance,
                    "provider": .object(members),
                ])
            }
            return probes
        }

        private func tolerance(_ one: ProbeExpression.Comparison) -> JSONValue? {
            switch (one.subject, one.sign, one.literal) {
            case (.status, .equal, .value(let value)): return value
            case (.status, .below, .value(let value)), (.status, .atMost, .value(let value)):
                guard let size = value.size else { return nil }
                let end = one.sign == .below ? size - 1 : size
                return ["type": "range", "range": [0, .number(end)], "target": "status"]
            case (.body, .contains, .value(.string(let text))):
                return ["type": "regex", "pattern": .string(Self.literal(text)), "target": "body"]
            case (.body, .matches, .value(.string(let text))):
                return ["type": "regex", "pattern": .string(text), "target": "body"]
            case (.json(let path), .equal, .value(let value)):
                return [
                    "type": "jsonpath", "path": .string(path.text), "expect": [value], "target": "body",
                ]
            default: return nil
            }
        }

        /// A pattern that matches just that text.
        private static func literal(_ text: String) -> String {
            var result = ""
            for character in text {
                if "\\^$.|?*+()[]{}".contains(character) { result += "\\" }
                result.append(character)
            }
            return result
        }
    }
}

extension ProbeExpression {
    /// The comparisons of an expression that is nothing but AND.
    func conjunction(into found: inout [Comparison]) -> Bool { Self.flatten(root, &found) }

    private static func flatten(_ node: Node, _ found: inout [Comparison]) -> Bool {
        switch node {
        case .comparison(let one):
            found.append(one)
            return true
        case .both(let nodes): return nodes.allSatisfy { flatten($0, &found) }
        case .either, .not: return false
        }
    }
}
