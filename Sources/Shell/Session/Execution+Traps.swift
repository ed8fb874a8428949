import KernelStructures
import ShellLanguage

/// `trap`, and `select`.
extension Execution {
    /// Reads what a trap runs; it was read before, when it was set.
    ///
    /// - Parameter line: which line its first one counts as, for `$LINENO`.
    private func script(_ name: String, line: Int = 1) -> Script? {
        scope.traps[name].flatMap { try? Parser.parse($0, at: Position(line: line, column: 1)) }
    }

    /// What a signal's trap runs instead of the end that the signal means; false where there is none.
    func runSignalTrap(_ cancelStatus: Int) -> Bool {
        guard !isTrapping, cancelStatus > 128, session.exitStatus == nil,
            let signal = Signal.allCases.first(where: { 128 + $0.number == cancelStatus }),
            signal != .kill,
            let script = script(signal.rawValue)
        else { return false }
        self.cancelStatus = nil
        isWaiting = false
        isEnding = false
        beginTrap()
        push(.endTrap(statusBehindTrap ?? cancelStatus, countsFailure: false, isDebug: false))
        statusBehindTrap = nil
        push(.script(script, next: 0))
        return true
    }

    /// What stands for the end of a shell, once.
    func runExitTrap() -> Bool {
        guard hasOwnTraps, !hasRunExitTrap, session.exitStatus == nil, let script = script("EXIT") else { return false }
        // One that is set while it runs is nobody's any more.
        hasRunExitTrap = true
        scope.traps["EXIT"] = nil
        scope.shownTraps = nil
        drop(from: 0)
        cancelStatus = nil
        isEnding = false
        beginTrap()
        push(.endTrap(status, countsFailure: false, isDebug: false))
        push(.script(script, next: 0))
        return true
    }

    /// What it runs stands one deeper, as `set -x` shows it.
    private func beginTrap(isDebug: Bool = false) {
        if isDebug { isDebugging = true } else { isTrapping = true }
        traceDepth += 1
    }

    /// A command has failed that is no condition.
    func runErrorTrap() -> Bool {
        guard !isTrapping, !isDebugging, let script = script("ERR", line: line) else { return false }
        beginTrap()
        push(.endTrap(status, countsFailure: true, isDebug: false))
        push(.script(script, next: 0))
        return true
    }

    /// A frame that stands for a command of the script's.
    func pushDebugged(_ frame: Frame) {
        push(scope.traps["DEBUG"] == nil || isDebugging ? frame : .debugged(frame))
    }

    /// Before a command.
    func runDebugTrap() {
        guard !isDebugging, scope.traps["DEBUG"] != nil else { return }
        if !isTrapping, let (text, position) = frames.last?.debugged {
            scope.currentCommand = text
            if let position { line = position.line }
        }
        guard let script = script("DEBUG", line: line) else { return }
        beginTrap(isDebug: true)
        push(.endTrap(status, countsFailure: false, isDebug: true))
        push(.script(script, next: 0))
    }

    /// A function, or a file that was read, is over.
    func endCall(hasTrapped: Bool) {
        let before = statusBeforeReturn
        statusBeforeReturn = nil
        guard !hasTrapped, !isTrapping, !isDebugging, let script = script("RETURN", line: line) else {
            return scope.endCall()
        }
        beginTrap()
        push(.endCall(hasTrapped: true))
        push(.endTrap(status, countsFailure: false, isDebug: false))
        push(.script(script, next: 0))
        // It sees how the command before `return` ended.
        status = before ?? status
    }

    func endTrap(_ before: Int, countsFailure: Bool, isDebug: Bool) {
        leaveTrap(isDebug: isDebug)
        status = before
        if countsFailure, endsAtFailure || isMain { noteFailure() }
    }

    func leaveTrap(isDebug: Bool) {
        if isDebug { isDebugging = false } else { isTrapping = false }
        traceDepth -= 1
    }

    // MARK: select

    private static let menuLimit = 1000

    func askForChoice(_ variable: String, _ values: [String], _ body: Script, showsMenu: Bool) {
        push(.selectChosen(variable: variable, values: values, body: body))
        if showsMenu {
            let width = String(values.count).count
            for (index, value) in values.prefix(Self.menuLimit).enumerated() {
                let number = String(index + 1)
                errorSink.write(
                    String(repeating: " ", count: width - number.count) + "\(number)) \(value)\n")
            }
        }
        errorSink.write(scope.value(of: "PS3") ?? "#? ")
        var read = SimpleCommand(position: Position(line: line, column: 1))
        read.isHidden = true
        read.words = ["read", "-r", "REPLY"].map {
            Word(parts: [.text($0, isQuoted: true)], position: read.position)
        }
        push(.simple(read, outputs: []))
    }

    func choose(_ variable: String, _ values: [String], _ body: Script) {
        guard status == 0 else {
            errorSink.write("\n")
            status = 1
            return
        }
        let reply = scope.value(of: "REPLY") ?? ""
        push(.selectRound(variable: variable, values: values, body: body, showsMenu: reply.isEmpty))
        if reply.isEmpty { return }
        let number = Int(reply) ?? 0
        guard set(variable, values.indices.contains(number - 1) ? values[number - 1] : "") else {
            return noteFailureToBegin()
        }
        push(.script(body, next: 0))
    }
}

extension Execution.Frame {
    /// What the trap of DEBUG is told about a command that is about to run.
    fileprivate var debugged: (CommandText, Position?)? {
        switch self {
        case .simple(let command, _), .nothing(let command): (.simple(command), command.position)
        case .conditional(let condition, let position, _): (.text("[[ \(condition.source) ]]"), position)
        case .arithmetic(let sum, _): (.text("((\(sum.source)))"), nil)
        case .countedLoop(let loop, let stage, _):
            switch stage {
            case .first: loop.first.map { (.text("((\($0.source)))"), nil) }
            case .condition: loop.condition.map { (.text("((\($0.source)))"), nil) }
            case .step: loop.step.map { (.text("((\($0.source)))"), nil) }
            case .body: nil
            }
        case .selection(let word, _, _): (.text("case \(word.source()) in"), word.position)
        case .forLoop(let variable, _, _, let words):
            (.text("for \(variable) in " + (words.isEmpty ? "\"$@\"" : words.source)), words.first?.position)
        case .selectWords(let variable, let words, _, _): (.text("select \(variable) in \(words.source)"), nil)
        default: nil
        }
    }
}

/// What runs: `$BASH_COMMAND`.
enum CommandText {
    /// Its text is made only when somebody asks for it.
    case simple(SimpleCommand)
    case text(String)

    var source: String {
        switch self {
        case .simple(let command): command.source
        case .text(let text): text
        }
    }
}
