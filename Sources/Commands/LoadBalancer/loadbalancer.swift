import CommandKit
import KernelConfiguration
import KernelStructures
import LoadBalancerEngine
import ShellSession

extension Catalog {
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
                .init("name", "n", .text("NAME"), "the name of its node (lb)"),
                .init(
                    "runtime", nil, .text("PORT|PATH"), "for HAProxy's runtime API: a port, or a unix socket"),
                .init("metrics", nil, .port, "where Prometheus finds its numbers: /metrics"),
                .init("bind", nil, .text("ADDRESS"), "as a process of its own: its address (127.0.0.1)"),
            ],
            examples: [
                "loadbalancer --config lb.yaml --port 80", "loadbalancer --backends 8081,8082 --port 8080 --mode tcp",
                "loadbalancer --backends 8081 --port 8080 --runtime 9999 --metrics 8405", "stats lb",
            ],
            group: .components, tags: ["LB"],
            details: """
                The file:
                  mode: http                          # or tcp
                  algorithm: round-robin
                  health_check: {interval: 5s, timeout: 2s, path: /,
                                 unhealthy_after: 3, healthy_after: 2}
                  timeouts: {connect: 5s, response: 60s, idle: 75s, shutdown: 30s}
                  retries: 3                          # further servers tried after one failed
                  backends: [8081, 8082, 8083]        # or {address: host:port, weight: 3,
                                                      #     name: a}
                SIGTERM drains it: nothing new is accepted, what is under way finishes.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            guard let port = arguments.port("port") else {
                throw UsageError("loadbalancer: on which port? add --port 8080")
            }
            let configuration = try readConfiguration(invocation)
            let name = arguments.text("name") ?? "lb"
            try checkNodeName(name, command: "loadbalancer")
            let runtime = try runtimePlace(arguments.text("runtime"))
            return .running(
                ServiceProgram(
                    invocation.process, kind: "loadbalancer", nodeName: name,
                    make: { LoadBalancerHost(node: $0, configuration: configuration, port: port) },
                    start: {
                        try $0.start()
                        try $0.openDoors(runtime: runtime, metrics: arguments.port("metrics"))
                    }, drain: { $0.drain(whenStopped: $1) }, describe: \.stats))
        }
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

    private static func readConfiguration(_ invocation: Invocation) throws -> LoadBalancerConfiguration {
        let arguments = invocation.arguments
        var configuration: LoadBalancerConfiguration
        switch (arguments.text("config"), arguments.text("backends")) {
        case (let file?, nil):
            do {
                configuration = try LoadBalancerConfiguration(
                    yaml: invocation.session.files.reading { try $0.read(file) }, file: file)
            } catch let error as ConfigurationError {
                throw CommandFailure(error.description)
            }
        case (nil, let list?):
            let words = list.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            configuration = LoadBalancerConfiguration(
                backends: try words.map { word in
                    guard let destination = HostPort(parsing: word) else {
                        throw UsageError("loadbalancer: --backends: '\(word)' is neither a port nor host:port")
                    }
                    return .init(name: word, destination: destination)
                })
        default:
            throw UsageError("loadbalancer: which backends? add --config lb.yaml or --backends 8081,8082 (one of them)")
        }
        if let mode = arguments.text("mode") { configuration.mode = mode == "tcp" ? .tcp : .http }
        return configuration
    }
}

extension LoadBalancerHost {
    var stats: View {
        let totals = engine.counters
        let rows = engine.present.map { _, server -> [View.Cell] in
            [
                .text(server.name),
                .text(server.state, style: server.isInPool ? .good : .bad),
                .integer(server.weight), .integer(server.counters.requests), .integer(server.active),
                .integer(server.counters.errors),
                lastProbe(server),
            ]
        }
        return View(
            .record([
                .init("pool", .text("\(engine.poolSize)/\(engine.present.count)")),
                .init("requests", .integer(totals.requests)), .init("retries", .integer(totals.retries)),
                .init("errors", .integer(totals.errors)), .init("unserved", .integer(totals.unserved)),
            ]),
            .table(
                .init(
                    [
                        .init("SERVER", flexible: true), .init("STATE"), .init("WEIGHT", right: true),
                        .init("REQUESTS", right: true),
                        .init("ACTIVE", right: true), .init("ERRORS", right: true), .init("LAST CHECK", flexible: true),
                    ], rows: rows, whenEmpty: "no servers")))
    }

    private func lastProbe(_ server: Server) -> View.Cell {
        switch server.lastProbe {
        case nil: .none
        case .passed: .text("passed")
        case .failed(let reason): .text(reason, style: .warning)
        }
    }
}
