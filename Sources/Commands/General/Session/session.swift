import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var record: Command {
        let description = CommandDescription(
            "record", "saves what is typed and seen as a transcript that passes", usage: "FILE|off",
            arguments: .init([.hostFile], 0...1), examples: ["record failover.sdl", "record off"], group: .session,
            details: """
                The file is the host's. Without an argument: what is being recorded. At its end
                the recording is run again, in memory, on sockets and with two other seeds;
                words that come out differently there (a client's port, an identifier, a
                duration) become holes such as <int>, and what no hole helps with is said.
                """)
        return Command(description) { invocation in
            guard let recorder = invocation.session.recorder else {
                throw CommandFailure("only at the prompt")
            }
            do {
                invocation.session.notice(try recorder(invocation.arguments.arguments.first))
            } catch let error as CommandFailure {
                throw error
            }
            return .success
        }
    }

    static var reset: Command {
        let description = CommandDescription(
            "reset", "a fresh lab: nodes, jobs, files, faults and clock", examples: ["reset"], group: .session)
        return Command(description) { invocation in
            guard let resetter = invocation.session.resetter else { throw CommandFailure("not here: use a new @case") }
            resetter()
            return .success
        }
    }

    static var exit: Command {
        let description = CommandDescription(
            "exit", "ends the lab", usage: "[STATUS]", arguments: .init([.text], 0...100, isRaw: true),
            examples: ["exit", "exit 1"], group: .session,
            details: "In a subshell, a script or bash -c only that. The status is taken modulo 256.")
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            if words.first == "--" { words.removeFirst() }
            if let word = words.first, Builtins.exitStatus(word) == nil {
                invocation.process.complain("'\(word)' is not a number")
                invocation.process.exitShell(2)
                return .done(2)
            }
            if words.count > 1 {
                invocation.process.complain("too many arguments")
                invocation.process.giveUpLine(1)
                return .done(1)
            }
            let status = words.first.flatMap(Builtins.exitStatus) ?? invocation.process.previousStatus
            invocation.process.exitShell(status)
            return .done(status)
        }
    }

    static var yes: Command {
        Command(CommandDescription("true", "does nothing, successfully", examples: ["true"], group: .session)) { _ in
            .success
        }
    }

    static var no: Command {
        Command(
            CommandDescription("false", "does nothing, unsuccessfully", examples: ["false || echo no"], group: .session)
        ) { _ in .done(1) }
    }
}
