import CommandKit
import CommandServices
import KernelStructures
import MetricsCollectorService
import ShellSession

extension MetricsCollectorCommands {
    /// `web-app --port 8080`
    static var instrumentedApp: Command {
        let kind = ServiceKind("web-app", node: "app", port: .preset(8080))
        let description = CommandDescription(
            "web-app", "a small application that counts its requests, to be scraped", usage: "[FLAGS]",
            flags: kind.flags([
                .init("latency", nil, .duration(allowsZero: true), "how long a request takes, about (8ms)"),
                .init(
                    "served", nil, .text("LIST"), "requests that it has served already: GET=1847,POST=234"),
            ]),
            examples: ["web-app --port 8080 &", "curl http://localhost:8080/api/users", "curl localhost:8080/metrics"],
            group: .components, role: .service,
            details: """
                It uses the client library: a counter by method, path and status, and a
                histogram of durations. GET and POST /api/users are what it does.
                """)
        return .service(kind, description) { invocation in
            var settings = InstrumentedApp.Settings()
            settings.latency = invocation.arguments.duration("latency") ?? settings.latency
            for word in (invocation.arguments.text("served") ?? "").split(separator: ",") {
                let parts = word.split(separator: "=", omittingEmptySubsequences: false)
                guard parts.count == 2, ["GET", "POST"].contains(String(parts[0])), let count = Int(parts[1]),
                    InstrumentedApp.Settings.servedRange.contains(count)
                else { throw UsageError("web-app: --served: '\(word)'? write GET=1847,POST=234") }
                settings.served.append((String(parts[0]), count))
            }
            return ServicePlan { [settings] node, service in
                var settings = settings
                settings.port = service.port
                return try InstrumentedApp(node: node, settings: settings, options: service.options)
            }
        }
    }
}
