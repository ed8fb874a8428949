import CommandKit
import CommandServices
import KernelStructures
import MetricsCollectorService
import ShellSession

extension MetricsCollectorCommands {
    /// `alert-receiver --port 9093`
    static var alertReceiver: Command {
        let kind = ServiceKind("alert-receiver", node: "alerts", port: .preset(AlertReceiver.defaultPort))
        let description = CommandDescription(
            "alert-receiver", "takes alerts as an Alertmanager does, and says them aloud", usage: "[FLAGS]",
            flags: kind.flags([]), examples: ["alert-receiver &", "curl http://localhost:9093/api/v2/alerts"],
            group: .components, role: .service, tags: ["ALERT"],
            details: """
                A collector sends alerts to it if its file says so: alerting: {alertmanagers:
                [{static_configs: [{targets: ["alerts:9093"]}]}]}. It groups, silences and
                forwards nothing.
                """)
        return .service(kind, description) { _ in
            ServicePlan { node, service in AlertReceiver(node: node, port: service.port, options: service.options) }
        }
    }
}
