import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    /// `kill %2`, `kill -9 Server-B`, `kill -STOP %1`, `kill -POWER %1`
    static var kill: Command {
        let description = CommandDescription(
            "kill", "sends a signal: stop, kill, freeze, thaw, or cut the power",
            usage: "[-SIGNAL] %JOB|NODE…", arguments: .init([.job, .node], 1...100, isRaw: true),
            examples: ["kill %2", "kill -9 Server-B", "kill -STOP %1", "kill -CONT %1", "kill -POWER %1"], group: .jobs,
            details: """
                -TERM (the default) stops in order. -9 drops everything in memory at once.
                -STOP freezes with all connections open, -CONT thaws. -POWER cuts the power: no
                goodbye on any connection, and what was never synced to disk is lost.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            var signal = Signal.terminate
            if let first = words.first,
                first == "-s" || first == "--signal" || (first.hasPrefix("-") && first.count > 1)
            {
                words.removeFirst()
                let name = first == "-s" || first == "--signal" ? words.popFirst() ?? "" : String(first.dropFirst())
                guard let parsed = Signal(parsing: name) else {
                    let names = Signal.allCases.map(\.rawValue)
                    throw UsageError(
                        "kill: unknown signal '\(name)'"
                            + (didYouMean(name, among: names).isEmpty
                                ? "; one of \(names.joined(separator: ", "))" : didYouMean(name, among: names)))
                }
                signal = parsed
            }
            if words.isEmpty { throw UsageError("kill: whom? kill %1, or kill NAME; see jobs and nodes") }
            // All of them must exist before the first is touched.
            let jobs = try words.map { try invocation.session.job($0) }
            for job in jobs { send(signal, to: job, invocation) }
            return .success
        }
    }

    private static func send(_ signal: Signal, to job: Job, _ invocation: Invocation) {
        for report in job.send(signal) {
            guard let loss = report.loss else {
                invocation.process.complain(
                    "\(job.nodeName ?? job.text): the lab's files are the host's, which keeps what was not synced (no --root: a disk that can forget)"
                )
                continue
            }
            if loss.bytes > 0 || loss.directoryEntries > 0 {
                invocation.session.notice(
                    "power failure: lost \(byteCountText(loss.bytes)) in \(counted(loss.files, "file")) and \(counted(loss.directoryEntries, "directory entry", "directory entries"))"
                )
            }
        }
    }

    private static func signalCommand(_ name: String, _ signal: Signal, _ summary: String) -> Command {
        let description = CommandDescription(
            name, summary, usage: "%JOB|NODE…", arguments: .init([.job, .node], 1...100), examples: ["\(name) %2"],
            group: .jobs)
        return Command(description) { invocation in
            let jobs = try invocation.arguments.arguments.map { try invocation.session.job($0) }
            for job in jobs { send(signal, to: job, invocation) }
            return .success
        }
    }

    static var pause: Command { signalCommand("pause", .stop, "freezes a job with its connections open: kill -STOP") }
    static var resume: Command { signalCommand("resume", .continue, "thaws a frozen job: kill -CONT") }
}
