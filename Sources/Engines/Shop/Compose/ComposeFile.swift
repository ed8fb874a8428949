import KernelConfiguration
import KernelStructures

/// What is to be started, in which order, and what becomes of it: a subset of the Compose specification (compose-spec,
/// "Services top-level element").
///
/// A recipe on a card: not how to cook, but what has to be on the table, and what has to be ready before what. Whoever
/// follows it twice gets the same.
///
/// An image `sdlab/NAME` is the command NAME; `command` are its words, `environment` flags (`MQ_URL: x` is
/// `--mq-url x`), `ports` where it listens. What the lab has no use for (networks, volumes) is refused rather than
/// passed over, so that nobody believes in something that does not happen.
public struct ComposeFile: Hashable, Sendable {
    public enum Condition: String, Sendable, CaseIterable {
        case started = "service_started"
        case healthy = "service_healthy"
        case completed = "service_completed_successfully"
    }

    public enum Restart: Hashable, Sendable {
        case no, always, unlessStopped
        /// At most so many times; nil: as often as it takes.
        case onFailure(Int?)
    }

    public struct HealthCheck: Hashable, Sendable {
        /// The port and the path that have to answer with 2xx.
        public let port: UInt16
        public let path: String
        public var interval = LabDuration.seconds(1)
        public var retries = 30
    }

    public struct Service: Hashable, Sendable {
        public let name: String
        /// The command's name.
        public let command: String
        /// Words and flags, without `--name` and `--port`.
        public let words: [String]
        public let port: UInt16?
        public let dependencies: [Dependency]
        public let health: HealthCheck?
        public let restart: Restart
        public var replicas: Int
    }

    public struct Dependency: Hashable, Sendable {
        public let service: String
        public let condition: Condition
    }

    /// In an order in which each comes after those that it depends on, otherwise as in the file.
    public private(set) var services: [Service]

    public static let serviceLimit = 200
    public static let replicaRange = 0...1000

    public init(_ bytes: [UInt8], file: String) throws(ConfigurationError) {
        let root = try ConfigurationMapping(
            try YAML.parse(bytes, file: file), what: "a compose file", keys: ["name", "version", "services"])
        guard let section = root["services"] else {
            throw ConfigurationError(root.place, "there are no services; add services:")
        }
        guard case .mapping(let entries) = section.content else {
            throw ConfigurationError(section.place, "services is a mapping of names to services")
        }
        guard (1...Self.serviceLimit).contains(entries.count) else {
            throw ConfigurationError(section.place, "1 to \(Self.serviceLimit) services are wanted")
        }
        var all: [(Service, ConfigurationPlace)] = []
        for entry in entries {
            let name = try entry.key.text(for: "a service's name")
            all.append((try Self.service(name, entry.value), entry.value.place))
        }
        services = try Self.ordered(all)
    }

    public subscript(name: String) -> Service? { services.first { $0.name == name } }

    /// `--scale orders=3`. False if there is no such service.
    public mutating func scale(_ name: String, _ count: Int) -> Bool {
        guard let index = services.firstIndex(where: { $0.name == name }) else { return false }
        services[index].replicas = count
        return true
    }

    // MARK: Reading

    private static let keys = [
        "image", "command", "ports", "environment", "depends_on", "healthcheck", "restart", "deploy", "hostname",
        "container_name", "scale",
    ]

    private static func service(_ name: String, _ value: ConfigurationValue) throws(ConfigurationError) -> Service {
        let mapping = try ConfigurationMapping(value, what: "a service", keys: keys)
        guard Product.isIdentifier(name) else {
            throw ConfigurationError(value.place, "'\(name)' cannot be a node's name: letters, digits, - and _")
        }
        guard let image = try mapping.text("image") else {
            throw ConfigurationError(mapping.place, "service '\(name)' has no image; add image: sdlab/COMMAND")
        }
        let prefix = "sdlab/"
        guard image.hasPrefix(prefix) else {
            throw ConfigurationError(
                mapping["image"]?.place ?? mapping.place,
                "image '\(image)' is not sdlab/COMMAND: the lab runs no others")
        }
        let command = image.dropFirst(prefix.count).prefix { $0 != ":" }
        var ports: [UInt16] = []
        if let value = mapping["ports"] { ports = try Self.ports(value) }
        var words: [String] = []
        if let value = mapping["command"] { words = try Self.words(value) }
        if let value = mapping["environment"] { words += try environment(value) }
        var dependencies: [Dependency] = []
        if let value = mapping["depends_on"] { dependencies = try Self.dependencies(value) }
        var health: HealthCheck?
        if let value = mapping["healthcheck"] { health = try Self.health(value, ports.first) }
        var restart = Restart.no
        if let value = mapping["restart"] { restart = try Self.restart(value) }
        var replicas = try mapping.integer("scale", in: replicaRange) ?? 1
        if let deploy = mapping["deploy"] {
            let section = try ConfigurationMapping(deploy, what: "deploy", keys: ["replicas"])
            replicas = try section.integer("replicas", in: replicaRange) ?? replicas
        }
        return Service(
            name: name, command: String(command), words: words, port: ports.first,
            dependencies: dependencies, health: health, restart: restart,
            replicas: replicas)
    }

    /// `"8082:8082"`, `8082`. The lab's nodes have addresses of their own, so both sides are the same number.
    private static func ports(_ value: ConfigurationValue) throws(ConfigurationError) -> [UInt16] {
        var ports: [UInt16] = []
        for entry in try value.list(for: "ports") {
            let text = try entry.text(for: "a port")
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            let numbers = parts.compactMap { UInt16($0) }
            guard numbers.count == parts.count, (1...2).contains(numbers.count), let first = numbers.first, first > 0,
                Set(numbers).count == 1
            else {
                throw ConfigurationError(
                    entry.place,
                    "port '\(text)' is not PORT or PORT:PORT with the same number twice: nodes have "
                        + "addresses of their own, so nothing has to be translated")
            }
            ports.append(first)
        }
        return ports
    }

    private static func words(_ value: ConfigurationValue) throws(ConfigurationError) -> [String] {
        if case .sequence(let entries) = value.content {
            var words: [String] = []
            for entry in entries { words.append(try entry.text(for: "a word of the command")) }
            return words
        }
        return try value.text(for: "command").split(separator: " ").map(String.init)
    }

    /// `DB: postgres://…` or `- DB=postgres://…`: flags of the command.
    private static func environment(_ value: ConfigurationValue) throws(ConfigurationError) -> [String] {
        var pairs: [(String, String, ConfigurationPlace)] = []
        switch value.content {
        case .mapping(let entries):
            for entry in entries {
                let name = try entry.key.text(for: "a variable's name")
                pairs.append((name, try entry.value.text(for: "a variable"), entry.value.place))
            }
        case .sequence(let entries):
            for entry in entries {
                let text = try entry.text(for: "a variable")
                guard let equals = text.firstIndex(of: "=") else {
                    throw ConfigurationError(entry.place, "'\(text)' is not NAME=VALUE")
                }
                pairs.append((String(text[..<equals]), String(text[text.index(after: equals)...]), entry.place))
            }
        default: throw ConfigurationError(value.place, "environment is a mapping, or a list of NAME=VALUE")
        }
        return pairs.flatMap { name, text, _ in
            ["--" + name.lowercased().replacing("_", with: "-"), text]
        }
    }

    private static func dependencies(_ value: ConfigurationValue) throws(ConfigurationError) -> [Dependency] {
        var found: [Dependency] = []
        switch value.content {
        case .sequence(let entries):
            for entry in entries {
                found.append(Dependency(service: try entry.text(for: "a service"), condition: .started))
            }
        case .mapping(let entries):
            for entry in entries {
                let section = try ConfigurationMapping(entry.value, what: "a dependency", keys: ["condition"])
                let choices = Condition.allCases.map { ($0.rawValue, $0) }
                let condition = try section.choice("condition", choices.map { (name: $0.0, value: $0.1) }) ?? .started
                found.append(
                    Dependency(service: try entry.key.text(for: "a service"), condition: condition))
            }
        default: throw ConfigurationError(value.place, "depends_on is a list, or a mapping of services to conditions")
        }
        return found
    }

    /// `test: ["CMD", "curl", "-f", "http://localhost:8082/health"]`: the lab asks the node itself.
    private static func health(
        _ value: ConfigurationValue, _ port: UInt16?
    ) throws(ConfigurationError) -> HealthCheck? {
        let section = try ConfigurationMapping(
            value, what: "a healthcheck", keys: ["test", "interval", "timeout", "retries", "start_period", "disable"])
        if try section.boolean("disable") == true { return nil }
        guard let test = section["test"] else { throw ConfigurationError(value.place, "a healthcheck has a test") }
        let words = try words(test)
        guard let url = words.last(where: { $0.hasPrefix("http://localhost") }) else {
            throw ConfigurationError(
                test.place,
                "the lab can test http://localhost:PORT/PATH only, as in "
                    + "[\"CMD\", \"curl\", \"-f\", \"http://localhost:8082/health\"]")
        }
        let rest = url.dropFirst("http://localhost".count)
        let number = rest.hasPrefix(":") ? rest.dropFirst().prefix { $0 != "/" } : ""
        guard let port = number.isEmpty ? port : UInt16(number), port > 0 else {
            throw ConfigurationError(test.place, "'\(url)' has no port")
        }
        let path = rest.drop { $0 != "/" }
        var check = HealthCheck(port: port, path: path.isEmpty ? "/" : String(path))
        check.interval = try section.duration("interval") ?? check.interval
        check.retries = try section.integer("retries", in: 1...1000) ?? check.retries
        return check
    }

    private static func restart(_ value: ConfigurationValue) throws(ConfigurationError) -> Restart {
        let text = try value.text(for: "restart")
        switch text {
        case "no", "false": return .no
        case "always": return .always
        case "unless-stopped": return .unlessStopped
        case "on-failure": return .onFailure(nil)
        default:
            if text.hasPrefix("on-failure:"), let count = Int(text.dropFirst(11)), (0...1000).contains(count) {
                return .onFailure(count)
            }
            throw ConfigurationError(
                value.place, "restart '\(text)' is none of no, always, on-failure[:N], unless-stopped")
        }
    }

    /// Each after those that it depends on.
    private static func ordered(_ all: [(Service, ConfigurationPlace)]) throws(ConfigurationError) -> [Service] {
        var names: Set<String> = []
        for (service, place) in all where !names.insert(service.name).inserted {
            throw ConfigurationError(place, "service '\(service.name)' is there twice")
        }
        for (service, place) in all {
            for dependency in service.dependencies where !names.contains(dependency.service) {
                throw ConfigurationError(
                    place,
                    "'\(service.name)' depends on '\(dependency.service)', which there is not"
                        + didYouMean(dependency.service, among: names.sorted()))
            }
        }
        var placed: Set<String> = []
        var ordered: [Service] = []
        while ordered.count < all.count {
            let next = all.first { entry in
                !placed.contains(entry.0.name) && entry.0.dependencies.allSatisfy { placed.contains($0.service) }
            }
            guard let next else {
                let left = all.filter { !placed.contains($0.0.name) }
                throw ConfigurationError(
                    left[0].1,
                    "these depend on one another in a circle: "
                        + left.map(\.0.name).joined(separator: ", "))
            }
            placed.insert(next.0.name)
            ordered.append(next.0)
        }
        return ordered
    }
}
