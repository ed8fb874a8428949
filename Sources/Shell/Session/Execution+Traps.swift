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
        isTrapping = true
        push(.endTrap(statusBehindTrap ?? cancelStatus, countsFailure: false))
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
        isTrapping = true
        push(.endTrap(status, countsFailure: false))
        push(.script(script, next: 0))
        return true
    }

    /// A command has failed that is no condition.
    func runErrorTrap() -> Bool {
        guard !isTrapping, !scope.isInFunction || scope.options.handsErrorTrapOn,
            let script = script("ERR", line: line)
        else {
            return false
        }
        isTrapping = true
        push(.endTrap(status, countsFailure: true))
        push(.script(script, next: 0))
        return true
    }

    func endTrap(_ before: Int, countsFailure: Bool) {
        isTrapping = false
        status = before
        if countsFailure, endsAtFailure || isMain { noteFailure() }
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
