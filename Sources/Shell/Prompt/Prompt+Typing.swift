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
                wasAskedToLeave = false
                text += text.isEmpty ? completed(line) : "\n" + line
                guard runTyped(text) else { continue }
                return true
            case .interrupted:
                show(options.canEdit ? "^C\n" : "\n")
                return true
            case .endOfInput where text.isEmpty:
                return goesOnAtEndOfInput()
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

    /// Ctrl-D on an empty line: closes a terminal beside the first; in the first one ends the lab, at once where
    /// nothing runs, at the second time where something does.
    private func goesOnAtEndOfInput() -> Bool {
        if session.currentTerminal.number != 1 {
            show("exit\n")
            session.closeTerminal()
            return true
        }
        let count = session.jobs.running.count
        if count > 0, !wasAskedToLeave {
            show("\n")
            complain("\(counted(count, "job")) will end with the lab; Ctrl-D again leaves")
            wasAskedToLeave = true
            return true
        }
        show("exit\n")
        return false
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
        reader.showsTyping(false)
        defer { reader.showsTyping(true) }
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
        let text = lines.joined(separator: "\n")
        // A recorded session shows its commands as it runs them; any other lines nobody would see.
        if lines.count > 1, case .script = TypedText(text) {
            show(lines.dropFirst().map { "\(PromptText.continuation.text)\($0)\n" }.joined())
        }
        return text
    }

    /// Host time after which what is typed is no longer part of the same paste.
    private static let pasteGapNanoseconds: Int64 = 30_000_000

    /// What a text is, read only once however often it is asked: it may be long.
    func understand(_ text: String) -> (typed: TypedText, script: Result<Script, SyntaxError>?) {
        if let understood, understood.text == text { return (understood.typed, understood.script) }
        let typed = TypedText(text)
        var script: Result<Script, SyntaxError>?
        if case .script(let lines) = typed {
            do throws(SyntaxError) { script = .success(try Parser.parse(lines)) } catch { script = .failure(error) }
        }
        understood = (text, typed, script)
        return (typed, script)
    }

    /// Runs what was typed. Returns false if it is the beginning of something longer.
    private func runTyped(_ typed: String) -> Bool {
        let (kind, script) = understand(typed)
        defer { understood = nil }
        switch kind {
        case .empty: return true
        case .transcript(let text):
            remember(text)
            run(transcript: text)
        case .script(let text):
            if let onLine, onLine(text) {
                remember(text)
                return true
            }
            switch script {
            case .success(let script)?:
                remember(text)
                if !script.statements.isEmpty { execute(script, text) }
            case .failure(let error)?:
                if error.isIncomplete { return false }
                remember(text)
                complain("\(error)")
            case nil: break
            }
        }
        return true
    }

    private func remember(_ text: String) { if history.add(text) { reader.remember(text) } }
}
