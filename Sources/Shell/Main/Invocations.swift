import CommandKit
import ShellTranscripts

/// What can follow `sdlab` on the command line, as descriptions: the checks of its words and its help come from them.
enum Invocations {
    private static let lab: [CommandDescription.Flag] = [
        .init(
            "net", nil, .choice(["memory", "loopback"]),
            "where connections run: in memory, or on sockets of 127.0.0.0/8"),
        .init("clock", nil, .text("SPEED"), "virtual, real, or x60 for sixty times as fast"),
        .init("seed", nil, .integer(0...Int.max), "where chance begins (1)"),
        .init(
            "color", nil, .choice(["auto", "always", "never"]),
            "colours (auto: on a terminal, unless NO_COLOR is set)"),
    ]
    private static let epoch = CommandDescription.Flag(
        "epoch", nil, .text("TIME"),
        "what the lab's calendar says at the start: 2023-12-20T15:00:00Z, or now for programs outside")
    private static let root = CommandDescription.Flag("root", nil, .file, "keep the lab's files in this directory")
    private static let allowHost = CommandDescription.Flag(
        "allow-host", nil, "let scripts use the machine: !command, put and get")
    private static let keepGoing = CommandDescription.Flag("keep-going", nil, "go on after a command that failed")

    /// No verb: the prompt, a line, or standard input.
    static let shell = CommandDescription(
        "sdlab", "a system design lab: distributed systems and their failures in one shell",
        usage: "[FLAGS] [-c LINE | run FILE… | FILE WORD… | test PATH… | help | TOOL ARG…]",
        flags: lab + [
            epoch, root, keepGoing, allowHost,
            .init("command", "c", .text("LINE"), "runs one line and ends"),
            .init("no-rc", nil, "do not read ~/.sdlabrc"),
            .init("version", nil, "says which version this is"),
            .init("help", "h", "says this"),
        ],
        examples: [
            "sdlab", "sdlab -c 'help'", "sdlab run scripts/sessions/01-load-balancer.sdl",
            "sdlab test scripts/sessions", "sdlab loadbalancer --config lb.yaml --port 8080",
        ], group: .session,
        details: """
            Without a verb: the prompt, on a terminal; otherwise standard input is a script.
            run    executes scripts and transcripts and prints what they print, in virtual time.
            test   executes transcripts and checks what they say.
            FILE   is run as a script whose $1 is the first WORD; #!/usr/bin/env sdlab does that.
            TOOL   a component or client as a process of its own: real clock, sockets and files.
            Status: 0 all well; of run, -c and TOOL that of the command that failed (with
            --keep-going the first one's), such as 28 of curl or 127 of a name that nobody
            knows; 1 of a case that does not match, 2 not understood, 80 all skipped.
            """)

    static let run = CommandDescription(
        "run", "executes scripts and transcripts and prints what they print",
        usage: "[FLAGS] FILE… [-- WORD…]",
        flags: lab + [
            epoch, root, keepGoing, allowHost, .init("case", nil, .text("NAME"), "only this case of a transcript"),
        ],
        arguments: .init([.hostFile], 1...1000), examples: ["sdlab run scripts/sessions/01-load-balancer.sdl"],
        group: .session, details: "What follows -- is $1, $2 and so on to each script.")

    static let test = CommandDescription(
        "test", "executes transcripts and checks each line they expect", usage: "[FLAGS] PATH…",
        flags: lab + [
            .init("case", nil, .text("NAME"), "only this case"),
            .init("seeds", nil, .integer(1...1_000_000), "run each case with this many seeds"),
            .init("update", "u", "rewrite what does not match, and nothing else"),
            .init("jobs", "j", .integer(1...256), "cases at a time (the number of processors)"),
            .init("format", nil, .choice(Report.Format.allCases.map(\.rawValue)), "how to report (plain)"),
            .init("journal", nil, .file, "write the journal of the cases to this file"),
            .init("verbose", "v", "name the cases that passed, too"),
        ],
        arguments: .init([.hostFile], 1...10_000), examples: ["sdlab test scripts/sessions", "sdlab test -u my.sdl"],
        group: .session)
}
