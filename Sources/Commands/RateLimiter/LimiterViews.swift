import CommandKit
import KernelStructures
import RateLimiterEngine
import RateLimiterService

extension RateLimiterHost {
    var stats: View {
        var fields: [View.Field] = [
            .init("requests", key: "requests", .integer(counters.requests)),
            .init("admitted", key: "admitted", .integer(counters.admitted)),
            .init("refused", key: "refused", .integer(counters.refused)),
        ]
        if counters.exempt > 0 { fields.append(.init("exempt", key: "exempt", .integer(counters.exempt))) }
        if counters.delayed > 0 { fields.append(.init("held back", key: "held_back", .integer(counters.delayed))) }
        if let store = storeCounters {
            fields += [
                .init("store asked", key: "store_asked", .integer(store.asked)),
                .init("from leases", key: "from_leases", .integer(store.fromLease)),
                .init("lease lost", key: "lease_lost", .integer(store.leaseLost)),
                .init(
                    "store failed", key: "store_failed",
                    .integer(store.failed, style: store.failed > 0 ? .warning : .plain)),
                .init("failed open", key: "failed_open", .integer(counters.failedOpen)),
                .init("failed closed", key: "failed_closed", .integer(counters.failedClosed)),
                .init("counted alone", key: "counted_alone", .integer(counters.decidedAlone)),
            ]
        }
        if engine.throttleCounters.hits > 0 {
            fields += [
                .init("throttle hits", key: "throttle_hits", .integer(engine.throttleCounters.hits)),
                .init("throttle over", key: "throttle_over", .integer(engine.throttleCounters.overLimit)),
            ]
        }
        return View(.record(fields), rulesTable)
    }

    private var rulesTable: View.Content {
        let rows = engine.policies.enumerated().map { index, policy -> [View.Cell] in
            let counters = engine.counters[index]
            return [
                .text(policy.name), .text(policy.algorithm.rawValue), .text(policy.quota.description),
                .integer(counters.hits), .integer(counters.withinLimit), .integer(counters.nearLimit),
                .integer(counters.overLimit, style: counters.overLimit > 0 ? .warning : .plain),
                .integer(counters.shadowOverLimit), .integer(engine.keyCount(policy: index)),
                .init(
                    byteCountText(engine.byteCount(policy: index)), json: .integer(engine.byteCount(policy: index))),
            ]
        }
        return .table(
            .init(
                [
                    .init("RULE", key: "rule", flexible: true), .init("ALGORITHM", key: "algorithm"),
                    .init("RATE", key: "rate"), .init("HITS", key: "hits", right: true),
                    .init("OK", key: "within_limit", right: true), .init("NEAR", key: "near_limit", right: true),
                    .init("OVER", key: "over_limit", right: true),
                    .init("SHADOW", key: "shadow_over_limit", right: true),
                    .init("KEYS", key: "keys", right: true), .init("MEMORY", key: "bytes", right: true),
                ], rows: rows, whenEmpty: "no rules"))
    }

    /// Why a key was refused: what it has now under each rule, and its last refusals.
    func why(_ key: String, _ look: Look, now: LabTime) -> View {
        let (states, failure): ([Assessment], String?) =
            switch look {
            case .found(let states, _): (states, nil)
            case .alone(let states, let reason): (states, reason)
            }
        let rules = configuration.rules
        let rows = zip(rules, states).map { rule, state -> [View.Cell] in
            let policy = rule.policy
            let name = View.Cell.text(rule.key.parts == [.global] ? "\(policy.name) (one for all)" : policy.name)
            if failure != nil, rule.onStoreFailure != .local {
                let isOpen = rule.onStoreFailure == .open
                return [
                    name, .text(policy.summary), .text("unknown"),
                    isOpen ? .text("admitted unasked", style: .warning) : .text("503", style: .bad), .none,
                ]
            }
            let left = state.remaining + (state.isAllowed ? rule.cost : 0)
            return [
                name, .text(policy.summary, style: .plain),
                .init("\(left) of \(state.limit)", json: .integer(left)),
                state.isAllowed
                    ? .text("admitted", style: .good)
                    : .text(policy.isShadow ? "over (shadow)" : "refused", style: .bad),
                state.isAllowed
                    ? .none : state.retryAfter == .infinite ? .text("never") : .duration(state.retryAfter),
            ]
        }
        var fields: [View.Field] = [.init("key", key: "key", .text(key, style: .strong))]
        if let store = configuration.store {
            let state = failure.map { View.Cell.text("\(store.description) cannot be asked: \($0)", style: .bad) }
            fields.append(.init("store", key: "store", state ?? .text(store.description)))
        }
        var parts: [View.Content] = [
            .record(fields),
            .table(
                .init(
                    [
                        .init("RULE", key: "rule", flexible: true), .init("LIMIT", key: "limit", flexible: true),
                        .init("LEFT", key: "left", right: true),
                        .init("A REQUEST NOW", key: "a_request_now"),
                        .init("RETRY AFTER", key: "retry_after_ms", right: true),
                    ], rows: rows, whenEmpty: "no rules")),
        ]
        // By rule, what it knows this key by.
        var keys: [String: String] = [:]
        for rule in rules { keys[rule.policy.name] = self.key(of: rule, typed: key) }
        let own = engine.denials.recent.filter { $0.key == keys[$0.policy] ?? key }
        parts.append(denials(own, now: now, namesKeys: false))
        var view = View()
        view.parts = parts
        return view
    }

    /// The last refusals, newest first.
    func denials(_ all: [Denial], now: LabTime, namesKeys: Bool) -> View.Content {
        let rows = all.prefix(10).map { denial -> [View.Cell] in
            (namesKeys ? [View.Cell.text(denial.key)] : []) + [
                .text(denial.policy), .duration(now - denial.time), .integer(denial.cost),
                denial.remaining.map { .integer($0) } ?? .text("unknown"),
                denial.retryAfter == .infinite ? .text("never") : .duration(denial.retryAfter),
                denial.isShadow
                    ? .text("shadow: admitted")
                    : .text(denial.remaining == nil ? "503: store gone" : "refused", style: .warning),
            ]
        }
        return .table(
            .init(
                (namesKeys ? [.init("KEY", key: "key", flexible: true)] : []) + [
                    .init("RULE", key: "rule", flexible: true), .init("AGO", key: "ago_ms", right: true),
                    .init("COST", key: "cost", right: true), .init("LEFT THEN", key: "left_then", right: true),
                    .init("RETRY AFTER", key: "retry_after_ms", right: true), .init("OUTCOME", key: "outcome"),
                ], rows: rows, whenEmpty: namesKeys ? "nobody was refused" : "none of its requests was refused"))
    }

    /// What exact counting says of each rule's decisions.
    var oracleView: View {
        let rows = engine.policies.enumerated().compactMap { index, policy -> [View.Cell]? in
            guard let verdicts = engine.oracle?.verdicts[index] else { return nil }
            return [.text(policy.name), .text(policy.algorithm.rawValue)] + Self.cells(verdicts, policy)
        }
        return View(
            .table(
                .init(
                    [.init("RULE", key: "rule", flexible: true), .init("ALGORITHM", key: "algorithm")]
                        + Self.verdictColumns, rows: rows,
                    whenEmpty: "nothing is judged here")))
    }

    static let verdictColumns: [View.Table.Column] = [
        .init("JUDGED", key: "judged", right: true), .init("FALSE ALLOWS", key: "false_allows", right: true),
        .init("FALSE DENIES", key: "false_denies", right: true),
        .init("PEAK", key: "peak", right: true), .init("LIMIT", key: "limit", right: true),
    ]

    static func cells(_ verdicts: Oracle.Verdicts, _ policy: RateLimitPolicy) -> [View.Cell] {
        [
            .integer(verdicts.judged),
            .integer(verdicts.falseAllows, style: verdicts.falseAllows > 0 ? .bad : .good),
            .integer(verdicts.falseDenies, style: verdicts.falseDenies > 0 ? .warning : .good),
            policy.algorithm.isWindowed ? .integer(verdicts.peak) : .none,
            .integer(policy.algorithm.isWindowed ? policy.quota.count : policy.quota.burst),
        ]
    }

    /// The past under other algorithms.
    func replayed(_ algorithms: [RateLimitPolicy.Algorithm], rule: Int) -> View {
        let policy = engine.policies[rule]
        let arrivals = engine.recording?.all ?? []
        let rows = algorithms.map { algorithm -> [View.Cell] in
            var other = policy
            other.algorithm = algorithm
            let replay = ArrivalReplay(arrivals, of: rule, under: other)
            return [
                .text(algorithm.rawValue, style: algorithm == policy.algorithm ? .strong : .plain),
                .integer(replay.allowed), .integer(replay.denied), .integer(replay.newlyAllowed),
                .integer(replay.newlyDenied), .integer(replay.verdicts.falseAllows),
                .integer(replay.verdicts.falseDenies),
            ]
        }
        return View(
            .record([
                .init("rule", key: "rule", .text(policy.name)), .init("limit", key: "limit", .text(policy.summary)),
                .init("requests", key: "requests", .integer(arrivals.count { $0.policy == rule })),
            ]),
            .table(
                .init(
                    [
                        .init("ALGORITHM", key: "algorithm"), .init("IN", key: "admitted", right: true),
                        .init("OUT", key: "refused", right: true),
                        .init("NEWLY IN", key: "newly_in", right: true),
                        .init("NEWLY OUT", key: "newly_out", right: true),
                        .init("FALSE ALLOWS", key: "false_allows", right: true),
                        .init("FALSE DENIES", key: "false_denies", right: true),
                    ], rows: rows, whenEmpty: "")))
    }
}
