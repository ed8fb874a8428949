import CommandKit
import CommandServices
import KernelStructures
import RegistryEngine
import RegistryService
import ShellSession

extension RegistryCommands {
    private static let nodeFlag = CommandDescription.Flag(
        "node", nil, .text("NODE"), "which registry, where several run")

    /// `services`, and `services payment-api`
    static var services: Command {
        let description = CommandDescription(
            "services", "what a registry knows: services, or the instances of one",
            usage: "[SERVICE] [--node NODE] [--json]", flags: [nodeFlag, CommonFlags.json],
            arguments: .init([.text], 0...1), examples: ["services", "services payment-api", "watch 1s services"],
            group: .views,
            details: """
                FAILED is how many checks in a row did; LAST CHECK how long ago one was made.
                """)
        return Command(description) { invocation in
            let host = try invocation.session.registry(named: invocation.arguments.text("node"))
            guard let name = invocation.arguments.arguments.first else {
                return .view(View(.table(servicesTable(host.engine.catalog))))
            }
            let catalog = host.engine.catalog
            guard let known = catalog.serviceName(inAnyCase: name) else {
                let hint = didYouMean(name, among: catalog.serviceNames.map(\.name))
                throw CommandFailure("there is no service '\(name)'\(hint)")
            }
            return .view(View(.table(instancesTable(host, known))))
        }
    }

    private static func servicesTable(_ catalog: RegistryCatalog) -> View.Table {
        let rows = catalog.serviceNames.map { name, tags -> [View.Cell] in
            let statuses = catalog.instances(of: name).map { catalog.status(of: $0) }
            let count = { (status: ServiceStatus) in statuses.count { $0 == status } }
            let critical = count(.critical)
            return [
                .text(name), .integer(statuses.count), .integer(count(.passing)), .integer(count(.warning)),
                .integer(critical, style: critical > 0 ? .bad : .plain),
                .init(tags.joined(separator: ", "), json: .array(tags.map { .string($0) })),
            ]
        }
        return .init(
            [
                .init("SERVICE", key: "service", flexible: true), .init("INSTANCES", key: "instances", right: true),
                .init("PASSING", key: "passing", right: true), .init("WARNING", key: "warning", right: true),
                .init("CRITICAL", key: "critical", right: true), .init("TAGS", key: "tags", flexible: true),
            ], rows: rows, whenEmpty: "no services yet")
    }

    private static func instancesTable(_ host: RegistryHost, _ name: String) -> View.Table {
        let catalog = host.engine.catalog
        let now = host.node.world.now
        let rows = catalog.instances(of: name).map { instance -> [View.Cell] in
            let status = catalog.status(of: instance)
            let running = catalog.ownChecks(of: instance.key).compactMap { host.engine.checks[$0.key] }
            let last = running.compactMap(\.lastCheckTime).max()
            let place = HostPort(
                host: catalog.address(of: instance), port: UInt16(clamping: instance.port)
            ).description
            return [
                .text(instance.id), .text(place),
                .text(
                    catalog.isInMaintenance(instance) ? "maintenance" : status.rawValue,
                    style: status == .passing ? .good : status == .warning ? .warning : .bad),
                running.map(\.failuresInARow).max().map { .integer($0) } ?? .none,
                last.map { .duration(now - $0) } ?? .none,
                .init(instance.tags.joined(separator: ", "), json: .array(instance.tags.map { .string($0) })),
            ]
        }
        return .init(
            [
                .init("INSTANCE", key: "id", flexible: true), .init("ADDRESS", key: "address"),
                .init("STATUS", key: "status"), .init("FAILED", key: "failures_in_a_row", right: true),
                .init("LAST CHECK", key: "last_check_ago_ms", right: true),
                .init("TAGS", key: "tags", flexible: true),
            ], rows: rows, whenEmpty: "no instances")
    }

    /// `sightings`
    static var sightings: Command {
        let description = CommandDescription(
            "sightings", "who saw a change of a service, and how long after",
            usage: "[SERVICE] [--node NODE] [--json]", flags: [nodeFlag, CommonFlags.json],
            arguments: .init([.text], 0...1), examples: ["sightings", "sightings payment-api"], group: .views,
            details: """
                A registry is as consistent as what its clients see of it. Those who watch
                hear at once, those who ask when they ask next; who has not asked since still
                believes what was. Only clients that had asked before are listed.
                """)
        return Command(description) { invocation in
            let host = try invocation.session.registry(named: invocation.arguments.text("node"))
            let name = invocation.arguments.arguments.first
            return .view(View(.table(sightingsTable(host, name))))
        }
    }

    private static func sightingsTable(_ host: RegistryHost, _ name: String?) -> View.Table {
        var rows: [[View.Cell]] = []
        for change in host.engine.sightings.changes where name == nil || change.service == name {
            let head: [View.Cell] = [
                .init(change.time.timeOfDay, json: .string(change.time.description)), .text(change.text),
            ]
            if change.sightings.isEmpty { rows.append(head + [.none, .none, .none]) }
            for (number, sighting) in change.sightings.enumerated() {
                let shown = number == 0 ? head : head.map { View.Cell("", json: $0.json) }
                rows.append(
                    shown + [.text(sighting.client), .text(sighting.way), .duration(sighting.time - change.time)])
            }
        }
        return .init(
            [
                .init("TIME", key: "time"), .init("CHANGE", key: "change", flexible: true),
                .init("SEEN BY", key: "client", flexible: true), .init("WAY", key: "way"),
                .init("AFTER", key: "after_ms", right: true),
            ], rows: rows, whenEmpty: "nothing has changed yet")
    }
}
