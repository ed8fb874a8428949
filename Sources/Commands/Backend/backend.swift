import BackendEngine
import BackendService
import CommandKit
import CommandServices
import KernelStructures
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
            ]),
            examples: [
                "backend --port 8081 --name Server-A &", "curl http://localhost:8081/",
                "curl http://localhost:8081/delay/200ms",
                "backend --port 8080 --name flaky --answers 'ok*2 fail*5 hang 503@200ms ok' &",
                "backend --port 8443 --name shop --tls &", "curl https://shop:8443/",
            ],
            group: .components, role: .service,
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
            settings.bodyLimitBytes = arguments.byteCount("body-limit") ?? .max
            return ServicePlan { [settings] node, service in
                var settings = settings
                settings.port = service.port
                // A second node of the same name got a number, and says so.
                settings.name = node.name
                return BackendHost(node: node, settings: settings, options: service.options)
            }
        }
    }
}
