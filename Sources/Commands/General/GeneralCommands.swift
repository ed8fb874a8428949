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
            mkdir, cp, mv, rm, touch, put, get, egrep, fgrep, paste, join, comm, cmp, rev, tac, nl, fold, expand,
            unexpand, column, basename, dirname, date, od, xxd, hexdump, xargs, find, timeout, awk,
        ] + checksums
    }
    private static var session: [Command] {
        [help, tour, history, clear, log, record, export, back, fork, reset, exit, yes, no, ca] + Builtins.commands
    }
}
