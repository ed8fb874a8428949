import CommandKit
import CommandServices
import KernelStructures
import RateLimiterEngine
import RateLimiterService
import ShellSession

extension RateLimiterCommands {
    private static let limiterVerbs = ["why", "denied", "oracle", "audit", "replay"]

    /// `limiter why 127.0.0.1`, `limiter oracle`, `limiter audit`, `limiter replay`
    static var limiter: Command {
        let algorithms = RateLimitPolicy.Algorithm.allCases.filter { $0 != .concurrency }.map(\.rawValue)
        let description = CommandDescription(
            "limiter", "why a rate limiter refuses, and how right it is",
            usage: "(why KEY|denied|oracle|audit|replay) [FLAGS]",
            flags: [
                .init("node", "n", .text("NAME"), "which limiter, where several run"),
                .init("rule", "r", .text("NAME"), "replay: which rule (the first)"),
                .init("algorithm", "a", .text("NAME"), repeatable: true, "replay: to try (all)"), CommonFlags.json,
            ],
            arguments: .init([.word(limiterVerbs), .text], 1...2),
            examples: [
                "limiter why 127.0.0.1", "limiter denied", "limiter oracle", "limiter audit",
                "limiter replay --algorithm sliding-log",
            ],
            group: .views,
            details: """
                why     what a key has left under each rule, and its last refusals
                denied  the last refusals of all keys
                oracle  decisions beside an exact count: a false allow broke the promise of
                        the algorithm (any trailing period for windows, burst + rate for
                        buckets), a false deny would have kept it
                audit   all limiters of the lab together: of what they admitted, what a single
                        exact limiter would have refused
                replay  the past requests of a rule under other algorithms
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let verb = arguments.arguments[0]
            guard limiterVerbs.contains(verb) else {
                throw UsageError(
                    "limiter: '\(verb)' is none of \(limiterVerbs.joined(separator: ", "))"
                        + didYouMean(verb, among: limiterVerbs))
            }
            guard verb == "why" || arguments.arguments.count == 1 else {
                throw UsageError("limiter: '\(arguments.arguments[1])' is one word too many after \(verb)")
            }
            let session = invocation.session
            if verb == "audit" { return .view(try session.auditView()) }
            let host = try session.limiter(named: arguments.text("node"))
            let now = session.world.now
            switch verb {
            case "why":
                guard arguments.arguments.count == 2 else {
                    throw UsageError("limiter: why whom? limiter why KEY; `limiter denied` lists keys")
                }
                return .view(host.why(arguments.arguments[1], now: now))
            case "denied":
                return .view(View(host.denials(host.engine.denials.recent, now: now, namesKeys: true)))
            case "oracle": return .view(host.oracleView)
            default:
                let chosen = arguments.texts("algorithm")
                if let bad = chosen.first(where: { !algorithms.contains($0) }) {
                    throw UsageError("limiter: --algorithm: '\(bad)' is unknown\(didYouMean(bad, among: algorithms))")
                }
                let wanted = (chosen.isEmpty ? algorithms : chosen).compactMap {
                    RateLimitPolicy.Algorithm(rawValue: $0)
                }
                return .view(host.replayed(wanted, rule: try host.rule(named: arguments.text("rule"))))
            }
        }
    }
}

extension RateLimiterHost {
    fileprivate func rule(named name: String?) throws -> Int {
        guard let name else { return 0 }
        let names = engine.policies.map(\.name)
        guard let index = names.firstIndex(of: name) else {
            throw CommandFailure("no rule called '\(name)'\(didYouMean(name, among: names))")
        }
        return index
    }
}

extension Session {
    /// Of each rule, what the limiters admitted together and what one exact limiter would have.
    fileprivate func auditView() throws -> View {
        // One that serves as the others' store has decided nothing for clients of its own unless it was asked itself.
        let hosts = limiters.map(\.host)
        guard !hosts.isEmpty else { _ = try limiter(named: nil); return View() }
        let results = Audit.run(hosts.map { ($0.engine.policies, $0.admissions) })
        let rows = results.map { result -> [View.Cell] in
            [
                .text(result.rule), .integer(result.nodes), .integer(result.keys), .integer(result.admitted),
                .integer(result.overAdmitted, style: result.overAdmitted > 0 ? .bad : .good),
                result.policy.algorithm.isWindowed ? .integer(result.peak) : .none,
                .integer(result.policy.algorithm.isWindowed ? result.policy.quota.count : result.policy.quota.burst),
            ]
        }
        return View(
            .table(
                .init(
                    [
                        .init("RULE", flexible: true), .init("NODES", right: true), .init("KEYS", right: true),
                        .init("ADMITTED", right: true), .init("OVER-ADMITTED", key: "over_admitted", right: true),
                        .init("PEAK", right: true), .init("LIMIT", right: true),
                    ], rows: rows, whenEmpty: "nothing was admitted")))
    }
}
