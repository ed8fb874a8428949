import CircuitBreakerEngine
import CommandKit
import CommandServices
import KernelStructures
import ShellSession

extension CircuitBreakerCommands {
    private static let orders: [(word: String, state: CircuitState)] = [
        ("close", .closed), ("open", .open), ("force-open", .forcedOpen), ("disable", .disabled),
        ("metrics-only", .metricsOnly),
    ]
    private static let views = ["why", "settings", "metrics"]

    /// `breaker`, `breaker why`, `breaker flaky-service force-open`, `breaker set failureThreshold 3`
    static var breaker: Command {
        let verbs = views + ["set"] + orders.map(\.word)
        let description = CommandDescription(
            "breaker", "looks at circuit breakers that run, or changes them",
            usage: "[NAME] [why | settings | metrics | set KEY VALUE… | ORDER] [--json]", flags: [CommonFlags.json],
            arguments: .init([.word(verbs), .word(verbs)], 0...40),
            examples: [
                "breaker", "breaker why", "breaker flaky-service why --json", "breaker force-open",
                "breaker set failureThreshold 3 waitDurationInOpenState 10s", "breaker metrics",
            ],
            group: .views,
            details: """
                Without a word: all of them, one a line. LAST CALLS has a letter for each call:
                C went through a closed circuit, O was refused by an open one, H met a half-open
                one; d, f and m are the orders disable, force-open and metrics-only.
                why says what led to the present state; settings shows the configuration, and
                set changes it at once, by resilience4j's names; metrics is what Prometheus
                would read.
                Orders: close (resets it), open (waits as usual), force-open (until somebody
                closes it), disable (all calls pass, none is counted), metrics-only (all calls
                pass and are counted).
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            let session = invocation.session
            let now = session.world.now
            if words.isEmpty { return .view(View(BreakerViews.table(session.breakers, now: now))) }
            // A first word that is no verb can only be meant as a name.
            let name = verbs.contains(words.first!) ? nil : words.popFirst()
            let found = try session.breaker(named: name, orMeant: verbs)
            guard let verb = words.popFirst() else { return .view(View(BreakerViews.table([found], now: now))) }
            if verb == "set" {
                try set(words, found)
                return .success
            }
            if let extra = words.first { throw UsageError("breaker: '\(extra)' is one word too many") }
            switch verb {
            case "why": return .view(BreakerViews.why(found.snapshot, now: now))
            case "settings": return .view(settings(found.snapshot.configuration))
            case "metrics":
                let page = CircuitBreakerMetrics.page([found.snapshot])
                return .view(View(.text(page, json: .string(page))))
            default: break
            }
            guard let order = orders.first(where: { $0.word == verb }) else {
                throw UsageError("breaker: '\(verb)' is unknown\(didYouMean(verb, among: verbs))")
            }
            found.holder.order(order.state, ofBreaker: found.name)
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
            throw UsageError("breaker: set needs pairs of a name and a value: set failureThreshold 3")
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
