import CommandKit
import KernelStructures
import ShellLanguage

/// A command that another command runs, as `xargs`, `find -exec` and `timeout` do: with what it is given and where it
/// writes, in a shell of its own, as far as variables go. It ends with whoever runs it.
public final class CommandRun {
    private let execution: Execution
    fileprivate init(_ execution: Execution) { self.execution = execution }

    /// Asks what runs in it to end.
    public func send(_ signal: Signal) {
        let processes = execution.processes
        for process in processes { process.receive(signal) }
        if processes.isEmpty { execution.cancel(128 + signal.number) }
    }

    var isRunning: Bool { !execution.isFinished }

    /// Ends at once, and tells nobody.
    func abandon() {
        execution.onFinish = nil
        let processes = execution.processes
        execution.cancel(137)
        for process in processes { process.receive(.kill) }
    }
}

extension Process {
    /// What a command that this one runs is given to read.
    public enum CommandInput {
        /// Nothing: at once the end.
        case nothing
        /// What this process has not read itself.
        case own
        /// These bytes.
        case bytes([UInt8])
    }

    /// Runs a command by its words.
    ///
    /// - Parameter onEnd: called once with its status, within the World's loop.
    /// - Returns: nil where there are too many already, which has been said.
    @discardableResult
    public func runCommand(
        _ words: [String], input: CommandInput, onEnd: @escaping (Int) -> Void
    ) -> CommandRun? {
        var command = SimpleCommand(position: Position(line: 1, column: 1))
        command.words = words.map { Word(parts: [.text($0, isQuoted: true)], position: command.position) }
        return runScript(
            Script(statements: [Statement.wrapping(.simple(command))]), scope: nil, input: input, onEnd: onEnd)
    }

    /// The same, where what the command writes may be kept.
    ///
    /// - Parameter onEnd: called once with its status, and what it wrote; nil where that was too much.
    @discardableResult
    public func runCommand(
        _ words: [String], input: CommandInput, captures: Bool, onEnd: @escaping (Int, [UInt8]?) -> Void
    ) -> CommandRun? {
        let capture = captures ? CaptureSink() : nil
        var command = SimpleCommand(position: Position(line: 1, column: 1))
        command.words = words.map { Word(parts: [.text($0, isQuoted: true)], position: command.position) }
        return runScript(
            Script(statements: [Statement.wrapping(.simple(command))]), scope: nil, input: input, output: capture
        ) { onEnd($0, capture?.isOverfull == true ? nil : capture?.bytes ?? []) }
    }

    /// What is exported, and what has a value only for this command, by name.
    public var exportedVariables: [(name: String, value: String)] {
        guard let scope = execution?.scope else { return [] }
        let names = Set(VariableListing(scope).names(with: .exported)).union(scope.temporaries)
        return names.sorted().compactMap { name in scope.value(of: name).map { (name, $0) } }
    }

    /// Runs a script in a shell of its own.
    func runScript(
        _ script: Script, scope: VariableScope?, input: CommandInput, output: (any ByteSink)? = nil,
        onEnd: @escaping (Int) -> Void
    ) -> CommandRun? {
        guard let execution, execution.mayNest() else { return nil }
        let source: (any ByteSource)? =
            switch input {
            case .nothing: StoredSource(session: session, bytes: [])
            case .bytes(let bytes): StoredSource(session: session, bytes: bytes)
            case .own: self.input.map(BorrowedSource.init)
            }
        let directory = session.files.directory
        let part = Execution(
            script, session: session, submission: submission,
            streams: .init(
                input: source, output: output ?? Unclosable(self.output), error: Unclosable(errorOutput),
                others: descriptors.mapValues(\.borrowed)),
            scope: scope ?? execution.scope.copy(), status: 0
        ) { [weak self, weak execution, session] part in
            session.files.returnTo(directory)
            execution?.parts.removeAll { $0 === part }
            self?.runs.removeAll { !$0.isRunning }
            onEnd(part.status)
        }
        part.job = execution.job
        part.nesting = execution.nesting + 1
        let run = CommandRun(part)
        runs.append(run)
        execution.parts.append(part)
        session.makeRunnable(part)
        return run
    }

    /// `[ -t 0 ]`, `[ -v NAME ]`, `[ -o OPTION ]`: conditions of the shell that a process runs in.
    ///
    /// - Throws: `UsageError` for a word that makes no sense there.
    public func holds(_ condition: String, _ word: String) throws(UsageError) -> Bool {
        switch condition {
        case "-v": return execution.map { $0.scope.holdsValue(word) } ?? false
        case "-o": return execution.map { $0.scope.options.holds(word) } ?? false
        default:
            guard let number = Int(word) else {
                throw UsageError("\(name): -t: '\(word)' is not a whole number")
            }
            return execution?.isTerminal(number, output: output, error: errorOutput, input: input) ?? false
        }
    }
}

extension Execution {
    /// Whether somebody sits at the other end of a stream. Without a keyboard, in a script, nobody does.
    func isTerminal(
        _ number: Int, output: (any ByteSink)?, error: (any ByteSink)?, input: (any ByteSource)?
    ) -> Bool {
        if session.hasNoKeyboard { return false }
        func ends(_ sink: (any ByteSink)?) -> Bool { sink.map { $0.isTerminal } ?? true }
        switch number {
        case 0: return input == nil
        case 1: return ends(output)
        case 2: return ends(error)
        default: return false
        }
    }
}

extension VariableScope {
    /// `-v NAME`
    func holdsValue(_ name: String) -> Bool {
        if let number = Int(name) { return number >= 0 && number <= positional.count }
        return value(of: name) != nil
    }
}
