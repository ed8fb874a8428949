import KernelStructures

extension ProxyHeader {
    /// The header as it goes over the wire, to be sent before anything else and in one piece (§2).
    ///
    /// What a version cannot say is left out: version 1 has no LOCAL, no paths, no additions and no checksum, and says
    /// `UNKNOWN` for the first two; the addresses of a LOCAL are not written.
    ///
    /// - Precondition: in version 2, paths of at most 108 bytes, and all of it at most 65,551 bytes.
    public var bytes: [UInt8] {
        var out: [UInt8] = []
        append(to: &out)
        return out
    }

    public func append(to out: inout [UInt8]) {
        switch version {
        case .v1: appendLine(to: &out)
        case .v2: appendBlock(to: &out)
        }
    }

    /// The header for a connection that a balancer makes on behalf of a client.
    ///
    /// - Parameters:
    ///   - client: the remote end of the connection from the client, or what a header on that connection claims.
    ///   - balancer: the end of that connection that the client reached, or what the header claims: not an end of the
    ///     connection to the server, which the server sees for itself.
    ///
    /// Where the two have no family in common (a Unix socket and an address), nothing is claimed: version 1 says
    /// `UNKNOWN`, version 2 LOCAL. PROXY with an unknown family would say it better, but receivers may refuse that
    /// (§2.2), and HAProxy does.
    public static func forwarding(
        _ version: ProxyProtocolVersion, client: ProxyEndpoint, balancer: ProxyEndpoint
    ) -> ProxyHeader {
        ProxyAddresses(source: client, destination: balancer).map { ProxyHeader(version, .proxy, $0) } ?? own(version)
    }

    /// The header for a connection that a balancer makes on its own behalf: a health check.
    ///
    /// Version 2 says LOCAL. Version 1 has no such word; it says `UNKNOWN`, which some servers refuse. For those, §2.1
    /// recommends `forwarding` with both ends of the health check's own connection.
    public static func own(_ version: ProxyProtocolVersion) -> ProxyHeader {
        ProxyHeader(version, version == .v1 ? .proxy : .local)
    }
}
