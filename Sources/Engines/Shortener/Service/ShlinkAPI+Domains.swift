import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShortenerEngine

// Domains: who reads a link by its code says at which of them, and each can lead those elsewhere who find none.
extension ShlinkAPI {
    func mountDomains(on router: HTTPRouter) {
        on(router, "GET", "/rest/v3/domains") { [self] exchange in
            listDomains(exchange, try host.caller(exchange))
        }
        on(router, "PATCH", "/rest/v3/domains/redirects") { [self] exchange in try setRedirects(exchange) }
    }

    /// What Shlink says of a body that makes no sense to it.
    static func invalid(_ names: [String]) -> HTTPProblem {
        var problem = HTTPProblem(
            400, "Provided data is not valid", remedy: "see what is in \(names.joined(separator: ", "))")
        problem.type = "https://shlink.io/api/error/invalid-data"
        problem.title = "Invalid data"
        problem.members = [("invalidElements", .array(names.map { .string($0) }))]
        return problem
    }

    /// The link that a request is about: by the code in its path, and `?domain=`.
    ///
    /// - Throws: 404 for what no code can be, 400 for what is no domain.
    func key(_ exchange: HTTPExchange) throws -> String {
        var query = try exchange.query()
        return try key(exchange, &query)
    }

    func key(_ exchange: HTTPExchange, _ query: inout HTTPQuery) throws -> String {
        let code = exchange.parameters["code"]
        guard (try? Alias.check(code)) != nil else { throw ShortenerHost.missing(code) }
        let domain = try query.take("domain").flatMap { name in try host.domain(name, exchange) }
        return LinkKey.make(code, domain: try host.caller(exchange).domain ?? domain)
    }

    /// Those that the caller may know of: whose key holds for one domain that one, an author those with links of his.
    private func listDomains(_ exchange: HTTPExchange, _ caller: Caller) {
        let standard = host.defaultDomain(exchange)
        if let domain = caller.domain { return answerDomains([domain], standard, exchange) }
        guard caller.isAuthor else {
            return answerDomains(
                [standard] + host.domains.sorted.map(\.name).filter { $0 != standard }, standard, exchange)
        }
        host.database.run([DomainTable.names(ofLinksBy: caller.name ?? "")]) { [self] result in
            switch result {
            case .failure(let failure): exchange.refuse(ShortenerHost.problem(failure))
            case .success(let answers):
                let names = (answers.first ?? []).compactMap { $0.first?.text }
                answerDomains([standard] + names.filter { $0 != standard }, standard, exchange)
            }
        }
    }

    private func answerDomains(_ names: [String], _ standard: String, _ exchange: HTTPExchange) {
        exchange.answer(json: [
            "domains": [
                "data": .array(
                    names.map { name in (name: name, redirects: host.domains[name] ?? SpecialRedirects()) }.map {
                        domain in
                        [
                            "domain": .string(domain.name), "isDefault": .bool(domain.name == standard),
                            "redirects": domain.redirects.json,
                        ]
                    }), "defaultRedirects": SpecialRedirects(expiredShortURL: host.settings.fallback).json,
            ]
        ])
    }

    private func setRedirects(_ exchange: HTTPExchange) throws {
        let caller = try host.caller(exchange)
        let body = JSONCursor(try exchange.json())
        let name = (try? body["domain"].string()).flatMap { DomainName.normalized($0) }
        // Whose key holds for a domain says where that leads, and no other.
        if caller.isAuthor || caller.domain.map({ $0 != name }) == true { try host.expectAdmin(exchange) }
        var invalid = name == nil ? ["domain"] : []
        var changes: [(path: WritableKeyPath<SpecialRedirects, String?>, target: String?)] = []
        for (member, path) in zip(SpecialRedirects.names, SpecialRedirects.paths) {
            let cursor = body[member]
            if cursor.value == nil { continue }
            if cursor.ifPresent == nil {
                changes.append((path, nil))
            } else if let text = try? cursor.string(), let target = try? host.checkedTarget(text, exchange),
                SpecialTarget.isHostFixed(target)
            {
                changes.append((path, SpecialTarget(stored: target).description))
            } else {
                invalid.append(member)
            }
        }
        guard let name, invalid.isEmpty else { throw Self.invalid(invalid) }
        guard host.domains[name] != nil || host.domains.count < DomainTable.limit else {
            throw HTTPProblem(409, "there are \(DomainTable.limit) domains", remedy: "use one of those")
        }
        host.learnDomains { [host] failure in
            if let failure { return exchange.refuse(ShortenerHost.problem(failure)) }
            var redirects = host.domains[name] ?? SpecialRedirects()
            for change in changes { redirects[keyPath: change.path] = change.target }
            host.database.run([DomainTable.set(name, redirects)] + host.notice(PostgresLinks.domainsNotice)) { result in
                if case .failure(let failure) = result { return exchange.refuse(ShortenerHost.problem(failure)) }
                host.learnDomains { failure in
                    if let failure { return exchange.refuse(ShortenerHost.problem(failure)) }
                    exchange.answer(json: redirects.json)
                }
            }
        }
    }
}
