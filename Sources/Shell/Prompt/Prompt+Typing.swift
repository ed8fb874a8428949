import KernelClock
import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLanguage
import ShellSession

/// What is typed, from the first key to the command that it means.
extension Prompt {
    /// Reads one command and runs it. Returns false at the end of input.
    func readAndRun() -> Bool {
        var text = ""
        while true {
            switch readLine(isFirst: text.isEmpty) {
            case .line(let line):
                text += text.isEmpty ? completed(line) : "\n" + line
                guard run(TypedText(text)) else { continue }
                return true
            case .interrupted:
                show(options.canEdit ? "^C\n" : "\n")
                return true
            case .endOfInput where text.isEmpty:
                show("exit\n")
                return false
            case .endOfInput:
                show("\n")
                complain("the command is not complete; it was not run")
                return true
            case .ended:
                show("\n")
                return true
            }
        }
    }

    private func readLine(isFirst: Bool) -> TypedLine {
        if !isAtLineStart { show("\n") }
        output.write(takePending(isWhole: true), isError: false)
        isEditing = true
        defer { isEditing = false }
        let line = reader.read(
            isFirst ? PromptText(session, usesColor: options.usesColor && options.canEdit) : .continuation)
        if case .ended = line, endStatus == nil { endStatus = 128 + Signal.hangUp.number }
        return line
    }

    /// A line with those that follow it at once, if it looks like the beginning of a pasted transcript.
    private func completed(_ line: String) -> String {
        guard TypedText.beginsTranscript(line) else { return line }
        var lines = [line]
        reader.withoutEcho {
            keyboard.isOpen = true
            var deadline = HostClock.monotonicNanoseconds + Self.pasteGapNanoseconds
            while HostClock.monotonicNanoseconds < deadline, !keyboard.hasEnded {
                while let next = keyboard.nextLine() {
                    lines.append(next)
                    deadline = HostClock.monotonicNanoseconds + Self.pasteGapNanoseconds
                }
                session.pump()
                session.world.turn(longestWait: .milliseconds(5))
            }
            keyboard.isOpen = false
        }
        let text = lines.joined(separator: "\n")
        // A recorded session shows its commands as it runs them; any other lines nobody would see.
        if lines.count > 1, case .script = TypedText(text) {
            show(lines.dropFirst().map { "\(PromptText.continuation.text)\($0)\n" }.joined())
        }
        return text
    }

    /// Host time after which what is typed is no longer part of the same paste.
    private static let pasteGapNanoseconds: Int64 = 30_000_000

    /// Runs what was typed. Returns false if it is the beginning of something longer.
    private func run(_ typed: TypedText) -> Bool {
        switch typed {
        case .empty: return true
        case .transcript(let text):
            remember(text)
            run(transcript: text)
        case .script(let text):
            do throws(SyntaxError) {
                let script = try Parser.parse(text)
                remember(text)
                if !script.statements.isEmpty { execute(script, text) }
            } catch {
                if error.isIncomplete { return false }
                remember(text)
                complain("\(error)")
            }
        }
        return true
    }

    private func remember(_ text: String) { if history.add(text) { reader.remember(text) } }
}
