import BackendEngine
import BackendService
import CommandKit
import CommandServices
import KernelStructures
import ShellSession

extension BackendCommands {
    /// `backend --port 8081 --name "Server-A"`
    static var backend: Command {
        let description = CommandDescription(
            "backend", "a web server that says who it is", usage: "--port PORT [FLAGS]",
            flags: [
                .init("port", "p", .port, "where it listens"),
                .init("name", "n", .text("NAME"), "what it calls itself, and the name of its node (backend)"),
                .init("latency", nil, .duration(allowsZero: true), "how long it thinks before each answer"),
                .init("status", nil, .integer(200...599), "the status of its answers (200)"),
                .init("body", nil, .text("TEXT"), "the body of its answers (Response from NAME)"),
                .init("answers", nil, .text("PLAN"), "what it answers in turn: 'ok*2 fail*5 ok' (see below)"),
                .init("body-limit", nil, .byteCount, "larger request bodies are refused with 413"),
                .init("bind", nil, .text("ADDRESS"), "as a process of its own: its address (127.0.0.1)"),
            ] + TLSFlags.server,
            examples: [
                "backend --port 8081 --name Server-A &", "curl http://localhost:8081/",
                "curl http://localhost:8081/delay/200ms",
                "backend --port 8080 --name flaky --answers 'ok*2 fail*5 hang 503@200ms ok' &",
                "backend --port 8443 --name shop --tls &", "curl https://shop:8443/",
            ],
            group: .components,
            details: """
                Paths: /health answers 200, /status/503 that status, /delay/200ms later,
                /bytes/1MiB that many bytes, /echo the request itself; everything else, who it
                is.
                A PLAN is a row of answers, one a request, the last of them for ever: ok, fail
                (500), a status, close (no answer), hang (never one); each with @200ms for a
                delay, and *5 for five of them. /health, /echo, /status and /bytes are not
                part of it.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            guard let port = arguments.port("port") else {
                throw UsageError("backend: on which port? add --port 8081")
            }
            let name = arguments.text("name") ?? "backend"
            try checkNodeName(name, command: "backend")
            var settings = BackendHost.Settings(name: name, port: port)
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
            settings.tls = try TLSFlags.serving(invocation, command: "backend")
            settings.bodyLimitBytes = arguments.byteCount("body-limit") ?? .max
            return .running(
                ServiceProgram(
                    invocation.process, kind: "backend", nodeName: name,
                    make: { node in
                        var settings = settings
                        // A second node of the same name got a number, and says so.
                        if arguments.text("name") == nil || node.name != name { settings.name = node.name }
                        return BackendHost(node: node, settings: settings)
                    },
                    start: { try $0.start() }, drain: { $0.drain(whenStopped: $1) }, describe: \.stats))
        }
    }
}

extension BackendHost {
    var stats: View {
        View(.record([.init("backend", .text(settings.name)), .init("requests", .integer(requestCount))]))
    }
}
