import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterEngine

/// Counts in a Redis that all limiters share: exact, at the price of a round trip a request.
///
/// The script is loaded once a connection and then called by its digest (`EVALSHA`). If Redis has forgotten it, because
/// it was restarted or flushed, the script itself is sent (`EVAL`), which loads it again.
package final class RedisStore {
    let link: RESPStoreLink
    private var digest: [UInt8]?
    private(set) var counters = StoreCounters()

    /// All keys begin with this.
    static let prefix = "ratelimit:"
    /// Whole numbers that a double holds exactly.
    private static let exactLimit = Int64(1) << 53

    init(node: Node, destination: HostPort, database: Int, timeout: LabDuration) {
        link = RESPStoreLink(node: node, destination: destination, timeout: timeout)
        link.returnsByItself = true
        link.onConnect = { [unowned self] client in
            digest = nil
            if database != 0 { client.send(["SELECT", "\(database)"]) { _ in } }
            client.send(["SCRIPT", "LOAD", RedisScript.source]) { [weak self] result in
                if case .success(let value) = result { self?.digest = value.bytes }
            }
        }
    }

    /// A server of Redis's commands that runs no scripts can keep values, and cannot count.
    static let checkQuestion = ["EVAL", "return 1", "0"]

    func look(
        _ charges: [RateLimiter.Charge], _ policies: [RateLimitPolicy], completion: @escaping (StoreAnswer) -> Void
    ) {
        let words = [Array("EVAL".utf8), Array(RedisScript.source.utf8)]
        link.ask(words + Self.arguments(charges, policies, isLook: true)) { result in
            switch result {
            case .failure(let failure): completion(.failed(failure.text))
            case .success(let value):
                guard let assessments = Self.assessments(value, policies) else {
                    return completion(.failed(value.errorText ?? "Redis answered what the script does not say"))
                }
                completion(.decided(assessments))
            }
        }
    }

    /// Why a policy cannot be counted in Redis; nil if it can.
    package static func complaint(about policy: RateLimitPolicy) -> String? {
        let quota = policy.quota
        if policy.algorithm == .concurrency { return "what is under way is counted by each node alone" }
        guard quota.period.nanoseconds % 1_000 == 0 else { return "Redis counts time in whole microseconds" }
        guard let units = units(of: quota), units.token <= exactLimit / Int64(max(quota.burst, quota.count) * 2) else {
            return "\(quota) with a burst of \(quota.burst) is more than Redis's numbers count exactly"
        }
        let (product, overflow) = (quota.period.nanoseconds / 1_000).multipliedReportingOverflow(
            by: Int64(quota.count * 2))
        return overflow || product > exactLimit ? "\(quota) is more than Redis's numbers count exactly" : nil
    }

    /// Units a token, and units that come back each microsecond.
    private static func units(of quota: Quota) -> (token: Int64, microsecond: Int64)? {
        let period = quota.period.nanoseconds / 1_000
        var (a, b) = (Int64(quota.count), period)
        while b != 0 { (a, b) = (b, a % b) }
        return a == 0 ? nil : (period / a, Int64(quota.count) / a)
    }

    func decide(
        _ charges: [RateLimiter.Charge], _ policies: [RateLimitPolicy], completion: @escaping (StoreAnswer) -> Void
    ) {
        counters.asked += 1
        let arguments = Self.arguments(charges, policies)
        guard let digest else {
            return evaluate([Array("EVAL".utf8), Array(RedisScript.source.utf8)] + arguments, policies, completion)
        }
        link.ask([Array("EVALSHA".utf8), digest] + arguments) { [weak self] result in
            guard let self else { return }
            if case .success(let value) = result, value.errorText?.hasPrefix("NOSCRIPT") == true {
                let whole = [Array("EVAL".utf8), Array(RedisScript.source.utf8)] + arguments
                return evaluate(whole, policies, completion)
            }
            completion(answer(result, policies))
        }
    }

    private func evaluate(
        _ words: [[UInt8]], _ policies: [RateLimitPolicy], _ completion: @escaping (StoreAnswer) -> Void
    ) {
        link.ask(words) { [weak self] result in
            guard let self else { return }
            completion(answer(result, policies))
        }
    }

    /// The number of keys, the keys, and what is to be known of each.
    package static func arguments(
        _ charges: [RateLimiter.Charge], _ policies: [RateLimitPolicy], isLook: Bool = false
    ) -> [[UInt8]] {
        var words = [Array("\(charges.count)".utf8)]
        for (charge, policy) in zip(charges, policies) {
            words.append(Array("\(prefix)\(policy.name):".utf8) + charge.key)
        }
        for (charge, policy) in zip(charges, policies) {
            let kind =
                switch policy.algorithm {
                case .tokenBucket, .gcra, .concurrency: "b"
                case .leakyBucket: policy.isDelaying ? "q" : "b"
                case .fixedWindow: "w"
                case .slidingCounter: "c"
                case .slidingLog: "l"
                }
            let units = units(of: policy.quota) ?? (1, 1)
            words.append(Array(kind.utf8))
            for number in [
                policy.quota.count, Int(policy.quota.period.nanoseconds / 1_000), policy.quota.burst, charge.cost,
                Int(units.token), Int(units.microsecond), policy.logSize,
                isLook ? 2 : policy.isShadow ? 1 : 0,
            ] {
                words.append(Array("\(number)".utf8))
            }
        }
        return words
    }

    private func answer(_ result: Result<RESPValue, RESPStoreLink.StoreFailure>, _ policies: [RateLimitPolicy])
        -> StoreAnswer
    {
        switch result {
        case .failure(let failure):
            counters.failed += 1
            return .failed(failure.text)
        case .success(let value):
            if let assessments = Self.assessments(value, policies) { return .decided(assessments) }
            counters.failed += 1
            return .failed(value.errorText ?? "Redis answered what the script does not say")
        }
    }

    package static func assessments(_ value: RESPValue, _ policies: [RateLimitPolicy]) -> [Assessment]? {
        guard let elements = value.elements, elements.count == policies.count * RedisScript.replyCount else {
            return nil
        }
        let numbers = elements.compactMap(\.integer)
        guard numbers.count == elements.count else { return nil }
        return policies.indices.map { index in
            let start = index * RedisScript.replyCount
            let policy = policies[index]
            return Assessment(
                isAllowed: numbers[start] == 1,
                limit: policy.algorithm.isWindowed ? policy.quota.count : policy.quota.burst,
                remaining: numbers[start + 1],
                retryAfter: numbers[start + 2] < 0 ? .infinite : .microseconds(numbers[start + 2]),
                resetAfter: .microseconds(numbers[start + 3]), delay: .microseconds(numbers[start + 4]))
        }
    }

    func close() { link.close() }
}

extension RedisStore: LimitStore {}
