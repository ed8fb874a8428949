import KernelStructures
import KernelTLS
import KernelWorld
import PoolerEngine

/// TLS at both sides of a pooler, as its settings ask for it at a time. Connections keep what they began with.
final class PoolerSecurity {
    let settings: Settings
    /// For clients that ask for it; nil: they are told that there is none.
    let forClients: TLSServer?
    /// Shown to servers, and demanded of them; nil: they are not asked for it.
    let forServers: TLSClient?

    struct Settings: Equatable {
        let client: PoolerTLS
        let server: PoolerTLS

        init(_ configuration: PoolerConfiguration) {
            client = configuration.clientTLS
            server = configuration.serverTLS
        }
    }

    /// - Throws: if a certificate or a key cannot be used.
    init(_ settings: Settings, node: Node) throws(TLSConfigurationError) {
        self.settings = settings
        forClients = try Self.server(settings.client, node)
        forServers = try Self.client(settings.server, node)
    }

    private static func server(_ settings: PoolerTLS, _ node: Node) throws(TLSConfigurationError) -> TLSServer? {
        guard settings.mode != .disable else { return nil }
        var serving = TLSServing()
        serving.options.identities = try identity(settings).map { [$0] } ?? []
        serving.options.versions = versions(settings)
        serving.options.ciphers = settings.ciphers
        if settings.mode >= .verifyAuthority { serving.options.clientCertificates = .required }
        serving.options.clientAuthorities = try authorities(settings) ?? []
        return try serving.makeServer(for: node, speaking: ["postgresql"])
    }

    private static func client(_ settings: PoolerTLS, _ node: Node) throws(TLSConfigurationError) -> TLSClient? {
        guard settings.mode != .disable else { return nil }
        var options = try TLSClientOptions.lab(node.world)
        if let authorities = try authorities(settings) {
            options.authorities = authorities
            options.trustsMachine = false
        }
        options.verification =
            switch settings.mode {
            case .verifyFull: .full
            case .verifyAuthority: .authority
            case .disable, .allow, .prefer, .require: .none
            }
        options.identity = try identity(settings)
        options.versions = versions(settings)
        options.ciphers = settings.ciphers
        return try TLSClient(options)
    }

    private static func identity(_ settings: PoolerTLS) throws(TLSConfigurationError) -> TLSIdentity? {
        guard let certificate = settings.certificate, let key = settings.key else { return nil }
        return try TLSIdentity(
            certificates: certificate.bytes, key: key.bytes, name: certificate.path, keyName: key.path)
    }

    private static func authorities(_ settings: PoolerTLS) throws(TLSConfigurationError) -> [Certificate]? {
        guard let file = settings.authority else { return nil }
        return try Certificate.read(pem: file.bytes, name: file.path)
    }

    private static func versions(_ settings: PoolerTLS) -> ClosedRange<TLSVersion> {
        let known = settings.versions.compactMap { TLSVersion(parsing: $0) }
        return (known.min() ?? .tls12)...(known.max() ?? .tls13)
    }
}

extension SecuritySession {
    /// As SHOW CLIENTS and SHOW SERVERS tell of it.
    var summary: String { "\(version)/\(cipher)" }
}
