import KernelStructures

/// The last requests as they came, so that another policy can be tried on them (`replay`) and several nodes' admissions
/// can be put together (`audit`).
public struct ArrivalLog {
    public struct Arrival: Sendable {
        public let time: LabTime
        public let policy: Int
        public let key: SipHash.Digest
        public let cost: Int
        public let isAllowed: Bool
    }

    public static let defaultLimit = 100_000
    private let limit: Int
    private var arrivals = RingQueue<Arrival>()
    /// Those that were forgotten.
    public private(set) var dropped = 0

    init(limit: Int) { self.limit = limit }

    /// What stands for a key here: the same on every node, as their secret digests are not.
    static func name(_ key: [UInt8]) -> SipHash.Digest {
        SipHash.Digest(high: key.withUnsafeBytes { keyHash($0) }, low: 1)
    }

    mutating func note(time: LabTime, policy: Int, key: SipHash.Digest, cost: Int, isAllowed: Bool) {
        if arrivals.count == limit {
            _ = arrivals.popFirst()
            dropped += 1
        }
        arrivals.append(Arrival(time: time, policy: policy, key: key, cost: cost, isAllowed: isAllowed))
    }

    mutating func removeAll() {
        arrivals.removeAll()
        dropped = 0
    }

    public var count: Int { arrivals.count }
    /// Oldest first.
    public var all: [Arrival] { (0..<arrivals.count).map { arrivals[$0] } }
}

/// What one policy would have done with the requests that another one saw.
public struct ArrivalReplay: Equatable, Sendable {
    public var allowed = 0
    public var denied = 0
    /// Decided otherwise than they were.
    public var newlyAllowed = 0
    public var newlyDenied = 0
    public var verdicts = Oracle.Verdicts()

    /// Runs the arrivals of the policy with index `original` under `policy`.
    ///
    /// A refused client that came again because it was refused comes again here, too: the past cannot react.
    public init(_ arrivals: [ArrivalLog.Arrival], of original: Int, under policy: RateLimitPolicy) {
        let ledger = Ledger.make(policy)
        var oracle = Oracle([policy])
        for arrival in arrivals where arrival.policy == original {
            let assessment = ledger.assess(arrival.key, cost: Int64(arrival.cost), arrival.time)
            if assessment.isAllowed {
                ledger.commit()
                allowed += 1
                if !arrival.isAllowed { newlyAllowed += 1 }
            } else {
                denied += 1
                if arrival.isAllowed { newlyDenied += 1 }
            }
            oracle.judge(0, arrival.key, cost: arrival.cost, isAllowed: assessment.isAllowed, arrival.time)
        }
        verdicts = oracle.verdicts[0]
    }
}
