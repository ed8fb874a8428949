import CircuitBreakerEngine
import CommandKit
import CommandServices
import KernelStructures
import ShellSession

extension CircuitBreakerCommands {
    private static let orders: [(word: String, state: CircuitState, summary: String)] = [
        ("close", .closed, "closes it, and begins to count anew"),
        ("open", .open, "opens it; it waits as usual, then lets trials through"),
        ("force-open", .forcedOpen, "opens it until somebody closes it"),
        ("disable", .disabled, "lets all calls pass, and counts none"),
        ("metrics-only", .metricsOnly, "lets all calls pass, and counts them"),
    ]

    /// `breaker`, `breaker why`, `breaker flaky-service force-open`, `breaker set failureThreshold 3`
    static var breaker: Command {
        let description = CommandDescription(
            "breaker", "looks at circuit breakers that run, or changes them", operates: true,
            subcommands: [
                .init(
                    "list", "all of them, or one, a line each", flags: [CommonFlags.json],
                    examples: ["breaker", "breaker flaky-service"]),
                .init(
                    "why", "what led to its present state", flags: [CommonFlags.json],
                    examples: ["breaker why", "breaker flaky-service why --json"]),
                .init(
                    "settings", "its configuration", flags: [CommonFlags.json], examples: ["breaker settings"]),
                .init(
                    "set", "changes its configuration at once, by resilience4j's names", usage: "KEY VALUE…",
                    arguments: .init([.word(CircuitBreakerConfiguration.keys), .text], 2...40),
                    examples: ["breaker set failureThreshold 3 waitDurationInOpenState 10s"]),
                .init(
                    "metrics", "what Prometheus would read", flags: [CommonFlags.json], examples: ["breaker metrics"]),
            ] + orders.map { .init($0.word, $0.summary, examples: ["breaker \($0.word)"]) }, whenNone: "list",
            group: .views,
            details: """
                LAST CALLS has a letter for each call: C went through a closed circuit, O was
                refused by an open one, H met a half-open one; d, f and m are the orders
                disable, force-open and metrics-only.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let session = invocation.session
            let now = session.world.now
            let verbs = description.subcommands.map(\.verb)
            if arguments.verb == "list", arguments.target == nil {
                return .view(BreakerViews.list(session.breakersToLookAt, now: now))
            }
            let found = try session.breaker(named: arguments.target, orMeant: verbs)
            switch arguments.verb {
            case "list": return .view(BreakerViews.list([found], now: now))
            case "why", "settings", "metrics": break
            default:
                guard found.ended == nil else {
                    throw CommandFailure("\(found.owner), which had the circuit \(found.name), has ended")
                }
            }
            switch arguments.verb {
            case "set": try set(arguments.arguments[...], found)
            case "why": return .view(BreakerViews.why(found.snapshot, now: found.ended ?? now))
            case "settings": return .view(settings(found.snapshot.configuration))
            case "metrics":
                let page = CircuitBreakerMetrics.page([found.snapshot])
                return .view(View(.text(page, json: .string(page))))
            default:
                if let order = orders.first(where: { $0.word == arguments.verb }) {
                    found.holder.order(order.state, ofBreaker: found.name)
                }
            }
            return .success
        }
    }

    private static func settings(_ configuration: CircuitBreakerConfiguration) -> View {
        View(
            .record(
                CircuitBreakerConfiguration.keys.map { .init($0, key: $0, .text(configuration.text(of: $0))) }))
    }

    private static func set(_ words: ArraySlice<String>, _ found: RunningBreaker) throws {
        guard !words.isEmpty, words.count % 2 == 0 else {
            throw UsageError("breaker set: it needs pairs of a name and a value: set failureThreshold 3")
        }
        var configuration = found.snapshot.configuration
        let pairs = Array(words)
        do throws(CircuitBreakerConfigurationError) {
            for index in stride(from: 0, to: pairs.count, by: 2) {
                try configuration.set(pairs[index], to: pairs[index + 1])
            }
            try configuration.validate()
        } catch {
            throw UsageError("breaker: \(error)")
        }
        found.holder.reconfigure(configuration, breaker: found.name)
    }
}
