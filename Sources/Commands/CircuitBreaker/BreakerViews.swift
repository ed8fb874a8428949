import CircuitBreakerEngine
import CommandKit
import KernelJSON
import KernelStructures

/// Breakers as views.
enum BreakerViews {
    /// Calls that a line has room for; `stats` and JSON have more of them.
    private static let stripWidth = 12

    /// One line a breaker; of programs that have ended it says so.
    static func list(_ breakers: [RunningBreaker], now: LabTime) -> View {
        var view = View(table(breakers, now: now))
        if let first = breakers.first, let ended = first.ended {
            let text = "none runs any more: so it was when \(first.owner) ended, \((now - ended).rounded) ago"
            view.json = ViewRenderer().value(of: view)
            view.parts.append(.text(text, json: .null))
        }
        return view
    }

    /// One line a breaker.
    static func table(_ breakers: [RunningBreaker], now: LabTime) -> View.Content {
        let rows = breakers.map { breaker -> [View.Cell] in
            let snapshot = breaker.snapshot
            let strip = breaker.holder.strips(ofBreaker: breaker.name).states
            return [
                .text(breaker.name), state(snapshot.state), .duration((breaker.ended ?? now) - snapshot.since),
                .integer(snapshot.tally.calls), percent(snapshot.failureRate), percent(snapshot.slowCallRate),
                .integer(snapshot.counters.rejected), .integer(snapshot.counters.late),
                .init(String(strip.suffix(Self.stripWidth)), json: .string(strip)),
            ]
        }
        return .table(
            .init(
                [
                    .init("BREAKER", key: "breaker", flexible: true), .init("STATE", key: "state"),
                    .init("FOR", key: "state_for_ms", right: true),
                    .init("CALLS", key: "buffered_calls", right: true),
                    .init("FAIL%", key: "failure_rate_percent", right: true),
                    .init("SLOW%", key: "slow_call_rate_percent", right: true),
                    .init("REJECTED", key: "not_permitted_calls", right: true),
                    .init("LATE", key: "late_calls", right: true), .init("LAST CALLS", key: "strip"),
                ], rows: rows, whenEmpty: "no circuit breaker runs"))
    }

    /// One breaker's counters, for `stats`.
    static func record(_ snapshot: BreakerSnapshot, strips: (states: String, endings: String)) -> View.Content {
        let counters = snapshot.counters
        return .record([
            .init("breaker", key: "breaker", .text(snapshot.name)), .init("state", key: "state", state(snapshot.state)),
            .init("strip", key: "strip", .text(strips.states)), .init("endings", key: "endings", .text(strips.endings)),
            .init("successful", key: "successful", .integer(counters.successes)),
            .init("failed", key: "failed", .integer(counters.failures)),
            .init("ignored", key: "ignored", .integer(counters.ignored)),
            .init("rejected", key: "rejected", .integer(counters.rejected)),
            .init("late", key: "late", .integer(counters.late)),
            .init("slow", key: "slow", .integer(counters.slowSuccesses + counters.slowFailures)),
            .init("window", key: "window", window(snapshot)),
            .init("failure rate", key: "failure_rate_percent", percent(snapshot.failureRate)),
            .init("slow call rate", key: "slow_call_rate_percent", percent(snapshot.slowCallRate)),
        ])
    }

    private static func window(_ snapshot: BreakerSnapshot) -> View.Cell {
        let tally = snapshot.tally
        let configuration = snapshot.configuration
        let size = configuration.slidingWindowSize
        let what =
            snapshot.state == .halfOpen
            ? "trial calls"
            : configuration.slidingWindowType == .countBased ? "last \(size) calls" : "last \(size) s"
        return .init(
            "\(tally.failures) failed and \(tally.successes) did not, of the \(what)",
            json: .object([
                ("calls", .integer(tally.calls)), ("failed", .integer(tally.failures)),
                ("slow", .integer(tally.slowCalls)), ("type", .string(configuration.slidingWindowType.rawValue)),
                ("size", .integer(size)),
            ]))
    }

    /// Why it is in the state it is in, and what led there.
    static func why(_ snapshot: BreakerSnapshot, now: LabTime) -> View {
        var text = "\(snapshot.name) is \(snapshot.state.rawValue) and has been for \((now - snapshot.since).rounded)"
        let last = snapshot.history.last
        text += last.map { ", because \($0.reason)." } ?? ": it began so, and nothing has changed it."
        text += " " + next(snapshot)
        let rows = snapshot.history.map { change -> [View.Cell] in
            [
                .init(change.time.timeOfDayToMilliseconds, json: .string(change.time.description)),
                .text(change.from.rawValue),
                .text(change.to.rawValue), .text("\(change.reason)"),
            ]
        }
        let json = JSONValue.object([
            ("breaker", .string(snapshot.name)), ("state", .string(snapshot.state.rawValue)),
            ("since", .string(snapshot.since.description)),
            ("because", last.map { .string("\($0.reason)") } ?? .null),
            ("retry_after_ms", snapshot.retryAfter.map { .milliseconds($0) } ?? .null),
            ("text", .string(text)),
        ])
        return View(
            .text(wrapped(text), json: json),
            .table(
                .init(
                    [
                        .init("TIME", key: "time"), .init("FROM", key: "from"), .init("TO", key: "to"),
                        .init("REASON", key: "reason", flexible: true),
                    ], rows: rows,
                    whenEmpty: "its state has never changed")))
    }

    /// What will come, as far as anybody knows.
    private static func next(_ snapshot: BreakerSnapshot) -> String {
        let configuration = snapshot.configuration
        switch snapshot.state {
        case .open:
            let wait = snapshot.retryAfter ?? .zero
            return wait > .zero
                ? "It refuses calls for another \(wait.rounded), then lets some through to try."
                : "The wait is over: the next call is let through to try."
        case .halfOpen:
            let needed = configuration.successThreshold ?? configuration.permittedNumberOfCallsInHalfOpenState
            return "It has \(snapshot.tally.calls) of \(needed) trial calls back, and "
                + "\(counted(snapshot.trialsUnderWay, "is", "are")) under way."
        case .closed, .metricsOnly:
            return
                "Of the \(counted(snapshot.tally.calls, "call")) in its window \(snapshot.tally.failures) failed and "
                + "\(snapshot.tally.slowCalls) were slow."
        case .disabled: return "Everything passes, nothing is counted."
        case .forcedOpen: return "Nothing passes until somebody changes that."
        }
    }

    private static func state(_ state: CircuitState) -> View.Cell {
        let style: View.Style =
            switch state {
            case .closed: .good
            case .open, .forcedOpen: .bad
            case .halfOpen, .disabled, .metricsOnly: .warning
            }
        return .text(state.rawValue, style: style)
    }

    private static func percent(_ rate: Double?) -> View.Cell {
        rate.map { .init(trimmedDecimal($0, places: 1), json: .number($0)) } ?? .none
    }
}
