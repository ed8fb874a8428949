import CommandKit
import KernelStructures
import RateLimiterEngine
import RateLimiterService

extension RateLimiterHost {
    var stats: View {
        var fields: [View.Field] = [
            .init("requests", .integer(counters.requests)), .init("admitted", .integer(counters.admitted)),
            .init("refused", .integer(counters.refused)),
        ]
        if counters.exempt > 0 { fields.append(.init("exempt", .integer(counters.exempt))) }
        if counters.delayed > 0 { fields.append(.init("held back", .integer(counters.delayed))) }
        if let store = storeCounters {
            fields += [
                .init("store asked", .integer(store.asked)), .init("from leases", .integer(store.fromLease)),
                .init("lease lost", .integer(store.leaseLost)),
                .init("store failed", .integer(store.failed, style: store.failed > 0 ? .warning : .plain)),
                .init("failed open", .integer(counters.failedOpen)),
                .init("failed closed", .integer(counters.failedClosed)),
                .init("counted alone", .integer(counters.decidedAlone)),
            ]
        }
        if engine.throttleCounters.hits > 0 {
            fields += [
                .init("throttle hits", .integer(engine.throttleCounters.hits)),
                .init("throttle over", .integer(engine.throttleCounters.overLimit)),
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
                    .init("RULE", flexible: true), .init("ALGORITHM"), .init("RATE"), .init("HITS", right: true),
                    .init("OK", key: "within_limit", right: true), .init("NEAR", key: "near_limit", right: true),
                    .init("OVER", key: "over_limit", right: true),
                    .init("SHADOW", key: "shadow_over_limit", right: true),
                    .init("KEYS", right: true), .init("MEMORY", key: "bytes", right: true),
                ], rows: rows, whenEmpty: "no rules"))
    }

    /// Why a key was refused: what it has now under each rule, and its last refusals.
    func why(_ key: String, now: LabTime) -> View {
        let rows = engine.policies.enumerated().map { index, policy -> [View.Cell] in
            let state = engine.look(policy: index, key: key, now: now)
            return [
                .text(policy.name), .text(policy.summary, style: .plain),
                .init(
                    "\(state.remaining + (state.isAllowed ? 1 : 0)) of \(state.limit)",
                    json: .integer(state.remaining + (state.isAllowed ? 1 : 0))),
                state.isAllowed
                    ? .text("admitted", style: .good)
                    : .text(policy.isShadow ? "over (shadow)" : "refused", style: .bad),
                state.isAllowed
                    ? .none : state.retryAfter == .infinite ? .text("never") : .duration(state.retryAfter),
            ]
        }
        var parts: [View.Content] = [
            .record([.init("key", .text(key, style: .strong))]),
            .table(
                .init(
                    [
                        .init("RULE", flexible: true), .init("LIMIT", flexible: true), .init("LEFT", right: true),
                        .init("A REQUEST NOW"), .init("RETRY AFTER", key: "retry_after_ms", right: true),
                    ], rows: rows, whenEmpty: "no rules")),
        ]
        parts.append(denials(engine.denials.recent.filter { $0.key == key }, now: now, namesKeys: false))
        var view = View()
        view.parts = parts
        return view
    }

    /// The last refusals, newest first.
    func denials(_ all: [Denial], now: LabTime, namesKeys: Bool) -> View.Content {
        let rows = all.prefix(10).map { denial -> [View.Cell] in
            (namesKeys ? [View.Cell.text(denial.key)] : []) + [
                .text(denial.policy), .duration(now - denial.time), .integer(denial.cost),
                .integer(denial.remaining),
                denial.retryAfter == .infinite ? .text("never") : .duration(denial.retryAfter),
                denial.isShadow ? .text("shadow: admitted") : .text("refused", style: .warning),
            ]
        }
        return .table(
            .init(
                (namesKeys ? [.init("KEY", flexible: true)] : []) + [
                    .init("RULE", flexible: true), .init("AGO", key: "ago_ms", right: true),
                    .init("COST", right: true), .init("LEFT THEN", right: true),
                    .init("RETRY AFTER", key: "retry_after_ms", right: true), .init("OUTCOME"),
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
                    [.init("RULE", flexible: true), .init("ALGORITHM")] + Self.verdictColumns, rows: rows,
                    whenEmpty: "nothing is judged here")))
    }

    static let verdictColumns: [View.Table.Column] = [
        .init("JUDGED", right: true), .init("FALSE ALLOWS", right: true), .init("FALSE DENIES", right: true),
        .init("PEAK", right: true), .init("LIMIT", right: true),
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
                .init("rule", .text(policy.name)), .init("limit", .text(policy.summary)),
                .init("requests", .integer(arrivals.count { $0.policy == rule })),
            ]),
            .table(
                .init(
                    [
                        .init("ALGORITHM"), .init("IN", key: "admitted", right: true),
                        .init("OUT", key: "refused", right: true),
                        .init("NEWLY IN", right: true), .init("NEWLY OUT", right: true),
                        .init("FALSE ALLOWS", right: true), .init("FALSE DENIES", right: true),
                    ], rows: rows, whenEmpty: "")))
    }
}
