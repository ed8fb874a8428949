import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import ShortenerEngine

/// Who may use the APIs.
struct APIKey {
    /// What a key opens: everything, the links that were made with it, or those of one domain.
    enum Role: String, CaseIterable { case admin, author, domain }

    let name: String
    /// SHA-256 of the key, in hexadecimal: who reads the database learns no key.
    let digest: String
    let role: Role
    /// The domain that it holds for; nil for all. An author's key may have one, too: it opens what is both.
    let domain: String?
    let createdAt: LabTime
    let expiresAt: LabTime?

    static let nameLimitBytes = 64
    static let limit = 10_000

    static func digest(_ key: String) -> String { Hexadecimal.encode(MessageDigest.sha256.digest(of: key)) }

    var json: JSONValue {
        [
            "name": .string(name), "role": .string(role.rawValue), "domain": domain.map { .string($0) } ?? .null,
            "created_at": LinkAPI.json(createdAt), "expires_at": LinkAPI.json(expiresAt),
        ]
    }
}

/// Somebody who was let in.
struct Caller {
    /// The name of his key; nil for the operator's, and where no keys are asked for.
    let name: String?
    /// Whether only links that were made with his key are his.
    let isAuthor: Bool
    /// Only links of this domain are his; nil for any.
    let domain: String?

    static let everybody = Caller(name: nil, isAuthor: false, domain: nil)

    var isAdmin: Bool { !isAuthor && domain == nil }

    /// For `LinkTables.within`.
    var filter: [ColumnValue] {
        [.text(isAuthor ? name ?? "" : ""), .text(domain.map { $0 + "/" } ?? "")]
    }

    func mayUse(_ link: Link) -> Bool {
        (!isAuthor || link.owner == name) && (domain == nil || link.domain == domain)
    }
}

/// The keys that the database has, in memory: a request must not wait for it to learn who asks.
struct KeyRing {
    private var keys: [String: APIKey] = [:]

    static let select = LinkStatement(
        "SELECT name, digest, role, created_at, expires_at, domain FROM url_keys ORDER BY name")

    var isEmpty: Bool { keys.isEmpty }
    var sorted: [APIKey] { keys.values.sorted { $0.name < $1.name } }

    mutating func replace(with rows: LinkRows) {
        let all = rows.compactMap { row -> APIKey? in
            guard row.count == 6, let name = row[0].text, let digest = row[1].text,
                let role = row[2].text.flatMap(APIKey.Role.init(rawValue:)), let createdAt = row[3].time
            else { return nil }
            return APIKey(
                name: name, digest: digest, role: role, domain: row[5].text, createdAt: createdAt,
                expiresAt: row[4].time)
        }
        keys = Dictionary(all.map { ($0.digest, $0) }) { first, _ in first }
    }

    /// One row if nobody has the name.
    static func insert(_ key: APIKey) -> LinkStatement {
        LinkStatement(
            "INSERT INTO url_keys (name, digest, role, created_at, expires_at, domain) "
                + "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING RETURNING name",
            [
                .text(key.name), .text(key.digest), .text(key.role.rawValue), ColumnValue(key.createdAt),
                ColumnValue(key.expiresAt), ColumnValue(key.domain),
            ])
    }

    func key(_ secret: String, now: LabTime) -> APIKey? {
        guard let key = keys[APIKey.digest(secret)], key.expiresAt.map({ now < $0 }) ?? true else { return nil }
        return key
    }
}

extension ShortenerHost {
    /// Who asks. Anybody may everything where there are no keys.
    ///
    /// - Parameter query: a key that came in the query, as YOURLS's clients send it.
    /// - Throws: 401 where keys are needed and none of them comes; 403 for a page of another origin where none are; 400
    ///   for a request to no host.
    @discardableResult
    func caller(_ exchange: HTTPExchange, query: String? = nil) throws(HTTPProblem) -> Caller {
        try expectHost(exchange)
        guard !settings.apiKeys.isEmpty || !keys.isEmpty else {
            try refuseForeignPages(exchange)
            return .everybody
        }
        let field = exchange.field("Authorization").map { $0.hasPrefix("Bearer ") ? String($0.dropFirst(7)) : $0 }
        guard let given = exchange.field("X-Api-Key") ?? field ?? query, !given.isEmpty else {
            throw Self.unauthorized("an API key is needed")
        }
        // Digests of the same length, so that the time it takes says nothing of the key.
        let digest = APIKey.digest(given)
        if settings.apiKeys.contains(where: { APIKey.digest($0) == digest }) { return .everybody }
        guard let key = keys.key(given, now: node.wallClock) else {
            throw Self.unauthorized("the API key is not known")
        }
        return Caller(name: key.name, isAuthor: key.role == .author, domain: key.domain)
    }

    private static func unauthorized(_ text: String) -> HTTPProblem {
        HTTPProblem(401, text, remedy: "send it as X-Api-Key", field: "WWW-Authenticate", "Bearer")
    }

    /// - Throws: 401, or 403 for a key that does not open everything.
    func expectAdmin(_ exchange: HTTPExchange) throws(HTTPProblem) {
        let caller = try caller(exchange)
        guard caller.isAdmin else {
            let whose = caller.isAuthor ? "an author's" : "one domain's"
            throw HTTPProblem(403, "the key is \(whose)", remedy: "use an administrator's")
        }
    }

    /// Reads the keys anew.
    func learnKeys(_ done: @escaping (LinkDatabaseFailure?) -> Void) {
        database.run([KeyRing.select]) { [self] result in
            switch result {
            case .failure(let failure): done(failure)
            case .success(let rows):
                keys.replace(with: rows.first ?? [])
                done(nil)
            }
        }
    }
}

/// Makes keys and takes them back.
final class KeyAPI {
    unowned let host: ShortenerHost

    init(_ host: ShortenerHost) { self.host = host }

    func mount(on router: HTTPRouter) {
        on(router, "GET", "/api/keys") { [host] exchange in
            exchange.answer(json: .array(host.keys.sorted.map(\.json)))
        }
        on(router, "POST", "/api/keys") { [self] exchange in try create(exchange) }
        on(router, "DELETE", "/api/keys/{name}") { [self] exchange in
            let name = exchange.parameters["name"]
            let sql = "DELETE FROM url_keys WHERE name = $1 RETURNING name"
            write([LinkStatement(sql, [.text(name)])], exchange) { rows in
                if rows.isEmpty {
                    exchange.refuse(
                        HTTPProblem(
                            404, "there is no key '\(name.prefix(64))'",
                            remedy: "GET /api/keys lists those that there are"))
                } else {
                    exchange.answer(204)
                }
            }
        }
    }

    private func on(
        _ router: HTTPRouter, _ method: String, _ template: String, _ handler: @escaping (HTTPExchange) throws -> Void
    ) {
        router.on(method, template) { [host] exchange in
            host.whenReady(exchange) {
                try host.expectAdmin(exchange)
                try handler(exchange)
            }
        }
    }

    private func create(_ exchange: HTTPExchange) throws {
        let body = JSONCursor(try exchange.json())
        try body.expectNoMembers(besides: ["name", "role", "domain", "expires_at"])
        let name = try body["name"].string()
        let isPlain = name.utf8.allSatisfy { ShortCode.alphabet.contains($0) || "-_.@".utf8.contains($0) }
        guard isPlain, (1...APIKey.nameLimitBytes).contains(name.utf8.count) else {
            throw body["name"].error("a name has 1 to \(APIKey.nameLimitBytes) letters, digits, and -_.@")
        }
        let word = try body["role"].ifPresent?.string() ?? APIKey.Role.author.rawValue
        guard let role = APIKey.Role(rawValue: word) else {
            throw body["role"].error("'\(word.prefix(40))' is none of admin, author, domain")
        }
        let domain = try domain(body["domain"], of: role, exchange)
        // The first key shuts everybody else out: an author alone could never make another.
        guard role == .admin || !host.settings.apiKeys.isEmpty || !host.keys.isEmpty else {
            throw HTTPProblem(409, "there is no administrator's key yet", remedy: "make one with the role admin first")
        }
        guard host.keys.sorted.count < APIKey.limit else {
            throw HTTPProblem(409, "there are \(APIKey.limit) keys", remedy: "take some back")
        }
        let random = host.node.draw { random in (0..<20).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
        let secret = Hexadecimal.encode(random)
        let key = APIKey(
            name: name, digest: APIKey.digest(secret), role: role, domain: domain,
            createdAt: host.node.wallClock.wholeMilliseconds, expiresAt: try LinkAPI.moment(body["expires_at"]))
        write([KeyRing.insert(key)], exchange) { rows in
            guard !rows.isEmpty, case .object(let members) = key.json else {
                return exchange.refuse(HTTPProblem(409, "there is a key '\(name)'", remedy: "choose another name"))
            }
            exchange.answer(201, json: .object([(key: "key", value: .string(secret))] + members))
        }
    }

    /// The domain that a key is to hold for.
    private func domain(
        _ cursor: JSONCursor, of role: APIKey.Role, _ exchange: HTTPExchange
    ) throws -> String? {
        guard let text = try cursor.ifPresent?.string() else {
            guard role != .domain else { throw cursor.error("a domain's key needs the name of one") }
            return nil
        }
        guard role != .admin else { throw cursor.error("an administrator's key holds for all domains") }
        guard let name = DomainName.normalized(text) else { throw cursor.error("'\(text.prefix(80))' is no domain") }
        // Links that say nothing belong to the default domain, and to everybody: as in Shlink it has no key.
        guard try host.domain(name, exchange) != nil else {
            throw cursor.error("'\(name)' is the default domain: no key holds for it alone")
        }
        return name
    }

    /// Writes, learns what there is now, and tells those who share the database.
    private func write(_ statements: [LinkStatement], _ exchange: HTTPExchange, _ done: @escaping (LinkRows) -> Void) {
        host.database.run(statements + host.notice(PostgresLinks.keysNotice)) { [host] result in
            switch result {
            case .failure(let failure): exchange.refuse(ShortenerHost.problem(failure))
            case .success(let rows):
                host.learnKeys { failure in
                    if let failure { exchange.refuse(ShortenerHost.problem(failure)) } else { done(rows.first ?? []) }
                }
            }
        }
    }
}
