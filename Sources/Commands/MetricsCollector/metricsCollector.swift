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
                sdlab --epoch now); metrics says the same in words. Files that it names
                (rule_files, file_sd) are looked for where it stands itself; --check reads
                them, too.

                With --lab a node that is gone without a word (kill -9, or a loss of power)
                stays a target, with up 0, until it is started again. Plain kill, as kill %2,
                stops a node in order: it is none any more. --config goes with --lab, and
                brings rules.

                Besides samples it can keep thinned copies, which answer about months:
                  storage: {downsampling: [{resolution: 5m, retention: 90d},
                                           {resolution: 1h, retention: 2y}]}
                A copy has each window's minimum, maximum, sum, count, last value and a
                counter without resets; stats=all names those that have answered.
                """)
        return .service(kind, description) { invocation in
            let source = try source(invocation)
            let argument = ConfigurationArgument(invocation)
            let session = invocation.session
            let directory = session.files.absolute(invocation.arguments.text("data-dir") ?? "./metrics-data")
            var storeSettings = StoreSettings()
            if let retention = invocation.arguments.duration("retention") {
                storeSettings.retentionMilliseconds = retention.nanoseconds / 1_000_000
            }
            storeSettings.retentionBytes = invocation.arguments.byteCount("retention-size") ?? 0
            let wantsLab = invocation.arguments.has("lab")
            let files = files(argument, session)
            let check = { () throws -> String in
                let rules: Int
                do { rules = try CollectorHost.check(source.initial, files) } catch { throw CommandFailure("\(error)") }
                let targets = counted(source.initial.staticTargetCount, "target")
                let rest = source.initial.ruleFiles.isEmpty ? "" : ", \(counted(rules, "rule"))"
                return "\(argument?.name ?? "the flags"): OK, \(targets)\(rest)"
            }
            return ServicePlan(check: check) { [storeSettings] node, service in
                var settings = CollectorHost.Settings()
                settings.directory = "\(directory)/\(node.name)"
                settings.store = storeSettings
                settings.port = service.port
                settings.files = files
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

    /// Without a file there is nothing that could name one.
    private static func files(_ configuration: ConfigurationArgument?, _ session: Session) -> CollectorFiles {
        guard let configuration else { return .none }
        return CollectorFiles(
            read: { name in try configuration.read(named: name) },
            matching: { [weak session] typed in
                let pattern = configuration.name(ofFile: typed)
                guard pattern.contains("*") else { return [pattern] }
                let parts = pattern.split(separator: "/", omittingEmptySubsequences: false)
                let folder = parts.dropLast().joined(separator: "/")
                let place = folder.isEmpty && !pattern.hasPrefix("/") ? "." : folder + "/"
                let pieces = (parts.last ?? "").split(separator: "*", omittingEmptySubsequences: false)
                guard let prefix = pieces.first, let suffix = pieces.last, pieces.count == 2 else { return [] }
                let names = (try? session?.files.list(configuration.path(ofName: place)))?.map(\.name) ?? []
                return names.filter { name in
                    name.utf8.count >= prefix.utf8.count + suffix.utf8.count && name.hasPrefix(prefix)
                        && name.hasSuffix(suffix)
                }.map { (folder.isEmpty && !pattern.hasPrefix("/") ? "" : folder + "/") + $0 }
            },
            exists: { [weak session] name in session?.files.exists(configuration.path(ofName: name)) ?? false })
    }
}

/// What `--lab` scrapes: every running service, and those that were killed, so that `up == 0` can be seen.
private final class LabTargets {
    private var known: [TargetGroup] = []

    /// As Prometheus's node exporter has it; each node has its own.
    private static let managementPort: UInt16 = 9100

    /// The targets now, those that run first. A node that was killed stays one for as long as the lab says so of it,
    /// however long that is: an alert about it must not end by itself. One that was stopped in order is none any more.
    func look(at session: Session) -> [TargetGroup] {
        let running = Self.running(session)
        let present = Set(running.compactMap(Self.node))
        let killed = known.filter { group in
            guard let name = Self.node(group), !present.contains(name), let node = session.world.nodes[name] else {
                return false
            }
            return node.state == .killed || node.state == .poweredOff
        }
        known = running + killed
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
