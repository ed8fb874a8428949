import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import ShellSession

extension GeneralCommands {
    /// `back 30s`, `back`
    static var back: Command {
        let description = CommandDescription(
            "back", "goes back in time: so long ago, or to before the last command",
            usage: "[TIME]", arguments: .init([.duration], 0...1), examples: ["back 30s", "back"], group: .faults,
            details: """
                What was typed up to then is run again from the seed, in memory and in
                virtual time, variables, jobs and terminals included, and the lab goes on
                from there; what came later is forgotten. It has to go as it went: where
                programs outside the lab or real time decided something, back says so, and
                everything stays as it is. Ctrl-C while it runs again stays here, too.
                fork TIME keeps this lab.
                """)
        return Command(description) { invocation in
            let moment = try moment(invocation, whenNone: .beforeLastCommand)
            try traveller(invocation).back(to: moment)
            return .success
        }
    }

    /// `fork`, `fork 30s`, `fork leave`, `fork keep`, `fork list`
    static var fork: Command {
        let description = CommandDescription(
            "fork", "a second lab with the same past, to try something in; this one waits",
            usage: "[TIME | leave | keep | list] [--json]", flags: [CommonFlags.json],
            arguments: .init([.word(["leave", "keep", "list"])], 0...1),
            examples: ["fork", "fork 30s", "fork leave", "fork keep"], group: .faults,
            details: """
                TIME is how long ago the second lab goes on; without it, now. In the fork
                the same holds as after back: its connections are in memory. leave ends the
                fork and goes on in the lab that waits, at the moment at which it was left.
                keep lets that one go instead. A fork may be forked again.
                """)
        return Command(description) { invocation in
            switch invocation.arguments.arguments.first {
            case "leave": try traveller(invocation).leaveFork(keepingIt: false)
            case "keep": try traveller(invocation).leaveFork(keepingIt: true)
            case "list": return .view(list(try traveller(invocation).waiting))
            default: try traveller(invocation).fork(at: try moment(invocation, whenNone: .now))
            }
            return .success
        }
    }

    private static func traveller(_ invocation: Invocation) throws(CommandFailure) -> any TimeTraveller {
        guard let traveller = invocation.session.traveller else { throw CommandFailure("only at the prompt") }
        return traveller
    }

    private static func moment(_ invocation: Invocation, whenNone: PastMoment) throws(UsageError) -> PastMoment {
        guard let word = invocation.arguments.arguments.first else { return whenNone }
        guard let duration = LabDuration(parsing: word, bareUnit: .seconds(1)), duration > .zero else {
            throw UsageError("\(invocation.name): '\(word)' is not a time such as 30s or 5m")
        }
        return .ago(duration)
    }

    private static func list(_ waiting: [LabDuration]) -> View {
        View(
            .table(
                .init(
                    [.init("LAB", key: "lab", right: true), .init("WAITS SINCE", key: "elapsed_ms", right: true)],
                    rows: waiting.enumerated().map { [.integer($0 + 1), .duration($1)] },
                    whenEmpty: "this is no fork")))
    }
}
