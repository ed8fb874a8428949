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
            domains.isEmpty || domain(atHost: head.value(of: .host)) == nil,
            let code = Self.code(in: head.targetBytes), let entry = cache.find(code)
        else { return requestOfRoute(connection, head) }
        connection.context = nil
        let visit = Visit(head, from: connection.stream.remote.address)
        let query = head.targetBytes.dropFirst(code.utf8.count + 2)
        if let steady = entry.steady, query.isEmpty || !steady.forwardsQuery,
            steady.leads(now: node.wallClock, visits: steady.isLimited ? entry.visits + clicks.uncounted(code) : 0)
        {
            let name = follow(code, visit, isLimited: steady.isLimited)
            connection.respond(status: steady.status) { head in
                head.append(contentsOf: steady.lines)
                if let name { appendField(name, to: &head) }
            }
        } else {
            let answer = answer(code, entry, visit, head, query: String(decoding: query, as: UTF8.self))
            connection.respond(
                status: answer.status, fields: answer.fields, contentType: "text/plain; charset=utf-8",
                body: answer.text)
        }
    }

    private func requestOfRoute(_ connection: HTTPServerConnection, _ head: HTTPHead) {
        guard isReady, !domains.isEmpty, settings.extraPath == .refuse, head.method == .get,
            let target = regular404(head)
        else { return router.requestBegan(connection) }
        connection.context = nil
        let name = note(Click.orphan(head.path), Visit(head, from: connection.stream.remote.address), isLimited: false)
        connection.respond(
            status: Redirect.found.rawValue, fields: [("Location", destination(target, for: head))] + fields(name),
            body: "")
    }

    /// Where an address for those who find nothing leads whoever has asked for that.
    func destination(_ target: String, for head: HTTPHead) -> String {
        SpecialTarget(stored: target).location(
            domain: head.value(of: .host).flatMap { DomainName.normalized($0) } ?? "",
            path: String(decoding: head.targetPath, as: UTF8.self))
    }

    /// Where a domain sends visitors of paths of several words, which no link has and none of the service's own.
    private func regular404(_ head: HTTPHead) -> String? {
        let words = head.path.split(separator: "/")
        guard words.count > 1, !Alias.reserved.contains(words[0].lowercased()),
            words.count > 2 || !["qr-code", "track"].contains(words[1])
        else { return nil }
        return domain(atHost: head.value(of: .host))?.redirects.regular404
    }

    /// `X-Click-Id`: what the visitor's click is called in the books.
    private func appendField(_ name: ClickName, to head: inout [UInt8]) {
        head.append(contentsOf: Self.clickFieldStart)
        clicks.seal.append(name, to: &head)
        head.append(utf8: "\r\n")
    }

    public func request(_ connection: HTTPServerConnection, body: UnsafeRawBufferPointer) {
        router.request(connection, body: body)
    }
    public func requestEnded(_ connection: HTTPServerConnection) { router.requestEnded(connection) }
    public func responseDrained(_ connection: HTTPServerConnection) { router.responseDrained(connection) }
    public func requestAbandoned(_ connection: HTTPServerConnection) { router.requestAbandoned(connection) }
    public func isAbandonedByEnd(_ connection: HTTPServerConnection) -> Bool { router.isAbandonedByEnd(connection) }
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

    static let clickField = "X-Click-Id"
    private static let clickFieldStart = Array("\(clickField): ".utf8)

    /// Who visits, as bytes: most of it is only counted, and never becomes a text.
    struct Visit {
        let address: IPAddress?
        let referrer: ArraySlice<UInt8>
        let agent: ArraySlice<UInt8>
        /// HEAD asks, and does not visit.
        let isCounted: Bool

        init(_ head: HTTPHead, from address: IPAddress?) {
            self.address = address
            referrer = head.valueBytes(of: "Referer") ?? []
            agent = head.valueBytes(of: .userAgent) ?? []
            isCounted = head.method == .get
        }
    }

    struct Answer {
        let status: Int
        var fields: [(String, String)] = []
        var text = ""
    }

    /// Whether the link leads on now.
    private func verdict(_ code: String, _ link: Link, _ entry: LinkCache.Entry) -> VisitVerdict {
        // Claims have what is still on its way.
        let onTheirWay = database.isExclusive ? clicks.uncounted(code) : 0
        let visits = link.maxVisits == nil ? 0 : entry.visits + onTheirWay
        return link.verdict(now: node.wallClock, visits: visits)
    }

    /// Takes one of the visits that a link is good for, where others may do so at the same time: the database decides.
    /// A visit that was taken is used up, even if its visitor never gets the answer.
    ///
    /// - Parameter done: with the link as this visitor finds it.
    func claim(
        _ code: String, _ entry: LinkCache.Entry, isCounted: Bool,
        _ done: @escaping (Result<LinkCache.Entry, LinkDatabaseFailure>) -> Void
    ) {
        guard !database.isExclusive, isCounted, let link = entry.link, let limit = link.maxVisits,
            verdict(code, link, entry) == .redirect
        else { return done(.success(entry)) }
        database.run([LinkTables.claim(code)]) { result in
            done(result.map { $0.first?.isEmpty == false ? entry : LinkCache.Entry(link: link, visits: limit) })
        }
    }

    /// A visit that leads on: it is written down before its answer leaves.
    private func follow(_ code: String, _ visit: Visit, isLimited: Bool) -> ClickName? {
        counts.redirects += 1
        return visit.isCounted ? note(code, visit, isLimited: isLimited) : nil
    }

    /// What a visitor of a code gets.
    ///
    /// - Parameters:
    ///   - head: what he asked.
    ///   - extraPath: what he asked for behind the code, with its slash, to be handed on.
    ///   - special: where the domain sends visitors of links that are over, in place of `--fallback`.
    func answer(
        _ code: String, _ entry: LinkCache.Entry, _ visit: Visit, _ head: HTTPHead, query: String,
        extraPath: String = "", special: SpecialRedirects? = nil
    ) -> Answer {
        guard let link = entry.link else {
            counts.unknown += 1
            let name = visit.isCounted ? note(Click.orphan("/" + code), visit, isLimited: false) : nil
            return Answer(
                status: 404, fields: [("Cache-Control", "no-store")] + fields(name),
                text: "there is no link '\(code)'\n")
        }
        switch verdict(code, link, entry) {
        case .redirect: break
        case .notYet:
            counts.unknown += 1
            return Answer(
                status: 404, fields: [("Cache-Control", "no-store")], text: "there is no link '\(code)' yet\n")
        case .gone(let reason):
            counts.gone += 1
            if let fallback = special?.expiredShortURL ?? special?.invalidShortURL ?? settings.fallback {
                return Answer(
                    status: Redirect.found.rawValue, fields: [("Location", destination(fallback, for: head))])
            }
            return Answer(status: 410, fields: [("Cache-Control", "no-store")], text: reason + "\n")
        }
        let name = follow(code, visit, isLimited: link.maxVisits != nil)
        var location = link.target
        let cacheControl = Redirect.cacheControl(seconds: link.cacheSeconds(now: node.wallClock))
        if !link.rules.isEmpty {
            location = link.target(for: Visitor(visit, head, query: query, now: node.wallClock))
        }
        let handedOn = link.forwardsQuery ? query : ""
        if !handedOn.isEmpty || !extraPath.isEmpty, let target = try? TargetURL(parsing: location) {
            location = target.adding(path: extraPath, query: handedOn)
        }
        return Answer(
            status: link.redirect.rawValue,
            fields: [("Location", location), ("Cache-Control", cacheControl)] + fields(name))
    }

    func fields(_ name: ClickName?) -> [(String, String)] {
        name.map { [(Self.clickField, clicks.seal.text($0))] } ?? []
    }

    /// - Returns: what the click is called; nil if the disk has not taken it.
    func note(_ code: String, _ visit: Visit, isLimited: Bool) -> ClickName? {
        let address = visit.address.map { mixed($0.high ^ mixed($0.low)) } ?? 0
        let who = address &+ mixed(keyHash(visit.agent))
        let referrer = visit.referrer.isEmpty ? nil : String(decoding: visit.referrer, as: UTF8.self)
        return clicks.add(
            Click(
                code: code, time: node.wallClock, referrer: Referrer.host(referrer),
                agent: VisitorAgent(bytes: visit.agent), visitor: mixed(who ^ clicks.secret)), isLimited: isLimited)
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
        let claims = database.isExclusive ? [] : [LinkTables.claims(of: code)]
        database.run([LinkTables.select(code)] + claims) { [self] result in
            done(
                result.map { rows in
                    let found = rows.first?.first.flatMap(LinkTables.link)
                    let taken = claims.isEmpty ? 0 : rows.last?.first?.first?.integer ?? 0
                    return keep(
                        LinkCache.Entry(link: found?.link, visits: max(found?.visits ?? 0, taken)), code, before)
                })
        }
    }

    /// In memory, unless something was changed while it was on its way. What others may add at any time is not known to
    /// be missing, and how many visits they have left of a link not known at all.
    private func keep(_ entry: LinkCache.Entry, _ code: String, _ before: Int) -> LinkCache.Entry {
        let isOthersBusiness = entry.link == nil || entry.link?.maxVisits != nil
        if forgetCount == before, shared.mayKeep, !isOthersBusiness || database.isExclusive {
            cache.insert(entry, for: code)
        }
        return entry
    }
}

extension Visitor {
    fileprivate init(_ visit: ShortenerHost.Visit, _ head: HTTPHead, query: String, now: LabTime) {
        self.init(
            agent: visit.agent.isEmpty ? nil : String(decoding: visit.agent, as: UTF8.self),
            languages: head.value(of: "Accept-Language"), query: query,
            address: visit.address?.description ?? "", now: now)
    }
}
