import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import ShellSession

/// `registry watch`: follows a service, and says what changes.
final class RegistryWatcher: Program {
    private let process: Process
    private let service: String
    private let server: HostPort
    private let count: Int?
    private let wantsJSON: Bool
    private var follower: ServiceFollower?
    private var known: [DiscoveredInstance]?
    private var changeCount = 0

    init(_ process: Process, service: String, server: HostPort, count: Int?, wantsJSON: Bool) {
        self.process = process
        self.service = service
        self.server = server
        self.count = count
        self.wantsJSON = wantsJSON
    }

    func start() {
        let follower = ServiceFollower(process.node, service: service, registry: server) { [weak self] instances in
            self?.show(instances)
        }
        follower.onFailure = { [weak self] text in
            guard let self else { return }
            if known == nil {
                process.complain("\(server): \(text); start one: registry")
                process.exit(1)
            } else {
                process.errorOutput.write("registry: \(server): \(text); asking again\n")
            }
        }
        follower.followsPortless = true
        self.follower = follower
        follower.start()
    }

    private func show(_ instances: [DiscoveredInstance]) {
        guard let before = known else {
            known = instances
            process.print(wantsJSON ? Self.json(instances) : "\(service): \(counted(instances.count, "instance"))")
            if !wantsJSON { for one in instances { process.print("= \(line(one))") } }
            process.hold()
            return
        }
        known = instances
        if wantsJSON {
            process.print(Self.json(instances))
            return end(after: 1)
        }
        var lines: [String] = []
        for one in before where !instances.contains(where: { $0.id == one.id }) {
            lines.append("- \(printable(one.id))")
        }
        for one in instances {
            guard let old = before.first(where: { $0.id == one.id }) else {
                lines.append("+ \(line(one))")
                continue
            }
            if old.status != one.status {
                lines.append("~ \(printable(one.id))  \(old.status) → \(one.status)")
            } else if old != one {
                lines.append("~ \(line(one))")
            }
        }
        for line in lines { process.print(line) }
        end(after: lines.count)
    }

    private func end(after changes: Int) {
        changeCount += changes
        if let count, changeCount >= count { process.exit(0) }
    }

    private func line(_ one: DiscoveredInstance) -> String {
        let place = one.destination.port == 0 ? one.destination.host : one.destination.description
        return printable("\(one.id)  \(place)  \(one.status)")
    }

    private static func json(_ instances: [DiscoveredInstance]) -> String {
        JSONValue.array(
            instances.map { one in
                .object([
                    ("id", .string(one.id)), ("address", .string(one.destination.host)),
                    ("port", .integer(Int(one.destination.port))), ("status", .string(one.status)),
                    ("weight", .integer(one.weight)), ("tags", .array(one.tags.map { .string($0) })),
                ])
            }
        ).text
    }
}
