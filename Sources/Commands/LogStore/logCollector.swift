import CommandKit
import CommandServices
import KernelStructures
import LogStoreEngine
import LogStoreService
import ShellSession

extension LogStoreCommands {
    /// `log-collector --storage ./logs --port 5140`
    static var logCollector: Command {
        let kind = ServiceKind("log-collector", node: "logs", port: .preset(5140))
        let description = CommandDescription(
            "log-collector", "takes log lines, keeps them by day, and answers searches", usage: "[FLAGS]",
            flags: kind.flags(
                listens: "where it takes lines and syslog; HTTP is at the next port",
                [
                    .init("storage", "s", .file, "where the lines are kept (./logs)"),
                    .init("http-port", nil, .port, "where it speaks HTTP, if not at the next port"),
                    .init("loki-port", nil, .port, "speaks HTTP there as well: Loki's clients look at 3100"),
                    .init("retention", nil, .duration(allowsZero: true), "how long lines are kept (31d); 0s for ever"),
                    .init("retention-size", nil, .byteCount, "removes the oldest days beyond that, never the newest"),
                    .init("memory", nil, .byteCount, "how much memory its lines may take, on the disk or not (200MB)"),
                    .init(
                        "cold-after", nil, .duration(allowsZero: true),
                        "how long after its end a day is packed harder (1h)"),
                    .init("max-age", nil, .duration(allowsZero: true), "older lines are refused (7d); 0s for none"),
                    .init("no-limits", nil, "no limits of streams, rates and order, only of a line's length"),
                    .init("lab", nil, "takes in what all nodes of the lab log"),
                ]),
            examples: [
                "log-collector --storage ./logs --port 5140 &",
                "log-collector --lab --retention 7d &",
                "curl -d '{\"level\":\"error\"}' http://logs:5141/", "log-query 'level:error' --from 1h",
            ],
            group: .components, role: .service, tags: ["LC"],
            details: """
                Lines of JSON come over TCP, from agents with acknowledgements; syslog (RFC 5424
                and 3164) over TCP and UDP; batches and pushes of Loki's clients over HTTP, with
                Loki's limits. What is acknowledged is on the disk. A stream is what has the
                same labels: service and level of a line of JSON, or what a client pushes. A
                line whose time is refused is kept at the time at which it came, if its sender
                could not be told (syslog, plain lines), with its own time as sender_time: so
                does a machine outside of the lab, whose calendar is another. On a full disk
                nothing is acknowledged (503), and what is there is answered.
                """)
        return .service(kind, description) { invocation in
            let arguments = invocation.arguments
            var settings = LogCollectorHost.Settings()
            settings.storageName = arguments.text("storage") ?? settings.storageName
            settings.directory = invocation.session.files.absolute(settings.storageName)
            settings.httpPort = arguments.port("http-port")
            settings.lokiPort = arguments.port("loki-port")
            settings.takesLab = arguments.has("lab")
            if arguments.has("no-limits") { settings.limits = .none }
            if let retention = arguments.duration("retention") {
                settings.store.retentionNanoseconds = retention.nanoseconds
            }
            settings.store.retentionBytes = arguments.byteCount("retention-size") ?? 0
            guard settings.store.retentionBytes == 0 || settings.store.retentionBytes >= 1 << 20 else {
                throw UsageError("log-collector: --retention-size: at least 1MiB, or 0 for no limit")
            }
            if let bytes = arguments.byteCount("memory") {
                guard bytes >= LogStoreSettings.leastMemoryBytes else {
                    throw UsageError("log-collector: --memory: at least 1MB, for what comes in within a second")
                }
                settings.store.bound(memoryBytes: bytes)
            }
            if let after = arguments.duration("cold-after") { settings.store.coldAfterNanoseconds = after.nanoseconds }
            if let age = arguments.duration("max-age") { settings.limits.maxAgeNanoseconds = age.nanoseconds }
            return ServicePlan { [settings] node, service in
                var settings = settings
                settings.port = service.port
                return LogCollectorHost(node: node, settings: settings, options: service.options)
            }
        }
    }
}
