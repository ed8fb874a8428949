import CommandKit
import CommandServices
import KernelService
import LockEngine
import LockService
import ShellSession

/// What is typed to run lock.
package enum LockCommands {
    package static var all: [Command] { [lock] }

    /// `lock --port 7734`
    static var lock: Command {
        let kind = ServiceKind("lock", node: "lock", port: .preset(7734), isConfigurable: true)
        let description = CommandDescription(
            "lock", "who may use what, agreed by a majority", usage: "[FLAGS]", flags: kind.flags([]),
            examples: ["lock --port 7734", "curl http://localhost:7734/"], group: .components, tags: ["LOCK"],
            details: """
                Paths: /metrics for Prometheus, /health for probes, everything else a greeting.
                A file for --config:
                  greeting: hello
                """)
        return .service(kind, description) { invocation in
            let file = ConfigurationArgument(invocation)
            func read() throws -> Lock.Settings {
                try file?.read { try Lock.Settings(yaml: $0, file: $1) } ?? Lock.Settings()
            }
            let settings = try read()
            let source = file.map { ConfigurationSource(settings, read: read, bytes: $0.bytes) }
            return ServicePlan(check: { "\(file?.name ?? "configuration"): OK\n" }) { node, service in
                LockHost(
                    node: node, source: source ?? .init(fixed: settings), port: service.port, options: service.options)
            }
        }
    }
}
