import CircuitBreakerEngine
import CommandKit
import KernelConfiguration
import KernelStructures
import KernelWire
import ResilienceEngine
import ShellSession

extension CircuitBreakerCommands {
    /// `circuit-test --url http://flaky-service:8080 --requests 100`
    static var circuitTest: Command {
        let description = CommandDescription(
            "circuit-test", "asks a service again and again, through a circuit breaker", usage: "--url URL [FLAGS]",
            flags: [
                .init("url", "u", .text("URL"), "what to ask for"),
                .init("requests", "n", .integer(1...1_000_000), "how many requests (100)"),
                .init("interval", "i", .duration(allowsZero: true), "from one answer to the next request (750ms)"),
                .init("parallel", "p", .integer(1...1000), "requests that are made at the same time (1)"),
                .init("failure-threshold", nil, .integer(1...1_000_000), "opens after so many failures (5)"),
                .init("success-threshold", nil, .integer(1...1_000_000), "closes after so many successes (2)"),
                .init("timeout", nil, .duration(), "how long it stays open (30s)"),
                .init("window", nil, .integer(1...1_000_000), "calls in which failures count (10, or the threshold)"),
                .init("config", nil, .file, "all of this and more from a file, by resilience4j's names"),
                .init("call-timeout", nil, .duration(), "how long an attempt may take (5s)"),
                .init("retries", nil, .integer(0...100), "further attempts after a failed one (0)"),
                .init("bulkhead", nil, .integer(1...100_000), "attempts that may be under way at a time"),
                .init("fallback", nil, .text("TEXT"), "what to answer where the service does not"),
                .init(
                    "share", nil, .endpoint, "a Redis or lsm-kv by which breakers tell each other what they have found"),
                .init("metrics", nil, .port, "a port for /metrics, for Prometheus"),
                .init("verbose", "v", "says why a request failed, and each further attempt"),
            ],
            examples: [
                "circuit-test --url http://flaky-service:8080 --requests 100",
                "circuit-test --url http://localhost:8080 --fallback 'cached data' -v &",
            ],
            group: .clients, tags: ["CB"],
            details: """
                A failure is an answer of 500 to 599, none at all, or one that takes longer than
                --call-timeout. An answer may be slow, too (slowCallDurationThreshold); the last
                line counts requests. Layers, from the outside: fallback, retry, circuit
                breaker, bulkhead, timeout. `breaker why` tells why the circuit is open.
                With --share a circuit that opens opens those of the others as well, and when
                the wait is over one of them tries. A store that is gone leaves each on its
                own.
                A file for --config:
                  failureRateThreshold: 50       # percent, or failureThreshold: 5
                  slidingWindowType: TIME_BASED  # COUNT_BASED
                  slidingWindowSize: 60
                  waitDurationInOpenState: 30s
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            guard let text = arguments.text("url") else {
                throw UsageError("circuit-test: which service? add --url http://flaky-service:8080")
            }
            let url: HTTPURL
            do throws(HTTPURL.Malformed) { url = try HTTPURL(text) } catch {
                throw UsageError("circuit-test: --url: \(error)")
            }
            if url.scheme == .https { throw UsageError("circuit-test: --url: TLS is not spoken here yet; use http://") }
            var settings = CircuitTestProgram.Settings(url: url)
            settings.requests = arguments.integer("requests") ?? 100
            settings.interval = arguments.duration("interval") ?? .milliseconds(750)
            settings.parallel = arguments.integer("parallel") ?? 1
            settings.fallback = arguments.text("fallback")
            settings.isVerbose = arguments.has("verbose")
            settings.share = arguments.endpoint("share").map { SharedCircuit.Settings(store: $0) }
            settings.metricsPort = arguments.port("metrics")
            settings.calls = try layers(invocation)
            settings.hasChosenThreshold = arguments.has("failure-threshold")
            return .running(CircuitTestProgram(invocation.process, settings))
        }
    }

    private static func layers(_ invocation: Invocation) throws -> ResilientCalls.Configuration {
        let arguments = invocation.arguments
        var layers = ResilientCalls.Configuration()
        layers.breaker = try breakerConfiguration(invocation)
        layers.timeout = arguments.duration("call-timeout") ?? .seconds(5)
        if let retries = arguments.integer("retries"), retries > 0 {
            var retry = Retry.Configuration()
            retry.maxAttempts = retries + 1
            layers.retry = retry
        }
        if let places = arguments.integer("bulkhead") {
            var bulkhead = Bulkhead.Configuration()
            bulkhead.maxConcurrentCalls = places
            layers.bulkhead = bulkhead
        }
        if arguments.text("fallback") != nil { layers.fallbacks = FallbackChain([.init("--fallback")]) }
        return layers
    }

    private static func breakerConfiguration(_ invocation: Invocation) throws -> CircuitBreakerConfiguration {
        let arguments = invocation.arguments
        let failures = arguments.integer("failure-threshold") ?? 5
        var configuration = CircuitBreakerConfiguration(
            failureThreshold: failures, successThreshold: arguments.integer("success-threshold") ?? 2,
            timeout: arguments.duration("timeout") ?? .seconds(30),
            windowSize: arguments.integer("window") ?? max(10, failures))
        if let file = arguments.text("config") {
            for flag in ["failure-threshold", "success-threshold", "timeout", "window"] where arguments.has(flag) {
                throw UsageError("circuit-test: --\(flag) and --config? the file can say it")
            }
            configuration = try read(file, invocation.session)
        }
        do throws(CircuitBreakerConfigurationError) { try configuration.validate() } catch {
            throw UsageError("circuit-test: \(error)")
        }
        return configuration
    }

    /// - Throws: `CommandFailure` with line and column.
    private static func read(_ file: String, _ session: Session) throws -> CircuitBreakerConfiguration {
        let bytes = try session.files.read(session.files.absolute(file))
        do throws(ConfigurationError) {
            let mapping = try ConfigurationMapping(
                try YAML.parse(bytes, file: file), what: "the circuit breaker", keys: CircuitBreakerConfiguration.keys)
            var configuration = CircuitBreakerConfiguration()
            for key in CircuitBreakerConfiguration.keys {
                guard let value = mapping[key] else { continue }
                let text = try value.text(for: key)
                do throws(CircuitBreakerConfigurationError) { try configuration.set(key, to: text) } catch {
                    throw ConfigurationError(value.place, error.description)
                }
            }
            return configuration
        } catch {
            throw CommandFailure(error.description)
        }
    }
}
