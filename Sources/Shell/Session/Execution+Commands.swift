import CommandKit
import KernelStructures
import ShellLanguage

extension Execution {
    // MARK: Simple commands

    /// Runs the next `$(…)` of some words, then comes back with one output more.
    func substitute(_ words: [Word], _ outputs: [String], _ again: @escaping ([String]) -> Frame) {
        let script = Expansion.substitutions(in: words)[outputs.count]
        let capture = CaptureSink()
        isWaiting = true
        let part = Execution(
            script, session: session, submission: submission,
            streams: Streams(
                input: StoredSource(session: session, bytes: []), output: capture,
                error: streams.error.map(Unclosable.init)),
            scope: scope.copy(), status: status
        ) { [weak self] part in
            guard let self else { return }
            parts = []
            if capture.isOverfull {
                complain("$(…) gave more than \(byteCountText(CaptureSink.limit))")
                return resume(1)
            }
            var text = String(decoding: capture.bytes, as: UTF8.self)
            while text.hasSuffix("\n") || text.hasSuffix("\r\n") { text.removeLast() }
            push(again(outputs + [text]))
            resume(part.status)
        }
        parts = [part]
        part.job = job
        session.makeRunnable(part)
    }

    /// Returns false if the variables would hold more than they may; that has then been said.
    func assign(_ name: String, _ value: String) -> Bool {
        do throws(CommandFailure) {
            try scope.set(name, value)
            return true
        } catch {
            complain(error.description)
            cancelStatus = error.status
            return false
        }
    }

    func expand<R>(_ body: (inout Expansion) throws(CommandFailure) -> R, _ outputs: [String]) -> R? {
        var expansion = Expansion(session: session, variables: scope.values, status: status, outputs: outputs[...])
        do throws(CommandFailure) {
            return try body(&expansion)
        } catch {
            complain(error.description)
            status = error.status
            return nil
        }
    }

    func step(_ command: SimpleCommand, _ outputs: [String]) {
        let words = command.assignments.map(\.value) + command.words + command.redirections.map(\.target)
        guard outputs.count == Expansion.substitutions(in: words).count else {
            return substitute(words, outputs) { .simple(command, outputs: $0) }
        }
        let expanded = expand(
            { (expansion) throws(CommandFailure) in
                var assigned: [(String, String)] = []
                for assignment in command.assignments {
                    assigned.append((assignment.name, try expansion.single(assignment.value)))
                }
                let arguments = try expansion.arguments(command.words)
                var targets: [String] = []
                for redirection in command.redirections { targets.append(try expansion.single(redirection.target)) }
                return (assigned, arguments, targets)
            }, outputs)
        guard let (assigned, arguments, targets) = expanded else { return }
        for (name, value) in assigned { guard assign(name, value) else { return } }
        if outputs.isEmpty { status = arguments.isEmpty ? 0 : status }
        launch(arguments, zip(command.redirections, targets).map { ($0, $1) }, at: command.position)
    }

    func launch(_ arguments: [String], _ redirections: [(Redirection, String)], at position: Position) {
        let number = session.nextProcessNumber()
        guard let streams = redirected(redirections) else { return }
        guard let name = arguments.first else { return streams.closeOpened() }
        if name == "break" || name == "continue" {
            unwind(arguments)
            return streams.closeOpened()
        }
        guard let command = session.commands[name] else {
            streams.error.write("\(session.prefix(position))\(session.commands.unknown(name))\n")
            status = 127
            return streams.closeOpened()
        }
        let process = Process(
            number: number, words: arguments, session: session, submission: submission, input: streams.input,
            output: streams.output, errorOutput: streams.error, previousStatus: status)
        children = children.filter(\.isRunning) + [process]
        if let job {
            process.job = job
            job.processes.append(process)
        }
        isWaiting = true
        process.onExit = { [weak self] status in
            streams.closeOpened()
            guard let self else { return }
            // As SIGPIPE does: a loop ends that writes into a pipe nobody reads any more.
            if (streams.output as? Unclosable)?.wroteInVain == true { cancelStatus = Self.brokenPipeStatus }
            resume(status)
        }
        process.onReady = { [weak self, unowned process] in
            // A service in the foreground gives its terminal back once it is up, and goes on as a job.
            guard let self, job == nil else { return }
            process.onExit = nil
            session.detach(process, text: arguments.joined(separator: " "))
            let finishJob = process.onExit
            process.onExit = { status in
                streams.closeOpened()
                finishJob?(status)
            }
            resume(0)
        }
        session.start(process, command)
    }

    var errorSink: any ByteSink {
        streams.error ?? TerminalSink(session: session, terminal: terminal, submission: submission, isError: true)
    }

    func complain(_ text: String) { errorSink.write(text + "\n") }
    func complain(_ text: String, status: Int) {
        complain(text)
        self.status = status
    }
}
