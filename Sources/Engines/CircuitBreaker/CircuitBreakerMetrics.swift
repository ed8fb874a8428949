import KernelStructures

/// Breakers' numbers as Prometheus reads them (text format 0.0.4), under the names and labels of resilience4j's
/// Micrometer binding: a dashboard that was made for that one shows these.
public struct CircuitBreakerMetrics {
    private var text = ""

    /// The page, breakers in the order given.
    public static func page(_ breakers: [BreakerSnapshot]) -> String {
        var page = CircuitBreakerMetrics()
        page.write(breakers)
        return page.text
    }

    private mutating func write(_ breakers: [BreakerSnapshot]) {
        family("state", "gauge", "1 for the state that the breaker is in, otherwise 0", breakers) { breaker in
            CircuitState.allCases.map { (("state", $0.label), $0 == breaker.state ? "1" : "0") }
        }
        family("failure_rate", "gauge", "Failed calls in the window in percent; -1 below the minimum", breakers) {
            [(("", ""), Self.rate($0.failureRate))]
        }
        family("slow_call_rate", "gauge", "Slow calls in the window in percent; -1 below the minimum", breakers) {
            [(("", ""), Self.rate($0.slowCallRate))]
        }
        family("buffered_calls", "gauge", "Calls in the window", breakers) {
            [(("kind", "failed"), String($0.tally.failures)), (("kind", "successful"), String($0.tally.successes))]
        }
        family("slow_calls", "gauge", "Slow calls in the window", breakers) {
            let successful = $0.tally.slowCalls - $0.tally.slowFailures
            return [(("kind", "failed"), String($0.tally.slowFailures)), (("kind", "successful"), String(successful))]
        }
        family("not_permitted_calls_total", "counter", "Calls that were refused", breakers) {
            [(("kind", "not_permitted"), String($0.counters.rejected))]
        }
        writeCalls(breakers)
        family("late_calls_total", "counter", "Results that came after the state they belong to", breakers) {
            [(("", ""), String($0.counters.late))]
        }
    }

    /// A summary without quantiles: count and sum by kind, and the longest.
    private mutating func writeCalls(_ breakers: [BreakerSnapshot]) {
        let name = "resilience4j_circuitbreaker_calls_seconds"
        head(name, "summary", "Calls by how they ended, and how long they took")
        for breaker in breakers {
            let counters = breaker.counters
            for (kind, count, sum) in [
                ("failed", counters.failures, counters.failureDuration), ("ignored", counters.ignored, .zero),
                ("successful", counters.successes, counters.successDuration),
            ] {
                sample("\(name)_count", breaker.name, ("kind", kind), String(count))
                sample("\(name)_sum", breaker.name, ("kind", kind), trimmedDecimal(sum.seconds, places: 9))
            }
        }
        family("calls_seconds_max", "gauge", "The longest call so far", breakers) {
            [(("", ""), trimmedDecimal($0.counters.maxDuration.seconds, places: 9))]
        }
    }

    private static func rate(_ value: Double?) -> String { value.map { trimmedDecimal($0, places: 6) } ?? "-1" }

    private typealias Label = (name: String, value: String)

    private mutating func family(
        _ name: String, _ kind: String, _ help: String, _ breakers: [BreakerSnapshot],
        _ samples: (BreakerSnapshot) -> [(Label, String)]
    ) {
        let name = "resilience4j_circuitbreaker_\(name)"
        head(name, kind, help)
        for breaker in breakers {
            for (label, value) in samples(breaker) { sample(name, breaker.name, label, value) }
        }
    }

    private mutating func head(_ name: String, _ kind: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n"
    }

    private mutating func sample(_ name: String, _ breaker: String, _ label: Label, _ value: String) {
        let escaped = breaker.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
        let more = label.name.isEmpty ? "" : ",\(label.name)=\"\(label.value)\""
        text += "\(name){name=\"\(escaped)\"\(more)} \(value)\n"
    }
}
