import CommandKit
import KernelStructures
import KernelWorld
import ShellSession

extension GeneralCommands {
    static var timeout: Command {
        let description = CommandDescription(
            "timeout", "ends a command that takes too long", usage: "[-s SIGNAL] [-k TIME] TIME COMMAND [WORD…]",
            arguments: .init([.text], 0...100_000, isRaw: true),
            examples: ["timeout 2s curl -s http://localhost:8081/slow"], group: .jobs,
            details: """
                The time is the lab's. The status is 124 where it was too short, 137 where the
                signal was KILL, 125 where timeout itself was wrong, 127 without such a command.
                -k: so much later KILL, too; --preserve-status: the command's own status.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            var signal = Signal.terminate
            var killAfter: LabDuration?
            var preserves = false
            func parsed(_ word: String) throws -> LabDuration {
                guard let time = LabDuration(parsing: word, bareUnit: .seconds(1)), time <= .seconds(366 * 86_400)
                else {
                    throw CommandFailure("'\(word)' is not a time such as 5s, 200ms or 1m, at most a year", status: 125)
                }
                return time
            }
            while let word = words.first, word.hasPrefix("-"), word.count > 1 {
                words.removeFirst()
                func value(_ long: String) throws -> String {
                    if word.hasPrefix(long + "=") { return String(word.dropFirst(long.count + 1)) }
                    if !word.hasPrefix("--"), word.count > 2 { return String(word.dropFirst(2)) }
                    guard let next = words.popFirst() else {
                        throw CommandFailure("\(word) needs a value", status: 125)
                    }
                    return next
                }
                if word == "--" { break }
                if word.hasPrefix("-s") || word.hasPrefix("--signal") {
                    let name = try value("--signal")
                    guard let known = Signal(parsing: name) else {
                        throw CommandFailure("-s: '\(name)' is no signal of the lab", status: 125)
                    }
                    signal = known
                } else if word.hasPrefix("-k") || word.hasPrefix("--kill-after") {
                    killAfter = try parsed(value("--kill-after"))
                } else if word == "--preserve-status" {
                    preserves = true
                } else if word != "--foreground", word != "-v", word != "--verbose" {
                    throw CommandFailure("unknown flag \(word); see help timeout", status: 125)
                }
            }
            guard words.count >= 2, let limit = words.popFirst() else {
                throw CommandFailure("which command? timeout TIME COMMAND", status: 125)
            }
            return .running(
                Limited(
                    invocation.process, Array(words), try parsed(limit), signal, killAfter: killAfter,
                    preserves: preserves))
        }
    }

    private final class Limited: Program {
        private let process: Process
        private let words: [String]
        private let limit: LabDuration
        private let signal: Signal
        private let killAfter: LabDuration?
        private let preserves: Bool
        private var isTimedOut = false
        private var run: CommandRun?

        init(
            _ process: Process, _ words: [String], _ limit: LabDuration, _ signal: Signal, killAfter: LabDuration?,
            preserves: Bool
        ) {
            self.process = process
            self.words = words
            self.limit = limit
            self.signal = signal
            self.killAfter = killAfter
            self.preserves = preserves
        }

        func start() {
            run = process.runCommand(words, input: .own) { [weak self] in self?.ended($0) }
            guard run != nil else { return process.exit(125) }
            // As elsewhere, 0 is no limit at all.
            guard limit > .zero else { return }
            _ = process.node.after(limit) { [weak self] in self?.tooLong() }
        }

        private func tooLong() {
            guard process.isRunning else { return }
            isTimedOut = true
            if let killAfter, signal != .kill {
                _ = process.node.after(killAfter) { [weak self] in self?.run?.send(.kill) }
            }
            run?.send(signal)
        }

        private func ended(_ status: Int) {
            guard isTimedOut, !preserves else { return process.exit(status) }
            process.exit(status == 137 ? 137 : 124)
        }

        func handle(_ signal: Signal) -> Bool {
            run?.send(signal)
            return run != nil
        }
    }
}
