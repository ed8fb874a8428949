import CommandKit
import CommandServices
import KernelConfiguration
import KernelStructures
import LoadBalancerEngine
import LoadBalancerService
import ShellSession

extension LoadBalancerCommands {
    /// `loadbalancer --config lb.yaml --port 80`
    static var loadbalancer: Command {
        let description = CommandDescription(
            "loadbalancer", "spreads requests or connections over servers that are up",
            usage: "(--config FILE | --backends LIST) --port PORT [FLAGS]",
            flags: [
                .init("config", "c", .file, "its configuration, YAML"),
                .init("backends", nil, .text("LIST"), "instead of a file: 8081,8082 or host:port,host:port"),
                .init("port", "p", .port, "where it listens"),
                .init("mode", nil, .choice(["http", "tcp"]), "overrides the file's mode"),
                .init("check", nil, "only says whether the configuration is right"),
                .init("watch", nil, "reloads the file whenever it has changed"),
                .init("name", "n", .text("NAME"), "the name of its node (lb)"),
                .init(
                    "runtime", nil, .text("PORT|PATH"), "for HAProxy's runtime API: a port, or a unix socket"),
                .init("socket", nil, .text("PATH"), "also listens on this unix socket of the machine"),
                .init("metrics", nil, .port, "where Prometheus finds its numbers: /metrics"),
                .init("reuse-port", nil, "as a process of its own: shares its port (SO_REUSEPORT)"),
                .init("bind", nil, .text("ADDRESS"), "as a process of its own: its address (127.0.0.1)"),
            ],
            examples: [
                "loadbalancer --config lb.yaml --port 80", "loadbalancer --backends 8081,8082 --port 8080 --mode tcp",
                "loadbalancer --backends 8081 --port 8080 --runtime 9999 --metrics 8405", "stats lb",
            ],
            group: .components, tags: ["LB"],
            details: loadbalancerDetails)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let source = try BalancerSource(invocation)
            let configuration = try source.read()
            if arguments.has("check") { return .view(View(.text(source.summary(configuration), json: .null))) }
            guard let port = arguments.port("port") else {
                throw UsageError("loadbalancer: on which port? add --port 8080")
            }
            if arguments.has("watch"), source.file == nil {
                throw UsageError("loadbalancer: --watch needs a file; add --config lb.yaml")
            }
            let name = arguments.text("name") ?? "lb"
            try checkNodeName(name, command: "loadbalancer")
            let runtime = try runtimePlace(arguments.text("runtime"))
            return .running(
                ServiceProgram(
                    invocation.process, kind: "loadbalancer", nodeName: name,
                    make: { node in
                        let host = LoadBalancerHost(node: node, configuration: configuration, port: port)
                        host.readAgain = source.file == nil ? nil : { try source.read() }
                        return host
                    },
                    start: { host in
                        try host.start()
                        try host.openDoors(
                            runtime: runtime, metrics: arguments.port("metrics"), socket: arguments.text("socket"))
                        if arguments.has("watch") { host.watchFile(source.bytes) }
                    },
                    drain: { $0.drain(whenStopped: $1) }, describe: \.stats,
                    onHangUp: { host in
                        // What went wrong is in the log; the old configuration stays.
                        try? host.reload()
                    }))
        }
    }

    /// The file as it stands in the engine, so that help and parser cannot part.
    private static var loadbalancerDetails: String {
        """
        The file, with all its keys and their defaults; behind #: what is only in
        force where it stands, with the default in parentheses if there is one:

        \(LoadBalancerConfiguration.reference)
        Names that users of HAProxy, nginx and Envoy know are understood, too:
        algorithms roundrobin, leastconn, source, uri, hdr(NAME), random(2), least_conn,
        ip_hash, ROUND_ROBIN, LEAST_REQUEST, RING_HASH, MAGLEV; and the keys
        \(LoadBalancerConfiguration.aliasReference)
        SIGHUP and `reload` read the file again without losing a connection; an error
        in it changes nothing. SIGTERM drains: nothing new is accepted, what is under
        way finishes.
        """
    }

    /// Digits are a port; everything else is the path of a unix socket.
    private static func runtimePlace(_ text: String?) throws -> LoadBalancerHost.RuntimePlace? {
        guard let text else { return nil }
        guard text.allSatisfy(\.isNumber) else { return .path(text) }
        guard let port = UInt16(text), port > 0 else {
            throw UsageError("loadbalancer: --runtime: '\(text)' is neither a port (1 to 65535) nor a path")
        }
        return .port(port)
    }
}
