import CommandKit
import CommandServices
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var jobList: Command {
        let description = CommandDescription(
            "jobs", "what runs in the background", usage: "[--json]", flags: [CommonFlags.json], examples: ["jobs"],
            group: .jobs, role: .view)
        return Command(description) { invocation in
            let rows = invocation.session.jobs.running.map { job -> [View.Cell] in
                [
                    .text("%\(job.number)"), .text(job.state, style: job.isFrozen ? .warning : .plain),
                    job.nodeName.map { .text($0) } ?? .none, .text(job.text),
                ]
            }
            return .view(
                View(
                    .table(
                        .init(
                            [
                                .init("JOB", key: "job"), .init("STATE", key: "state"), .init("NODE", key: "node"),
                                .init("COMMAND", key: "command", flexible: true),
                            ], rows: rows,
                            whenEmpty: "no jobs"))))
        }
    }

    /// Waits for jobs as if they had been started in the foreground.
    private final class Waiting: Program, JobWaiting {
        private let process: Process
        private var remaining: Int
        private let jobs: [Job]
        private let passesSignals: Bool
        private let passesStatus: Bool
        private let endsAtFirst: Bool

        /// - Parameter passesStatus: whether the last of the jobs says with which status this ends.
        /// - Parameter count: how many of them are waited for; nil: all.
        init(
            _ process: Process, _ jobs: [Job], passesSignals: Bool, passesStatus: Bool = true, count: Int? = nil
        ) {
            self.process = process
            self.jobs = jobs
            self.passesSignals = passesSignals
            self.passesStatus = passesStatus
            remaining = count ?? jobs.count
            endsAtFirst = count == 1
        }

        var awaitedJob: Job? { passesSignals ? jobs.first : nil }

        func start() {
            if jobs.isEmpty { return process.exit(0) }
            for job in jobs {
                job.whenFinished { [self] status in
                    remaining -= 1
                    if endsAtFirst {
                        if remaining == 0 { process.exit(status) }
                    } else if remaining == 0 {
                        process.exit(passesStatus ? jobs.last?.status ?? 0 : 0)
                    }
                }
            }
        }

        func handle(_ signal: Signal) -> Bool {
            guard passesSignals else { return false }
            for job in jobs { _ = job.send(signal) }
            return true
        }
    }

    static var foreground: Command {
        let description = CommandDescription(
            "fg", "brings a job to the foreground: Ctrl-C then stops it", usage: "[%JOB]",
            arguments: .init([.job], 0...1), examples: ["fg %1"], group: .jobs)
        return Command(description) { invocation in
            let job = try invocation.session.job(invocation.arguments.arguments.first ?? "%%")
            if job.isFrozen { _ = job.send(.continue) }
            return .running(Waiting(invocation.process, [job], passesSignals: true))
        }
    }

    static var background: Command {
        let description = CommandDescription(
            "bg", "lets a frozen job go on in the background", usage: "[%JOB]", arguments: .init([.job], 0...1),
            examples: ["bg %1"], group: .jobs)
        return Command(description) { invocation in
            let session = invocation.session
            let reference =
                invocation.arguments.arguments.first ?? session.jobs.running.last { $0.isFrozen }.map {
                    "%\($0.number)"
                } ?? "%%"
            _ = try session.job(reference).send(.continue)
            return .success
        }
    }

    static var wait: Command {
        let description = CommandDescription(
            "wait", "waits until jobs have ended", usage: "[-n] [%JOB…]",
            flags: [.init("next", "n", "until one of them has")],
            arguments: .init([.job], 0...100), examples: ["wait", "wait %2", "sleep 1 & sleep 5 & wait -n"],
            group: .jobs,
            details: """
                Without arguments: until all jobs that are no services have ended. The status
                is that of the last of them, or of the one that -n waited for.
                """)
        return Command(description) { invocation in
            let session = invocation.session
            let own = invocation.process.job
            let jobs =
                invocation.arguments.arguments.isEmpty
                ? session.jobs.running.filter { !$0.isService && $0 !== own }
                : try invocation.arguments.arguments.map { word in
                    do { return try session.job(word, orEnded: true) } catch let error as CommandFailure {
                        let isNumber = word.hasPrefix("%") || Int(word) != nil
                        throw CommandFailure(error.description, status: isNumber ? 127 : 1)
                    }
                }
            if invocation.arguments.has("next") {
                guard !jobs.isEmpty else { return .done(127) }
                return .running(Waiting(invocation.process, jobs, passesSignals: false, count: 1))
            }
            let isNamed = !invocation.arguments.arguments.isEmpty
            return .running(Waiting(invocation.process, jobs, passesSignals: false, passesStatus: isNamed))
        }
    }

    static var term: Command {
        let description = CommandDescription(
            "term", "switches to another terminal; without a number, lists them", usage: "[N] [--json]",
            flags: [CommonFlags.json], arguments: .init([.terminal], 0...1), examples: ["term 2", "term"], group: .jobs,
            details: "A foreground command occupies its own terminal only; the others go on.")
        return Command(description) { invocation in
            let session = invocation.session
            guard let word = invocation.arguments.arguments.first else {
                let rows = session.terminals.values.sorted { $0.number < $1.number }.map { terminal -> [View.Cell] in
                    let state = terminal === invocation.process.terminal ? "here" : terminal.isBusy ? "busy" : "free"
                    return [.integer(terminal.number), .text(state)]
                }
                return .view(
                    View(
                        .table(
                            .init(
                                [.init("TERMINAL", key: "terminal", right: true), .init("STATE", key: "state")],
                                rows: rows, whenEmpty: ""))))
            }
            guard let number = Int(word), (1...Session.terminalLimit).contains(number) else {
                throw UsageError("term: '\(word)' is not a terminal; 1 to \(Session.terminalLimit)")
            }
            session.switchTerminal(to: number)
            return .success
        }
    }
}
