import KernelStructures

/// The rate limiter's decisions: may this client have this now?
///
/// ## The problem
///
/// A server can do so much and no more. One client with a loop in its script, or a bad mind, can take all of it, and
/// the others get nothing. So each gets a quota, and who has used it up is told so at once, cheaply, and told when to
/// come back. It looks like counting, and the difficulties are all at the edges: what is a minute, what is a client,
/// where is the count kept when there are three servers and ten million addresses, and what happens when the clock is
/// set.
///
/// ## An everyday picture
///
/// The fountain in the square. It gives ten litres a second, for everybody. Each household has a barrel of twenty
/// litres that the fountain fills; who carries water now and then always finds it full, who waters a field finds it
/// empty and waits. Nobody's field dries out his neighbour's kitchen.
///
/// ## How
///
/// A *policy* is an algorithm (`Algorithms/`, one a file, each with its own picture and its own faults) and a quota. A
/// request comes with a *key* for each policy that concerns it (its address, its API key, …) and a cost. All policies
/// are asked first; only if none refuses is anything taken (all or nothing), and what is refused costs nothing, or a
/// client that keeps knocking would never get in again. Keys live in a `KeyTable` of bounded size. The engine does
/// nothing else: it takes `now`, changes its tables and returns a `Decision`, in whole numbers throughout.
///
/// ## Where it is wrong
///
/// It counts what *it* sees. Two limiters that do not talk admit twice the quota, and if they talk before each
/// request, each request pays for a round trip; `Service/Distributed/` has both ends and the lease between them. A key
/// is not a person: a company behind one address shares a quota, and an attacker with ten thousand addresses has ten
/// thousand.
public final class RateLimiter {
    // Unchecked: whoever embeds the limiter calls it from one thread or under a lock, and nothing calls back into it
    // while it changes something. The check at run time stood on the way of every decision.
    @exclusivity(unchecked) public private(set) var policies: [RateLimitPolicy]
    /// By policy.
    @exclusivity(unchecked) public private(set) var counters: [RateLimitCounters]
    /// What the policies thought of the last request, in its order.
    @exclusivity(unchecked) public private(set) var assessments: [Assessment] = []
    /// The last refusals; empty unless `startRecording`.
    @exclusivity(unchecked) public private(set) var denials = DenialLog()
    /// Exact counting beside the policies, for those who want to know how wrong these are; nil unless `startOracle`.
    @exclusivity(unchecked) public private(set) var oracle: Oracle?
    /// Nil unless somebody may want to run them again: `startRecording`.
    @exclusivity(unchecked) public private(set) var recording: ArrivalLog?

    @exclusivity(unchecked) private var ledgers: [Ledger]
    /// How many times the policies have changed.
    @exclusivity(unchecked) private var generation = 0
    private let hash: SipHash
    @exclusivity(unchecked) private var clock = SteadyClock()
    /// The ledger of `throttle`, made when it is first used.
    @exclusivity(unchecked) private var throttled: LedgerOf<GCRA>?
    @exclusivity(unchecked) private var digests: [SipHash.Digest] = []
    /// The present decision is another limiter's, which records it itself.
    @exclusivity(unchecked) private var isForPeer = false
    @exclusivity(unchecked) public private(set) var throttleCounters = RateLimitCounters()

    /// The policies that are in force at one time, with their keys. A request that takes a while holds on to those that
    /// it began under: its charges mean these, whatever a reload puts in their place.
    public struct PolicySet {
        public let policies: [RateLimitPolicy]
        fileprivate let ledgers: [Ledger]
        fileprivate let generation: Int
    }

    /// The policies that are in force now.
    public var policySet: PolicySet { PolicySet(policies: policies, ledgers: ledgers, generation: generation) }

    /// One policy that concerns a request, and the key that it knows the request by.
    public struct Charge: Sendable {
        /// Its place in the policies that were in force when the request began.
        public let policy: Int
        public let key: [UInt8]
        /// What it takes of the quota; 0 only looks.
        public let cost: Int

        public init(policy: Int, key: [UInt8], cost: Int = 1) {
            self.policy = policy
            self.key = key
            self.cost = cost
        }

        public init(policy: Int, key: String, cost: Int = 1) {
            self.init(policy: policy, key: Array(key.utf8), cost: cost)
        }
    }

    /// What came of a request.
    public struct Decision: Equatable, Sendable {
        public var isAllowed: Bool
        /// The index among the request's charges of the policy that refused, or of the one with the least left.
        public var deciding: Int
        /// Of the deciding policy.
        public var limit: Int
        public var remaining: Int
        /// The longest of those that refused: a retry then passes, if nobody else takes anything.
        public var retryAfter: LabDuration
        public var resetAfter: LabDuration
        /// How long to hold the request back.
        public var delay: LabDuration
        /// Whether a shadow policy would have refused.
        public var isOverShadow: Bool

        /// What no policy concerns.
        package static let unlimited = Decision(
            isAllowed: true, deciding: 0, limit: .max, remaining: .max, retryAfter: .zero, resetAfter: .zero,
            delay: .zero, isOverShadow: false)
    }

    /// - Parameter random: the source of the secret of the key hash.
    public init(_ policies: [RateLimitPolicy], random: SeededRandom) {
        var random = random.fork("key hash")
        hash = SipHash(random: &random)
        self.policies = policies
        counters = policies.map { _ in RateLimitCounters() }
        ledgers = policies.map(Ledger.make)
    }

    public func startOracle() { oracle = Oracle(policies) }
    public func startRecording(limit: Int = ArrivalLog.defaultLimit) { recording = ArrivalLog(limit: limit) }

    // MARK: Decisions

    /// Decides about a request that one policy concerns.
    ///
    /// - Parameters:
    ///   - key: valid during the call.
    ///   - cost: what it takes of the quota; 0 only looks.
    public func decide(policy: Int, key: UnsafeRawBufferPointer, cost: Int = 1, now reading: LabTime) -> Decision {
        let now = clock.read(reading)
        let digest = hash.hash(key)
        let ledger = ledgers[policy]
        let assessment = ledger.assess(digest, cost: Int64(cost), now)
        let isShadow = policies[policy].isShadow
        let isAllowed = assessment.isAllowed || isShadow
        if assessment.isAllowed { ledger.commit() }
        count(assessment, policy, isAllowed: isAllowed)
        if isObserved {
            observe(Array(key), digest, policy, cost, assessment, isAllowed: isAllowed, now)
        }
        return Decision(
            isAllowed: isAllowed, deciding: 0, limit: assessment.limit, remaining: assessment.remaining,
            retryAfter: isAllowed ? .zero : assessment.retryAfter, resetAfter: assessment.resetAfter,
            delay: isShadow ? .zero : assessment.delay, isOverShadow: isShadow && !assessment.isAllowed)
    }

    public func decide(policy: Int, key: String, cost: Int = 1, now: LabTime) -> Decision {
        var key = key
        return key.withUTF8 { decide(policy: policy, key: UnsafeRawBufferPointer($0), cost: cost, now: now) }
    }

    /// Decides about a request that several policies concern, each at most once: admitted by all, or charged by none.
    ///
    /// What each of them thought is in `assessments` until the next decision.
    ///
    /// - Parameter set: what was in force when the request began; nil: what is now.
    public func decide(_ charges: [Charge], under set: PolicySet? = nil, now reading: LabTime) -> Decision {
        let now = clock.read(reading)
        let set = set ?? policySet
        assessments.removeAll(keepingCapacity: true)
        digests.removeAll(keepingCapacity: true)
        var decision = Decision.unlimited
        for (index, charge) in charges.enumerated() {
            let digest = charge.key.withUnsafeBytes { hash.hash($0) }
            let assessment = set.ledgers[charge.policy].assess(digest, cost: Int64(charge.cost), now)
            assessments.append(assessment)
            digests.append(digest)
            if set.policies[charge.policy].isShadow {
                if !assessment.isAllowed { decision.isOverShadow = true }
            } else {
                decision.weigh(assessment, index)
            }
        }
        for (index, charge) in charges.enumerated() {
            let assessment = assessments[index]
            // A shadow that would refuse takes nothing either: it must count as it would if it were real.
            if decision.isAllowed, assessment.isAllowed { set.ledgers[charge.policy].commit() }
            guard let policy = present(charge, under: set) else { continue }
            count(assessment, policy, isAllowed: decision.isAllowed)
            if isObserved {
                observe(
                    charge.key, digests[index], policy, charge.cost, assessment, isAllowed: decision.isAllowed, now)
            }
        }
        return decision
    }

    /// Decides as `decide` does, and if it admits charges more of each policy in advance, as far as there is any.
    package func take(_ charges: [Charge], extras: [Int], now reading: LabTime) -> PeerAnswer {
        isForPeer = true
        let decision = decide(charges, now: reading)
        isForPeer = false
        let now = clock.read(reading)
        var answer = PeerAnswer(assessments: assessments, granted: extras.map { _ in 0 })
        for (index, charge) in charges.enumerated() where decision.isAllowed && assessments[index].isAllowed {
            let extra = min(extras[index], assessments[index].remaining)
            if extra == 0 { continue }
            let further = ledgers[charge.policy].assess(digests[index], cost: Int64(extra), now)
            guard further.isAllowed else { continue }
            ledgers[charge.policy].commit()
            answer.granted[index] = extra
            answer.assessments[index].remaining = further.remaining
            answer.assessments[index].resetAfter = further.resetAfter
        }
        return answer
    }

    /// The place that the policy of a charge has now; nil if there is none of its name any more.
    private func present(_ charge: Charge, under set: PolicySet) -> Int? {
        if set.generation == generation { return charge.policy }
        let name = set.policies[charge.policy].name
        return policies.firstIndex { $0.name == name }
    }

    /// Counts what a shared store has decided, and puts the opinions of its policies together.
    ///
    /// - Parameter set: what was in force when the request began; nil: what is now.
    package func count(
        _ charges: [Charge], decidedElsewhere found: [Assessment], under set: PolicySet? = nil, now: LabTime
    ) -> Decision {
        let set = set ?? policySet
        assessments = found
        var decision = Decision.unlimited
        for (index, charge) in charges.enumerated() {
            if !set.policies[charge.policy].isShadow {
                decision.weigh(found[index], index)
            } else if !found[index].isAllowed {
                decision.isOverShadow = true
            }
        }
        for (index, charge) in charges.enumerated() {
            guard let policy = present(charge, under: set) else { continue }
            count(found[index], policy, isAllowed: decision.isAllowed)
            if isObserved {
                observe(charge.key, nil, policy, charge.cost, found[index], isAllowed: decision.isAllowed, now)
            }
        }
        return decision
    }

    /// Remembers what was admitted without asking anybody, for `Audit`.
    ///
    /// - Parameter set: what was in force when the request began.
    package func recordUnchecked(_ charges: [Charge], under set: PolicySet, now: LabTime) {
        for charge in charges {
            guard let policy = present(charge, under: set) else { continue }
            recording?.note(
                time: now, policy: policy, key: ArrivalLog.name(charge.key), cost: charge.cost, isAllowed: true)
        }
    }

    /// Whether a request would be admitted; nothing is taken or counted.
    public func look(policy: Int, key: String, cost: Int = 1, now reading: LabTime) -> Assessment {
        ledgers[policy].assess(hash.hash(key), cost: Int64(cost), clock.read(reading))
    }

    /// The same of a request that its rule has made a charge of.
    public func look(_ charge: Charge, now reading: LabTime) -> Assessment {
        let digest = charge.key.withUnsafeBytes { hash.hash($0) }
        return ledgers[charge.policy].assess(digest, cost: Int64(charge.cost), clock.read(reading))
    }

    /// Remembers that requests were refused because nobody could say what is left.
    ///
    /// - Parameter set: what was in force when the request began.
    package func recordUnknown(_ charges: [Charge], under set: PolicySet, now: LabTime) {
        guard isObserved else { return }
        for charge in charges {
            guard let policy = present(charge, under: set) else { continue }
            denials.note(
                Denial(
                    time: now, policy: policies[policy].name, key: String(decoding: charge.key, as: UTF8.self),
                    cost: charge.cost, isShadow: false, remaining: nil, retryAfter: .seconds(1)))
        }
    }

    /// Requests that were admitted under these charges are over.
    ///
    /// - Parameter set: what was in force when the request began; nil: what is now.
    public func finished(_ charges: [Charge], under set: PolicySet? = nil) {
        let set = set ?? policySet
        for charge in charges where set.policies[charge.policy].algorithm == .concurrency {
            set.ledgers[charge.policy].release(charge.key.withUnsafeBytes { hash.hash($0) }, cost: Int64(charge.cost))
        }
    }

    /// GCRA with a quota of the caller's: `CL.THROTTLE`. Keys are apart from those of the policies.
    public func throttle(_ key: [UInt8], _ quota: Quota, cost: Int, now reading: LabTime) -> Assessment {
        let now = clock.read(reading)
        let ledger = throttled ?? LedgerOf(GCRA(quota: quota), keyLimit: RateLimitPolicy.defaultKeyLimit)
        throttled = ledger
        ledger.algorithm.quota = quota
        let assessment = ledger.assess(key.withUnsafeBytes { hash.hash($0) }, cost: Int64(cost), now)
        if assessment.isAllowed { ledger.commit() }
        throttleCounters.count(assessment, isShadow: false, isAllowed: assessment.isAllowed)
        return assessment
    }

    // MARK: Counting

    @inline(__always) private func count(_ assessment: Assessment, _ policy: Int, isAllowed: Bool) {
        counters[policy].count(assessment, isShadow: policies[policy].isShadow, isAllowed: isAllowed)
    }

    /// A refusal costs no more than an admission unless somebody may ask about it.
    private var isObserved: Bool { oracle != nil || recording != nil }

    private func observe(
        _ key: [UInt8], _ digest: SipHash.Digest?, _ policy: Int, _ cost: Int, _ assessment: Assessment,
        isAllowed: Bool, _ now: LabTime
    ) {
        if !assessment.isAllowed {
            denials.note(
                Denial(
                    time: now, policy: policies[policy].name, key: String(decoding: key, as: UTF8.self), cost: cost,
                    isShadow: policies[policy].isShadow, remaining: assessment.remaining,
                    retryAfter: assessment.retryAfter))
        }
        // What another policy refused is no mistake of this one; what a store decided is not judged here, as it saw
        // more.
        if let digest, assessment.isAllowed == isAllowed || policies[policy].isShadow {
            oracle?.judge(
                policy, digest, cost: cost, isAllowed: assessment.isAllowed && (isAllowed || policies[policy].isShadow),
                now)
        }
        if isForPeer { return }
        recording?.note(
            time: now, policy: policy, key: ArrivalLog.name(key), cost: cost, isAllowed: isAllowed)
    }

    // MARK: Change

    /// Takes over other policies. A policy that keeps its name, algorithm and quota keeps its keys; one whose quota
    /// alone changed begins anew, as a count under one quota is none under another.
    public func reload(_ new: [RateLimitPolicy]) {
        let old = Array(zip(zip(policies, counters), ledgers))
        ledgers = []
        counters = []
        for policy in new {
            let same = old.first { $0.0.0.name == policy.name }
            counters.append(same?.0.1 ?? RateLimitCounters())
            if let same, same.0.0.keepsKeys(as: policy) {
                ledgers.append(same.1)
            } else {
                ledgers.append(Ledger.make(policy))
            }
        }
        policies = new
        generation += 1
        if oracle != nil { startOracle() }
        recording?.removeAll()
    }

    /// Forgets all keys: everybody is rested.
    public func forgetKeys() { for ledger in ledgers { ledger.removeAll() } }

    public func keyCount(policy: Int) -> Int { ledgers[policy].keyCount }
    /// Keys in use that had to go because the table was full.
    public func evictedCount(policy: Int) -> Int { ledgers[policy].evicted }
    public func byteCount(policy: Int) -> Int { ledgers[policy].byteCount }
    /// How often the clock was put back.
    public var clockStepsBack: Int { clock.stepsBack }
}

extension RateLimiter.Decision {
    /// Takes another policy's opinion in: any refusal refuses, the longest wait counts, and the least left is shown.
    fileprivate mutating func weigh(_ assessment: Assessment, _ index: Int) {
        let isTighter: Bool
        if assessment.isAllowed {
            isTighter = isAllowed && assessment.remaining < remaining
            if isAllowed { delay = max(delay, assessment.delay) }
        } else {
            isTighter = isAllowed || assessment.retryAfter > retryAfter
            isAllowed = false
            delay = .zero
            retryAfter = max(retryAfter, assessment.retryAfter)
        }
        guard isTighter else { return }
        deciding = index
        limit = assessment.limit
        remaining = assessment.remaining
        resetAfter = assessment.resetAfter
    }
}

extension RateLimitCounters {
    @inline(__always) mutating func count(_ assessment: Assessment, isShadow: Bool, isAllowed: Bool) {
        hits += 1
        if !assessment.isAllowed {
            if isShadow { shadowOverLimit += 1 } else { overLimit += 1 }
        } else if !isAllowed {
            refusedByOthers += 1
        } else {
            withinLimit += 1
            if assessment.remaining < RateLimitPolicy.nearLimit(assessment.limit) { nearLimit += 1 }
        }
    }
}
