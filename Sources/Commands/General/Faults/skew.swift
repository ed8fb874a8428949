import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    /// `skew rl-2 1h`
    static var skew: Command {
        let description = CommandDescription(
            "skew", "sets a node's calendar wrong", usage: "NODE TIME|-TIME|0",
            arguments: .init([.node, .duration], 2...2, isRaw: true),
            examples: ["skew rl 1h", "skew rl -90s", "skew rl 0"], group: .faults,
            details: """
                As if somebody had set the clock of that machine: what it reads there is off by
                TIME. Timers, which count seconds, go on as before.
                """)
        return Command(description) { invocation in
            let words = invocation.arguments.arguments
            let nodes = invocation.session.world.nodes!
            guard let node = invocation.session.node(meantBy: words[0]) else {
                throw CommandFailure(
                    "there is no node '\(words[0])'\(didYouMean(words[0], among: nodes.allServices.map(\.name)))")
            }
            let isBack = words[1].hasPrefix("-")
            let text = words[1].drop { $0 == "-" || $0 == "+" }
            guard let duration = LabDuration(parsing: text, bareUnit: .seconds(1)) else {
                throw UsageError("skew: '\(words[1])' is not a time such as 1h, -90s or 0")
            }
            node.clockSkew = isBack ? .zero - duration : duration
            return .success
        }
    }
}
