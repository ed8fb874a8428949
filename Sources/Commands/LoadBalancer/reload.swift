import CommandKit
import CommandServices
import LoadBalancerService
import ShellSession

extension LoadBalancerHost: Reloadable {}

extension Session {
    /// What runs and can read its configuration again.
    fileprivate var reloadables: [any Reloadable] {
        jobs.running.flatMap(\.running).compactMap {
            ($0.component as? any HostingComponent)?.anyHost as? any Reloadable
        }
    }
}

extension LoadBalancerCommands {
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
            let name = invocation.arguments.arguments.first
            let found = invocation.session.reloadables
            let named = name.map { name in found.filter { $0.node.name.lowercased() == name.lowercased() } } ?? found
            if named.count == 1 {
                try named[0].reload()
            } else if named.count > 1 {
                let names = named.map(\.node.name).joined(separator: ", ")
                throw CommandFailure("several run (\(names)); name one of them")
            } else {
                try invocation.session.balancer(named: name).reload()
            }
            return .done(0)
        }
    }
}
