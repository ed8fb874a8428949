import CommandKit
import KernelStructures
import LoadBalancerEngine
import ShellSession

extension LoadBalancerCommands {
    /// `balancer lb set server lb/8082 state drain`
    static var balancer: Command {
        let verbs = RuntimeInterpreter.verbs
        let description = CommandDescription(
            "balancer", "looks at a running load balancer, or changes it",
            usage: "[NODE] (COMMAND… | --json) [--node NODE]",
            arguments: .init([.word(verbs), .word(verbs), .node], 1...100, isRaw: true),
            examples: [
                "balancer show stat", "balancer lb --json", "balancer lb set server lb/8082 state drain",
                "balancer set server lb/8081 weight 50%", "balancer add server lb/8084 localhost:8084 weight 2",
                "balancer 'disable server lb/8083; del server lb/8083'",
            ], group: .components,
            details: """
                show stat|info|backend|sess|errors|version    show servers state|conn
                set server NODE/SERVER state ready|drain|maint
                set server NODE/SERVER weight N|N%   set server NODE/SERVER health up|down
                set maxconn server NODE/SERVER N     get weight NODE/SERVER
                enable|disable server NODE/SERVER    enable|disable health NODE/SERVER
                add server NODE/SERVER HOST:PORT [weight N] [maxconn N] [backup]
                del server NODE/SERVER               clear counters [all]
                shutdown sessions server NODE/SERVER
                A server that was added is in maintenance; one that is to be deleted must be.
                The same language is spoken at loadbalancer --runtime PORT|PATH, to socat,
                hatop and whatever else speaks to HAProxy's socket. `balancer help` lists all.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments
            let flagged = try takeNode(&words)
            if words.isEmpty { throw UsageError("balancer: what is it to do? try: balancer help") }
            let names = invocation.session.balancers.map(\.name)
            let isNamed = names.contains { $0.lowercased() == words[0].lowercased() }
            // A first word that begins no command can only be meant as a name.
            let isCommand = words[0].split(whereSeparator: { " ;".contains($0) }).first.map {
                verbs.contains(String($0))
            }
            let isView = words[0] == "--json"
            let first = isNamed || isCommand != true && !isView ? words.removeFirst() : nil
            if let first, let flagged, first != flagged {
                throw UsageError("balancer: '\(first)' and --node \(flagged)? one of them")
            }
            let name = first ?? flagged ?? addressed(words, among: names)
            let host = try invocation.session.balancer(named: name)
            if words == ["--json"] {
                let view = host.poolView(.block, now: invocation.session.world.now)
                invocation.process.output.write(invocation.process.text(of: view, asJSON: true))
                return .success
            }
            if words.isEmpty { throw UsageError("balancer: what is \(name ?? "it") to do? try: balancer help") }
            var isRefused = false
            for command in RuntimeLine.commands(words.joined(separator: " ")) {
                let answer = host.runtime(command)
                if answer.isRefusal {
                    isRefused = true
                    invocation.process.complain(String(answer.text.dropLast()))
                } else {
                    invocation.process.output.write(answer.text)
                }
            }
            return .done(isRefused ? 1 : 0)
        }
    }

    /// The one balancer that `lb1/8081` names, where all servers among the words are of one.
    private static func addressed(_ words: [String], among names: [String]) -> String? {
        var found: Set<String> = []
        for word in words.flatMap({ $0.split(whereSeparator: { " ;".contains($0) }) }) {
            guard let slash = word.firstIndex(of: "/") else { continue }
            let front = word[..<slash].lowercased()
            if let name = names.first(where: { $0.lowercased() == front }) { found.insert(name) }
        }
        return found.count == 1 ? found.first : nil
    }

    /// Takes `--node NODE` from among the words: HAProxy's language has nothing that looks like it.
    private static func takeNode(_ words: inout [String]) throws(UsageError) -> String? {
        var found: String?
        while let index = words.firstIndex(where: { $0 == "--node" || $0.hasPrefix("--node=") }) {
            if found != nil { throw UsageError("balancer: --node stands there twice") }
            let word = words.remove(at: index)
            if word == "--node" {
                guard index < words.count else { throw UsageError("balancer: --node needs a value: --node NODE") }
                found = words.remove(at: index)
            } else {
                found = String(word.dropFirst("--node=".count))
            }
        }
        return found
    }
}
