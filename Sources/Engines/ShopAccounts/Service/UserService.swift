import KernelCryptography
import KernelHosting
import KernelJSON
import KernelJWT
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import ShopAccountsEngine
import ShopKitService

/// What may be chosen about the accounts.
public struct UserOptions: Sendable {
    /// scrypt's N: what a password costs.
    public var passwordCost = 1 << 14
    /// How long a token is good.
    public var tokenLife = LabDuration.seconds(900)
    /// Failed attempts at one account in a quarter of an hour.
    public var attemptLimit = 10

    public init() {}
}

/// The shop's people: registration, login, profiles; tokens that everybody can verify; sessions in the cache.
public final class UserService: Service {
    public let host: ShopHost
    public var runtime: ServiceRuntime { host.runtime }
    let options: UserOptions
    let store: UserStore?
    let sessions: SessionStore?
    let keys: KeyRing
    public private(set) var registrationCount = 0
    public private(set) var loginCount = 0
    public private(set) var failedLoginCount = 0
    var refreshCount = 0
    var reuseCount = 0

    public init(
        node: Node, settings: ShopSettings, options: UserOptions = UserOptions(),
        service: ServiceOptions = ServiceOptions()
    ) {
        host = ShopHost(node: node, tag: "USERS", settings: settings, options: service)
        self.options = options
        store = host.database.map { UserStore($0) }
        sessions = settings.cache.map { SessionStore(node, $0) }
        keys = KeyRing(node, store, tokenLife: options.tokenLife)
        host.on("POST", "/register") { [unowned self] in try register($0) }
        host.on("POST", "/login") { [unowned self] in try login($0) }
        host.on("POST", "/refresh") { [unowned self] in try refresh($0) }
        host.on("POST", "/logout") { [unowned self] in try logout($0) }
        host.on("GET", "/profile") { [unowned self] in try profile($0) }
        host.on("PATCH", "/profile") { [unowned self] in try changeProfile($0) }
        host.on("POST", "/introspect") { [unowned self] in try introspect($0) }
        host.on("GET", "/.well-known/jwks.json") { [unowned self] in jwks($0) }
        host.on("POST", "/keys/rotate") { [unowned self] in rotateKeys($0) }
        host.on("GET", "/contacts/{id}") { [unowned self] in contact($0) }
    }

    // MARK: Life

    public func prepare() throws { host.prepare(announcement: "Listening on :\(port: host.settings.port)") }

    public func opened() {
        host.opened(schema: UserStore.schema) { [unowned self] in
            runtime.log("Connected to DB")
            keys.start()
        }
        sessions?.greet { [weak self] isThere in
            if isThere { self?.runtime.log("Connected to Redis") }
        }
    }

    public func stop(_ done: @escaping () -> Void) {
        sessions?.close()
        host.stop(done)
    }

    public var complaints: [String] { host.complaints + (host.isReady && !keys.isReady ? ["no keys yet"] : []) }
    public func collect(into page: inout MetricWriter) { host.collect(into: &page) }

    public var statistics: [Statistic] {
        [
            .init("registrations", registrationCount, .counter("users_registrations_total", "Accounts that were made")),
            .init("logins", loginCount, .counter("users_logins_total", "Logins with the right password")),
            .init("failed_logins", failedLoginCount, .counter("users_failed_logins_total", "Logins that were refused")),
            .init("refreshes", refreshCount, .counter("users_refreshes_total", "Sessions that were prolonged")),
            .init(
                "reused_tickets", reuseCount,
                .counter("users_reused_refresh_tokens_total", "Sessions that ended because a token came again")),
        ]
    }

    // MARK: Registering

    private func register(_ exchange: HTTPExchange) throws {
        let began = node.world.now
        let wish = try Self.wish(try exchange.json())
        guard let email = wish.email else {
            throw HTTPProblem(
                400, word: "email", "the email is missing", remedy: "send {\"email\": \"user@example.com\"}")
        }
        hash(wish.password, exchange) { [self] hash in
            store?.insert(email, hash: hash, wish, at: "\(LabTime(nanoseconds: 0) + .seconds(host.nowSeconds))") {
                [weak self] result in
                guard let self else { return }
                switch result {
                case .failure(.conflict):
                    exchange.refuse(
                        HTTPProblem(409, word: "email_taken", "\(email) is registered already", remedy: "log in"))
                case .failure(let failure): exchange.refuse(HTTPProblem(failure))
                case .success(let id):
                    registrationCount += 1
                    runtime.log("Registered \(id: id)")
                    beginSession(exchange, id, email.description, isRegistration: true, since: began)
                }
            }
        }
    }

    /// scrypt beside the loop; nobody can log in to an account without a password.
    private func hash(_ password: String?, _ exchange: HTTPExchange, _ completion: @escaping (PasswordHash?) -> Void) {
        guard let password else { return completion(nil) }
        let salt: [UInt8] = node.draw { random in
            (0..<PasswordHash.saltByteCount / 8).flatMap { _ in
                let word = random.next()
                return (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * UInt64($0))) }
            }
        }
        offload(exchange, { [cost = options.passwordCost] in try? PasswordHash(of: password, salt: salt, cost: cost) })
        {
            guard let hash = $0 else { return exchange.refuse(HTTPProblem(503, word: "busy", "no memory for scrypt")) }
            completion(hash)
        }
    }

    private func offload<Output: Sendable>(
        _ exchange: HTTPExchange, _ job: @escaping @Sendable () -> Output, _ completion: @escaping (Output) -> Void
    ) {
        do throws(OffloadError) {
            try node.offload(job, cost: Self.passwordTime, completion: completion)
        } catch {
            exchange.refuse(HTTPProblem(503, word: "busy", "\(error)", remedy: "try again in a moment"))
        }
    }

    /// What scrypt takes where the loop has to do it.
    private static let passwordTime = LabDuration.milliseconds(40)

    static func wish(_ body: JSONValue) throws -> AccountWish {
        let json = JSONCursor(body)
        do throws(AccountProblem) {
            return try AccountWish(
                email: Self.text(json["email"]), password: Self.text(json["password"]), name: Self.text(json["name"]),
                phone: Self.text(json["phone"]))
        } catch {
            throw HTTPProblem(400, word: error.member, error.description)
        }
    }

    /// What is no text reads as an empty one, which is then refused by its name.
    private static func text(_ cursor: JSONCursor) -> String? {
        guard cursor.ifPresent != nil else { return nil }
        return (try? cursor.string()) ?? "\0"
    }

    // MARK: Logging in

    private func login(_ exchange: HTTPExchange) throws {
        let began = node.world.now
        let json = JSONCursor(try exchange.json())
        let text = try json["email"].string()
        let password = try json["password"].string()
        guard let email = EmailAddress(parsing: text), password.utf8.count <= AccountWish.passwordBytes.upperBound
        else {
            return refuseLogin(exchange)
        }
        countAttempt(email, exchange) { [weak self] in
            self?.store?.find(email: email) { [weak self] result in
                guard let self else { return }
                switch result {
                case .failure(let failure): exchange.refuse(HTTPProblem(failure))
                case .success(let account): check(password, email, account, exchange, since: began)
                }
            }
        }
    }

    /// Takes as long for an account that there is not as for one that there is.
    private func check(
        _ password: String, _ email: EmailAddress, _ account: UserStore.Account?, _ exchange: HTTPExchange,
        since began: LabTime
    ) {
        let kept = account?.passwordHash.flatMap { PasswordHash(parsing: $0) }
        let cost = options.passwordCost
        offload(
            exchange,
            {
                if let kept { return kept.fits(password) }
                _ = try? PasswordHash(of: password, salt: [UInt8](repeating: 0, count: 16), cost: cost)
                return false
            }
        ) { [weak self] isRight in
            guard let self else { return }
            guard isRight, let account else { return refuseLogin(exchange) }
            loginCount += 1
            sessions?.forgetAttempts(email.folded)
            beginSession(exchange, account.id, account.email, isRegistration: false, since: began)
        }
    }

    /// Who guesses passwords has ten tries in a quarter of an hour; where the cache is away, nobody counts.
    private func countAttempt(_ email: EmailAddress, _ exchange: HTTPExchange, _ goOn: @escaping () -> Void) {
        guard let sessions else { return goOn() }
        sessions.countAttempt(email.folded) { [options] count in
            guard let count, count > options.attemptLimit else { return goOn() }
            var problem = HTTPProblem(
                429, word: "too_many_attempts", "too many attempts for this account",
                remedy: "wait a quarter of an hour")
            problem.fields = [("Retry-After", "\(SessionStore.attemptSeconds)")]
            exchange.refuse(problem)
        }
    }

    private func refuseLogin(_ exchange: HTTPExchange) {
        failedLoginCount += 1
        exchange.refuse(HTTPProblem(401, word: "invalid_credentials", "the email or the password is wrong"))
    }

    // MARK: Profiles

    private func profile(_ exchange: HTTPExchange) throws {
        let began = node.world.now
        identify(exchange) { [weak self] id in
            self?.store?.find(id: id) { [weak self] result in
                self?.answerProfile(exchange, result, since: began)
            }
        }
    }

    private func changeProfile(_ exchange: HTTPExchange) throws {
        let began = node.world.now
        let wish = try Self.wish(try exchange.json())
        if wish.email != nil || wish.password != nil {
            throw HTTPProblem(400, word: "profile", "only name and phone can be changed here")
        }
        identify(exchange) { [weak self] id in
            self?.store?.change(id: id, wish) { [weak self] result in
                self?.answerProfile(exchange, result, since: began)
            }
        }
    }

    private func answerProfile(
        _ exchange: HTTPExchange, _ result: Result<UserStore.Account?, ShopStoreFailure>, since began: LabTime
    ) {
        switch result {
        case .failure(let failure): exchange.refuse(HTTPProblem(failure))
        case .success(nil): exchange.refuse(HTTPProblem(404, word: "unknown_user", "there is no such account any more"))
        case .success(let account?): host.answer(exchange, 200, account.json.bytes(), since: began)
        }
    }

    /// For the shop's own services, which the gateway lets nobody else ask.
    private func contact(_ exchange: HTTPExchange) {
        let began = node.world.now
        store?.find(id: exchange.parameters["id"]) { [weak self] result in
            self?.answerProfile(exchange, result, since: began)
        }
    }
}

extension UserService: ShopBreakers { public var shopHosts: [ShopHost] { [host] } }
