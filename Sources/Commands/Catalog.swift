import CommandKit
import ShellSession

/// The lab's commands. `help`, completion, did-you-mean and the checks of what was typed all come from this table.
public enum Catalog {
    public static var table: CommandTable {
        CommandTable(
            components + clients + faults + jobs + views + files + session
                + rateLimiting + keyValue + resilience + hashRing + connectionPool)
    }

    private static var components: [Command] { [backend, loadbalancer, reload, balancer] }
    private static var rateLimiting: [Command] { [ratelimiter, limiter, skew] }
    private static var keyValue: [Command] { [lsmKV, kvCLI, kvBench, show] }
    private static var resilience: [Command] { [circuitTest, breaker] }
    private static var hashRing: [Command] { [hashRingViz, hashRingCli, ring] }
    private static var connectionPool: [Command] { [poolTest, poolDatabase, connpool, holders] }
    private static var clients: [Command] { [curl] }
    private static var faults: [Command] { [inject, heal, faultList, calm, clock, advance, sleep] }
    private static var jobs: [Command] {
        [spawn, nodes, kill, pause, resume, restart, jobList, foreground, background, wait, term]
    }
    private static var views: [Command] { [stats, pool, explain, replay, journal, watch] }
    private static var files: [Command] {
        [
            cat, echo, printf, grep, jq, head, tail, wc, sort, uniq, seq, test, bracket, ls, cd, pwd, mkdir, rm, put,
            get,
        ]
    }
    private static var session: [Command] { [help, log, record, reset, exit, yes, no, ca] }
}

/// What several commands have in common.
enum CommonFlags {
    static let json = CommandDescription.Flag("json", nil, "as JSON, for programs")
    static let glyphs = CommandDescription.Flag(
        "glyphs", nil, .choice(Sparkline.Glyphs.allCases.map(\.rawValue)), "what curves are drawn with (block)")
}
