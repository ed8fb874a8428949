import KernelStructures

/// Addresses that mean another machine to each who asks for them: his own, or one of his house. A public shortener
/// that leads there lends its name to attacks on what stands behind other people's walls.
///
/// By what is written alone: a name of the DNS that answers with such an address is not found out.
enum PrivateAddress {
    /// The blocks that IANA's registries for special purposes do not call globally reachable, and the groups.
    private static let blocks = [
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4", "::/128", "::1/128", "fc00::/7", "fe80::/10",
        "ff00::/8",
    ].compactMap { AddressBlock(parsing: $0) }

    /// Names that stay in the house: RFC 6761, RFC 6762, RFC 8375, and what ICANN has set aside.
    private static let names = ["localhost", "local", "home.arpa", "internal"]

    /// - Parameter host: as `TargetURL` writes it.
    static func contains(_ host: String) -> Bool {
        let bare = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        if let address = IPAddress(parsing: bare) { return blocks.contains { $0.contains(address) } }
        let name = host.hasSuffix(".") ? String(host.dropLast()) : host
        return names.contains { name == $0 || name.hasSuffix("." + $0) }
    }
}

extension TargetURL {
    /// Whether it leads into the visitor's own house.
    public var isPrivate: Bool { PrivateAddress.contains(host) }
}
