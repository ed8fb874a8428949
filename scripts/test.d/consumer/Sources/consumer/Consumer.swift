import CacheLayerEngine
import CircuitBreakerEngine
import ConnectionPoolEngine
import FeatureFlagsEngine
import HashRingEngine
import KernelTelemetry
import RateLimiterEngine
import ResilienceEngine

/// Each library does something, and says so.
@main struct Consumer {
    static func main() async throws {
        print("breaker", try await CircuitBreaker("api").execute { 1 })
        print("retry", try await AsyncRetry(clock: ContinuousClock()).execute { attempt in attempt })
        let limiter = try Limiter(.tokenBucket, rate: 1, per: .seconds(60), burst: 1)
        print("limiter", limiter.allow("alice"), limiter.allow("alice"))
        var ring = HashRing(scheme: .labels(.xxh64))
        try ring.add(RingNode("cache-1"))
        print("ring", ring.owner(of: "user:123") ?? "nobody")
        print("pool", try await ConnectionFactory(connect: { 7 }).connect())
        try CacheConfiguration().validate()
        print("cache", CacheConfiguration().maximumLoads > 0)
        print("flags", FeatureFlagClient("key").isEnabled("new", FlagContext("123")))
        let registry = MetricRegistry()
        try registry.counter("requests_total", "Requests").increment()
        print("metrics", registry.page().count > 0)
    }
}
