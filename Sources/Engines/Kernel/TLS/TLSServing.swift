import KernelStructures
import KernelWorld

/// How a service is to be reached over TLS, as its flags or its configuration say, before it has a node.
///
/// Without a certificate of its own it shows the one that the lab's authority gives its node.
public struct TLSServing: Sendable {
    public var options: TLSServerOptions
    /// Names beside the node's that the lab's authority is to vouch for.
    public var names: [String] = []

    public init() { options = TLSServerOptions(identities: []) }

    /// The tag of log lines about connections that fail.
    public static let tag = "TLS"

    /// The accepting end, for the ports of `node`. Connections that fail are logged.
    ///
    /// - Parameter protocols: what is spoken there (ALPN), where the options do not say it.
    /// - Throws: if a certificate cannot be used, or the lab's authority cannot be made or read.
    public func makeServer(for node: Node, speaking protocols: [String] = []) throws(TLSConfigurationError) -> TLSServer
    {
        var options = options
        if options.applicationProtocols.isEmpty { options.applicationProtocols = protocols }
        if options.identities.isEmpty {
            options.identities = [try LabAuthority.of(node.world).identity(of: node, names: names)]
        }
        if options.clientCertificates != .none, options.clientAuthorities.isEmpty {
            options.clientAuthorities = [try LabAuthority.of(node.world).authority().certificate]
        }
        let server = try TLSServer(options)
        server.onFailure = { [unowned node] stream, failure in
            // Somebody only looked whether the port is open, as TCP health checks do.
            if failure.kind == .closed, stream.bytesReceived == 0 { return }
            let what = stream.security == nil ? "Handshake" : "Connection"
            node.log(
                Self.tag,
                "\(what) of \(node.name) with \(stream.peerName) failed: \(failure.description)", level: .warning)
        }
        return server
    }
}

extension TLSClientOptions {
    /// What a client of the lab believes unless told otherwise: the lab's authority, and in a process of its own those
    /// that the machine trusts.
    public static func lab(_ world: World) throws(TLSConfigurationError) -> TLSClientOptions {
        var options = TLSClientOptions()
        options.authorities = [try LabAuthority.of(world).authority().certificate]
        options.trustsMachine = world.network.transport.isWholeHost
        return options
    }
}
