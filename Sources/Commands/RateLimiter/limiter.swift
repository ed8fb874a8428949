import CommandKit
import CommandServices
import KernelStructures
import RateLimiterEngine
import RateLimiterService
import ShellSession

extension RateLimiterCommands {
    /// `limiter why 127.0.0.1`, `limiter oracle`, `limiter audit`, `limiter replay`
    static var limiter: Command {
        let algorithms = RateLimitPolicy.Algorithm.allCases.filter { $0 != .concurrency }.map(\.rawValue)
        let description = CommandDescription(
            "limiter", "why a rate limiter refuses, and how right it is", operates: true,
            subcommands: [
                .init(
                    "why", "what a key has left under each rule, and its last refusals", usage: "KEY",
                    flags: [CommonFlags.json], arguments: .init([.text], 1...1), examples: ["limiter why 127.0.0.1"],
                    details: """
                        `limiter denied` lists keys. Where counts are shared, the store is asked.
                        """),
                .init(
                    "denied", "the last refusals of all keys", flags: [CommonFlags.json], examples: ["limiter denied"]),
                .init(
                    "oracle", "its decisions beside an exact count", flags: [CommonFlags.json],
                    examples: ["limiter oracle"],
                    details: """
                        A false allow broke the promise of the algorithm (any trailing period for
                        windows, burst + rate for buckets); a false deny would have kept it.
                        """),
                .init(
                    "audit", "all limiters of the lab together, beside one exact limiter", flags: [CommonFlags.json],
                    examples: ["limiter audit"],
                    details: "Of what they admitted, what a single exact limiter would have refused."),
                .init(
                    "replay", "the past requests of a rule under other algorithms",
                    usage: "[--rule NAME] [--algorithm NAME…]",
                    flags: [
                        .init("rule", "r", .text("NAME"), "which rule (the first)"),
                        .init("algorithm", "a", .choice(algorithms), repeatable: true, "to try (all)"),
                        CommonFlags.json,
                    ], examples: ["limiter replay --algorithm sliding-log"]),
            ], group: .views)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let session = invocation.session
            if arguments.verb == "audit" { return .view(try session.auditView()) }
            let host = try session.limiter(named: arguments.target)
            let now = session.world.now
            switch arguments.verb {
            case "why":
                // What this node counts by itself is known at once.
                guard host.configuration.store == nil else {
                    return .running(LimiterQuestion(invocation.process, host, arguments))
                }
                let key = arguments.arguments[0]
                var view = View()
                host.look(at: key) { view = host.why(key, $0, now: now) }
                return .view(view)
            case "denied": return .view(View(host.denials(host.engine.denials.recent, now: now, namesKeys: true)))
            case "oracle": return .view(host.oracleView)
            default:
                let chosen = arguments.texts("algorithm")
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
                        .init("RULE", key: "rule", flexible: true), .init("NODES", key: "nodes", right: true),
                        .init("KEYS", key: "keys", right: true),
                        .init("ADMITTED", key: "admitted", right: true),
                        .init("OVER-ADMITTED", key: "over_admitted", right: true),
                        .init("PEAK", key: "peak", right: true), .init("LIMIT", key: "limit", right: true),
                    ], rows: rows, whenEmpty: "nothing was admitted")))
    }
}

/// `limiter why KEY`: what the key has left is known to the store, if there is one.
private final class LimiterQuestion: Program {
    private let process: Process
    private let host: RateLimiterHost
    private let arguments: ParsedArguments

    init(_ process: Process, _ host: RateLimiterHost, _ arguments: ParsedArguments) {
        self.process = process
        self.host = host
        self.arguments = arguments
    }

    /// Later, as every answer from elsewhere comes: a store that is known to be gone would answer before this returns.
    func start() { process.node.enqueue { [self] in ask() } }

    private func ask() {
        let key = arguments.arguments[0]
        host.look(at: key) { [self] look in
            guard process.isRunning else { return }
            process.output.write(
                process.text(of: host.why(key, look, now: process.session.world.now), for: arguments))
            process.exit(0)
        }
    }
}
