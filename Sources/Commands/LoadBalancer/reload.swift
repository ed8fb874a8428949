import CommandKit
import LoadBalancerEngine
import ShellSession

extension Catalog {
    /// `reload lb`
    static var reload: Command {
        let description = CommandDescription(
            "reload", "has a load balancer read its configuration again",
            usage: "[NODE]", arguments: .init([.node], 0...1), examples: ["reload", "reload lb", "kill -HUP lb"],
            group: .components, tags: ["LB"],
            details: """
                Servers are told apart by name and address. Those that stay keep what is known
                of them; those that are gone finish what they have. A file with an error
                changes nothing. The mode and the port cannot change.
                """)
        return Command(description) { invocation in
            try invocation.session.balancer(named: invocation.arguments.arguments.first).reload()
            return .done(0)
        }
    }
}
