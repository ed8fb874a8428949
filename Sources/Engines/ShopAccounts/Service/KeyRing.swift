import KernelJSON
import KernelJWT
import KernelStructures
import KernelWorld
import ShopAccountsEngine
import ShopKitService

/// The keys that sign tokens: in the database, so that all instances of the service have the same ones, and a node that
/// was killed goes on with them.
///
/// The newest signs. One that was replaced is published for as long as tokens of it may be about, and then no longer.
final class KeyRing {
    private let node: Node
    private let store: UserStore?
    private let tokenLife: LabDuration
    private var keys: [(key: JWK, replacedAt: LabTime?)] = []
    private var generation = 0
    private(set) var signer: JWTSigner?
    private var verifier: JWTVerifier?

    /// Another instance's rotation is seen within that time.
    private static let reloadInterval = LabDuration.seconds(30)
    private static let retryPause = LabDuration.seconds(1)

    init(_ node: Node, _ store: UserStore?, tokenLife: LabDuration) {
        self.node = node
        self.store = store
        self.tokenLife = tokenLife
    }

    var isReady: Bool { signer != nil }

    /// Loads the keys, now and from time to time; makes the first one if there is none.
    func start() {
        load { [weak self] result in
            guard let self else { return }
            switch result {
            case .success where signer != nil: again(after: Self.reloadInterval)
            case .success:
                rotate { [weak self] result in
                    guard let self else { return }
                    if case .success = result {
                        again(after: Self.reloadInterval)
                    } else {
                        again(after: Self.retryPause)
                    }
                }
            case .failure: again(after: Self.retryPause)
            }
        }
    }

    private func again(after pause: LabDuration) { node.after(pause) { [weak self] in self?.start() } }

    private func load(_ completion: @escaping (Result<Void, ShopStoreFailure>) -> Void) {
        store?.keys { [weak self] result in
            guard let self else { return }
            completion(result.map { take($0) })
        }
    }

    private func take(_ stored: [UserStore.StoredKey]) {
        var keys: [(key: JWK, replacedAt: LabTime?)] = []
        var replacedAt: LabTime?
        for one in stored {
            if let json = try? JSONValue(parsing: one.text), let key = try? JWK(JSONCursor(json)) {
                keys.append((key, replacedAt))
            }
            replacedAt = one.createdAt
        }
        self.keys = keys
        generation = stored.first?.generation ?? 0
        signer = keys.first.flatMap { try? JWTSigner(key: $0.key) }
        let set = published(at: node.wallClock)
        if verifier == nil {
            verifier = JWTVerifier(policy: Self.policy, keys: set)
        } else {
            verifier?.replaceKeys(set)
        }
    }

    private static let policy = JWTPolicy(
        algorithms: [.eddsa], issuers: [ShopAccounts.issuer], audiences: [ShopAccounts.audience])

    /// Public halves of those with tokens that may still be good.
    func published(at now: LabTime) -> JWKSet {
        let live = keys.filter { key in key.replacedAt.map { now < $0 + tokenLife } ?? true }
        return (try? JWKSet(keys: live.map(\.key.publicKey))) ?? .empty
    }

    func verify(_ token: [UInt8], now: LabTime) -> JWT? {
        guard case .verified(let jwt)? = verifier?.verify(token, now: now) else { return nil }
        return jwt
    }

    /// Puts a new key in front. If another instance was faster, it is that one's.
    func rotate(_ completion: @escaping (Result<String, ShopStoreFailure>) -> Void) {
        let made = node.draw { random in
            Result { try JWK.make(.eddsa, keyID: hexadecimal(random.next() >> 32, 8), random: &random) }
        }
        guard let store, case .success(let key) = made else { return }
        let text = key.json(withPrivate: true).text(.compact)
        store.insert(generation: generation + 1, key: text, at: node.wallClock) { [weak self] failure in
            guard let self else { return }
            if let failure, case .database = failure { return completion(.failure(failure)) }
            load { [weak self] result in
                completion(result.map { self?.signer?.key.keyID ?? "" })
            }
        }
    }
}
