import KernelStructures
import ShellLanguage

/// Commands side by side, each with an execution of its own.
extension Execution {
    /// Executions of a session at a time: four for each job there may be.
    static let countLimit = 4 * JobTable.limit

    /// Makes room for executions within this one; false, which has been said, where there are too many already.
    ///
    /// What calls itself in a row ends with its innermost part. But `f() { f | f; }` has twice as many parts with each
    /// step: there all of it ends, or the next of them would go on.
    func mayNest(_ count: Int = 1) -> Bool {
        let isCrowded = session.executionCount + count > Self.countLimit
        guard isCrowded || nesting >= Self.nestingLimit else { return true }
        complain(Self.nestingComplaint)
        if isCrowded { cancelAll(2) }
        cancelStatus = 2
        return false
    }

    /// Ends the job, or the command that was typed, whose part this is, and what runs in it.
    private func cancelAll(_ status: Int) {
        let root = job?.execution ?? terminal.foreground
        guard let root, root.submission === submission else { return }
        let processes = root.processes
        root.cancel(status)
        for process in processes { process.receive(.kill) }
    }

    func start(_ pipeline: Pipeline) {
        if let timing = pipeline.timing {
            push(.timed(since: session.world.now, isShort: timing == .short))
        }
        if pipeline.isNegated { push(.negate(isSingle: Self.isSingle(pipeline))) }
        if pipeline.commands.isEmpty {
            status = 0
            return
        }
        if pipeline.commands.count == 1 { return start(pipeline.commands[0]) }
        guard scope.traps["DEBUG"] != nil, !isDebugging else { return startStages(pipeline) }
        // As in bash, before any of it runs, once for each of its commands.
        push(.stages(pipeline))
        for command in pipeline.commands.reversed() {
            if case .simple(let simple) = command { push(.debugged(.nothing(simple))) }
        }
    }

    func startStages(_ pipeline: Pipeline) {
        let count = pipeline.commands.count
        guard mayNest(count) else { return }
        var statuses = Array(repeating: 0, count: count)
        var remaining = count
        let pipes = (1..<count).map { _ in Pipe(session: session) }
        isWaiting = true
        parts = pipeline.commands.enumerated().map { index, command in
            let isLast = index == count - 1
            var stage = streams.borrowed(
                output: isLast ? streams.output.map(Unclosable.init) : PipeEntrance(pipes[index]))
            if index > 0 { stage.input = pipes[index - 1] }
            let statement = Statement.wrapping(command)
            let inner = scope.copy()
            inner.isCommandText = scope.isCommandText
            return Execution(
                Script(statements: [statement]), session: session, submission: submission, streams: stage,
                scope: inner, status: status
            ) { [weak self] part in
                remaining -= 1
                statuses[index] = part.status
                guard let self, remaining == 0 else { return }
                parts = []
                scope.pipeStatus = statuses
                let failed = scope.options.pipelinesFail ? statuses.last { $0 != 0 } : statuses.last
                resume(failed ?? 0)
            }
        }
        for part in parts {
            part.job = job
            part.isCondition = isInCondition
            part.stopsAtFailure = stopsAtFailure
            part.nesting = nesting + 1
            part.traceDepth = traceDepth
            session.makeRunnable(part)
        }
    }

    /// Whether a pipeline is one command of which `$PIPESTATUS` tells: what is in a loop or a group has told already.
    private static func isSingle(_ pipeline: Pipeline) -> Bool {
        func tells(_ command: CommandSyntax) -> Bool {
            switch command {
            case .simple, .subshell, .conditional, .arithmetic: true
            case .redirected(let inner, _): tells(inner)
            default: false
            }
        }
        return pipeline.commands.count == 1 && tells(pipeline.commands[0])
    }

    /// A pipeline is over.
    func notePipeStatus(_ pipeline: Pipeline) {
        if !pipeline.isNegated, Self.isSingle(pipeline) { scope.pipeStatus = [status] }
    }

    /// `time`: in lab time. What the processor did is the machine's, and differs from run to run.
    func showTime(since start: LabTime, isShort: Bool) {
        let passed = max(0, (session.world.now - start).nanoseconds)
        let (seconds, rest) = passed.quotientAndRemainder(dividingBy: 1_000_000_000)
        let text =
            isShort
            ? "real \(seconds).\(padded(Int(rest / 10_000_000), 2))\nuser 0.00\nsys 0.00\n"
            : "\nreal\t\(seconds / 60)m\(seconds % 60).\(padded(Int(rest / 1_000_000), 3))s\n"
                + "user\t0m0.000s\nsys\t0m0.000s\n"
        errorSink.write(text)
    }
}
