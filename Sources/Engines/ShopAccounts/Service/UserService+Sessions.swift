import KernelHosting
import KernelJSON
import KernelJWT
import KernelStructures
import KernelWire
import KernelWorld
import ShopAccountsEngine
import ShopKitService

/// Tokens and sessions.
extension UserService {
    private static let cookieName = "refresh_token"

    /// Gives somebody a token; with the cache also a session, and a refresh token for it.
    func beginSession(
        _ exchange: HTTPExchange, _ id: String, _ email: String, isRegistration: Bool, since began: LabTime
    ) {
        let ticket = node.draw { random in
            let session = hexadecimal(random.next(), 16)
            return SessionRecord.Ticket(sessionID: session, random: &random)
        }
        guard let sessions else {
            return give(exchange, id, email, sessionID: nil, nil, isRegistration: isRegistration, since: began)
        }
        let record = SessionRecord(userID: id, email: email, ticket: ticket, now: host.now)
        sessions.put(record, id: ticket.sessionID) { [weak self] isStored in
            // Without the cache there is a token all the same, for its quarter of an hour.
            self?.give(
                exchange, id, email, sessionID: isStored ? ticket.sessionID : nil, isStored ? ticket : nil,
                isRegistration: isRegistration, since: began)
        }
    }

    private func give(
        _ exchange: HTTPExchange, _ id: String, _ email: String, sessionID: String?, _ ticket: SessionRecord.Ticket?,
        isRegistration: Bool, since began: LabTime
    ) {
        guard let token = token(id, email, sessionID) else {
            return exchange.refuse(HTTPProblem(503, word: "keys", "there is no key to sign with yet"))
        }
        var members: [(key: String, value: JSONValue)] = [("user_id", .string(id)), ("token", .string(token))]
        if let ticket, var cookie = try? HTTPCookie(Self.cookieName, ticket.text) {
            cookie.lifetime = .seconds(SessionRecord.lifeSeconds)
            cookie.path = "/"
            cookie.isHTTPOnly = true
            cookie.sameSite = .strict
            try? exchange.setCookie(cookie)
        }
        if !isRegistration {
            members += [
                ("token_type", "Bearer"), ("expires_in", .integer(Int(options.tokenLife.nanoseconds / 1_000_000_000))),
            ]
            if let ticket { members.append(("refresh_token", .string(ticket.text))) }
        }
        host.answer(exchange, 200, JSONValue.object(members).bytes(.spaced), since: began)
    }

    private func token(_ id: String, _ email: String, _ sessionID: String?) -> String? {
        guard let signer = keys.signer else { return nil }
        let now = host.nowSeconds
        var claims: [(key: String, value: JSONValue)] = [
            ("iss", .string(ShopAccounts.issuer)), ("sub", .string(id)), ("aud", .string(ShopAccounts.audience)),
            ("email", .string(email)), ("iat", .integer(now)),
            ("exp", .integer(now + Int(options.tokenLife.nanoseconds / 1_000_000_000))),
            ("jti", .string(node.draw { hexadecimal($0.next(), 16) })),
        ]
        if let sessionID { claims.append(("sid", .string(sessionID))) }
        return try? signer.sign(.object(claims))
    }

    // MARK: Prolonging and ending

    /// The refresh token from the body, otherwise from the cookie.
    private func ticket(_ exchange: HTTPExchange) throws -> SessionRecord.Ticket {
        let text: String?
        if exchange.body.isEmpty {
            text = exchange.cookie(Self.cookieName)
        } else {
            text =
                try JSONCursor(try exchange.json())["refresh_token"].ifPresent?.string()
                ?? exchange.cookie(Self.cookieName)
        }
        guard let text else {
            throw HTTPProblem(
                400, word: "refresh_token", "the refresh token is missing", remedy: "send {\"refresh_token\": …}")
        }
        guard let ticket = SessionRecord.Ticket(parsing: text) else { throw Self.noSession }
        return ticket
    }

    private static var noSession: HTTPProblem {
        HTTPProblem(401, word: "invalid_session", "there is no such session any more", remedy: "log in")
    }

    func refresh(_ exchange: HTTPExchange) throws {
        let began = node.world.now
        let ticket = try ticket(exchange)
        guard let sessions else {
            throw HTTPProblem(503, word: "no_sessions", "sessions need a cache, and this service has none")
        }
        sessions.find(ticket.sessionID) { [weak self] result in
            guard let self else { return }
            guard case .success(let found) = result else {
                return exchange.refuse(HTTPProblem(503, word: "no_sessions", "the cache does not answer"))
            }
            guard var record = found else { return exchange.refuse(Self.noSession) }
            let next = node.draw { SessionRecord.Ticket(sessionID: ticket.sessionID, random: &$0) }
            do throws(SessionRecord.Refusal) {
                try record.rotate(from: ticket, to: next, now: host.now)
            } catch {
                reuseCount += 1
                runtime.log("A refresh token of \(id: record.userID) came twice: the session is over", level: .warning)
                return sessions.remove(ticket.sessionID) { _ in exchange.refuse(Self.noSession) }
            }
            sessions.put(record, id: ticket.sessionID, onlyIfThere: true) { [weak self] isStored in
                guard isStored else { return exchange.refuse(Self.noSession) }
                self?.refreshCount += 1
                self?.give(
                    exchange, record.userID, record.email, sessionID: next.sessionID, next, isRegistration: false,
                    since: began)
            }
        }
    }

    /// Ends the session of the token, or of the refresh token.
    func logout(_ exchange: HTTPExchange) throws {
        let began = node.world.now
        let sessionID: String
        if let jwt = bearer(exchange), case .string(let id)? = jwt.claims["sid"] {
            sessionID = id
        } else {
            sessionID = try ticket(exchange).sessionID
        }
        guard let sessions else {
            throw HTTPProblem(503, word: "no_sessions", "sessions need a cache, and this service has none")
        }
        sessions.remove(sessionID) { [weak self] isDone in
            guard isDone else {
                return exchange.refuse(HTTPProblem(503, word: "no_sessions", "the cache does not answer"))
            }
            self?.host.answer(exchange, 200, JSONValue.object([("status", "logged_out")]).bytes(.spaced), since: began)
        }
    }

    // MARK: Who is it?

    private func bearer(_ exchange: HTTPExchange) -> JWT? {
        guard let field = exchange.field("Authorization"), field.lowercased().hasPrefix("bearer ") else { return nil }
        return keys.verify(Array(field.utf8.dropFirst("bearer ".utf8.count)), now: host.now)
    }

    /// By the token, whose session must not be over; by what the gateway has put in, where there is none.
    func identify(_ exchange: HTTPExchange, _ goOn: @escaping (String) -> Void) {
        let refused = HTTPProblem(
            401, "a token is missing, or is not good", remedy: "log in", field: "WWW-Authenticate", "Bearer")
        guard exchange.field("Authorization") != nil else {
            guard let id = exchange.field("X-User-Id"), !id.isEmpty else { return exchange.refuse(refused) }
            return goOn(id)
        }
        guard let jwt = bearer(exchange), let id = jwt.claims.subject else { return exchange.refuse(refused) }
        isLive(jwt) { isLive in if isLive { goOn(id) } else { exchange.refuse(refused) } }
    }

    /// Whether the token's session is not over; where the cache is away, the token alone counts.
    private func isLive(_ jwt: JWT, _ answer: @escaping (Bool) -> Void) {
        guard let sessions, case .string(let id)? = jwt.claims["sid"] else { return answer(true) }
        sessions.find(id) { result in
            if case .success(nil) = result { answer(false) } else { answer(true) }
        }
    }

    /// RFC 7662: whether a token is good at this moment, its session included.
    func introspect(_ exchange: HTTPExchange) throws {
        let began = node.world.now
        var form = try exchange.form()
        guard let text = try form.take("token") else {
            throw HTTPProblem(400, word: "token", "the token is missing", remedy: "send a form with token=…")
        }
        let inactive = JSONValue.object([("active", false)])
        guard let jwt = keys.verify(Array(text.utf8), now: host.now) else {
            return host.answer(exchange, 200, inactive.bytes(.spaced), since: began)
        }
        isLive(jwt) { [weak self] isLive in
            var answer = inactive
            if isLive, case .object(let claims) = jwt.claims.json {
                let head: [(key: String, value: JSONValue)] = [("active", true), ("token_type", "Bearer")]
                answer = .object(head + claims)
            }
            self?.host.answer(exchange, 200, answer.bytes(.spaced), since: began)
        }
    }

    // MARK: Keys

    func jwks(_ exchange: HTTPExchange) {
        guard keys.isReady else { return exchange.refuse(HTTPProblem(503, word: "keys", "there are no keys yet")) }
        try? exchange.addField("Cache-Control", "public, max-age=300")
        exchange.answer(json: keys.published(at: host.now).json())
    }

    func rotateKeys(_ exchange: HTTPExchange) {
        let began = node.world.now
        keys.rotate { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let name):
                runtime.log("Key \(id: name) signs from now on")
                host.answer(exchange, 200, JSONValue.object([("kid", .string(name))]).bytes(.spaced), since: began)
            }
        }
    }
}
