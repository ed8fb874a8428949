import CommandKit
import KernelJSON
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var history: Command {
        let description = CommandDescription(
            "history", "what was typed, with numbers", usage: "[COUNT] [--json]",
            flags: [.init("json", nil, "as JSON, for programs")], arguments: .init([.text], 0...1),
            examples: ["history", "history 20"], group: .session, role: .view,
            details: "Ctrl-R searches it, Up finds lines that begin as the one being typed.")
        return Command(description) { invocation in
            guard let lines = invocation.session.typedLines?() else { throw CommandFailure("only at the prompt") }
            let word = invocation.arguments.arguments.first
            guard let count = word.map({ Int($0) }) ?? lines.count, count >= 0 else {
                throw UsageError("history: '\(word ?? "")' is not a count such as 20")
            }
            let first = max(0, lines.count - count)
            let width = String(lines.count).count
            var text = ""
            for (index, line) in lines.enumerated().dropFirst(first) {
                let number = String(index + 1)
                let shown = line.replacing("\n", with: "\n" + String(repeating: " ", count: width + 2))
                text += String(repeating: " ", count: width - number.count) + number + "  " + shown + "\n"
            }
            return .view(View(.text(text, json: .array(lines.dropFirst(first).map { .string($0) }))))
        }
    }

    static var clear: Command {
        let description = CommandDescription(
            "clear", "an empty screen; Ctrl-L does it, too", examples: ["clear"], group: .session)
        return Command(description) { invocation in
            // Where nothing can be taken back there is no screen either.
            if invocation.session.repaints, invocation.process.writesToTerminal {
                invocation.process.output.write("\u{1B}[H\u{1B}[2J")
            }
            return .success
        }
    }
}
