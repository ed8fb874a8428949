import KernelStructures
import KernelTLS
import KernelWorld
import LoadBalancerEngine

/// The balancer's TLS: with its clients by one context, with each of its servers by another. They are made when it
/// starts and with each reload; connections that are open keep what they began with.
final class BalancerSecurity {
    /// nil: clients speak no TLS.
    let front: TLSServer?
    private let back: [String: TLSClient]

    /// - Parameter read: a file that the configuration names.
    /// - Throws: what is wrong with a file, or what cannot be used of it.
    init(
        _ configuration: LoadBalancerConfiguration, node: Node, read: (String) throws -> [UInt8]
    ) throws {
        front = try configuration.tls.map { try Self.front($0, configuration.mode, node, read) }
        var back: [String: TLSClient] = [:]
        for backend in configuration.backends {
            if let settings = backend.tls { back[backend.name] = try Self.client(settings, node, read) }
        }
        self.back = back
    }

    /// For connections to that server; nil: it speaks no TLS.
    func client(of backend: LoadBalancerConfiguration.Backend) -> TLSClient? {
        backend.tls == nil ? nil : back[backend.name]
    }

    private static func front(
        _ settings: LoadBalancerConfiguration.FrontTLS, _ mode: LoadBalancerConfiguration.Mode, _ node: Node,
        _ read: (String) throws -> [UInt8]
    ) throws -> TLSServer {
        var serving = TLSServing()
        for (index, file) in settings.certificates.enumerated() {
            let key = settings.keys.isEmpty ? file : settings.keys[index]
            serving.options.identities.append(
                try TLSIdentity(certificates: try read(file), key: try read(key), name: file, keyName: key))
        }
        if let file = settings.clientAuthority {
            serving.options.clientAuthorities = try Certificate.read(pem: try read(file), name: file)
        }
        serving.options.clientCertificates = .init(rawValue: settings.clientCertificates.rawValue) ?? .none
        serving.options.applicationProtocols = settings.protocols
        serving.options.versions = version(settings.lowestVersion)...version(settings.highestVersion)
        return try serving.makeServer(for: node, speaking: mode == .http ? ["http/1.1"] : [])
    }

    private static func version(_ version: LoadBalancerConfiguration.Version) -> TLSVersion {
        version == .tls12 ? .tls12 : .tls13
    }

    private static func client(
        _ settings: LoadBalancerConfiguration.Backend.TLS, _ node: Node, _ read: (String) throws -> [UInt8]
    ) throws -> TLSClient {
        var options = try TLSClientOptions.lab(node.world)
        options.verification = settings.verifies ? .full : .none
        options.serverName = settings.serverName
        if let file = settings.authority {
            options.authorities = try Certificate.read(pem: try read(file), name: file)
            options.trustsMachine = false
        }
        if let file = settings.certificate {
            let key = settings.key ?? file
            options.identity = try TLSIdentity(
                certificates: try read(file), key: try read(key), name: file, keyName: key)
        }
        return try TLSClient(options)
    }
}
