import CommandKit
import KernelService
import KernelStructures
import ShellSession

/// What is typed to operate services of any kind.
package enum ServiceCommands {
    package static var all: [Command] { [reload] }

    /// `reload lb`
    static var reload: Command {
        let description = CommandDescription(
            "reload", "has a running component read its configuration again",
            usage: "[NODE]", arguments: .init([.node], 0...1), examples: ["reload", "reload lb", "kill -HUP lb"],
            group: .components, tags: ["LB"],
            details: """
                Servers are told apart by name and address. Those that stay keep what is known
                of them; those that are gone finish what they have. A file with an error
                changes nothing. The mode and the port cannot change.
                """)
        return Command(description) { invocation in
            let found = invocation.session.runningServices.filter { $0.runtime.reloading != nil }
            let names = found.map(\.node.name)
            if let name = invocation.arguments.arguments.first {
                let meant = invocation.session.nodeName(meantBy: name).lowercased()
                guard let service = found.first(where: { $0.node.name.lowercased() == meant }) else {
                    throw CommandFailure(
                        "nothing called '\(name)' runs that has a configuration\(didYouMean(name, among: names))")
                }
                try service.reload()
            } else if found.count == 1 {
                try found[0].reload()
            } else if found.isEmpty {
                throw CommandFailure(
                    "nothing runs that has a configuration; start it: loadbalancer --config lb.yaml --port 8080")
            } else {
                throw CommandFailure("several run (\(names.joined(separator: ", "))); name one of them")
            }
            return .done(0)
        }
    }
}
