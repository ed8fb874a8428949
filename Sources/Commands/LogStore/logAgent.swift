import CommandKit
import CommandServices
import KernelStructures
import LogStoreEngine
import LogStoreService
import ShellSession

extension LogStoreCommands {
    /// `log-agent --collector localhost:5140 --path /var/log/myapp/*.log`
    static var logAgent: Command {
        let kind = ServiceKind("log-agent", node: "agent", port: .none)
        let description = CommandDescription(
            "log-agent", "follows files, and ships what is written to them", usage: "[FLAGS] [PATH…]",
            flags: kind.flags([
                .init("collector", "c", .endpoint, "where the log collector takes lines (localhost:5140)"),
                .init("path", "f", .text("PATH"), repeatable: true, "a file, or several with * and ?"),
                .init("state", nil, .file, "where its cursors and its spool are (./log-agent/NODE)"),
                .init("host", nil, .text("NAME"), "what its lines' label host is (its node's name)"),
                .init("from-start", nil, "reads what is in the files already when it is started for the first time"),
                .init(
                    "multiline", nil, .text("REGEX"),
                    "lines that do not match belong to the one before: a stack trace is one message"),
                .init("memory", nil, .byteCount, "what may wait in memory (1MiB)"),
                .init("spool", nil, .byteCount, "what may wait on the disk (64MiB); 0 for nothing"),
                .init(
                    "when-full", nil, .choice(AgentSettings.FullPolicy.allCases.map(\.rawValue)),
                    "what to do when both are full (wait)"),
            ]),
            arguments: .init([.file], 0...1000),
            examples: [
                "log-agent --collector localhost:5140 --path '/var/log/myapp/*.log' &", "stats agent",
                "log-agent --path /app.log --multiline '^\\d{4}-' --when-full drop-oldest &",
            ],
            group: .components, role: .service, tags: ["AGENT"],
            details: """
                Quote the pattern, and files that come later are followed as well. A file is
                followed through renaming (logrotate) and emptying (copytruncate). Lines reach
                the collector at least once, and are stored once. stats shows what became of
                every line: read + recovered = stored + waiting + rejected + dropped.
                """)
        return .service(kind, description) { invocation in
            let arguments = invocation.arguments
            let files = invocation.session.files
            var settings = LogAgentHost.Settings()
            settings.collector = arguments.endpoint("collector") ?? settings.collector
            settings.hostName = arguments.text("host") ?? ""
            settings.agent.patterns = (arguments.texts("path") + arguments.arguments).map { files.absolute($0) }
            guard !settings.agent.patterns.isEmpty else {
                throw UsageError("log-agent: which files? add --path '/var/log/myapp/*.log'")
            }
            settings.agent.readsFromStart = arguments.has("from-start")
            settings.agent.memoryBytes = max(1, arguments.byteCount("memory") ?? settings.agent.memoryBytes)
            settings.agent.spoolBytes = arguments.byteCount("spool") ?? settings.agent.spoolBytes
            if let policy = arguments.text("when-full").flatMap({ AgentSettings.FullPolicy(rawValue: $0) }) {
                settings.agent.whenFull = policy
            }
            if let pattern = arguments.text("multiline") {
                do { settings.agent.multiline = try MultilineRule(start: pattern) } catch {
                    throw UsageError("log-agent: --multiline: \(error)")
                }
            }
            let state = arguments.text("state").map { files.absolute($0) }
            let standard = files.absolute("./log-agent")
            return ServicePlan { [settings] node, service in
                var settings = settings
                settings.directory = state ?? "\(standard)/\(node.name)"
                return LogAgentHost(node: node, settings: settings, options: service.options)
            }
        }
    }
}
