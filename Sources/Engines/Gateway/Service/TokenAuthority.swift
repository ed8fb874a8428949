import GatewayEngine
import KernelCryptography
import KernelHosting
import KernelJSON
import KernelJWT
import KernelService
import KernelStructures
import KernelTLS
import KernelWire
import KernelWorld

/// Checks tokens that an issuer has signed: `JWTVerifier` decides, here keys are fetched and requests wait for them.
final class TokenAuthority {
    private let node: Node
    let settings: GatewayConfiguration.JWTSettings
    private(set) var verifier: JWTVerifier
    private let url: HTTPURL?
    private let security: TLSClient?
    /// Those that cannot be decided before keys have come.
    private var waiting: [(token: [UInt8], completion: (Result<Identity, AccessRefusal>) -> Void)] = []
    private var call: HTTPCall?
    private var timer: TimerID?
    private var timerTime = LabTime.distantFuture
    private var isOver = false
    private let log: (LogMessage, LogLevel) -> Void
    /// Whose token it was, by the claims that were read of it once.
    private var identities = GenerationCache<[UInt8], Identity>(generationCount: 5000)

    static let waitingLimit = 10_000
    private static let fetchDeadline = LabDuration.seconds(10)

    /// - Throws: what is wrong with the keys, or `ReloadFailure`.
    init(
        _ settings: GatewayConfiguration.JWTSettings, node: Node, readFile: (String) throws -> [UInt8],
        log: @escaping (LogMessage, LogLevel) -> Void
    ) throws {
        self.node = node
        self.settings = settings
        self.log = log
        verifier = try Self.verifier(settings, readFile: readFile)
        if case .url(let text) = settings.keys {
            let url = try HTTPURL(text)
            self.url = url
            security = url.scheme == .https ? try TLSClient(try TLSClientOptions.lab(node.world)) : nil
        } else {
            url = nil
            security = nil
        }
    }

    /// What judges tokens, with the keys that a file has; those of a URL are still to come.
    ///
    /// - Throws: what is wrong with the keys, or `ReloadFailure`.
    static func verifier(
        _ settings: GatewayConfiguration.JWTSettings, readFile: (String) throws -> [UInt8]
    ) throws -> JWTVerifier {
        let algorithms = settings.algorithms.compactMap { JWSAlgorithm(rawValue: $0) }
        let isSecret = if case .secret = settings.keys { true } else { false }
        let policy = JWTPolicy(
            algorithms: isSecret ? [.hs256] : algorithms.isEmpty ? JWSAlgorithm.asymmetric : algorithms,
            issuers: settings.issuers, audiences: settings.audiences, leeway: settings.leeway)
        switch settings.keys {
        case .file(let name):
            return JWTVerifier(
                policy: policy, keys: try keys(try readFile(name), name), tokenLimit: settings.cachedTokenLimit)
        case .secret(let name):
            var secret = try readFile(name)
            while let last = secret.last, last == 10 || last == 13 { secret.removeLast() }
            do throws(JWKError) {
                return JWTVerifier(
                    policy: policy, keys: try JWKSet(keys: [try JWK(secret: secret, keyID: nil, algorithm: .hs256)]),
                    tokenLimit: settings.cachedTokenLimit)
            } catch {
                throw ReloadFailure("\(name): \(error)")
            }
        case .url:
            var caching = JWTVerifier.KeyCaching()
            caching.refreshInterval = settings.refreshInterval
            caching.staleLimit = settings.staleLimit
            return JWTVerifier(policy: policy, caching: caching, tokenLimit: settings.cachedTokenLimit)
        }
    }

    /// A key set, or one key in PEM.
    static func keys(_ bytes: [UInt8], _ name: String) throws -> JWKSet {
        do throws(JWKError) {
            let isPEM = bytes.starts(with: "-----".utf8)
            return isPEM
                ? try JWKSet(keys: [try JWK(pem: bytes, keyID: nil, algorithm: nil)]) : try JWKSet(parsing: bytes)
        } catch {
            throw ReloadFailure("\(name): \(error)")
        }
    }

    var keyCount: Int { verifier.keys?.keys.count ?? 0 }

    func start() {
        guard url != nil else { return }
        fetchIfDue()
    }

    func stop() {
        isOver = true
        call?.cancel()
        node.cancel(timer)
        timer = nil
        answerWaiting()
    }

    // MARK: Verifying

    /// Whose token it is; nil if that cannot be said before keys have come: `wait`.
    func verify(_ token: [UInt8]) -> Result<Identity, AccessRefusal>? {
        let result: Result<Identity, AccessRefusal>
        switch verifier.verify(token, now: node.wallClock) {
        case .verified(let jwt): result = identity(of: jwt, token)
        case .refused(let failure): result = .failure(Self.refusal(failure))
        case .awaitsKeys: return nil
        }
        fetchIfDue()
        return result
    }

    /// - Parameter completion: called once, perhaps before this returns.
    func wait(_ token: [UInt8], completion: @escaping (Result<Identity, AccessRefusal>) -> Void) {
        if waiting.count < Self.waitingLimit, !isOver {
            waiting.append((token, completion))
        } else {
            completion(.failure(.undecided("too many wait for keys")))
        }
        fetchIfDue()
    }

    private func identity(of jwt: JWT, _ token: [UInt8]) -> Result<Identity, AccessRefusal> {
        guard settings.cachedTokenLimit > 0 else { return identity(of: jwt) }
        let digest = APIKey.digest(of: token)
        if let known = identities.find(digest) { return .success(known) }
        let identity = identity(of: jwt)
        if case .success(let found) = identity { identities.insert(found, for: digest) }
        return identity
    }

    private func identity(of jwt: JWT) -> Result<Identity, AccessRefusal> {
        do throws(AccessRefusal) {
            return .success(try Claims.identity(jwt.claims.json, fields: settings.fields))
        } catch {
            return .failure(error)
        }
    }

    private static func refusal(_ failure: JWTFailure) -> AccessRefusal {
        if case .noKeys = failure { return .undecided(failure.description) }
        return .invalidToken(failure.description, reason: failure.reason)
    }

    // MARK: Keys

    private func fetchIfDue() {
        guard let url, !isOver else { return }
        let now = node.wallClock
        if verifier.takeFetch(now: now) {
            fetch(url)
        } else if call == nil {
            schedule(now)
        }
    }

    private func schedule(_ now: LabTime) {
        guard let next = verifier.nextFetch(now: now) else {
            node.cancel(timer)
            timer = nil
            return
        }
        // It is asked about with every token, and mostly the same.
        if timer != nil, timerTime == next { return }
        node.cancel(timer)
        timerTime = next
        timer = node.after(max(.milliseconds(1), next - now)) { [weak self] in
            self?.timer = nil
            self?.fetchIfDue()
        }
    }

    private func fetch(_ url: HTTPURL) {
        var request = HTTPCall.Request("GET", url: url)
        request.fields = [("User-Agent", "sdlab"), ("Accept", "application/jwk-set+json, application/json")]
        request.deadline = Self.fetchDeadline
        let call = HTTPCall(node, request, security: security) { [weak self] result in self?.fetched(result) }
        self.call = call
        call.start()
    }

    private func fetched(_ result: Result<HTTPCall.Response, HTTPCall.Failure>) {
        call = nil
        guard !isOver else { return }
        let before = verifier.keys
        let found: Result<JWKSet, JWKError>
        switch result {
        case .success(let response) where response.isSuccess:
            do throws(JWKError) {
                found = .success(try JWKSet(parsing: response.body))
            } catch {
                found = .failure(error)
            }
        case .success(let response): found = .failure(JWKError("\(response.status) \(response.problem.detail)"))
        case .failure(let failure): found = .failure(JWKError(failure.description))
        }
        verifier.fetched(found, now: node.wallClock)
        switch found {
        case .success(let keys) where keys != before:
            identities.removeAll()
            log(Self.loaded(keys.keys.count), .info)
            for reason in keys.refused { log("A key is refused: \(reason)", .warning) }
        case .success: break
        case .failure(let error): log("JWT keys cannot be fetched: \(error.description)", .warning)
        }
        answerWaiting()
        schedule(node.wallClock)
    }

    /// As the documentation has it for one key.
    static func loaded(_ count: Int) -> LogMessage {
        count == 1 ? "JWT public key loaded" : "\(count) JWT public keys loaded"
    }

    private func answerWaiting() {
        let present = waiting
        waiting = []
        for (token, completion) in present {
            switch verifier.verify(token, now: node.wallClock) {
            case .verified(let jwt): completion(identity(of: jwt, token))
            case .refused(let failure): completion(.failure(Self.refusal(failure)))
            case .awaitsKeys: completion(.failure(.undecided("the issuer's keys cannot be had")))
            }
        }
    }
}
