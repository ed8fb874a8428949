import KernelCryptography
import KernelStructures

/// Verifies tokens with a memory: of keys that come from somewhere else and change, and of tokens that it has seen.
///
/// ## An everyday picture
///
/// The guard at the stage again, with two aids. A list of the organizer's seals hangs on the wall; every few minutes
/// somebody goes and gets the current one. A seal that is not on it may be brand new, so then somebody goes at once,
/// but not more than once a minute, whatever people show: otherwise one visitor with invented seals keeps the guards
/// running. If the office is closed the old list does, for an hour. And bands that were looked at closely once are
/// known by sight; only the day on them is read each time, and when a new list hangs there all are looked at again.
///
/// ## How
///
/// A value. The host verifies, and after each verification and at `nextFetch` asks `takeFetch` whether to fetch the set
/// now; what comes of it goes into `fetched`. Known tokens are kept by the SHA-256 of their bytes, in bounded memory;
/// keys that are not the same ones flush them.
public struct JWTVerifier {
    /// When keys are fetched and for how long they hold.
    public struct KeyCaching: Sendable {
        /// From one fetch to the next, in the background.
        public var refreshInterval = LabDuration.seconds(300)
        /// Because of names that nobody knows there is at most one fetch in so much time.
        public var refetchInterval = LabDuration.seconds(60)
        /// So long keys do beyond `refreshInterval` while they cannot be fetched.
        public var staleLimit = LabDuration.seconds(3600)
        /// After the first failure; it doubles up to `refetchInterval`.
        public var retryPause = LabDuration.seconds(1)

        public init() {}
    }

    public enum Verdict: Sendable {
        case verified(JWT)
        case refused(JWTFailure)
        /// It cannot be said before keys have come: fetch them, and ask again then.
        case awaitsKeys
    }

    public struct Statistics: Equatable, Sendable {
        /// Signatures that were judged, and tokens that were known.
        public var verifications = 0
        public var cacheHits = 0
        public var fetches = 0
        public var failedFetches = 0
        /// How often known tokens were forgotten because keys had changed.
        public var flushes = 0

        public init() {}

        /// Of two verifiers, one after the other.
        public static func + (a: Self, b: Self) -> Self {
            var sum = a
            sum.verifications += b.verifications
            sum.cacheHits += b.cacheHits
            sum.fetches += b.fetches
            sum.failedFetches += b.failedFetches
            sum.flushes += b.flushes
            return sum
        }
    }

    public let policy: JWTPolicy
    public private(set) var statistics = Statistics()
    public private(set) var keys: JWKSet?
    /// Why the last fetch failed; nil if it did not.
    public private(set) var lastFailure: JWKError?
    private var schedule: KeySchedule?
    /// Nil: no token is kept.
    private var known: GenerationCache<Fingerprint, JWT>?

    public static let defaultTokenLimit = 10_000

    /// Keys that never have to be fetched: from a file, or a configuration.
    ///
    /// - Parameter tokenLimit: known tokens; 0: none, each signature is checked each time.
    public init(policy: JWTPolicy, keys: JWKSet, tokenLimit: Int = defaultTokenLimit) {
        self.policy = policy
        self.keys = keys
        known = Self.memory(tokenLimit)
    }

    /// Keys that the host fetches.
    public init(policy: JWTPolicy, caching: KeyCaching, tokenLimit: Int = defaultTokenLimit) {
        self.policy = policy
        schedule = KeySchedule(caching)
        known = Self.memory(tokenLimit)
    }

    private static func memory(_ tokenLimit: Int) -> GenerationCache<Fingerprint, JWT>? {
        tokenLimit > 0 ? GenerationCache(generationCount: max(1, tokenLimit / 2)) : nil
    }

    /// Tokens that are known, at most twice `tokenLimit` / 2.
    public var knownTokenCount: Int { known?.count ?? 0 }

    public mutating func verify(_ token: [UInt8], now: LabTime) -> Verdict {
        dropStaleKeys(now)
        guard let keys else {
            if schedule?.mayCome(now) == true { return .awaitsKeys }
            return .refused(.noKeys(lastFailure?.description ?? "they have not been fetched yet"))
        }
        do throws(JWTFailure) {
            let fingerprint = known == nil ? nil : Fingerprint(token)
            if let fingerprint, let jwt = known?.find(fingerprint) {
                statistics.cacheHits += 1
                try policy.checkTime(jwt.claims, now: now)
                return .verified(jwt)
            }
            statistics.verifications += 1
            let jwt = try JWTVerification.verify(token, keys: keys, policy: policy, now: now)
            if let fingerprint { known?.insert(jwt, for: fingerprint) }
            return .verified(jwt)
        } catch {
            if case .unknownKey = error, schedule?.wantForUnknownKey(now) == true { return .awaitsKeys }
            return .refused(error)
        }
    }

    private mutating func dropStaleKeys(_ now: LabTime) {
        guard keys != nil, schedule?.areStale(now) == true else { return }
        keys = nil
        forget()
    }

    private mutating func forget() {
        if knownTokenCount > 0 { statistics.flushes += 1 }
        known?.removeAll()
    }

    // MARK: The host's part

    /// Whether keys are to be fetched now. Whoever is told so does it, and calls `fetched`; until then nobody else is.
    public mutating func takeFetch(now: LabTime) -> Bool {
        guard schedule?.take(now) == true else { return false }
        statistics.fetches += 1
        return true
    }

    /// When to ask `takeFetch` next; nil: not before something happens.
    public func nextFetch(now: LabTime) -> LabTime? { schedule?.next(now) }

    /// What came of a fetch.
    public mutating func fetched(_ result: Result<JWKSet, JWKError>, now: LabTime) {
        switch result {
        case .success(let new):
            lastFailure = nil
            schedule?.succeeded(now)
            replaceKeys(new)
        case .failure(let failure):
            lastFailure = failure
            statistics.failedFetches += 1
            schedule?.failed(now)
        }
    }

    /// Other keys from now on.
    public mutating func replaceKeys(_ new: JWKSet) {
        if new != keys { forget() }
        keys = new
    }
}

/// A token's SHA-256: nobody finds two tokens with the same one.
private struct Fingerprint: Hashable, Sendable {
    let a, b, c, d: UInt64

    init(_ token: [UInt8]) {
        (a, b, c, d) = token.withUnsafeBytes { bytes in
            MessageDigest.sha256.withDigest(of: bytes) { digest in
                func word(_ index: Int) -> UInt64 { digest.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self) }
                return (word(0), word(1), word(2), word(3))
            }
        }
    }
}

/// When keys are fetched.
struct KeySchedule: Sendable {
    let caching: JWTVerifier.KeyCaching
    private var isFetching = false
    private var fetchedAt: LabTime?
    private var nextAt = LabTime(nanoseconds: .min)
    private var failures = 0
    /// Somebody has shown a name that nobody knows.
    private var isWanted = false
    private var unknownFrom = LabTime(nanoseconds: .min)

    init(_ caching: JWTVerifier.KeyCaching) { self.caching = caching }

    /// Whether keys may be expected soon, so that it is worth waiting for them.
    func mayCome(_ now: LabTime) -> Bool { isFetching || isDue(now) }

    /// A clock that has gone back counts as due: nobody knows how far.
    private func isDue(_ now: LabTime) -> Bool { now >= nextAt || isWanted || fetchedAt.map { now < $0 } == true }

    mutating func take(_ now: LabTime) -> Bool {
        guard !isFetching, isDue(now) else { return false }
        if isWanted { unknownFrom = now + caching.refetchInterval }
        isWanted = false
        isFetching = true
        return true
    }

    func next(_ now: LabTime) -> LabTime? { isFetching ? nil : isWanted ? now : max(now, nextAt) }

    /// Whether there will be a fetch because of a name that nobody knows.
    mutating func wantForUnknownKey(_ now: LabTime) -> Bool {
        if isFetching || isWanted { return true }
        guard now >= unknownFrom else { return false }
        isWanted = true
        return true
    }

    mutating func succeeded(_ now: LabTime) {
        isFetching = false
        failures = 0
        fetchedAt = now
        nextAt = now + caching.refreshInterval
    }

    mutating func failed(_ now: LabTime) {
        isFetching = false
        let pause = caching.retryPause * (1 << min(failures, 20))
        failures = min(failures + 1, 30)
        nextAt = now + min(pause, caching.refetchInterval)
    }

    func areStale(_ now: LabTime) -> Bool {
        guard let fetchedAt else { return false }
        return now - fetchedAt > caching.refreshInterval + caching.staleLimit
    }
}
