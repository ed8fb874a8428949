import KernelStructures
import KernelTelemetry

/// Breakers' numbers for Prometheus, under the names and labels of resilience4j's Micrometer binding: a dashboard that
/// was made for that one shows these.
public enum CircuitBreakerMetrics {
    private static let prefix = "resilience4j_circuitbreaker_"

    /// The breakers' numbers alone, in the text format, breakers in the order given.
    public static func page(_ breakers: [BreakerSnapshot]) -> String {
        var page = MetricWriter()
        collect(breakers, into: &page)
        return String(decoding: page.finish(), as: UTF8.self)
    }

    /// Adds the breakers' numbers to a page.
    public static func collect(_ breakers: [BreakerSnapshot], into page: inout MetricWriter) {
        let families: [(String, MetricKind, String, (BreakerSnapshot) -> [(label: (String, String)?, value: Double)])] =
            [
                (
                    "state", .gauge, "1 for the state that the breaker is in, otherwise 0",
                    { breaker in CircuitState.allCases.map { (("state", $0.label), $0 == breaker.state ? 1 : 0) } }
                ),
                (
                    "failure_rate", .gauge, "Failed calls in the window in percent; -1 below the minimum",
                    { [(nil, $0.failureRate ?? -1)] }
                ),
                (
                    "slow_call_rate", .gauge, "Slow calls in the window in percent; -1 below the minimum",
                    { [(nil, $0.slowCallRate ?? -1)] }
                ),
                (
                    "buffered_calls", .gauge, "Calls in the window",
                    { kinds($0.tally.failures, $0.tally.successes) }
                ),
                (
                    "slow_calls", .gauge, "Slow calls in the window",
                    { kinds($0.tally.slowFailures, $0.tally.slowCalls - $0.tally.slowFailures) }
                ),
                (
                    "not_permitted_calls_total", .counter, "Calls that were refused",
                    { [(("kind", "not_permitted"), Double($0.counters.rejected))] }
                ),
            ]
        for (name, kind, help, samples) in families { add(name, kind, help, breakers, samples, to: &page) }
        addCalls(breakers, to: &page)
        add(
            "calls_seconds_max", .gauge, "The longest call so far", breakers,
            { [(nil, $0.counters.maxDuration.seconds)] }, to: &page)
        add(
            "late_calls_total", .counter, "Results that came after the state they belong to", breakers,
            { [(nil, Double($0.counters.late))] }, to: &page)
    }

    private static func kinds(_ failed: Int, _ successful: Int) -> [(label: (String, String)?, value: Double)] {
        [(("kind", "failed"), Double(failed)), (("kind", "successful"), Double(successful))]
    }

    private static func add(
        _ name: String, _ kind: MetricKind, _ help: String, _ breakers: [BreakerSnapshot],
        _ values: (BreakerSnapshot) -> [(label: (String, String)?, value: Double)], to page: inout MetricWriter
    ) {
        page.family(prefix + name, kind, help) { samples in
            for breaker in breakers {
                for (label, value) in values(breaker) {
                    samples.add(value, [("name", breaker.name)] + (label.map { [$0] } ?? []))
                }
            }
        }
    }

    /// A summary without quantiles: count and sum by kind.
    private static func addCalls(_ breakers: [BreakerSnapshot], to page: inout MetricWriter) {
        page.family(prefix + "calls_seconds", .summary, "Calls by how they ended, and how long they took") { samples in
            for breaker in breakers {
                let counters = breaker.counters
                for (kind, count, sum) in [
                    ("failed", counters.failures, counters.failureDuration), ("ignored", counters.ignored, .zero),
                    ("successful", counters.successes, counters.successDuration),
                ] {
                    let labels = [("name", breaker.name), ("kind", kind)]
                    samples.summary(count: UInt64(clamping: count), sum: sum.seconds, labels)
                }
            }
        }
    }
}
