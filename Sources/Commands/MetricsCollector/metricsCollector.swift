import CommandKit
import CommandServices
import KernelService
import KernelStructures
import KernelTLS
import KernelWorld
import MetricsCollectorEngine
import MetricsCollectorService
import ShellSession
import TimeSeriesEngine

extension MetricsCollectorCommands {
    /// `metrics-collector --config collector.yaml --port 9090`
    static var metricsCollector: Command {
        let kind = ServiceKind(
            "metrics-collector", node: "collector", port: .preset(MetricsCollector.defaultPort), isConfigurable: true,
            configurationFormat: "as prometheus.yml")
        let description = CommandDescription(
            "metrics-collector", "reads what others count, keeps it, and answers queries", usage: "[FLAGS]",
            flags: kind.flags(
                listens: "where it listens for HTTP",
                [
                    .init("data-dir", "d", .file, "where log and blocks are (./metrics-data)"),
                    .init(
                        "retention", nil, .duration(allowsZero: true), "how long samples are kept (15d); 0s for ever"),
                    .init("retention-size", nil, .byteCount, "drops the oldest blocks beyond that"),
                    .init("lab", nil, "scrapes every node of the lab that shows metrics, without being told"),
                    .init("interval", nil, .duration(), "between scrapes of --lab (15s)"),
                ]),
            examples: [
                "metrics-collector --config collector.yaml --port 9090", "metrics-collector --lab &",
                "metrics query up", "curl 'http://localhost:9090/api/v1/query?query=up'",
            ],
            group: .components, role: .service, tags: ["PROM"],
            details: """
                The file is prometheus.yml's: global, scrape_configs (static, file, dns and
                consul discovery, relabelling, limits, credentials), rule_files, alerting. Its
                API is Prometheus's, /api/v1, so that Grafana, promtool and other clients can
                ask it (a lab's calendar begins in 2023, and they ask about today: start it with
                sdlab --epoch now); metrics says the same in words. With --lab a node that is killed stays
                a target, with up 0, until it comes back, or for 5 minutes; --config goes with
                --lab, and brings rules.

                Besides samples it can keep thinned copies, which answer about months:
                  storage: {downsampling: [{resolution: 5m, retention: 90d},
                                           {resolution: 1h, retention: 2y}]}
                A copy has each window's minimum, maximum, sum, count, last value and a
                counter without resets; stats=all names those that have answered.
                """)
        return .service(kind, description) { invocation in
            let source = try source(invocation)
            let name = ConfigurationArgument(invocation)?.name ?? "the flags"
            let session = invocation.session
            let directory = session.files.absolute(invocation.arguments.text("data-dir") ?? "./metrics-data")
            var storeSettings = StoreSettings()
            if let retention = invocation.arguments.duration("retention") {
                storeSettings.retentionMilliseconds = retention.nanoseconds / 1_000_000
            }
            storeSettings.retentionBytes = invocation.arguments.byteCount("retention-size") ?? 0
            let wantsLab = invocation.arguments.has("lab")
            let count = source.initial.staticTargetCount
            return ServicePlan(check: { "\(name): OK, \(counted(count, "target"))" }) { [storeSettings] node, service in
                var settings = CollectorHost.Settings()
                settings.directory = "\(directory)/\(node.name)"
                settings.store = storeSettings
                settings.port = service.port
                settings.files = files(session)
                if wantsLab {
                    let memory = LabTargets()
                    settings.labTargets = { [weak session] in session.map { memory.look(at: $0) } ?? [] }
                }
                return CollectorHost(node: node, source: source, settings: settings, options: service.options)
            }
        }
    }

    private static func source(_ invocation: Invocation) throws -> ConfigurationSource<CollectorConfiguration> {
        let arguments = invocation.arguments
        guard let file = ConfigurationArgument(invocation) else {
            guard arguments.has("lab") else {
                throw UsageError(
                    "metrics-collector: what is it to scrape? add --config collector.yaml, or --lab for all of the lab")
            }
            var configuration = CollectorConfiguration()
            configuration.scrapeInterval = arguments.duration("interval") ?? .seconds(15)
            return ConfigurationSource(fixed: configuration, because: "it was started with --lab")
        }
        let read = { try file.read { bytes, name in try CollectorConfiguration(yaml: bytes, file: name) } }
        return ConfigurationSource(try read(), read: read, bytes: file.bytes)
    }

    /// Names are relative to where the collector was started.
    private static func files(_ session: Session) -> CollectorFiles {
        let directory = session.files.absolute(".")
        func absolute(_ name: String) -> String { name.hasPrefix("/") ? name : directory + "/" + name }
        return CollectorFiles(
            read: { [weak session] name in try session?.files.read(absolute(name)) ?? [] },
            matching: { [weak session] pattern in
                guard pattern.contains("*") else { return [pattern] }
                let parts = pattern.split(separator: "/", omittingEmptySubsequences: false)
                let folder = parts.dropLast().joined(separator: "/")
                let place = folder.isEmpty && !pattern.hasPrefix("/") ? "." : folder + "/"
                let pieces = (parts.last ?? "").split(separator: "*", omittingEmptySubsequences: false)
                guard let prefix = pieces.first, let suffix = pieces.last, pieces.count == 2 else { return [] }
                let names = (try? session?.files.list(absolute(place)))?.map(\.name) ?? []
                return names.filter { name in
                    name.utf8.count >= prefix.utf8.count + suffix.utf8.count && name.hasPrefix(prefix)
                        && name.hasSuffix(suffix)
                }.map { (folder.isEmpty ? "" : folder + "/") + $0 }
            })
    }
}

/// What `--lab` scrapes: every running service, and for a while those that were killed, so that `up == 0` can be seen.
private final class LabTargets {
    private var known: [TargetGroup] = []
    /// Nodes that were killed, and since when that is known.
    private var dead: [(node: String, since: LabTime)] = []

    /// How long a node that was killed stays a target.
    static let patience = LabDuration.seconds(300)
    /// As Prometheus's node exporter has it; each node has its own.
    private static let managementPort: UInt16 = 9100

    /// The targets now, those that run first. A node that was stopped in order is none any more.
    func look(at session: Session) -> [TargetGroup] {
        let running = Self.running(session)
        let present = Set(running.compactMap(Self.node))
        let now = session.world.now
        dead.removeAll { present.contains($0.node) }
        let kept = known.filter { group in
            guard let name = Self.node(group), !present.contains(name), let node = session.world.nodes[name],
                node.state == .killed || node.state == .poweredOff
            else { return false }
            if let death = dead.first(where: { $0.node == name }) { return now - death.since < Self.patience }
            dead.append((name, now))
            return true
        }
        known = running + kept
        return known
    }

    private static func node(_ group: TargetGroup) -> String? { group.labels["instance"] }

    /// Each has its page of metrics on a port of its node that is opened for that.
    private static func running(_ session: Session) -> [TargetGroup] {
        session.jobs.running.flatMap(\.running).compactMap { process -> TargetGroup? in
            guard let component = process.component, let service = (component as? any ServiceHolder)?.anyService,
                let port = try? service.runtime.openManagement(on: managementPort)
            else { return nil }
            return TargetGroup(
                ["\(service.node.name):\(port)"],
                labels: ["job": component.kind, "instance": service.node.name], source: "lab")
        }
    }
}
