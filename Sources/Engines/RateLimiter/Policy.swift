import KernelStructures

/// One limit that requests are held to.
public struct RateLimitPolicy: Equatable, Sendable {
    public enum Algorithm: String, CaseIterable, Sendable {
        case tokenBucket = "token-bucket"
        case leakyBucket = "leaky-bucket"
        case gcra
        case fixedWindow = "fixed-window"
        case slidingLog = "sliding-log"
        case slidingCounter = "sliding-counter"
        /// At most `Quota.burst` requests of a key under way at a time; the rate does not matter.
        case concurrency

        /// What it is called in a sentence.
        public var title: String {
            switch self {
            case .tokenBucket: "Token bucket"
            case .leakyBucket: "Leaky bucket"
            case .gcra: "GCRA"
            case .fixedWindow: "Fixed window"
            case .slidingLog: "Sliding log"
            case .slidingCounter: "Sliding counter"
            case .concurrency: "Concurrency"
            }
        }

        /// Whether it counts within a period, and knows no burst.
        public var isWindowed: Bool {
            switch self {
            case .fixedWindow, .slidingLog, .slidingCounter: true
            case .tokenBucket, .leakyBucket, .gcra, .concurrency: false
            }
        }
    }

    public var name: String
    public var algorithm: Algorithm
    public var quota: Quota
    /// Whether the leaky bucket holds requests back; without, it only refuses.
    public var isDelaying = true
    /// Whether it only counts what it would refuse.
    public var isShadow = false
    /// Keys that are remembered, 1…10^8. More than this are never in memory.
    public var keyLimit = Self.defaultKeyLimit
    /// Entries of a sliding log, 1…100,000.
    public var logSize = SlidingLog.defaultSize

    public static let defaultKeyLimit = 100_000
    /// A request that leaves less than this counts as near the limit: a fifth of it, rounded up, as Envoy has it.
    static func nearLimit(_ limit: Int) -> Int { (limit + 4) / 5 }

    public init(_ name: String = "default", _ algorithm: Algorithm, _ quota: Quota) {
        self.name = name
        self.algorithm = algorithm
        self.quota = quota
    }

    /// `10 tokens/sec, burst 20`: what a log line says of it.
    public var summary: String {
        let unit = quota.period == .seconds(1) ? "sec" : quota.period.description
        switch algorithm {
        case .tokenBucket: return "\(counted(quota.count, "token"))/\(unit), burst \(quota.burst)"
        case .leakyBucket: return "\(counted(quota.count, "request"))/\(unit), queue of \(quota.burst)"
        case .gcra: return "\(counted(quota.count, "request"))/\(unit), burst \(quota.burst)"
        case .fixedWindow, .slidingLog, .slidingCounter: return "\(counted(quota.count, "request"))/\(unit)"
        case .concurrency: return "\(quota.burst) at a time"
        }
    }
}

/// What a policy has seen. Requests, not what they cost. The names are those of Envoy's rate limit service.
public struct RateLimitCounters: Equatable, Sendable {
    public var hits = 0
    public var withinLimit = 0
    /// Admitted, and less than a fifth of the limit was left.
    public var nearLimit = 0
    /// Refused by this policy, and so by all.
    public var overLimit = 0
    /// What it would have refused if it were not a shadow.
    public var shadowOverLimit = 0
    /// Admitted by this policy and refused by another: nothing was charged.
    public var refusedByOthers = 0
}

extension RateLimitPolicy {
    /// Whether keys that were counted under it mean the same under the other.
    func keepsKeys(as other: RateLimitPolicy) -> Bool {
        algorithm == other.algorithm && quota == other.quota && isDelaying == other.isDelaying
            && keyLimit == other.keyLimit && logSize == other.logSize
    }
}
