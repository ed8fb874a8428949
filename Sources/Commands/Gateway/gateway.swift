import CommandKit
import CommandServices
import GatewayEngine
import GatewayService
import KernelCryptography
import KernelJSON
import KernelService
import KernelStructures
import ShellSession

extension GatewayCommands {
    /// `gateway routes`, `gateway services`, `gateway explain 'curl …'`, `gateway key alice`
    static var gateway: Command {
        let description = CommandDescription(
            "gateway", "what an API gateway's routes and services do, and why", operates: true,
            subcommands: [
                .init(
                    "routes", "every route and what it has seen", flags: [CommonFlags.json],
                    examples: ["gateway routes"]),
                .init(
                    "services", "the services behind, their servers and circuits", flags: [CommonFlags.json],
                    examples: ["gateway services"]),
                .init(
                    "explain", "where a request would go, and why no other route gets it", usage: "'curl …'",
                    flags: [
                        .init("in", nil, .duration(allowsZero: true), "as if it came so much later (0s)"),
                        .init("keys", nil, .file, "as if these were the keys of tokens: a key set, or PEM"),
                        CommonFlags.json,
                    ],
                    arguments: .init([.text], 1...1),
                    examples: [
                        "gateway explain 'curl https://gateway/api/users/1'",
                        "gateway explain \"curl -H 'Authorization: Bearer $T' https://gateway/x\" --in 1h",
                        "gateway explain \"curl -H 'Authorization: Bearer $T' gateway/x\" --keys k.json",
                    ],
                    details: """
                        Nothing is sent, counted or charged. Tokens are judged at the time that --in
                        says, by the keys that are there now or those of --keys: a rotation is
                        rehearsed before anybody's token is worth nothing.
                        """),
                .init(
                    "openapi", "what clients may ask, as an OpenAPI 3.1 document",
                    flags: [
                        .init("config", "c", .file, "of this file's routes, without a gateway that runs"),
                        CommonFlags.json,
                    ],
                    examples: ["gateway openapi > openapi.json", "gateway openapi --config gateway.yaml"]),
                .init(
                    "key", "makes an API key: shown once, and its line for the file", usage: "NAME",
                    flags: [CommonFlags.json], arguments: .init([.text], 1...1), examples: ["gateway key alice"]),
            ], group: .views)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let session = invocation.session
            if arguments.verb == "key" { return .view(try keyView(arguments.arguments[0], session)) }
            if arguments.verb == "openapi", let file = ConfigurationArgument(invocation) {
                let configuration = try file.read { try GatewayConfiguration(yaml: $0, file: $1) }
                return .view(documentView(configuration, title: "gateway"))
            }
            let host = try session.running(
                GatewayHost.self, named: arguments.target, what: "API gateway",
                start: "api-gateway --config gateway.yaml --port 443", remedy: "name one: --node NAME")
            switch arguments.verb {
            case "routes": return .view(host.routesView)
            case "services": return .view(host.servicesView)
            case "openapi":
                return .view(documentView(host.configuration, title: host.node.name))
            default:
                let request = try TypedRequest(arguments.arguments[0], session)
                var circumstances = GatewayHost.Circumstances()
                circumstances.later = arguments.duration("in") ?? .zero
                if let name = arguments.text("keys") {
                    do { circumstances.keys = (name, try session.files.read(name)) } catch {
                        throw CommandFailure("gateway explain: \(error)")
                    }
                }
                do { return .view(try host.explanation(of: request, in: circumstances)) } catch {
                    throw CommandFailure("gateway explain: \(error)")
                }
            }
        }
    }

    private static func documentView(_ configuration: GatewayConfiguration, title: String) -> View {
        let document = OpenAPIDocument(configuration).json(title: title)
        return View(.text(document.text(.pretty) + "\n", json: document))
    }

    private static func keyView(_ name: String, _ session: Session) throws -> View {
        let isFine = !name.isEmpty && name.utf8.count <= 64 && name.utf8.allSatisfy { $0 > 32 && $0 < 127 }
        guard isFine else { throw UsageError("gateway: key: '\(name)' is no name of whoever gets the key") }
        var random = session.world.random.fork("api key \(name) \(session.world.now.nanoseconds)")
        let key = APIKey.make(random: &random)
        let digest = Hexadecimal.encode(APIKey.digest(of: Array(key.utf8)))
        let text = """
            \(key)
            Give it to \(name), who has to send it with each request; it is not kept. The file gets:
              - {name: \(name), sha256: \(digest)}

            """
        return View(
            .text(text, json: ["name": .string(name), "key": .string(key), "sha256": .string(digest)]))
    }
}
