import KernelStructures

/// What a link is called among all links: its code, behind the domain that it belongs to, if it has one of its own.
///
/// `s.example/spring` is the code `spring` at the domain `s.example`; `spring` is the one everywhere else. No code has
/// a slash, so that no two links have one key, and whoever has keys needs to know nothing of domains.
public enum LinkKey {
    public static func make(_ code: String, domain: String?) -> String { domain.map { "\($0)/\(code)" } ?? code }

    /// - Throws: what is wrong with it.
    public static func check(_ key: String) throws(Alias.Malformed) {
        let parts = parts(key)
        try Alias.check(parts.code)
        guard parts.domain.map({ DomainName.normalized($0) == $0 }) ?? true else {
            throw Alias.Malformed(description: "'\(key.prefix(80))' has no domain before its code")
        }
    }

    public static func parts(_ key: String) -> (domain: String?, code: String) {
        guard let slash = key.lastIndex(of: "/") else { return (nil, key) }
        return (String(key[..<slash]), String(key[key.index(after: slash)...]))
    }
}

extension Link {
    /// The domain that it belongs to; nil for one that leads on at every other.
    public var domain: String? { LinkKey.parts(code).domain }
    /// The code without the domain.
    public var slug: String { LinkKey.parts(code).code }
}

/// A name that visitors reach the shortener by, with its port if that is not the usual one.
public enum DomainName {
    /// Bytes of a name of the DNS, and a port.
    static let limitBytes = 253 + 6

    /// As a browser understands it: `S.Example:80` is `s.example`. Nil for what is no name.
    public static func normalized(_ text: some StringProtocol) -> String? {
        let isPlain = text.utf8.allSatisfy { $0 > 32 && $0 < 127 && !"/?#@\\".utf8.contains($0) }
        guard isPlain, (1...limitBytes).contains(text.utf8.count),
            let address = try? TargetURL(parsing: "http://\(text)/")
        else { return nil }
        return address.port.map { "\(address.host):\($0)" } ?? address.host
    }
}
