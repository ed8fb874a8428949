import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLanguage
import ShellSession

/// Commands in the foreground.
extension Prompt {
    /// Runs a script in the terminal that is typed into, until it is done or sent to the background.
    func execute(_ script: Script, _ text: String) {
        let terminal = session.currentTerminal!
        if terminal.isBusy, let job = session.sendToBackground(terminal) {
            session.notice("terminal \(terminal.number) was busy: \(job.text) goes on as job %\(job.number)")
        }
        onTyped?(text, terminal.number)
        isInterrupted = false
        let submission = session.submit(script, on: terminal, text: text)
        follow(terminal, submission: submission)
        if wantsReset, submission.isRunning, !isOver { complain("the lab is fresh; what followed reset was not run") }
    }

    /// Drives the lab until a terminal's foreground is free again. What is typed meanwhile goes to the program that
    /// reads it, if one does.
    func follow(_ terminal: Terminal, submission: Submission?) {
        followed = terminal
        var canRead = true
        var isLookedAt = false
        defer {
            followed = nil
            keyboard.isOpen = false
            if isLookedAt { reader.showsTyping(true) }
        }
        while terminal.isBusy, submission?.isRunning ?? true, !isOver, !wantsReset {
            let isReading = terminal.isReading
            if terminal.isLookedAt != isLookedAt {
                isLookedAt.toggle()
                reader.showsTyping(!isLookedAt)
            }
            if isLookedAt, keyboard.take(Self.keyThatQuits) { session.interrupt(terminal) }
            keyboard.isOpen = isReading && canRead || isLookedAt && !keyboard.hasEnded
            canRead = feed(terminal, isReading) && canRead
            let speed = session.world.speed
            // Who reads waits for a person, and a person for nothing: virtual time stands still.
            let failure = session.wait(
                speed == .virtual && !isReading ? .stepping : .clock, isInterrupted: { self.isOver || self.wantsReset }
            ) {
                !terminal.isBusy || submission?.isRunning == false || session.world.speed != speed
                    || terminal.isReading != isReading || terminal.isLookedAt != isLookedAt || keyboard.hasEnded
                    || isReading && keyboard.hasLine || isLookedAt && keyboard.begins(with: Self.keyThatQuits)
            }
            if let failure { report(failure, terminal) }
        }
        // What happens at this very moment still belongs above the next prompt.
        if !isOver, !wantsReset {
            session.pump()
            session.world.turn(longestWait: .zero)
            session.pump()
        }
    }

    /// Ends a view that is only looked at; other keys are typed ahead.
    private static let keyThatQuits = UInt8(ascii: "q")

    /// Hands what was typed to the reader. Returns false when nothing more will come.
    private func feed(_ terminal: Terminal, _ isReading: Bool) -> Bool {
        guard isReading else { return true }
        while terminal.isReading, let line = keyboard.nextLine() { terminal.type(line) }
        var isEnd = terminal.isReading && keyboard.takeEndOfInput()
        if keyboard.hasEnded {
            keyboard.hasEnded = false
            let rest = keyboard.rest()
            if rest.isEmpty { isEnd = true } else { terminal.type(rest) }
        }
        if isEnd { terminal.endInput() }
        return !isEnd
    }

    private func report(_ failure: WaitFailure, _ terminal: Terminal) {
        switch failure {
        case .interrupted, .timedOut: return
        case .nothingLeft: complain("stopped: the command waits for something that will never happen")
        case .endless: complain("stopped: the command works for ever without time passing")
        }
        session.interrupt(terminal)
        session.settle()
        // It took the signal and goes on.
        if terminal.isBusy { session.sendToBackground(terminal) }
    }

    /// Runs a recorded session in this one.
    func run(transcript text: String) {
        isInterrupted = false
        if let runTranscript { return runTranscript(text) }
        for command in TypedText.commands(ofTranscript: text) where !isInterrupted && !isOver && !wantsReset {
            do throws(SyntaxError) {
                let script = try Parser.parse(command)
                show("$ \(command)\n")
                if !script.statements.isEmpty { execute(script, command) }
            } catch {
                complain("\(error)")
            }
        }
    }

    /// Runs the user's own start-up script. What is wrong with it is said, and the prompt comes nevertheless.
    func runStartupFile() {
        guard let file = options.startupFile, HostFile.exists(file) else { return }
        if HostFile.isSpecial(file) { return complain("\(file) is no file") }
        do {
            let text = String(decoding: try HostFile.read(file), as: UTF8.self)
            session.scriptName = file
            defer { session.scriptName = nil }
            execute(try Parser.parse(text), text)
        } catch let error as SyntaxError {
            complain("\(file):\(error)")
        } catch {
            complain("\(error)")
        }
    }
}
