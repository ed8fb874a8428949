import KernelStructures
import ShellLanguage

// What `>`, `<`, `2>&1` and here-documents do to the streams of one command.

extension Execution {
    struct OpenStreams {
        var input: (any ByteSource)?
        var output: any ByteSink
        var error: any ByteSink
        var opened: [any ByteSink] = []
        func closeOpened() { for sink in opened { sink.close() } }
    }

    /// The streams of one command: those of the execution, redirected from left to right.
    func redirected(_ redirections: [(Redirection, String)]) -> OpenStreams? {
        var result = OpenStreams(
            input: streams.input,
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
        case .read: result.input = StoredSource(session: session, bytes: try session.files.read(target))
        case .hereDocument: result.input = StoredSource(session: session, bytes: Array(target.utf8))
        case .errorToOutput: result.error = result.output
        case .outputToError: result.output = result.error
        case .write(let fromError, let appends):
            let terminalError = errorSink
            let sink = try FileSink(session: session, path: target, appends: appends) { terminalError.write($0 + "\n") }
            result.opened.append(sink)
            if fromError { result.error = sink } else { result.output = sink }
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
