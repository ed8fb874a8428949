import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterEngine

/// Counts that another limiter keeps, with leases.
///
/// ## An everyday picture
///
/// A cinema with three box offices and one list of seats. To telephone for every ticket would be exact, and slow.
/// So each office asks for ten at a time and sells those without asking. Seats in a drawer are sold to nobody else, so
/// never is a seat sold twice. But an office that closes early has seats in its drawer while people are sent
/// away elsewhere; so a drawer counts for a second only.
///
/// ## How
///
/// A question (`RL.TAKE`) charges the request and, with a lease of n, up to n − 1 further ones of the same key in
/// advance. These are spent here without a round trip, within `leaseTime`, and what is left then is lost to all.
/// Nothing is ever admitted that was not charged first, on the store's clock alone: clocks of other nodes are never
/// compared.
///
/// ## Where it is wrong
///
/// What is charged now may be spent a second later, so a window can hold more than its limit, by a lease a node at
/// most; `limiter audit` measures it. A lease of 1 is exact, and asks every time.
final class PeerStore: LimitStore {
    private let node: Node
    let link: RESPStoreLink
    private let lease: Int
    private(set) var counters = StoreCounters()
    /// What has been charged and not been spent, by rule and key.
    private var leases: [LeaseKey: Lease] = [:]

    /// For how long a lease may be spent.
    static let leaseTime = LabDuration.seconds(1)
    /// Leases that are kept; beyond, each request asks for itself alone.
    static let leaseLimit = 10_000

    private struct LeaseKey: Hashable {
        let rule: String
        let key: [UInt8]
    }

    private struct Lease {
        var tokens: Int
        var expires: LabTime
        var last: Assessment
    }

    init(node: Node, destination: HostPort, lease: Int, timeout: LabDuration) {
        self.node = node
        self.lease = lease
        link = RESPStoreLink(node: node, destination: destination, timeout: timeout)
        link.returnsByItself = true
    }

    static let checkQuestion = ["RL.LOOK"]

    /// With what this node has taken in advance and not spent.
    func look(
        _ charges: [RateLimiter.Charge], _ policies: [RateLimitPolicy], completion: @escaping (StoreAnswer) -> Void
    ) {
        var words = [Array("RL.LOOK".utf8)]
        for (charge, policy) in zip(charges, policies) {
            words += [Array(policy.name.utf8), charge.key, Array("\(charge.cost)".utf8)]
        }
        link.ask(words) { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let failure): completion(.failed(failure.text))
            case .success(let value):
                guard var found = PeerAnswer(value, count: charges.count)?.assessments else {
                    return completion(.failed(value.errorText ?? "the other limiter answered what it should not"))
                }
                let now = node.world.now
                for (index, (charge, policy)) in zip(charges, policies).enumerated() {
                    guard let lease = leases[LeaseKey(rule: policy.name, key: charge.key)], lease.expires > now else {
                        continue
                    }
                    if !found[index].isAllowed, lease.tokens >= charge.cost {
                        found[index].isAllowed = true
                        found[index].retryAfter = .zero
                        found[index].remaining -= charge.cost
                    }
                    found[index].remaining = max(0, found[index].remaining + lease.tokens)
                }
                completion(.decided(found))
            }
        }
    }

    func decide(
        _ charges: [RateLimiter.Charge], _ policies: [RateLimitPolicy], completion: @escaping (StoreAnswer) -> Void
    ) {
        let keys = zip(charges, policies).map { LeaseKey(rule: $1.name, key: $0.key) }
        if lease > 1, let assessments = spend(keys, charges) {
            counters.fromLease += 1
            return completion(.decided(assessments))
        }
        counters.asked += 1
        var words = [Array("RL.TAKE".utf8)]
        for (charge, policy) in zip(charges, policies) {
            // A shadow has nothing to hand out, and what is held back would be held back for nothing.
            let mayLease = lease > 1 && !policy.isShadow && leases.count < Self.leaseLimit
            let extra = mayLease ? charge.cost * (lease - 1) : 0
            words += [Array(policy.name.utf8), charge.key, Array("\(charge.cost)".utf8), Array("\(extra)".utf8)]
        }
        link.ask(words) { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let failure):
                counters.failed += 1
                completion(.failed(failure.text))
            case .success(let value):
                guard let taken = PeerAnswer(value, count: charges.count) else {
                    counters.failed += 1
                    return completion(.failed(value.errorText ?? "the other limiter answered what it should not"))
                }
                keep(taken, keys)
                completion(.decided(taken.assessments))
            }
        }
    }

    /// From leases alone, or not at all.
    private func spend(_ keys: [LeaseKey], _ charges: [RateLimiter.Charge]) -> [Assessment]? {
        let now = node.world.now
        for (key, charge) in zip(keys, charges) {
            guard let lease = leases[key] else { return nil }
            if lease.expires <= now {
                counters.leaseLost += lease.tokens
                leases[key] = nil
                return nil
            }
            if lease.tokens < charge.cost { return nil }
        }
        return zip(keys, charges).map { key, charge in
            leases[key]!.tokens -= charge.cost
            let lease = leases[key]!
            if lease.tokens == 0 { leases[key] = nil }
            var assessment = lease.last
            assessment.remaining = min(assessment.limit, assessment.remaining + lease.tokens)
            return assessment
        }
    }

    private func keep(_ taken: PeerAnswer, _ keys: [LeaseKey]) {
        let now = node.world.now
        if leases.count >= Self.leaseLimit { sweep(now) }
        for (index, key) in keys.enumerated() where taken.granted[index] > 0 {
            // The latest answer's time holds for all of it: what was left of an older one is younger than that by far.
            let old = leases[key].flatMap { $0.expires > now ? $0 : nil }
            leases[key] = Lease(
                tokens: taken.granted[index] + (old?.tokens ?? 0), expires: old?.expires ?? now + Self.leaseTime,
                last: taken.assessments[index])
        }
    }

    private func sweep(_ now: LabTime) {
        for (key, lease) in leases where lease.expires <= now {
            counters.leaseLost += lease.tokens
            leases[key] = nil
        }
    }

    func close() { link.close() }
}

/// The reply to `RL.TAKE`: seven numbers a charge, all times in nanoseconds, −1 for never.
extension PeerAnswer {
    static let numberCount = 7

    init?(_ value: RESPValue, count: Int) {
        guard let elements = value.elements, elements.count == count * Self.numberCount else { return nil }
        let numbers = elements.compactMap(\.integer)
        guard numbers.count == elements.count, numbers.allSatisfy({ $0 >= -1 }) else { return nil }
        var assessments: [Assessment] = []
        var granted: [Int] = []
        for start in stride(from: 0, to: numbers.count, by: Self.numberCount) {
            assessments.append(
                Assessment(
                    isAllowed: numbers[start] == 1, limit: numbers[start + 1], remaining: numbers[start + 2],
                    retryAfter: Self.duration(numbers[start + 3]), resetAfter: Self.duration(numbers[start + 4]),
                    delay: Self.duration(numbers[start + 5])))
            granted.append(numbers[start + 6])
        }
        self.init(assessments: assessments, granted: granted)
    }

    private static func duration(_ number: Int) -> LabDuration {
        number < 0 ? .infinite : LabDuration(nanoseconds: Int64(number))
    }

    func write(to reply: inout RESPWriter) {
        reply.array(assessments.count * Self.numberCount)
        for (assessment, granted) in zip(assessments, granted) {
            reply.integer(assessment.isAllowed ? 1 : 0)
            reply.integer(assessment.limit)
            reply.integer(assessment.remaining)
            for duration in [assessment.retryAfter, assessment.resetAfter, assessment.delay] {
                reply.integer(duration == .infinite ? -1 : Int(duration.nanoseconds))
            }
            reply.integer(granted)
        }
    }
}
