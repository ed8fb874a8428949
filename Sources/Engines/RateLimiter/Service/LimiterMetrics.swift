import KernelTelemetry
import RateLimiterEngine

/// The limiter's numbers for Prometheus. The names end as Envoy's statistics do.
enum LimiterMetrics {
    static func collect(_ engine: RateLimiter, into page: inout MetricWriter) {
        func family(_ name: String, _ kind: MetricKind, _ help: String, _ values: [Int]) {
            page.family("ratelimit_\(name)", kind, help) { samples in
                for (policy, value) in zip(engine.policies, values) { samples.add(value, [("rule", policy.name)]) }
            }
        }
        let counters = engine.counters
        family("total_hits_total", .counter, "Requests that the rule concerned", counters.map(\.hits))
        family("within_limit_total", .counter, "Requests admitted", counters.map(\.withinLimit))
        family("near_limit_total", .counter, "Admitted with less than a fifth left", counters.map(\.nearLimit))
        family("over_limit_total", .counter, "Requests refused", counters.map(\.overLimit))
        family("shadow_mode_total", .counter, "Would have been refused", counters.map(\.shadowOverLimit))
        let policies = engine.policies.indices
        family("keys", .gauge, "Keys remembered", policies.map { engine.keyCount(policy: $0) })
        family("key_bytes", .gauge, "Bytes they take", policies.map { engine.byteCount(policy: $0) })
        family(
            "evicted_keys_total", .counter, "Keys in use that had to go",
            policies.map { engine.evictedCount(policy: $0) })
    }
}
