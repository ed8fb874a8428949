import CommandKit
import CommandServices
import GatewayEngine
import GatewayService
import KernelService
import KernelStructures
import ShellSession

extension GatewayCommands {
    /// `api-gateway --config gateway.yaml --port 443`
    static var apiGateway: Command {
        let kind = ServiceKind("api-gateway", node: "gateway", port: .required(example: 443), isConfigurable: true)
        let description = CommandDescription(
            "api-gateway", "one door for many services: routes, tokens, limits, answers made of several",
            usage: "--config FILE --port PORT [FLAGS]",
            flags: kind.flags([.init("http", nil, .port, "another port, without TLS: 80 beside --port 443")]),
            examples: [
                "api-gateway --config gateway.yaml --port 443",
                "api-gateway --config gateway.yaml --port 8080 --metrics 9443",
                "api-gateway --config gateway.yaml --check",
                "explain 'curl https://gateway/api/users/1'", "stats gateway", "reload gateway",
            ],
            group: .components, role: .service, tags: ["GW"],
            details: """
                Port 443 speaks TLS, with the lab's certificate if no other is given; other
                ports do with --tls. The file, with all its keys; a value stands for its
                default, or what is in force without the key is in parentheses:

                \(GatewayConfiguration.reference)
                Precedence: exact host, longest *.suffix, no host; then exact path, expression
                (the file's order), longest prefix; then method, more headers, more query,
                the file's order. Then, in this order: CORS preflight, size of the body, limit
                of the address, credentials, scopes and claims, limit of who asks, split,
                rewrite, headers; on the way back the answer's headers. Who is refused leaves a
                line in the log (a few a second, however many they are), and `gateway explain`
                goes the same way. `retry_after` is when the next request passes: with the
                sliding counter up to two periods later, with sliding-log one at most.
                SIGHUP and `reload` read the file and the keys again without losing a request;
                an error in it changes nothing.
                """)
        return .service(kind, description) { invocation in
            let source = try GatewaySource(invocation)
            let configuration = try source.configuration()
            let plainPort = invocation.arguments.port("http")
            return ServicePlan(
                check: {
                    try GatewayHost.check(configuration.initial, readFile: source.readFile)
                    return source.summary(configuration.initial)
                }, stats: \.stats,
                picture: { (host: GatewayHost) in View(host.routesView.parts[0], host.servicesView.parts[0]) }
            ) { node, service in
                try GatewayHost(
                    node: node, source: configuration, port: service.port, plainPort: plainPort,
                    options: service.options, readFile: source.readFile)
            }
        }
    }
}

/// Where a gateway's configuration comes from.
struct GatewaySource {
    private let file: ConfigurationArgument

    init(_ invocation: Invocation) throws {
        guard let file = ConfigurationArgument(invocation) else {
            throw UsageError(
                "api-gateway: what is to go where? add --config gateway.yaml --port 443; see help api-gateway")
        }
        self.file = file
    }

    /// - Throws: `CommandFailure` with the place in the file.
    func configuration() throws -> ConfigurationSource<GatewayConfiguration> {
        .init(try read(), read: read, bytes: file.bytes)
    }

    private func read() throws -> GatewayConfiguration {
        try file.read { try GatewayConfiguration(yaml: $0, file: $1) }
    }

    /// A file that the configuration names, seen from where the configuration is.
    func readFile(_ name: String) throws -> [UInt8] {
        let place = file.name(ofFile: name)
        do { return try file.read(named: place) } catch {
            let remedy =
                name == GatewayConfiguration.JWTSettings.defaultKeyFile
                ? "; make one: jwt keys new; jwt jwks > \(place)" : ""
            throw CommandFailure("the keys of tokens cannot be read: \(error)\(remedy)")
        }
    }

    /// The services that are described nowhere in the file, which the registry has to know: where a name was mistyped,
    /// it stands here.
    private static func asked(_ configuration: GatewayConfiguration) -> String {
        let asked = configuration.services.compactMap { service -> String? in
            if case .registry(let name) = service.source { name } else { nil }
        }
        if asked.isEmpty { return "" }
        let described = configuration.services.map(\.name).filter { !asked.contains($0) }
        let names = asked.map { name in
            name + (suggestion(for: name, among: described).map { " (did you mean \($0)?)" } ?? "")
        }
        return "  asked of the registry \(configuration.registry): \(names.joined(separator: ", "))\n"
    }

    /// What `--check` says.
    func summary(_ configuration: GatewayConfiguration) -> String {
        let count = counted(configuration.routes.count, "route")
        let rows = configuration.routes.map { route in
            "  \(route.name): \(route.paths.map(\.description).joined(separator: ", ")) → \(route.destinationText), "
                + "auth \(route.accessText)\(route.limit.map { ", \($0.quota.count)/\($0.quota.period)" } ?? "")\n"
        }
        let hidden = configuration.hiddenRoutes.map { "  \($0.name) gets no request: \($0.by) takes all of them\n" }
        return "\(file.name): OK, \(count)\n" + rows.joined() + Self.asked(configuration) + hidden.joined()
    }
}

extension Route {
    /// Where its requests go, in words.
    var destinationText: String {
        switch action {
        case .forward(let shares):
            shares.count == 1
                ? shares[0].service : shares.map { "\($0.service) (\($0.weight))" }.joined(separator: ", ")
        case .aggregate(let aggregate): aggregate.parts.map(\.service).joined(separator: " + ")
        case .redirect(let redirection): "redirect \(redirection.status)"
        }
    }

    var accessText: String {
        access.methods.isEmpty ? "none" : access.methods.map(\.rawValue).joined(separator: " or ")
    }
}
