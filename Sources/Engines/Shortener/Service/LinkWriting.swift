import KernelHosting
import KernelStructures
import ShortenerEngine

/// What somebody wants a new link to be.
struct LinkDraft {
    var target: String
    var alias: String?
    /// The domain that it is to belong to; nil for none.
    var domain: String?
    /// Characters of its code, where there is no alias; nil for as few as there are.
    var codeLength: Int?
    var validSince: LabTime?
    var expiresAt: LabTime?
    var maxVisits: Int?
    var redirect: Redirect?
    var title: String?
    var tags: [String] = []
    var forwardsQuery = false
    /// Who asks for it.
    var caller = Caller.everybody
    /// A link to the same place will do, if there is one.
    var findsExisting = false
    /// What it has to have in common with that: only what was given, and not all.
    var comparesGiven = false
}

extension LinkDraft {
    /// Whether a link has everything that was given.
    fileprivate func fits(_ link: Link) -> Bool {
        (alias == nil || alias == link.slug) && (validSince == nil || validSince == link.validSince)
            && (expiresAt == nil || expiresAt == link.expiresAt) && (maxVisits == nil || maxVisits == link.maxVisits)
            && (tags.isEmpty || Set(tags) == Set(link.tags)) && caller.mayUse(link)
    }
}

/// How links come to be, whichever API asks: the one way in.
extension ShortenerHost {
    /// Makes a link.
    ///
    /// - Parameter done: with the link, and whether it was there already.
    /// - Throws: `HTTPProblem` for what cannot be one, and for a client that makes too many.
    func make(
        _ draft: LinkDraft, for exchange: HTTPExchange,
        _ done: @escaping (Result<(link: Link, isNew: Bool), HTTPProblem>) -> Void
    ) throws(HTTPProblem) {
        let target = try checkedTarget(draft.target, exchange)
        var draft = draft
        // Whose key holds for one domain makes links of that one, whatever he says.
        draft.domain = draft.caller.domain ?? draft.domain
        if let alias = draft.alias {
            do throws(Alias.Malformed) { try Alias.check(alias) } catch {
                throw HTTPProblem(400, "\(error)", remedy: "choose another, or none")
            }
        }
        try checkDetails(title: draft.title, tags: draft.tags)
        try expectRoom(for: exchange)
        let link = Link(
            code: draft.alias.map { LinkKey.make($0, domain: draft.domain) } ?? "", target: target,
            createdAt: node.wallClock.wholeMilliseconds,
            validSince: draft.validSince, expiresAt: draft.expiresAt, maxVisits: draft.maxVisits,
            redirect: draft.redirect ?? settings.redirect, title: draft.title, tags: draft.tags,
            isAlias: draft.alias != nil, forwardsQuery: draft.forwardsQuery, owner: draft.caller.name)
        guard draft.domain.map({ domains[$0] != nil }) ?? true || domains.count < DomainTable.limit else {
            throw HTTPProblem(409, "there are \(DomainTable.limit) domains", remedy: "use one of those")
        }
        guard draft.findsExisting else { return insert(link, draft, attempts: Self.attempts, done) }
        existing(like: link, draft) { [self, draft] result in
            switch result {
            case .failure(let failure): done(.failure(Self.problem(failure)))
            case .success(let found?): done(.success((found, false)))
            case .success(nil): insert(link, draft, attempts: Self.attempts, done)
            }
        }
    }

    /// Codes that are tried in the place of one that is somebody's alias.
    private static let attempts = 100

    private func insert(
        _ link: Link, _ draft: LinkDraft, attempts: Int,
        _ done: @escaping (Result<(link: Link, isNew: Bool), HTTPProblem>) -> Void
    ) {
        guard !link.isAlias else { return put(link, draft, attempts: 0, done) }
        codes.take(length: draft.codeLength) { [self] result in
            switch result {
            case .failure(let failure): done(.failure(Self.problem(failure)))
            case .success(let code):
                var link = link
                link.code = LinkKey.make(code, domain: draft.domain)
                put(link, draft, attempts: attempts - 1, done)
            }
        }
    }

    private func put(
        _ link: Link, _ draft: LinkDraft, attempts: Int,
        _ done: @escaping (Result<(link: Link, isNew: Bool), HTTPProblem>) -> Void
    ) {
        var statements = [LinkTables.insert(link)]
        if let domain = draft.domain, domains[domain] == nil {
            statements += [DomainTable.note(domain, for: link)] + notice(PostgresLinks.domainsNotice)
        }
        database.run(statements) { [self] result in
            switch result {
            case .failure(let failure): done(.failure(Self.problem(failure)))
            case .success(let rows) where rows.first?.isEmpty == false:
                if let domain = draft.domain { domains.learn(domain) }
                stored(link)
                done(.success((link, true)))
            case .success where link.isAlias:
                counts.conflicts += 1
                var problem = HTTPProblem(409, "the alias '\(link.slug)' is taken", remedy: "choose another, or none")
                problem.members = [("customSlug", .string(link.slug))]
                done(.failure(problem))
            case .success where attempts > 0: insert(link, draft, attempts: attempts, done)
            case .success:
                done(
                    .failure(HTTPProblem(503, "no free code was found", remedy: "try again", field: "Retry-After", "1"))
                )
            }
        }
    }

    /// The oldest link to the same place that is made the same way and not over; or the newest one that has what was
    /// given.
    private func existing(
        like link: Link, _ draft: LinkDraft, _ done: @escaping (Result<Link?, LinkDatabaseFailure>) -> Void
    ) {
        let order = draft.comparesGiven ? "created_at DESC" : "created_at"
        let sql =
            "SELECT \(LinkTables.columns) FROM url_links WHERE target = $1 AND deleted_at IS NULL "
            + "ORDER BY \(order), code LIMIT 100"
        database.run(sql, [.text(link.target)]) { [node] result in
            done(
                result.map { rows in
                    rows.compactMap(LinkTables.link).first { row in
                        guard row.link.domain == draft.domain else { return false }
                        if draft.comparesGiven {
                            if case .gone = row.link.verdict(now: node.wallClock, visits: row.visits) { return false }
                            return draft.fits(row.link)
                        }
                        var same = row.link
                        if !link.isAlias { same.code = "" }
                        same.createdAt = link.createdAt
                        same.rules = link.rules
                        same.version = link.version
                        if !link.isAlias { same.isAlias = false }
                        return same == link && row.link.verdict(now: node.wallClock, visits: row.visits) == .redirect
                    }?.link
                })
        }
    }

    /// Changes a link, and writes down what it was.
    ///
    /// - Parameter what: what changed, for the history.
    func change(
        _ code: String, for exchange: HTTPExchange, what: String,
        _ body: @escaping (inout Link) throws(HTTPProblem) -> Void,
        _ done: @escaping (Result<Link, HTTPProblem>) -> Void
    ) throws(HTTPProblem) {
        let caller = try caller(exchange)
        database.run([LinkTables.select(code)]) { [self] result in
            switch result {
            case .failure(let failure): done(.failure(Self.problem(failure)))
            case .success(let rows):
                guard let old = rows.first?.first.flatMap(LinkTables.link)?.link, caller.mayUse(old) else {
                    return done(.failure(Self.missing(code)))
                }
                var link = old
                do throws(HTTPProblem) { try body(&link) } catch { return done(.failure(error)) }
                guard link != old else { return done(.success(old)) }
                link.version = old.version + 1
                guard link.maxVisits != nil, old.maxVisits == nil else {
                    return replace(old, by: link, what: what, done)
                }
                // Until now nobody had to know at once how often it was visited.
                clicks.watch(code)
                clicks.flush { [self, link] _ in
                    replace(old, by: link, what: what) { [self] result in
                        clicks.unwatch(code)
                        done(result)
                    }
                }
            }
        }
    }

    private func replace(
        _ old: Link, by link: Link, what: String, _ done: @escaping (Result<Link, HTTPProblem>) -> Void
    ) {
        var statements = [LinkTables.update(link, from: old.version)]
        let note = what + (link.target != old.target ? ": was \(old.target)" : "")
        statements.append(LinkTables.history(link, what: note, at: node.wallClock))
        statements += notice(link.code)
        database.run(statements) { [self] result in
            forget(link.code)
            switch result {
            case .success(let rows) where rows.first?.isEmpty == false:
                // Whoever asks from now on, here or elsewhere, gets the new one.
                shared.invalidate(link.code) { [self] in
                    forget(link.code)
                    done(.success(link))
                }
            case .success:
                done(
                    .failure(
                        HTTPProblem(409, "somebody else has changed the link", remedy: "read it again, and try again")))
            // The history has the version already: the same thing.
            case .failure(let failure) where failure.description.contains("23505"):
                done(
                    .failure(
                        HTTPProblem(409, "somebody else has changed the link", remedy: "read it again, and try again")))
            case .failure(let failure): done(.failure(Self.problem(failure)))
            }
        }
    }

    /// Tells those who share the database of a change.
    func notice(_ text: String) -> [LinkStatement] {
        database.isExclusive
            ? [] : [LinkStatement("SELECT pg_notify($1, $2)", [.text(PostgresLinks.channel), .text(text)])]
    }

    /// The code in a request's path, with `DOMAIN%2F` before it for one that belongs to a domain, and need not be said
    /// by whose key holds for that domain alone.
    ///
    /// - Throws: 404 for what no code can be.
    func code(_ exchange: HTTPExchange) throws(HTTPProblem) -> String {
        let code = exchange.parameters["code"]
        guard (try? LinkKey.check(code)) != nil else { throw Self.missing(code) }
        guard !code.contains("/") else { return code }
        return LinkKey.make(code, domain: try caller(exchange).domain)
    }

    static func missing(_ code: String) -> HTTPProblem {
        HTTPProblem(404, "there is no link '\(code)'", remedy: "GET /api/links lists those that there are")
    }

    /// As it is stored: understood, written out again, and leading away from here.
    func checkedTarget(_ text: String, _ exchange: HTTPExchange) throws(HTTPProblem) -> String {
        let target: TargetURL
        do throws(TargetURL.Malformed) { target = try TargetURL(parsing: text) } catch {
            throw HTTPProblem(400, "\(error)", remedy: error.remedy)
        }
        guard !target.hasCredentials else {
            throw HTTPProblem(
                400, "the address has a name or password in it", remedy: "leave out what stands before the @")
        }
        guard settings.allowsPrivate || !target.isPrivate else {
            throw HTTPProblem(
                400, "the address is one of each visitor's own network", remedy: "give one that means the same to all")
        }
        if leadsHere(target, exchange) {
            throw HTTPProblem(422, "the address leads back to this service", remedy: "give the address of another")
        }
        return target.description
    }

    func checkDetails(title: String?, tags: [String]) throws(HTTPProblem) {
        if let title, title.utf8.contains(where: { $0 < 32 || $0 == 127 }) {
            throw HTTPProblem(400, "the title has control characters", remedy: "leave them out")
        }
        if let title, title.utf8.count > Link.titleLimitBytes {
            throw HTTPProblem(400, "the title has more than \(Link.titleLimitBytes) bytes", remedy: "shorten it")
        }
        guard tags.count <= Link.tagLimit else {
            throw HTTPProblem(400, "there are more than \(Link.tagLimit) tags", remedy: "leave some out")
        }
        for tag in tags
        where tag.isEmpty || tag.utf8.count > Link.tagLimitBytes || tag.contains(where: { $0.isWhitespace || $0 < " " })
        {
            throw HTTPProblem(
                400, "'\(tag.prefix(80))' is no tag",
                remedy: "a tag has no spaces, and at most \(Link.tagLimitBytes) bytes")
        }
    }
}

extension LabTime {
    /// As the database keeps it.
    var wholeMilliseconds: LabTime { LabTime(nanoseconds: nanoseconds / 1_000_000 * 1_000_000) }
}
