import BackendEngine
import BackendService
import CommandKit
import CommandServices
import KernelService
import KernelStructures
import KernelWire
import ShellSession

extension BackendCommands {
    /// `backend --port 8081 --name "Server-A"`
    static var backend: Command {
        let kind = ServiceKind("backend", node: "backend", port: .required(example: 8081))
        let description = CommandDescription(
            "backend", "a web server that says who it is", usage: "--port PORT [FLAGS]",
            flags: kind.flags([
                .init("latency", nil, .duration(allowsZero: true), "how long it thinks before each answer"),
                .init("status", nil, .integer(200...599), "the status of its answers (200)"),
                .init("body", nil, .text("TEXT"), "the body of its answers (Response from NAME)"),
                .init("answers", nil, .text("PLAN"), "what it answers in turn: 'ok*2 fail*5 ok' (see below)"),
                .init("body-limit", nil, .byteCount, "larger request bodies are refused with 413"),
                .init("calls", nil, .text("URL"), "asks there before each answer"),
                .init("within", nil, .duration(), "how long it waits for that (30s)"),
                .init("otherwise", nil, .text("TEXT"), "what it answers when that did not come (502, 504)"),
                .init("register", nil, .text("SERVICE"), "registers itself as an instance of this service"),
                .init("registry", nil, .endpoint, "the registry to tell (localhost:8500)"),
                .init("check-interval", nil, .duration(), "how often the registry is to look (10s)"),
            ]),
            examples: [
                "backend --port 8081 --name Server-A &", "curl http://localhost:8081/",
                "curl http://localhost:8081/delay/200ms",
                "backend --port 8080 --name flaky --answers 'ok*2 fail*5 hang 503@200ms ok' &",
                "backend --port 80 --calls http://pay:8080/ --within 2s --otherwise pending &",
                "backend --port 8443 --name shop --tls &", "curl https://shop:8443/",
                "backend --port 8080 --name payment-1 --register payment-api &",
            ],
            group: .components, role: .service, tags: ["REG"],
            details: """
                Paths: /health answers 200, /status/503 that status, /delay/200ms later,
                /bytes/1MiB that many bytes, /early-hints/2 who it is after two 103s, /echo the
                request itself; everything else, who it is. CONNECT and TRACE get 405.
                A PLAN is a row of answers, one a request, the last of them for ever: ok, early
                (ok after a 103 Early Hints), fail (500), a status, close (no answer), hang
                (never one); each with @200ms for a delay, and *5 for five of them. /health,
                /echo, /status, /bytes and /early-hints are not part of it.
                """)
        return .service(kind, description) { invocation in
            let arguments = invocation.arguments
            var settings = BackendHost.Settings(name: "", port: 0)
            settings.latency = arguments.duration("latency") ?? .zero
            settings.status = arguments.integer("status") ?? 200
            settings.body = arguments.text("body")
            if let plan = arguments.text("answers") {
                do throws(AnswerPlan.Malformed) {
                    settings.answers = try AnswerPlan(parsing: plan)
                } catch {
                    throw UsageError("backend: --answers: \(error)")
                }
            }
            settings.dependency = try dependency(arguments)
            settings.bodyLimitBytes = arguments.byteCount("body-limit") ?? .max
            let registration = try registration(arguments)
            return ServicePlan { [settings] node, service in
                var settings = settings
                settings.registration = registration.map { known in
                    var own = known
                    own.port = service.port
                    // Behind TLS that it takes connections has to be enough: the registry trusts nobody.
                    own.healthPath = service.options.makeSecurity == nil ? "/health" : nil
                    return own
                }
                settings.port = service.port
                // A second node of the same name got a number, and says so.
                settings.name = node.name
                return BackendHost(node: node, settings: settings, options: service.options)
            }
        }
    }

    private static func dependency(_ arguments: ParsedArguments) throws(UsageError) -> BackendHost.Dependency? {
        guard let text = arguments.text("calls") else {
            guard !arguments.has("within"), !arguments.has("otherwise") else {
                throw UsageError("backend: whom does it ask? add --calls http://payment:8080/")
            }
            return nil
        }
        do throws(HTTPURL.Malformed) {
            return BackendHost.Dependency(
                url: try HTTPURL(text), patience: arguments.duration("within") ?? .seconds(30),
                fallback: arguments.text("otherwise"))
        } catch {
            throw UsageError("backend: --calls: \(error)")
        }
    }

    /// The port is filled in when it is known.
    private static func registration(_ arguments: ParsedArguments) throws(UsageError)
        -> ServiceRegistration.Settings?
    {
        guard let name = arguments.text("register") else {
            guard !arguments.has("registry"), !arguments.has("check-interval") else {
                throw UsageError("backend: as what is it to be registered? add --register payment-api")
            }
            return nil
        }
        guard !name.isEmpty, name.utf8.count <= 256 else {
            throw UsageError("backend: --register: '\(name.prefix(80))' is no service's name")
        }
        let registry = arguments.endpoint("registry") ?? HostPort(host: "localhost", port: 8500)
        var settings = ServiceRegistration.Settings(name: name, registry: registry, port: 0)
        if let interval = arguments.duration("check-interval") { settings.checkInterval = interval }
        return settings
    }
}
