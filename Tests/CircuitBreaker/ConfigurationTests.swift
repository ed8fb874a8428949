import CircuitBreakerEngine
import KernelStructures
import Testing

@Suite struct ConfigurationTests {
    @Test(
        "values out of range are refused, by name",
        arguments: [
            ("failureRateThreshold", "0"), ("failureRateThreshold", "101"), ("failureRateThreshold", "nan"),
            ("slowCallRateThreshold", "-1"), ("slidingWindowSize", "0"), ("slidingWindowSize", "1000001"),
            ("minimumNumberOfCalls", "0"), ("waitDurationInOpenState", "0s"), ("exponentialBackoffMultiplier", "0.5"),
            ("exponentialBackoffMultiplier", "inf"), ("randomizedWaitFactor", "1"), ("randomizedWaitFactor", "-0.1"),
            ("permittedNumberOfCallsInHalfOpenState", "0"), ("failureThreshold", "0"), ("successThreshold", "0"),
            ("failureThreshold", "11"), ("slowCallDurationThreshold", "0s"),
        ])
    func ranges(name: String, text: String) throws {
        var configuration = CircuitBreakerConfiguration()
        configuration.slidingWindowSize = 10
        try configuration.set(name, to: text)
        let error = #expect(throws: CircuitBreakerConfigurationError.self) { try configuration.validate() }
        #expect(error?.name == name)
        #expect(error?.description.hasPrefix("\(name): ") == true)
    }

    @Test(
        "texts that are no such value, and names that are none",
        arguments: [
            ("failureRateThreshold", "half"), ("slidingWindowSize", "ten"), ("slidingWindowType", "CALLS"),
            ("waitDurationInOpenState", "30"), ("automaticTransitionFromOpenToHalfOpenEnabled", "yes"),
            ("failureThreshold", "five"), ("randomizedWaitFactor", "much"), ("failureRateTreshold", "50"),
        ])
    func texts(name: String, text: String) {
        var configuration = CircuitBreakerConfiguration()
        #expect(throws: CircuitBreakerConfigurationError.self) { try configuration.set(name, to: text) }
        #expect(configuration == CircuitBreakerConfiguration())
    }

    @Test("what is shown can be read again, for every name")
    func roundTrip() throws {
        var original = seedConfiguration
        original.slidingWindowType = .timeBased
        original.failureRateThreshold = 12.5
        original.randomizedWaitFactor = 0.25
        original.exponentialBackoffMultiplier = 1.5
        original.slowCallDurationThreshold = .milliseconds(1500)
        original.automaticTransitionFromOpenToHalfOpenEnabled = true
        original.exponentialMaxWaitDurationInOpenState = .seconds(90)
        original.slowCallRateThreshold = 80
        original.minimumNumberOfCalls = 7
        original.permittedNumberOfCallsInHalfOpenState = 3
        original.maxWaitDurationInHalfOpenState = .seconds(4)
        var copy = CircuitBreakerConfiguration()
        for key in CircuitBreakerConfiguration.keys {
            let before = copy
            try copy.set(key, to: original.text(of: key))
            #expect(copy != before, "\(key) is not what is set by its name")
        }
        #expect(copy == original)
        #expect(CircuitBreakerConfiguration.keys.count == Mirror(reflecting: original).children.count)
        for child in Mirror(reflecting: original).children {
            #expect(CircuitBreakerConfiguration.keys.contains(child.label ?? ""))
        }
    }

    @Test("the defaults are resilience4j's, but for the wait in half-open")
    func defaults() throws {
        let defaults = CircuitBreakerConfiguration()
        try defaults.validate()
        let texts = CircuitBreakerConfiguration.keys.map { defaults.text(of: $0) }
        #expect(
            texts == [
                "50", "100", "1m", "COUNT_BASED", "100", "100", "1m", "1", "1h", "0", "10", "1m", "false", "none",
                "none",
            ])
    }

    @Test("metrics are resilience4j's, in Prometheus' format")
    func metrics() {
        var story = Story()
        story.call(".xx")
        story.pass(.seconds(1))
        story.call("s.xxx..")
        let page = CircuitBreakerMetrics.page([BreakerSnapshot("a\"b", story.engine, now: story.now)])
        for line in [
            "resilience4j_circuitbreaker_state{name=\"a\\\"b\",state=\"open\"} 1",
            "resilience4j_circuitbreaker_state{name=\"a\\\"b\",state=\"closed\"} 0",
            "resilience4j_circuitbreaker_not_permitted_calls_total{name=\"a\\\"b\",kind=\"not_permitted\"} 2",
            "resilience4j_circuitbreaker_calls_seconds_count{name=\"a\\\"b\",kind=\"failed\"} 5",
            "resilience4j_circuitbreaker_calls_seconds_sum{name=\"a\\\"b\",kind=\"successful\"} 2",
            "resilience4j_circuitbreaker_buffered_calls{name=\"a\\\"b\",kind=\"failed\"} 5",
            "resilience4j_circuitbreaker_calls_seconds_max{name=\"a\\\"b\"} 2",
        ] {
            #expect(page.split(separator: "\n").contains { $0 == line }, "\(line) is not in\n\(page)")
        }
        let families = page.split(separator: "\n").filter { $0.hasPrefix("# TYPE") }.map { $0.split(separator: " ")[2] }
        #expect(Set(families).count == families.count)
    }
}
