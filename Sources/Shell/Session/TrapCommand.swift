import CommandKit
import KernelStructures
import ShellLanguage

/// `trap`.
extension Builtins {
    static var trap: Command {
        let description = describe(
            "trap", "says what runs at the end, after a failure, or for a signal",
            usage: "[-p] [-l] [SCRIPT|-] [NAME…]",
            examples: ["trap 'rm -f $file' EXIT", "trap 'echo failed at line $LINENO' ERR"],
            details: """
                EXIT when the shell ends, ERR after a command that fails and is no condition;
                DEBUG before each command, RETURN when a function or a file that source reads
                is over; INT, TERM, HUP, USR1 and USR2 instead of the end of what runs. An
                empty text is nothing at all, - takes it away. A subshell lists its parent's
                until it sets its own. Functions have ERR with set -E, DEBUG and RETURN with
                set -T, or where they set them themselves. $BASH_COMMAND is what runs.
                """)
        return Command(description) { invocation in
            let shell = try shell(invocation)
            var words = invocation.arguments.arguments[...]
            func name(_ word: String) throws -> String {
                let upper = word.uppercased()
                if upper == "EXIT" || upper == "0" { return "EXIT" }
                if ["ERR", "DEBUG", "RETURN"].contains(upper) { return upper }
                if ["QUIT", "SIGQUIT", "3", "PIPE", "SIGPIPE", "13", "ALRM", "SIGALRM", "14"].contains(
                    upper)
                {
                    return ""
                }
                guard let signal = Signal(parsing: word), ![.kill, .stop, .power].contains(signal) else {
                    throw CommandFailure(
                        "'\(word)' is not known here; there are EXIT, ERR, DEBUG, RETURN, INT, TERM, HUP, USR1, USR2")
                }
                return signal.rawValue
            }
            if words.first == "-p" || words.isEmpty {
                words = words.dropFirst()
                let wanted = try words.map(name)
                let order = ["EXIT", "HUP", "INT", "USR1", "USR2", "TERM", "CONT", "DEBUG", "ERR", "RETURN"]
                let traps = shell.scope.shownTraps ?? shell.scope.traps
                for key in order where wanted.isEmpty || wanted.contains(key) {
                    guard let script = traps[key] else { continue }
                    let shown = ["EXIT", "ERR", "DEBUG", "RETURN"].contains(key) ? key : "SIG" + key
                    invocation.process.print("trap -- \(ShellQuoting.quoted(script)) \(shown)")
                }
                return .success
            }
            if words.first == "-l" {
                invocation.process.print(SignalNames.table)
                return .success
            }
            if words.first == "--" { words.removeFirst() }
            guard let script = words.popFirst() else { return .success }
            // From here on they are its own.
            shell.scope.shownTraps = nil
            // One word alone is a name whose trap goes.
            guard !words.isEmpty else {
                shell.scope.traps[try name(script)] = nil
                return .success
            }
            if script != "-" {
                guard script.utf8.count <= 64 << 10 else {
                    throw CommandFailure("a script of more than 64 KiB")
                }
                do throws(SyntaxError) { _ = try Parser.parse(script) } catch {
                    throw CommandFailure("\(error)", status: 2)
                }
            }
            var status = 0
            for word in words {
                do {
                    let key = try name(word)
                    if !key.isEmpty { shell.scope.traps[key] = script == "-" ? nil : script }
                } catch {
                    invocation.process.complain("\(error)")
                    status = 1
                }
            }
            return .done(status)
        }
    }
}

/// Signals by their numbers on Linux, for `kill -l` and `trap -l`: most of them mean nothing to the lab.
public enum SignalNames {
    private static let names = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ]

    private static func realTime(_ number: Int) -> String {
        switch number {
        case 34: "RTMIN"
        case 35...49: "RTMIN+\(number - 34)"
        case 50...63: "RTMAX-\(64 - number)"
        default: "RTMAX"
        }
    }

    /// The name of a number, or of a status that a signal left: 143 is TERM.
    public static func name(_ number: Int) -> String? {
        let number = number > 128 ? number - 128 : number
        if (1...names.count).contains(number) { return names[number - 1] }
        return (34...64).contains(number) ? realTime(number) : nil
    }

    public static func number(_ name: String) -> Int? {
        let upper = name.uppercased()
        let short = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
        return names.firstIndex(of: short).map { $0 + 1 } ?? (34...64).first { realTime($0) == short }
    }

    /// As bash shows them, five in a line.
    public static var table: String {
        var text = ""
        var column = 0
        for number in Array(1...31) + Array(34...64) {
            guard let name = name(number) else { continue }
            text += (number < 10 ? " " : "") + "\(number)) SIG\(name)"
            column += 1
            text += column % 5 == 0 ? "\n" : "\t"
        }
        return String(text.reversed().drop { $0 == "\n" || $0 == "\t" }.reversed())
    }
}
