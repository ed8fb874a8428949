import KernelStructures
import RateLimiterEngine

/// A rate limiter's configuration: every key, its default and its unit.
///
/// ```yaml
/// rules:
///   - name: default              # letters, digits, - _ . : as clients see it
///     algorithm: token-bucket    # token-bucket, leaky-bucket, gcra, fixed-window, sliding-log, sliding-counter,
///                                # concurrency
///     rate: 10                   # needed: requests a period; or 10/second, 600/minute, 5/hour, 1000/day
///     period: 1s
///     burst: 20                  # requests at once, for buckets; at a time, for concurrency (rate)
///     key: ip                    # ip, header NAME, api-key, user, route, global; or a list of them
///     path: /api                 # requests below it; a list for several (all)
///     method: [GET, POST]        # (all)
///     cost: 1                    # what a request takes
///     cost_header: X-Cost        # says it instead, in requests from trusted proxies (none)
///     delay: true                # leaky-bucket: whether requests are held back until their turn
///     shadow: false              # only count what would be refused
///     log_size: 128              # sliding-log: entries a key; a larger limit is counted in grains
///     keys: 100000               # keys that are remembered
///     on_store_failure: local    # open, closed, local: what to do while the store cannot be asked
/// upstream: localhost:9000       # where admitted requests go (they are answered 200 here)
/// trusted_proxies: [10.0.0.0/8]  # whose X-Forwarded-For is believed (none)
/// ipv6_prefix: 64                # bits of an IPv6 address that tell clients apart
/// exempt: [/health]              # paths without limits, and below them
/// headers: both                  # both, x-ratelimit, ratelimit, none
/// partition_key: false           # tell clients by which key they are counted
/// store: redis://host:6379       # shared counts: Redis 7, or host:port of another limiter's --throttle port
/// lease: 1                       # requests' worth of quota taken from another limiter at a time
/// store_timeout: 250ms           # then it counts as failed
/// timeouts: {connect: 5s, response: 60s, idle: 75s}
/// ```
public struct RateLimiterConfiguration: Equatable, Sendable {
    public var rules: [RateLimitRule]
    public var upstream: HostPort?
    public var trustedProxies = TrustedProxies.none
    public var ipv6Prefix = 64
    public var exempt: [String] = []
    var families = RateLimitFields.Families.both
    public var showsPartitionKey = false
    public var store: StoreAddress?
    public var lease = 1
    public var storeTimeout = LabDuration.milliseconds(250)
    public var timeouts = Timeouts()

    public struct Timeouts: Equatable, Sendable {
        public var connect = LabDuration.seconds(5)
        public var response = LabDuration.seconds(60)
        public var idle = LabDuration.seconds(75)
    }

    /// Where shared counts are.
    public enum StoreAddress: Equatable, Sendable, CustomStringConvertible {
        case redis(HostPort, database: Int)
        case peer(HostPort)

        /// Reads `redis://host:port[/database]` or `host:port`.
        public init?(parsing text: String) {
            if text.hasPrefix("redis://") {
                let parts = text.dropFirst("redis://".count).split(separator: "/", omittingEmptySubsequences: false)
                guard let first = parts.first, parts.count <= 2 else { return nil }
                let address = first.contains(":") ? String(first) : first + ":6379"
                guard let destination = HostPort(parsing: address) else { return nil }
                guard parts.count == 1 || parts[1].isEmpty || Int(parts[1]).map({ (0...15).contains($0) }) ?? false
                else {
                    return nil
                }
                self = .redis(destination, database: parts.count == 2 ? Int(parts[1]) ?? 0 : 0)
            } else if text.contains(":"), let destination = HostPort(parsing: text) {
                self = .peer(destination)
            } else {
                return nil
            }
        }

        public var description: String {
            switch self {
            case .redis(let place, let database): "redis://\(place)" + (database == 0 ? "" : "/\(database)")
            case .peer(let place): place.description
            }
        }
    }

    /// More rules than this are refused.
    public static let ruleLimit = 100

    public init(rules: [RateLimitRule]) { self.rules = rules }

    /// Why a rule cannot be counted in the store; nil if all can.
    public var storeComplaint: String? {
        guard let store else { return nil }
        for rule in rules {
            if rule.policy.algorithm == .concurrency {
                return "rule \(rule.policy.name): concurrency is counted by each node alone; it cannot have a store"
            }
            if case .redis = store, let complaint = RedisStore.complaint(about: rule.policy) {
                return "rule \(rule.policy.name): \(complaint)"
            }
        }
        return nil
    }
}
