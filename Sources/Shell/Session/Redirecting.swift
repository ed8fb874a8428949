import KernelStructures
import ShellLanguage

// What `>`, `<`, `2>&1` and here-documents do to the streams of a command, or of a loop or condition as a whole.

extension Execution {
    struct OpenStreams {
        var input: (any ByteSource)?
        var output: any ByteSink
        var error: any ByteSink
        var opened: [any ByteSink] = []
        func closeOpened() { for sink in opened { sink.close() } }
    }

    /// Begins a loop or condition whose streams are redirected.
    func step(_ command: CommandSyntax, _ redirections: [Redirection], _ outputs: [String]) {
        let words = redirections.map(\.target)
        let targets = expand(
            outputs,
            { (expansion) throws(Expansion.Stop) in
                var targets: [String] = []
                for word in words { targets.append(try expansion.single(word)) }
                return targets
            }, again: { .redirected(command, redirections, outputs: $0) })
        guard let targets else { return }
        guard let opened = redirected(zip(redirections, targets).map { ($0, $1) }) else { return noteFailureToBegin() }
        use(opened, redirections.map(\.kind))
        start(command)
    }

    /// Replaces the streams, as far as something is redirected, until the frame that this pushes is reached.
    func use(_ opened: OpenStreams, _ kinds: [Redirection.Kind]) {
        push(.restore(streams, opened: opened.opened))
        if kinds.contains(where: \.isOfInput) { streams.input = opened.input }
        if kinds.contains(where: \.isOfOutput) { streams.output = opened.output }
        if kinds.contains(where: \.isOfError) { streams.error = opened.error }
    }

    func restore(_ previous: Streams, _ opened: [any ByteSink]) {
        streams = previous
        for sink in opened { sink.close() }
    }

    /// Drops the innermost frames, and undoes what they did to streams and variables.
    func drop(from index: Int) {
        while frames.count > index {
            switch frames.removeLast() {
            case .restore(let previous, let opened): restore(previous, opened)
            case .endCall: scope.endCall()
            case .restoreVariables(let before): scope.restore(before)
            case .endTrap: isTrapping = false
            case .endEval: traceDepth -= 1
            default: break
            }
        }
    }

    /// The streams of one command: those of the execution, redirected from left to right.
    func redirected(_ redirections: [(Redirection, String)]) -> OpenStreams? {
        var result = OpenStreams(
            input: streams.input.map(BorrowedSource.init),
            output: streams.output.map(Unclosable.init)
                ?? TerminalSink(session: session, terminal: terminal, submission: submission, isError: false),
            error: streams.error.map(Unclosable.init)
                ?? TerminalSink(session: session, terminal: terminal, submission: submission, isError: true))
        for (redirection, target) in redirections {
            do throws(LabFileError) {
                try apply(redirection, target, to: &result)
            } catch {
                complain(error.description)
                status = 1
                result.closeOpened()
                return nil
            }
        }
        return result
    }

    private func apply(
        _ redirection: Redirection, _ target: String, to result: inout OpenStreams
    ) throws(LabFileError) {
        switch redirection.kind {
        // It is that already.
        case .read where target == "/dev/stdin" || target == "/dev/fd/0": break
        case .read: result.input = StoredSource(session: session, bytes: try session.files.read(target))
        case .hereDocument: result.input = StoredSource(session: session, bytes: Array(target.utf8))
        case .hereString: result.input = StoredSource(session: session, bytes: Array((target + "\n").utf8))
        case .errorToOutput: result.error = result.output
        case .outputToError: result.output = result.error
        case .write(let fromError, _, _) where target == "/dev/stdout" || target == "/dev/stderr":
            let stream = target == "/dev/stdout" ? result.output : result.error
            if fromError { result.error = stream } else { result.output = stream }
        case .write(let fromError, let appends, let isForced):
            if scope.options.keepsFiles, !appends, !isForced, session.files.size(target) != nil,
                session.files.absolute(target) != "/dev/null"
            {
                throw LabFileError("\(target): set -C keeps it from being written over; >| does it all the same")
            }
            let terminalError = errorSink
            let sink = try FileSink(session: session, path: target, appends: appends) { terminalError.write($0 + "\n") }
            result.opened.append(sink)
            if fromError { result.error = sink } else { result.output = sink }
        case .writeBoth(let appends):
            let terminalError = errorSink
            let sink = try FileSink(session: session, path: target, appends: appends) { terminalError.write($0 + "\n") }
            result.opened.append(sink)
            (result.output, result.error) = (sink, sink)
        }
    }
}

extension Redirection.Kind {
    var isOfInput: Bool { self == .read || self == .hereDocument || self == .hereString }
    var isOfOutput: Bool { self == .outputToError || isWrite(fromError: false) }
    var isOfError: Bool { self == .errorToOutput || isWrite(fromError: true) }
    private func isWrite(fromError: Bool) -> Bool {
        switch self {
        case .write(fromError, _, _), .writeBoth: true
        default: false
        }
    }
}

extension Statement {
    static func wrapping(_ command: CommandSyntax) -> Statement {
        Statement(
            first: Pipeline(commands: [command]), rest: [], isBackground: false, position: Position(line: 1, column: 1),
            text: "")
    }

    static func foreground(_ statement: Statement) -> Statement {
        Statement(
            first: statement.first, rest: statement.rest, isBackground: false, position: statement.position,
            text: statement.text)
    }
}
