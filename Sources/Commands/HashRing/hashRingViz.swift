import CommandKit
import CommandServices
import HashRingEngine
import HashRingService
import KernelStructures
import ShellSession

extension HashRingCommands {
    /// `hash-ring-viz --port 7400`
    static var hashRingViz: Command {
        let kind = ServiceKind("hash-ring", node: "ring", port: .preset(HashRingHost.defaultPort))
        let description = CommandDescription(
            "hash-ring-viz", "holds a consistent hash ring, and shows it", usage: "[FLAGS]",
            flags: kind.flags(
                listens: "where it listens for HTTP",
                [
                    .init("hash", nil, .text("HASH"), "md5, sha1, murmur3, xxh64, fnv1a or ketama (md5)"),
                    .init(
                        "vnodes", nil, .integer(RingNode.virtualNodeRange),
                        "of nodes that do not say (150; for ketama 160)"),
                    .init("rf", nil, .integer(RingKeeper.replicationRange), "copies of each key (3)"),
                    .init("nodes", nil, .text("LIST"), "the first members: node-A,node-B"),
                ]),
            examples: [
                "hash-ring-viz", "hash-ring-viz --hash ketama --nodes cache-1,cache-2 --port 7401",
                "curl 'http://localhost:7400/lookup?key=user:123'",
            ],
            group: .components, role: .service, tags: ["RING"],
            details: """
                It speaks HTTP: text, or JSON for those who accept application/json.
                  GET    /ring  /ring/drawing?key=K  /ring/export
                  GET    /lookup?key=K&key=L&rf=N         POST /lookup, a key a line
                  POST   /nodes?name=A&vnodes=N&weight=N&zone=Z
                  PATCH  /nodes/A?vnodes=N&weight=N       DELETE /nodes/A
                  GET    /preview?change=add|remove|reweight&name=A&vnodes=N
                  GET    /moved?ranges=N                  GET  /compare?keys=N&add=A
                hash-ring-cli says the same in words. The ring is in memory only: one that is
                killed begins again with no nodes.
                """)
        return .service(kind, description) { invocation in
            let arguments = invocation.arguments
            var settings = RingKeeper.Settings()
            if let word = arguments.text("hash") {
                guard let scheme = HashRing.Scheme(name: word) else {
                    let hint = didYouMean(word, among: HashRing.Scheme.names)
                    throw UsageError(
                        "hash-ring-viz: --hash: '\(word)' is none of \(HashRing.Scheme.names.joined(separator: ", "))\(hint)"
                    )
                }
                settings.scheme = scheme
            }
            settings.virtualNodes = arguments.integer("vnodes")
            settings.replicationFactor = arguments.integer("rf") ?? settings.replicationFactor
            let members = arguments.text("nodes")?.split(separator: ",", omittingEmptySubsequences: false) ?? []
            return ServicePlan(
                stats: { $0.keeper.view(of: .stats) }, picture: { $0.keeper.ringView(.block) }
            ) { [settings] node, service in
                HashRingHost(
                    node: node, port: service.port, settings: settings, members: members.map(String.init),
                    options: service.options
                ) { answer, keeper, asJSON in
                    let view = keeper.view(of: answer)
                    return asJSON ? ViewRenderer().json(view) : ViewRenderer().plain(view)
                }
            }
        }
    }
}

extension Session {
    /// A running ring by its node's name, or the only one there is.
    ///
    /// - Throws: `CommandFailure` if there is none, or not just one.
    func ring(named name: String?) throws -> HashRingHost {
        try running(HashRingHost.self, named: name, what: "ring", start: "hash-ring-viz")
    }
}
