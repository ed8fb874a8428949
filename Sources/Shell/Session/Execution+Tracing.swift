import CommandKit
import KernelStructures
import ShellLanguage

/// What is said about what runs: complaints, and `set -x`.
extension Execution {
    // MARK: set -x

    /// Shows what runs, behind what `PS4` holds; its first character once more for each `$(…)` around it.
    func trace(_ text: String) {
        guard scope.options.traces else { return }
        var prefix = scope.value(of: "PS4") ?? "+ "
        if prefix.contains("$"), let word = try? Parser.quotedWord(prefix) {
            var expansion = Expansion(session: session, scope: scope, status: status, outputs: [])
            expansion.line = line
            if let text = try? expansion.single(word) { prefix = text }
            expansion.changes.takeBack()
        }
        let depth = String(repeating: prefix.prefix(1).description, count: min(traceDepth, 100))
        errorSink.write(printable("\(depth)\(prefix)\(text)", keeping: "\n\t") + "\n")
    }

    /// A simple command: each assignment on a line of its own.
    func trace(
        _ assignments: [String], _ arguments: [String],
        _ arrays: [(name: String, elements: ArrayElements, appends: Bool)]
    ) {
        for assignment in assignments { trace(assignment) }
        for array in arrays { trace(array.name + (array.appends ? "+=" : "=") + Self.shown(array.elements)) }
        if !arguments.isEmpty { trace(arguments.map(ShellQuoting.traced).joined(separator: " ")) }
    }

    func trace(_ sum: ArithmeticText) {
        guard scope.options.traces else { return }
        switch sum {
        case .parsed(let sum): trace("(( \(sum.source.trimmingBlanks) ))")
        case .word(let word): trace("(( \(word.source(isQuoted: false)) ))")
        }
    }

    func trace(_ variable: String, _ words: [Word]) {
        let all = words.isEmpty ? ["\"$@\""] : words.map { $0.source() }
        trace("for \(variable) in \(all.joined(separator: " "))")
    }

    func trace(case word: Word) { if scope.options.traces { trace("case \(word.source()) in") } }

    // MARK: exec

    /// `exec`: with a command, the shell ends with it; without one, the streams stay as they are redirected.
    ///
    /// - Returns: whether a command is to be run.
    func takeOver(_ arguments: inout [String], _ opened: OpenStreams, _ kinds: [Redirection.Kind]) -> Bool {
        arguments.removeFirst()
        while let flag = arguments.first, flag.hasPrefix("-"), flag.count > 1 {
            arguments.removeFirst()
            if flag == "--" { break }
            if flag == "-a", !arguments.isEmpty { arguments.removeFirst() }
        }
        if !arguments.isEmpty {
            // What takes its place knows nothing of its traps.
            scope.traps["EXIT"] = nil
            push(.leave)
            return true
        }
        if kinds.contains(where: \.isOfInput) { streams.input = opened.input }
        if kinds.contains(where: \.isOfOutput) { streams.output = opened.output }
        if kinds.contains(where: \.isOfError) { streams.error = opened.error }
        lasting += opened.opened
        status = 0
        return false
    }

    // MARK: Complaints

    var errorSink: any ByteSink {
        streams.error ?? TerminalSink(session: session, terminal: terminal, submission: submission, isError: true)
    }

    func complain(_ text: String) { errorSink.write(printable(text, keeping: "\n\t") + "\n") }
    func complain(_ text: String, status: Int) {
        complain(text)
        self.status = status
    }
}
