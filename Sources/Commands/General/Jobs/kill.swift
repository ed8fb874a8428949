import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    /// `kill %2`, `kill -9 Server-B`, `kill -STOP %1`, `kill -POWER %1`
    static var kill: Command {
        let description = CommandDescription(
            "kill", "sends a signal: stop, kill, freeze, thaw, or cut the power",
            usage: "[-SIGNAL] %JOB|NODE|$$… | -l [SIGNAL…]", arguments: .init([.job, .node], 1...100, isRaw: true),
            examples: ["kill %2", "kill -9 Server-B", "kill -STOP %1", "kill -CONT %1", "kill -POWER %1"], group: .jobs,
            details: """
                -TERM (the default) stops in order. -9 drops everything in memory at once.
                $$ is the shell itself: its trap, or its end. -0 only asks whether it is there.
                -l lists signals. -STOP freezes with all connections open, -CONT thaws. -POWER
                cuts the power: no goodbye on any connection, and what was never synced to disk
                is lost.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            var signal: Signal? = .terminate
            if words.first == "-l" || words.first == "-L" { return try list(words.dropFirst(), invocation.process) }
            if let first = words.first,
                first == "-s" || first == "--signal" || (first.hasPrefix("-") && first.count > 1)
            {
                words.removeFirst()
                let name = first == "-s" || first == "--signal" ? words.popFirst() ?? "" : String(first.dropFirst())
                let parsed = Signal(parsing: name)
                guard parsed != nil || name == "0" else {
                    let names = Signal.allCases.map(\.rawValue)
                    throw UsageError(
                        "kill: unknown signal '\(name)'"
                            + (didYouMean(name, among: names).isEmpty
                                ? "; one of \(names.joined(separator: ", "))" : didYouMean(name, among: names)))
                }
                signal = parsed
            }
            if words.isEmpty { throw UsageError("kill: whom? kill %1, or kill NAME; see jobs and nodes") }
            let isShell = words.contains("1000")
            let jobs = those(words.filter { $0 != "1000" }, invocation)
            guard isShell else {
                return signal.map { send($0, to: jobs, invocation) } ?? (jobs.isEmpty ? .done(1) : .success)
            }
            if let signal { _ = send(signal, to: jobs, invocation) }
            guard invocation.process.signalShell(signal) else { throw CommandFailure("no shell 1000") }
            return .success
        }
    }

    /// Those that there are; of the others it is said that there are none, and they keep nobody from the rest.
    private static func those(_ words: some Sequence<String>, _ invocation: Invocation) -> [Job] {
        words.compactMap { word in
            do { return try invocation.session.job(word) } catch {
                invocation.process.complain("\(error)")
                return nil
            }
        }
    }

    /// Fails, as in bash, if there was nobody to send it to.
    private static func send(_ signal: Signal, to jobs: [Job], _ invocation: Invocation) -> Outcome {
        for job in jobs { send(signal, to: job, invocation) }
        return jobs.isEmpty ? .done(1) : .success
    }

    /// `kill -l`
    private static func list(_ words: ArraySlice<String>, _ process: ShellSession.Process) throws -> Outcome {
        if words.isEmpty { process.print(SignalNames.table) }
        var status = 0
        for word in words {
            if let number = Int(word), let name = SignalNames.name(number) {
                process.print(name)
            } else if let number = SignalNames.number(word) {
                process.print(String(number))
            } else {
                process.complain("\(word): no signal")
                status = 1
            }
        }
        return .done(status)
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
            send(signal, to: those(invocation.arguments.arguments, invocation), invocation)
        }
    }

    /// `pause %2`, `pause holder 40s`
    static var pause: Command {
        let description = CommandDescription(
            "pause", "freezes a job with its connections open: kill -STOP", usage: "%JOB|NODE… [[for] TIME]",
            arguments: .init([.job, .node, .duration], 1...100), examples: ["pause %2", "pause worker-1 for 40s"],
            group: .jobs,
            details: """
                With a time it goes on by itself after it, as after a long garbage collection:
                its clock has moved on, and it knows nothing of it.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments
            var time: LabDuration?
            if words.count > 1, let last = words.last, let parsed = LabDuration(parsing: last) {
                time = parsed
                words.removeLast()
                if words.count > 1, words.last == "for" { words.removeLast() }
            }
            let jobs = those(words, invocation)
            if let time { invocation.session.world.after(time) { for job in jobs { _ = job.send(.continue) } } }
            return send(.stop, to: jobs, invocation)
        }
    }

    static var resume: Command { signalCommand("resume", .continue, "thaws a frozen job: kill -CONT") }
}
