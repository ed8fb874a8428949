import KernelConfiguration
import KernelStructures

extension Aggregate {
    init(_ value: ConfigurationValue, _ configuration: inout GatewayConfiguration) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(value, what: "aggregate", keys: ["parts", "timeout", "partial_status"])
        guard let list = mapping["parts"] else {
            throw ConfigurationError(
                value.place, "aggregate needs parts: [{group: user, service: user-service, path: /users/me}]")
        }
        let items = try list.list(for: "parts")
        guard !items.isEmpty, items.count <= Self.partLimit else {
            throw ConfigurationError(list.place, "parts: 1 to \(Self.partLimit) of them")
        }
        var parts: [Part] = []
        for item in items { parts.append(try Part(item, after: parts, &configuration)) }
        self.init(parts: parts)
        timeout = try mapping.duration("timeout") ?? timeout
        partialStatus =
            try mapping.choice("partial_status", Self.partialStatuses.map { ("\($0)", $0) }) ?? partialStatus
    }
}

extension Aggregate.Part {
    private static let keys = [
        "name", "service", "url", "path", "required", "timeout", "group", "pick", "allow", "deny", "mapping",
        "max_answer",
    ]

    fileprivate init(
        _ value: ConfigurationValue, after others: [Aggregate.Part], _ configuration: inout GatewayConfiguration
    ) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(value, what: "a part", keys: Self.keys)
        guard let service = mapping["service"] else { throw ConfigurationError(value.place, "a part needs a service") }
        let serviceName = try GatewayConfiguration.serviceName(service)
        try configuration.useService(serviceName, url: mapping["url"], at: value.place)
        guard let path = mapping["path"] else {
            throw ConfigurationError(value.place, "a part needs the path that is asked for")
        }
        let text = try path.text(for: "path")
        let template: PathTemplate
        do throws(PathTemplate.Malformed) {
            template = try PathTemplate(text)
        } catch {
            throw ConfigurationError(path.place, "path: \(error)")
        }
        let group = try mapping.word("group")
        let name = try mapping.word("name") ?? group ?? serviceName
        guard GatewayConfiguration.isName(name), !name.contains(".") else {
            throw ConfigurationError(value.place, "'\(name)' cannot be a part's name: letters, digits, - and _ only")
        }
        guard !others.contains(where: { $0.name == name }) else {
            throw ConfigurationError(value.place, "two parts are called \(name); give each a name of its own")
        }
        if let stranger = template.parts.first(where: { part in !others.contains { $0.name == part } }) {
            let names = others.map(\.name)
            throw ConfigurationError(
                path.place, "{\(stranger)…}: no part before it has this name\(didYouMean(stranger, among: names))")
        }
        self.init(name: name, service: serviceName, path: template)
        self.group = group
        isRequired = try mapping.boolean("required") ?? false
        timeout = try mapping.duration("timeout") ?? timeout
        pick = Self.place(try mapping.text("pick") ?? "")
        allow = try mapping["allow"]?.texts("allow").map(Self.place) ?? []
        deny = try mapping["deny"]?.texts("deny").map(Self.place) ?? []
        if let value = mapping["mapping"] {
            guard case .mapping(let pairs) = value.content else {
                throw ConfigurationError(value.place, "mapping must be a mapping of old names to new ones")
            }
            for (key, value) in pairs {
                self.mapping.append((try key.text(for: "a member"), try value.text(for: "a member")))
            }
        }
        if let value = mapping["max_answer"] {
            answerLimitBytes = try value.byteCount("max_answer", in: 1...16 << 20)
        }
    }

    private static func place(_ text: String) -> [String] { text.split(separator: ".").map(String.init) }
}
