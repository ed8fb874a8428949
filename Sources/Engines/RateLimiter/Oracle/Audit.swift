import KernelStructures

/// What several limiters admitted together, beside what one exact limiter would have admitted of it.
///
/// Each node on its own may keep every promise, and together they may admit twice the quota. Here the admissions of all
/// nodes are put in the order in which they happened, and offered to one exact limiter: what that refuses is the
/// over-admission.
public struct Audit: Equatable, Sendable {
    public let rule: String
    public let policy: RateLimitPolicy
    public var nodes = 0
    public var keys = 0
    public var admitted = 0
    public var overAdmitted = 0
    /// The most that was admitted of a key within any trailing period, in cost.
    public var peak = 0

    private init(_ policy: RateLimitPolicy) {
        rule = policy.name
        self.policy = policy
    }

    /// - Parameter logs: of each node its policies and what it admitted. Rules of the same name are the same rule; the
    ///   first node's policy says what it promises.
    public static func run(_ logs: [(policies: [RateLimitPolicy], arrivals: [ArrivalLog.Arrival])]) -> [Audit] {
        var audits: [Audit] = []
        var merged: [[ArrivalLog.Arrival]] = []
        for (policies, arrivals) in logs {
            for (index, policy) in policies.enumerated() {
                let own = arrivals.filter { $0.policy == index && $0.isAllowed && $0.cost > 0 }
                if own.isEmpty { continue }
                let place = audits.firstIndex { $0.rule == policy.name } ?? audits.count
                if place == audits.count {
                    audits.append(Audit(policy))
                    merged.append([])
                }
                audits[place].nodes += 1
                merged[place] += own
            }
        }
        for place in audits.indices { audits[place].judge(merged[place]) }
        return audits
    }

    private mutating func judge(_ arrivals: [ArrivalLog.Arrival]) {
        admitted = arrivals.count
        guard let reference = Reference(policy) else { return }
        // A stable order: what happened at the same moment stays in the order of the nodes.
        let ordered = arrivals.enumerated().sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }
        var exact: [SipHash.Digest: Reference.State] = [:]
        var actual: [SipHash.Digest: Reference.State] = [:]
        for (_, arrival) in ordered {
            var state = exact.removeValue(forKey: arrival.key) ?? Reference.State()
            if reference.allows(&state, cost: arrival.cost, arrival.time) {
                reference.admit(&state, cost: arrival.cost, arrival.time)
            } else {
                overAdmitted += 1
            }
            exact[arrival.key] = state
            var seen = actual.removeValue(forKey: arrival.key) ?? Reference.State()
            _ = reference.allows(&seen, cost: arrival.cost, arrival.time)
            reference.admit(&seen, cost: arrival.cost, arrival.time)
            peak = max(peak, seen.total)
            actual[arrival.key] = seen
        }
        keys = actual.count
    }
}
