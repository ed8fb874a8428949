import KernelConfiguration
import KernelStructures

extension LoadBalancerConfiguration {
    /// TLS between clients and the balancer. Files are named here and read by the host, when it starts and with each
    /// reload: so certificates can be renewed without losing a connection.
    public struct FrontTLS: Equatable, Sendable {
        /// The first is for whoever asks for no name or an unknown one. Empty: the lab's authority vouches.
        public var certificates: [String] = []
        /// As many as certificates, or none where these files have them.
        public var keys: [String] = []
        /// Who vouches for clients; nil: the lab's authority.
        public var clientAuthority: String?
        public var clientCertificates = ClientCertificates.none
        /// The dearest first (ALPN); empty: in mode http its only protocol, in mode tcp whatever is behind.
        public var protocols: [String] = []
        public var lowestVersion = Version.tls12
        public var highestVersion = Version.tls13

        public init() {}
    }

    public enum ClientCertificates: String, Sendable, CaseIterable { case none, optional, required }

    public enum Version: String, Sendable, CaseIterable {
        case tls12 = "1.2"
        case tls13 = "1.3"
    }
}

extension LoadBalancerConfiguration.Backend {
    /// TLS between the balancer and a server, its checks included.
    public struct TLS: Equatable, Sendable {
        /// Whether an authority has to vouch for the server, and for its name.
        public var verifies = true
        /// The name to ask for (SNI) and to see proved; nil: the address's host.
        public var serverName: String?
        /// Who vouches for the server; nil: the lab's authority.
        public var authority: String?
        /// Shown to a server that wants one.
        public var certificate: String?
        /// Nil: in the certificate's file.
        public var key: String?

        public init() {}
    }
}

extension LoadBalancerConfiguration.FrontTLS {
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try LoadBalancerConfiguration.tls.read(value, what: "tls")
        certificates = try mapping.words("certificates")
        keys = try mapping.words("keys")
        guard keys.isEmpty || keys.count == certificates.count else {
            throw ConfigurationError(
                mapping["keys"]!.place,
                "\(counted(certificates.count, "certificate")) and \(counted(keys.count, "key")); one key for each, or "
                    + "files that have both")
        }
        clientAuthority = try mapping.text("client_ca")
        clientCertificates =
            try mapping.choice(
                "client", LoadBalancerConfiguration.ClientCertificates.allCases.map { ($0.rawValue, $0) })
            ?? (clientAuthority == nil ? .none : .required)
        protocols = try mapping.words("alpn")
        if let bad = protocols.first(where: { !(1...255).contains($0.utf8.count) }) {
            throw ConfigurationError(mapping["alpn"]!.place, "'\(bad)' is no protocol: 1 to 255 bytes")
        }
        let versions = LoadBalancerConfiguration.Version.allCases.map { ($0.rawValue, $0) }
        lowestVersion = try mapping.choice("min_version", versions) ?? lowestVersion
        highestVersion = try mapping.choice("max_version", versions) ?? highestVersion
        guard lowestVersion.rawValue <= highestVersion.rawValue else {
            throw ConfigurationError(mapping["min_version"]!.place, "min_version is later than max_version")
        }
    }
}

extension LoadBalancerConfiguration.Backend.TLS {
    /// nil where the backend does not speak TLS.
    init?(ofBackend mapping: ConfigurationMapping) throws(ConfigurationError) {
        guard try mapping.boolean("tls") ?? false else {
            for key in ["verify", "sni", "ca", "cert", "key"] where mapping[key] != nil {
                throw ConfigurationError(mapping[key]!.place, "\(key) is for a backend that speaks TLS; add tls: true")
            }
            return nil
        }
        verifies = try mapping.boolean("verify") ?? verifies
        serverName = try mapping.word("sni")
        authority = try mapping.text("ca")
        certificate = try mapping.text("cert")
        key = try mapping.text("key")
        if key != nil, certificate == nil {
            throw ConfigurationError(mapping["key"]!.place, "a key without its certificate; add cert: FILE")
        }
    }
}

extension ConfigurationMapping {
    /// One word, or a list of them; none where the key is not there.
    fileprivate func words(_ key: String) throws(ConfigurationError) -> [String] {
        guard let value = self[key] else { return [] }
        if case .scalar = value.content { return [try value.text(for: key)] }
        var words: [String] = []
        for item in try value.list(for: key) { words.append(try item.text(for: "one of \(key)")) }
        return words
    }
}
