import CommandKit
import CommandServices
import KernelService
import KernelStructures
import LoadBalancerEngine
import LoadBalancerService
import ShellSession

extension LoadBalancerCommands {
    /// `loadbalancer --config lb.yaml --port 80`
    static var loadbalancer: Command {
        let kind = ServiceKind("loadbalancer", node: "lb", port: .required(example: 8080), isConfigurable: true)
        let description = CommandDescription(
            "loadbalancer", "spreads requests or connections over servers that are up",
            usage: "(--config FILE | --backends LIST | --discover SERVICE) --port PORT [FLAGS]",
            flags: kind.flags([
                .init("backends", nil, .text("LIST"), "instead of a file: 8081,8082 or host:port,host:port"),
                .init("discover", nil, .text("SERVICE"), "follows the instances that a registry has of this service"),
                .init("registry", nil, .endpoint, "the registry to ask (localhost:8500)"),
                .init("mode", nil, .choice(["http", "tcp"]), "overrides the file's mode"),
                .init(
                    "runtime", nil, .text("PORT|PATH"), "for HAProxy's runtime API: a port, or a unix socket"),
                .init("socket", nil, .text("PATH"), "also listens on this unix socket of the machine"),
            ]),
            examples: [
                "loadbalancer --config lb.yaml --port 80", "loadbalancer --backends 8081,8082 --port 8080 --mode tcp",
                "loadbalancer --backends 8081 --port 8080 --runtime 9999 --metrics 8405", "stats lb",
                "loadbalancer --discover payment-api --port 8090",
            ],
            group: .components, role: .service, tags: ["LB"],
            details: loadbalancerDetails)
        return .service(kind, description) { invocation in
            let source = try BalancerSource(invocation)
            let configuration = try source.configuration()
            let places = LoadBalancerHost.Places(
                socket: invocation.arguments.text("socket"),
                runtimeAPI: try runtimePlace(invocation.arguments.text("runtime")))
            return ServicePlan(
                check: { source.summary(configuration.initial) }, stats: \.stats,
                picture: { (host: LoadBalancerHost) in host.poolView(.block, now: host.runtime.node.world.now) }
            ) { node, service in
                LoadBalancerHost(
                    node: node, source: configuration, port: service.port, places: places,
                    discovery: source.discovery, options: service.options, readFile: source.readFile)
            }
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
        With tls, files are read when it starts and with each reload. SIGHUP and
        `reload` read the file again without losing a connection; an error
        in it changes nothing. SIGTERM drains: nothing new is accepted, what is under
        way finishes.
        """
    }

    /// Digits are a port; everything else is the path of a unix socket.
    private static func runtimePlace(_ text: String?) throws -> ServiceRuntime.Place? {
        guard let text else { return nil }
        guard text.allSatisfy(\.isNumber) else { return .path(text) }
        guard let port = UInt16(text), port > 0 else {
            throw UsageError("loadbalancer: --runtime: '\(text)' is neither a port (1 to 65535) nor a path")
        }
        return .port(port)
    }
}
