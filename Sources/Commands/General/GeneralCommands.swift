import CommandKit
import ShellSession

/// What belongs to no component: files and text, jobs and nodes, time, the session itself, and views of all that runs.
package enum GeneralCommands {
    package static var all: [Command] { time + jobs + [stats] + files + session }
    /// Views that `help` lists below those of the components.
    package static var views: [Command] { [top, journal, timeline, why, watch, show] }

    private static var time: [Command] { [clock, advance, sleep, skew] }
    private static var jobs: [Command] {
        [spawn, nodes, kill, pause, resume, restart, jobList, foreground, background, wait, term]
    }
    private static var files: [Command] {
        [
            cat, echo, printf, grep, jq, head, tail, wc, sort, uniq, seq, tr, sed, cut, tee, test, bracket, ls, cd, pwd,
            mkdir, rmdir, cp, mv, rm, touch, put, get, egrep, fgrep, paste, join, comm, cmp, rev, tac, nl, fold, expand,
            unexpand, column, basename, dirname, date, od, xxd, hexdump, xargs, find, timeout, awk,
            shuf, split, cksum, sum, numfmt, diff, expr, dd,
        ].map(inItsManner) + checksums.map(inItsManner)
    }

    /// Tools that are known from elsewhere end with the status that they end with there where their words are wrong.
    private static func inItsManner(_ command: Command) -> Command {
        let statuses: [String: Int] = [
            "grep": 2, "egrep": 2, "fgrep": 2, "sort": 2, "cmp": 2, "diff": 2, "expr": 2, "awk": 2, "jq": 2, "ls": 2,
            "timeout": 125,
            "numfmt": 1,
        ]
        // What belongs to the shell itself there, and what is the lab's own, has the lab's manner.
        if ["echo", "printf", "test", "[", "cd", "pwd", "put", "get"].contains(command.description.name) {
            return command
        }
        let manner = CommandDescription.Manner.tool(usageStatus: statuses[command.description.name] ?? 1)
        return Command(command.description.following(manner), body: command.body)
    }
    private static var session: [Command] {
        [help, tour, history, clear, log, record, export, back, fork, reset, exit, yes, no, ca] + Builtins.commands
    }
}
