import KernelStructures
import ShellLanguage

/// Commands side by side, each with an execution of its own.
extension Execution {
    /// Makes room for an execution within this one; false, which has been said, where there are too many already.
    func mayNest() -> Bool {
        guard nesting >= Self.nestingLimit else { return true }
        complain(Self.nestingComplaint)
        cancelStatus = 2
        return false
    }

    func start(_ pipeline: Pipeline) {
        if pipeline.isNegated { push(.negate) }
        if pipeline.commands.count == 1 { return start(pipeline.commands[0]) }
        guard mayNest() else { return }
        let count = pipeline.commands.count
        var statuses = Array(repeating: 0, count: count)
        var remaining = count
        let pipes = (1..<count).map { _ in Pipe(session: session) }
        isWaiting = true
        parts = pipeline.commands.enumerated().map { index, command in
            let stage = Streams(
                input: index == 0 ? streams.input.map(BorrowedSource.init) : pipes[index - 1],
                output: index == count - 1 ? streams.output.map(Unclosable.init) : PipeEntrance(pipes[index]),
                error: streams.error.map(Unclosable.init))
            let statement = Statement.wrapping(command)
            return Execution(
                Script(statements: [statement]), session: session, submission: submission, streams: stage,
                scope: scope.copy(),
                status: status
            ) { [weak self] part in
                remaining -= 1
                statuses[index] = part.status
                guard let self, remaining == 0 else { return }
                parts = []
                let failed = scope.options.pipelinesFail ? statuses.last { $0 != 0 } : statuses.last
                resume(failed ?? 0)
            }
        }
        for part in parts {
            part.job = job
            part.isCondition = isInCondition
            part.stopsAtFailure = stopsAtFailure
            part.nesting = nesting + 1
            session.makeRunnable(part)
        }
    }
}
