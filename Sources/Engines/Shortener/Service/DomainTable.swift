import KernelHosting
import KernelJSON
import KernelStructures
import ShortenerEngine

/// Where visitors go at a domain who find no link there, in Shlink's cases; nil: they are told so. See `SpecialTarget`
/// for what stands for something else in these addresses.
struct SpecialRedirects: Equatable {
    /// Of the domain itself.
    var baseURL: String?
    /// Of what no link can be called.
    var regular404: String?
    /// Of links that there are not, not yet, or no more.
    var invalidShortURL: String?
    /// Of links that there are no more, where those go elsewhere (Shlink 5).
    var expiredShortURL: String?

    static let names = [
        "baseUrlRedirect", "regular404Redirect", "invalidShortUrlRedirect", "expiredShortUrlRedirect",
    ]
    static var paths: [WritableKeyPath<SpecialRedirects, String?>] {
        [\.baseURL, \.regular404, \.invalidShortURL, \.expiredShortURL]
    }

    var json: JSONValue {
        .object(
            zip(Self.names, Self.paths).map { name, path in
                (key: name, value: self[keyPath: path].map { .string($0) } ?? .null)
            })
    }
}

/// The domains that links belong to, or that have redirects of their own: few, and all in memory.
struct DomainTable {
    private var all: [String: SpecialRedirects] = [:]

    static let limit = 10_000

    var isEmpty: Bool { all.isEmpty }
    var count: Int { all.count }
    subscript(name: String) -> SpecialRedirects? { all[name] }
    /// By name.
    var sorted: [(name: String, redirects: SpecialRedirects)] {
        all.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    mutating func learn(_ name: String) { if all[name] == nil { all[name] = SpecialRedirects() } }

    static let select = LinkStatement(
        "SELECT name, base_url, regular_404, invalid_url, expired_url FROM url_domains ORDER BY name LIMIT \(limit)")

    /// Names of those in which somebody has links.
    static func names(ofLinksBy owner: String) -> LinkStatement {
        LinkStatement(
            "SELECT name FROM url_domains WHERE EXISTS (SELECT 1 FROM url_links WHERE owner = $1 "
                + "AND substr(code, 1, length(name) + 1) = name || '/') ORDER BY name LIMIT \(limit)", [.text(owner)])
    }

    mutating func replace(with rows: LinkRows) {
        all = [:]
        for row in rows {
            guard row.count == 5, let name = row[0].text else { continue }
            all[name] = SpecialRedirects(
                baseURL: row[1].text, regular404: row[2].text, invalidShortURL: row[3].text,
                expiredShortURL: row[4].text)
        }
    }

    static func set(_ name: String, _ redirects: SpecialRedirects) -> LinkStatement {
        LinkStatement(
            "INSERT INTO url_domains (name, base_url, regular_404, invalid_url, expired_url) "
                + "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET base_url = excluded.base_url, "
                + "regular_404 = excluded.regular_404, invalid_url = excluded.invalid_url, "
                + "expired_url = excluded.expired_url",
            [.text(name)] + SpecialRedirects.paths.map { ColumnValue(redirects[keyPath: $0]) })
    }

    /// A link that belongs to it was made: with it, or not at all.
    static func note(_ name: String, for link: Link) -> LinkStatement {
        LinkStatement(
            "INSERT INTO url_domains (name) SELECT $1 WHERE EXISTS (SELECT 1 FROM url_links WHERE code = $2) "
                + "ON CONFLICT (name) DO NOTHING", [.text(name), .text(link.code)])
    }
}

extension ShortenerHost {
    /// Reads the domains anew.
    func learnDomains(_ done: @escaping (LinkDatabaseFailure?) -> Void) {
        database.run([DomainTable.select]) { [self] result in
            switch result {
            case .failure(let failure): done(failure)
            case .success(let rows):
                domains.replace(with: rows.first ?? [])
                done(nil)
            }
        }
    }

    /// The domain that links belong to which say nothing.
    func defaultDomain(_ exchange: HTTPExchange) -> String {
        let base = base(for: exchange)
        let authority = base.firstRange(of: "://").map { base[$0.upperBound...] } ?? base[...]
        return DomainName.normalized(authority.prefix { $0 != "/" }) ?? String(authority)
    }

    /// The domain that somebody names; nil for the default one.
    ///
    /// - Throws: 400 for what is no name.
    func domain(_ text: String, _ exchange: HTTPExchange) throws(HTTPProblem) -> String? {
        guard let name = DomainName.normalized(text) else { throw ShlinkAPI.invalid(["domain"]) }
        // Without `--base` every host is the default one, but for those that have links of their own.
        guard name == defaultDomain(exchange), settings.base != nil || domains[name] == nil else { return name }
        return nil
    }

    /// What visitors find at that host, which is one of the domains; nil for all others.
    func domain(atHost field: String?) -> (name: String, redirects: SpecialRedirects)? {
        guard !domains.isEmpty, let field, let name = DomainName.normalized(field), let redirects = domains[name] else {
            return nil
        }
        return (name, redirects)
    }
}
