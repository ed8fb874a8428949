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
        if scope.options.traces { trace("(( \(sum.source) ))") }
    }

    func trace(_ variable: String, _ words: [Word], of loop: String = "for") {
        let all = words.isEmpty ? ["\"$@\""] : words.map { $0.source() }
        trace("\(loop) \(variable) in \(all.joined(separator: " "))")
    }

    func trace(case word: Word) { if scope.options.traces { trace("case \(word.source()) in") } }

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
