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
                .init("check", nil, "only says whether the configuration is right"),
                .init("watch", nil, "reloads the file whenever it has changed"),
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
                The file, with its defaults, and after # what else may stand there:
                  mode: http                       # tcp
                  algorithm: round-robin           # least-connections, random, hash, maglev
                  hash: {key: source}              # uri, header NAME; balance_factor: 125
                  backends: [8081, 8082]           # {address: host:port, name: a, weight: 3,
                                                   #  max_connections: 100, backup: true,
                                                   #  state: drain, send_proxy: v2}
                  health_check: {interval: 5s, timeout: 2s, type: http, path: /,
                                 expect: {status: 200-399},  # body: TEXT
                                 unhealthy_after: 3, healthy_after: 2, jitter: 0%}
                                                   # fast_interval, down_interval, host
                  outlier_ejection: {consecutive_5xx: 5, consecutive_gateway_errors: 5,
                                     base_time: 30s, max_time: 300s, max_percent: 10%}
                                                   # only if the section is there
                  slow_start: 0s
                  panic_threshold: 0%
                  sticky: {cookie: SRV}            # {by: source, size: 100000, expire: 30m}
                                                   # redispatch: true, on_drain: move (stay)
                                                   # only if the section is there
                  retries: 3
                  retry_on: [connect-failure, empty-response]
                                                   # response-timeout, 500 to 599
                  retry_budget: {percent: 20, min_per_second: 10}
                                                   # only if the section is there
                  queue: {limit: 1000, timeout: 5s}
                  timeouts: {connect: 5s, request: 30s, response: 60s, idle: 75s,
                             tunnel: 1h, shutdown: 30s}
                  forwarded: x-forwarded-for       # forwarded, both, none
                  accept_proxy: false
                SIGHUP and `reload` read it again without losing a connection. SIGTERM drains:
                nothing new is accepted, what is under way finishes.
                """)
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
                        try host.openDoors(runtime: runtime, metrics: arguments.port("metrics"))
                        if arguments.has("watch") { host.watchFile(source.bytes) }
                    },
                    drain: { $0.drain(whenStopped: $1) }, describe: \.stats,
                    onHangUp: { host in
                        // What went wrong is in the log; the old configuration stays.
                        try? host.reload()
                    }))
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
}
