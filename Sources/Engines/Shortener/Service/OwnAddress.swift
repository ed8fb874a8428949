import KernelHosting
import KernelStructures
import KernelWorld
import ShortenerEngine

extension ShortenerHost {
    /// Whether an address leads to this service, whichever of its names it is given by: a link to a link would send its
    /// visitors round and round.
    func leadsHere(_ target: TargetURL, _ exchange: HTTPExchange) -> Bool {
        let host = Self.plain(target.host)
        if let own = try? TargetURL(parsing: base(for: exchange)), Self.plain(own.host) == host,
            own.port == target.port
        {
            return true
        }
        guard (target.port ?? (target.scheme == .http ? 80 : 443)) == Int(port) else { return false }
        let address = IPAddress(parsing: host)
        // Whoever asks for no address in particular gets his own.
        if address == IPAddress(IPv4Address(bits: 0)) || address == IPAddress(parsing: "::") { return true }
        let isLocal = host == "localhost" || host.hasSuffix(".localhost")
        guard let network = node.world.network else { return false }
        if network.transport.isWholeHost { return isLocal || address?.isLoopback == true || address == node.address }
        // In the lab each node has an address of its own, and `localhost` is the first one's.
        guard isLocal || address != nil || node.world.nodes[host] != nil,
            case .node(let owner, _)? = try? network.resolve(HostPort(host: isLocal ? "localhost" : host, port: port))
        else { return false }
        return owner === node
    }

    /// A host without its brackets and the dot of the DNS's root.
    private static func plain(_ host: String) -> String {
        if host.hasPrefix("[") { return String(host.dropFirst().dropLast()) }
        return (host.hasSuffix(".") ? String(host.dropLast()) : host).lowercased()
    }

    /// What stands before a code comes from `Host`, where `--base` does not say it.
    ///
    /// - Throws: `HTTPProblem` 400 for what is no host (RFC 9112 §3.2).
    func expectHost(_ exchange: HTTPExchange) throws(HTTPProblem) {
        guard settings.base == nil, let host = exchange.field("Host") else { return }
        let isPlain = host.utf8.allSatisfy { $0 > 32 && $0 < 127 && !"/?#@\\".utf8.contains($0) }
        guard isPlain, !host.isEmpty, (try? TargetURL(parsing: "http://\(host)/")) != nil else {
            throw HTTPProblem(
                400, "Host '\(host.prefix(80))' is no host", remedy: "send the one that you ask: s.example")
        }
    }

    /// Where anybody may change links, pages of others must not do it behind their visitors' backs.
    func refuseForeignPages(_ exchange: HTTPExchange) throws(HTTPProblem) {
        // A proxy in front may ask for another host than the browser did.
        if let base = settings.base?.lowercased(), let origin = exchange.field("Origin")?.lowercased(),
            base == origin || base.hasPrefix(origin + "/")
        {
            return
        }
        try exchange.refuseForeignPages()
    }
}
