import CommandKit
import CommandServices
import KernelStructures
import ShellSession

extension ConnectionPoolCommands {
    /// `holders`
    static var holders: Command {
        let description = CommandDescription(
            "holders", "who has a connection of a pool now, since when, from where; and who waits",
            usage: "[NODE] [--json]", flags: [CommonFlags.json], arguments: .init([.node], 0...1),
            examples: ["holders", "holders pool-test --json"], group: .views,
            details: """
                The longest first; below them the line, from its head. AT is the line of code
                that borrowed. LEAK: out for longer than the leak threshold. HELD: came while
                the pool was suspended.
                """)
        return Command(description) { invocation in
            let pool = try invocation.session.running(
                (any HoldersShowing).self, named: invocation.arguments.arguments.first, what: "connection pool",
                start: "pool-test --max-conns 10 &")
            return .view(pool.holdersView(now: invocation.session.world.now))
        }
    }
}

extension PoolTest: HoldersShowing {
    package func holdersView(now: LabTime) -> View {
        let engine = pool.engine
        let holding = engine.holdings.map { holding -> [View.Cell] in
            let state = holding.isLeakReported ? "LEAK" : holding.willClose ? "closes on return" : "in use"
            return [
                .integer(holding.connection.number), .text(holding.borrower.name), .duration(now - holding.since),
                .text(state, style: holding.isLeakReported ? .bad : .plain), .text(holding.borrower.place),
            ]
        }
        let waiting = engine.waiting.map { waiting -> [View.Cell] in
            [
                .text(waiting.borrower.name), .duration(now - waiting.since),
                waiting.deadline.map { .duration($0 - now) } ?? .none,
                .text(waiting.isHeld ? "HELD" : "waiting", style: waiting.isHeld ? .warning : .plain),
                .text(waiting.borrower.place),
            ]
        }
        return View(
            .table(
                .init(
                    [
                        .init("CONN", key: "conn", right: true), .init("HOLDER", key: "holder", flexible: true),
                        .init("FOR", key: "for_ms", right: true), .init("STATE", key: "state"),
                        .init("AT", key: "at", flexible: true),
                    ], rows: holding, whenEmpty: "nobody has a connection")),
            .table(
                .init(
                    [
                        .init("WAITER", key: "waiter", flexible: true), .init("FOR", key: "for_ms", right: true),
                        .init("GIVES UP IN", key: "gives_up_in_ms", right: true), .init("STATE", key: "state"),
                        .init("AT", key: "at", flexible: true),
                    ], rows: waiting, whenEmpty: "nobody waits")))
    }

    var stats: View {
        let engine = pool.engine
        let counters = engine.counters
        let waits = engine.metrics.waits
        let state = engine.isSuspended ? "suspended" : engine.phase.rawValue
        return View(
            .record([
                .init("pool", key: "pool", .text(state, style: engine.isSuspended ? .warning : .plain)),
                .init(
                    "connections", key: "connections",
                    .text("\(engine.totalCount)/\(engine.configuration.maximumPoolSize)")),
                .init("active", key: "active", .integer(engine.inUseCount)),
                .init("idle", key: "idle", .integer(engine.idleCount)),
                .init("waiting", key: "waiting", .integer(engine.waitingCount)),
                .init("most waiting", key: "most_waiting", .integer(counters.mostWaiting)),
                .init("connects", key: "connects", .integer(counters.connectAttempts)),
                .init("connect failures", key: "connect_failures", .integer(counters.connectFailures)),
                .init("created", key: "created", .integer(counters.created)),
                .init("destroyed", key: "destroyed", .integer(counters.destroyed)),
                .init("found dead", key: "found_dead", .integer(counters.foundDead)),
                .init("leaks", key: "leaks", .integer(counters.leaks)),
                .init("borrowed", key: "borrowed", .integer(counters.borrowed)),
                .init("timed out", key: "timed_out", .integer(counters.timedOut)),
                .init("wait mean", key: "wait_mean_ms", .duration(waits.mean)),
                .init("wait p50", key: "wait_p50_ms", .duration(waits.percentile(0.5))),
                .init("wait p99", key: "wait_p99_ms", .duration(waits.percentile(0.99))),
                .init("wait p99.9", key: "wait_p999_ms", .duration(waits.percentile(0.999))),
                .init("wait max", key: "wait_max_ms", .duration(waits.maximum)),
                .init("queries served", key: "queries_served", .integer(served)),
                .init("query errors", key: "query_errors", .integer(errors)),
                .init("dirty sessions", key: "dirty_sessions", .integer(dirtySessions)),
            ]))
    }
}
