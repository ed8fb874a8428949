import KernelConfiguration
import KernelStructures
import KernelWire
import TimeSeriesEngine

extension ScrapeConfiguration {
    /// Names in the DNS that stand for targets: `dns_sd_configs`, as Prometheus has it.
    ///
    /// Prometheus asks whom its machine asks. The nodes of a lab have no such setting, so there is one key more:
    /// `server`, the lab's registry without it.
    public struct DNSDiscovery: Sendable {
        public enum Kind: String, Sendable, CaseIterable {
            case srv = "SRV"
            case a = "A"
            case aaaa = "AAAA"

            public var type: DNSType {
                switch self {
                case .srv: .srv
                case .a: .a
                case .aaaa: .aaaa
                }
            }
        }

        public let names: [DNSName]
        public let kind: Kind
        /// Of targets whose records name none.
        public let port: UInt16
        public let refreshInterval: LabDuration
        public let server: HostPort

        /// Consul's port for DNS, and that of the lab's registry.
        static let defaultServer = HostPort(host: "localhost", port: 8600)
    }
}

extension ScrapeConfiguration.DNSDiscovery {
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(
            value, what: "dns_sd_configs", keys: ["names", "type", "port", "refresh_interval", "server"])
        kind = try mapping.choice("type", Kind.allCases.map { ($0.rawValue, $0) }) ?? .srv
        let port = try mapping.integer("port", in: 1...65535)
        if kind != .srv, port == nil {
            throw ConfigurationError(value.place, "port is missing: \(kind.rawValue) has none")
        }
        self.port = UInt16(port ?? 0)
        let texts = try mapping.texts("names")
        if texts.isEmpty { throw ConfigurationError(value.place, "names is missing") }
        var names: [DNSName] = []
        for text in texts {
            guard let name = DNSName(parsing: text) else {
                throw ConfigurationError(
                    value.place, "'\(text)' is not a legal name: labels of 1 to 63 bytes, 255 together")
            }
            names.append(name)
        }
        self.names = names
        refreshInterval = try mapping.span("refresh_interval") ?? .seconds(30)
        let server = try mapping.word("server")
        guard let place = server.map({ HostPort(parsing: $0) }) ?? Self.defaultServer else {
            throw ConfigurationError(value.place, "server '\(server ?? "")' is no host:port")
        }
        self.server = place
    }

    /// The targets that an answer names, in an order that does not depend on the server's, which shuffles them.
    ///
    /// Where the answer brings the address of an SRV record's target along (RFC 2782, "additional data"), that is the
    /// target's address; otherwise it is the target's name.
    public func groups(of name: DNSName, in answer: DNSMessage) -> [TargetGroup] {
        let found: [TargetGroup] = answer.answers.compactMap { record in
            switch record.data {
            case .a(let address) where kind == .a: group(name, "\(address)", port, [])
            case .aaaa(let address) where kind == .aaaa: group(name, "\(address)", port, [])
            case .srv(_, _, let port, let target) where kind == .srv:
                group(
                    name, Self.address(of: target, in: answer) ?? Self.undotted(target), port,
                    [
                        ("__meta_dns_srv_record_target", target.description),
                        ("__meta_dns_srv_record_port", "\(port)"),
                    ])
            default: nil
            }
        }
        return found.sorted { $0.addresses.lexicographicallyPrecedes($1.addresses) }
    }

    private func group(_ name: DNSName, _ host: String, _ port: UInt16, _ more: [(String, String)]) -> TargetGroup {
        TargetGroup(
            [HostPort(host: host, port: port).description],
            labels: Labels([("__meta_dns_name", Self.undotted(name))] + more), source: Self.undotted(name))
    }

    private static func address(of target: DNSName, in answer: DNSMessage) -> String? {
        for record in answer.additional where record.name == target {
            switch record.data {
            case .a(let address): return "\(address)"
            case .aaaa(let address): return "\(address)"
            default: continue
            }
        }
        return nil
    }

    private static func undotted(_ name: DNSName) -> String {
        name.isRoot ? "." : String(name.description.dropLast())
    }
}
