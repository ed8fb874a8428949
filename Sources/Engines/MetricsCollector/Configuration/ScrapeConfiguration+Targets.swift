import KernelConfiguration
import KernelRegularExpressions
import KernelStructures
import TimeSeriesEngine

// Where the targets of a job come from, and what becomes of their labels.
extension ScrapeConfiguration {
    mutating func readTargets(_ mapping: ConfigurationMapping) throws(ConfigurationError) {
        if let value = mapping["static_configs"] {
            for item in try value.list(for: "static_configs") { staticGroups.append(try Self.group(item)) }
        }
        if let value = mapping["file_sd_configs"] {
            for item in try value.list(for: "file_sd_configs") { fileDiscoveries.append(try Self.files(item)) }
        }
        if let value = mapping["dns_sd_configs"] {
            for item in try value.list(for: "dns_sd_configs") { dnsDiscoveries.append(try DNSDiscovery(item)) }
        }
        if let value = mapping["consul_sd_configs"] {
            for item in try value.list(for: "consul_sd_configs") { consulDiscoveries.append(try Self.consul(item)) }
        }
    }

    /// `{targets: […], labels: {…}}`, in a configuration or in a file of its own.
    public static func group(_ value: ConfigurationValue) throws(ConfigurationError) -> TargetGroup {
        let mapping = try ConfigurationMapping(value, what: "targets", keys: ["targets", "labels"])
        let addresses = try mapping.texts("targets")
        for address in addresses where address.contains("/") {
            throw ConfigurationError(value.place, "'\(address)' is no host:port; a path is metrics_path")
        }
        return TargetGroup(addresses, labels: try mapping["labels"].map(labels) ?? Labels())
    }

    /// The groups of a file with targets, YAML or JSON, which is YAML as well.
    public static func groups(yaml: [UInt8], file: String) throws(ConfigurationError) -> [TargetGroup] {
        var groups: [TargetGroup] = []
        for item in try YAML.parse(yaml, file: file).list(for: "the file") {
            var group = try group(item)
            group.source = file
            groups.append(group)
        }
        return groups
    }

    static func labels(_ value: ConfigurationValue) throws(ConfigurationError) -> Labels {
        guard case .mapping(let pairs) = value.content else {
            throw ConfigurationError(value.place, "labels must be a mapping of names to values")
        }
        var labels: [(String, String)] = []
        for (key, value) in pairs {
            let name = try key.text(for: "a label")
            guard RelabelRule.isLabelName(name) else {
                throw ConfigurationError(key.place, "'\(name)' is no name of a label")
            }
            labels.append((name, value.isNull ? "" : try value.text(for: name)))
        }
        return Labels(labels)
    }

    private static func files(_ value: ConfigurationValue) throws(ConfigurationError) -> FileDiscovery {
        let mapping = try ConfigurationMapping(value, what: "file_sd_configs", keys: ["files", "refresh_interval"])
        let patterns = try mapping.texts("files")
        if patterns.isEmpty { throw ConfigurationError(value.place, "files is missing") }
        return FileDiscovery(
            patterns: patterns, refreshInterval: try mapping.span("refresh_interval") ?? .seconds(300))
    }

    private static func consul(_ value: ConfigurationValue) throws(ConfigurationError) -> ConsulDiscovery {
        let mapping = try ConfigurationMapping(
            value, what: "consul_sd_configs", keys: ["server", "services", "scheme", "refresh_interval"])
        let server = try mapping.word("server") ?? "localhost:8500"
        guard let place = HostPort(parsing: server) else {
            throw ConfigurationError(value.place, "server '\(server)' is no host:port")
        }
        let services = try mapping.texts("services")
        if services.isEmpty { throw ConfigurationError(value.place, "services is missing: say which ones to follow") }
        return ConsulDiscovery(server: place, services: services)
    }

    static func rules(_ value: ConfigurationValue?) throws(ConfigurationError) -> [RelabelRule] {
        guard let value else { return [] }
        var rules: [RelabelRule] = []
        for item in try value.list(for: "relabel_configs") { rules.append(try RelabelRule(item)) }
        return rules
    }
}

extension RelabelRule {
    private static let keys = [
        "source_labels", "separator", "target_label", "regex", "modulus", "replacement", "action",
    ]

    fileprivate init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(value, what: "a rule of relabelling", keys: Self.keys)
        let word = try mapping.text("action")?.lowercased() ?? "replace"
        guard let action = Action(rawValue: word) else {
            let names = Action.allCases.map(\.rawValue)
            throw ConfigurationError(
                mapping["action"]?.place ?? value.place, "action '\(word)' is none of \(names.joined(separator: ", "))")
        }
        let pattern = try mapping.text("regex") ?? "(.*)"
        do throws(RegularExpressionError) {
            try self.init(action, expression: pattern)
        } catch {
            throw ConfigurationError(mapping["regex"]?.place ?? value.place, "\(error)")
        }
        sourceLabels = try mapping.texts("source_labels")
        separator = try mapping.text("separator") ?? separator
        targetLabel = try mapping.text("target_label") ?? ""
        replacement = try mapping.text("replacement") ?? (mapping["replacement"] == nil ? "$1" : "")
        modulus = UInt64(try mapping.integer("modulus", in: 1...Int.max) ?? 0)
        try check(value.place)
    }

    private func check(_ place: ConfigurationPlace) throws(ConfigurationError) {
        switch action {
        case .replace, .hashmod, .lowercase, .uppercase, .keepequal, .dropequal:
            if targetLabel.isEmpty { throw ConfigurationError(place, "\(action.rawValue) needs a target_label") }
            if action != .replace, !Self.isLabelName(targetLabel) {
                throw ConfigurationError(place, "'\(targetLabel)' is no name of a label")
            }
        case .keep, .drop, .labelmap, .labeldrop, .labelkeep: break
        }
        if action == .hashmod, modulus == 0 { throw ConfigurationError(place, "hashmod needs a modulus") }
    }
}
