import KernelCryptography
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShortenerEngine

// The way of a visitor. What is in memory is answered here, before any route is looked at.
extension ShortenerHost: HTTPService {
    public func requestBegan(_ connection: HTTPServerConnection) {
        let head = connection.head
        guard isReady, head.method == .get || head.method == .head, head.body == .none || head.body == .length(0),
            let code = Self.code(in: head.targetBytes), let entry = cache.find(code)
        else { return router.requestBegan(connection) }
        connection.context = nil
        let query = head.targetBytes.dropFirst(code.utf8.count + 2)
        let visit = Visit(
            remote: connection.stream.remote.address.description, referrer: head.value(of: "Referer"),
            agent: head.value(of: "User-Agent"),
            languages: entry.link?.rules.isEmpty == false ? head.value(of: "Accept-Language") : nil,
            isCounted: head.method == .get)
        let answer = answer(code, entry, visit, query: String(decoding: query, as: UTF8.self))
        connection.respond(
            status: answer.status, fields: answer.fields, contentType: "text/plain; charset=utf-8", body: answer.text)
    }

    public func request(_ connection: HTTPServerConnection, body: UnsafeRawBufferPointer) {
        router.request(connection, body: body)
    }
    public func requestEnded(_ connection: HTTPServerConnection) { router.requestEnded(connection) }
    public func responseDrained(_ connection: HTTPServerConnection) { router.responseDrained(connection) }
    public func requestAbandoned(_ connection: HTTPServerConnection) { router.requestAbandoned(connection) }
    public func connectionClosed(_ connection: HTTPServerConnection) { router.connectionClosed(connection) }

    /// `/abc123` or `/abc123?…`, if it can be a code at all.
    private static func code(in target: ArraySlice<UInt8>) -> String? {
        guard target.first == UInt8(ascii: "/") else { return nil }
        let name = target.dropFirst().prefix { $0 != UInt8(ascii: "?") }
        guard Alias.lengths.contains(name.count), name.allSatisfy(Self.isCodeByte) else { return nil }
        return String(decoding: name, as: UTF8.self)
    }

    private static func isCodeByte(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == UInt8(ascii: "-")
            || byte == UInt8(ascii: "_")
    }

    /// Who visits.
    struct Visit {
        let remote: String
        let referrer: String?
        let agent: String?
        /// What only rules look at.
        let languages: String?
        /// HEAD asks, and does not visit.
        let isCounted: Bool
    }

    struct Answer {
        let status: Int
        var fields: [(String, String)] = []
        var text = ""
    }

    /// What a visitor of a code gets; a visit that leads on is written down first.
    func answer(_ code: String, _ entry: LinkCache.Entry, _ visit: Visit, query: String) -> Answer {
        guard let link = entry.link else {
            counts.unknown += 1
            if visit.isCounted { note(Click.orphan("/" + code), visit) }
            return Answer(status: 404, fields: [("Cache-Control", "no-store")], text: "there is no link '\(code)'\n")
        }
        switch link.verdict(now: node.wallClock, visits: entry.visits + clicks.uncounted(code)) {
        case .redirect: break
        case .notYet:
            counts.unknown += 1
            return Answer(
                status: 404, fields: [("Cache-Control", "no-store")], text: "there is no link '\(code)' yet\n")
        case .gone(let reason):
            counts.gone += 1
            if let fallback = settings.fallback { return Answer(status: 302, fields: [("Location", fallback)]) }
            return Answer(status: 410, fields: [("Cache-Control", "no-store")], text: reason + "\n")
        }
        counts.redirects += 1
        if visit.isCounted { note(code, visit) }
        var location = link.target
        var cacheControl = link.redirect.cacheControl
        if !link.rules.isEmpty {
            location = link.target(
                for: Visitor(
                    agent: visit.agent, languages: visit.languages, query: query, address: visit.remote,
                    now: node.wallClock))
            // Another visitor, or the same one tomorrow, may go elsewhere.
            cacheControl = Redirect.found.cacheControl
        }
        if link.forwardsQuery, !query.isEmpty, let target = try? TargetURL(parsing: location) {
            location = target.adding(query: query)
        }
        return Answer(
            status: link.redirect.rawValue,
            fields: [("Location", location), ("Cache-Control", cacheControl)])
    }

    func note(_ code: String, _ visit: Visit) {
        let who = keyHash(visit.remote) &+ mixed(keyHash(visit.agent ?? ""))
        clicks.add(
            Click(
                code: code, time: node.wallClock, referrer: Referrer.host(visit.referrer),
                agent: VisitorAgent(visit.agent), visitor: mixed(who ^ clicks.secret)))
    }

    /// A link from memory, or from the database.
    func find(_ code: String, _ done: @escaping (Result<LinkCache.Entry, LinkDatabaseFailure>) -> Void) {
        if let entry = cache.find(code) { return done(.success(entry)) }
        if let filter, !filter.mayContain(code) { return done(.success(LinkCache.Entry(link: nil, visits: 0))) }
        let before = forgetCount
        shared.read(code) { [self] result in
            switch result {
            case .failure(let failure): done(.failure(failure))
            // How often it was visited is another number with each visit, and only the database's is right.
            case .success(let link?) where link.maxVisits != nil: findCounted(code, before, done)
            case .success(let link): done(.success(keep(LinkCache.Entry(link: link, visits: 0), code, before)))
            }
        }
    }

    private func findCounted(
        _ code: String, _ before: Int, _ done: @escaping (Result<LinkCache.Entry, LinkDatabaseFailure>) -> Void
    ) {
        database.run([LinkTables.select(code)]) { [self] result in
            done(
                result.map { rows in
                    let found = rows.first?.first.flatMap(LinkTables.link)
                    return keep(LinkCache.Entry(link: found?.link, visits: found?.visits ?? 0), code, before)
                })
        }
    }

    /// In memory, unless something was changed while it was on its way; what others may add at any time is not known to
    /// be missing.
    private func keep(_ entry: LinkCache.Entry, _ code: String, _ before: Int) -> LinkCache.Entry {
        if forgetCount == before, shared.mayKeep, entry.link != nil || database.isExclusive {
            cache.insert(entry, for: code)
        }
        return entry
    }
}
