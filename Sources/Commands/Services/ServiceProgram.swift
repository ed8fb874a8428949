import CommandKit
import KernelService
import KernelStructures
import KernelWorld
import ShellSession

/// A component that runs a service, whatever its kind.
package protocol ServiceHolder: AnyObject {
    var anyService: (any Service)? { get }
}

/// A service as a program: starts its node and itself, is ready when it listens, reads its configuration again on
/// SIGHUP if it has one, and stops in order on SIGTERM and SIGINT; a second one ends it at once.
package final class ServiceProgram<S: Service>: Program, Component, ServiceHolder {
    package let process: Process
    private let settings: ServiceSettings
    private let plan: ServicePlan<S>
    /// The flag that says a port.
    private let flag: (UInt16) -> String
    package let kind: String
    package private(set) var service: S?
    package var anyService: (any Service)? { service }
    private var isStopping = false

    package init(
        _ process: Process, _ kind: ServiceKind, _ settings: ServiceSettings, _ plan: ServicePlan<S>,
        flag: @escaping (UInt16) -> String = { _ in "port" }
    ) {
        self.process = process
        self.flag = flag
        self.kind = kind.name
        self.settings = settings
        self.plan = plan
    }

    package func start() {
        do {
            let node = try process.startNode(settings.name)
            let service = try plan.make(node, settings)
            self.service = service
            service.runtime.onFailure = { [unowned self] in process.exit(1) }
            try service.start()
            noteTakenPorts(node)
            process.ready()
        } catch let error as NetworkError {
            process.complain(error.advice(flag, isProcess: process.session.isProcess))
            process.exit(1)
        } catch {
            process.complain("\(error)")
            process.exit(1)
        }
    }

    /// In the lab two nodes may have the same port, each at its own address; `localhost` leads to the first.
    private func noteTakenPorts(_ node: Node) {
        guard !process.session.isProcess else { return }
        for listener in node.listeners where !listener.ownsLocalhost {
            let owner = node.world.network.localhostOwner(of: listener.port)?.name ?? "another node"
            process.session.notice(
                "localhost:\(listener.port) leads to \(owner); this one is \(node.name):\(listener.port)")
        }
    }

    package func handle(_ signal: Signal) -> Bool {
        guard let service else { return false }
        switch signal {
        case .hangUp:
            // It asks a service to read its configuration again. One that cannot, or need not, goes on as it was and
            // says why: a daemon that a hang-up ends is lost to whoever thinks that it has a file.
            do { try service.reload() } catch {
                // All others have said it in their log.
                if service.runtime.tag == nil { process.complain("not reloaded: \("\(error)")") }
            }
            return true
        case .terminate, .interrupt:
            if isStopping { return false }
            isStopping = true
            service.drain { [self] in process.exit(0) }
            return true
        default: return false
        }
    }

    package var stats: View? {
        service.map { service in
            plan.stats?(service) ?? View(.record(service.statistics.map(View.Field.init)))
        }
    }
    package var picture: View? { service.flatMap { service in plan.picture?(service) } }

    package func names(of kind: NameKind, beginningWith prefix: String, limit: Int)
        -> [(name: String, summary: String)]
    {
        (service as? any NameGiving)?.names(of: kind, beginningWith: prefix, limit: limit) ?? []
    }
}

/// A service that has names for what it keeps or answers; see `Component.names`.
package protocol NameGiving: AnyObject {
    func names(of kind: NameKind, beginningWith prefix: String, limit: Int) -> [(name: String, summary: String)]
}

extension View.Field {
    /// A service's statistic, as it is shown.
    package init(_ statistic: Statistic) {
        let cell: View.Cell =
            switch statistic.value {
            case .integer(let number): .integer(number)
            case .number(let number, let places): .init(fixedDecimal(number, places: places), json: .number(number))
            case .text(let text): .text(text)
            case .duration(let duration): .duration(duration)
            }
        self.init(statistic.key.replacing("_", with: " "), key: statistic.key, cell)
    }
}

extension NetworkError {
    /// What is wrong, and what the user can do about it.
    func advice(_ flag: (UInt16) -> String, isProcess: Bool) -> String {
        switch self {
        case .addressInUse(let endpoint):
            "port \(endpoint.port) is in use on \(endpoint.address); choose another --\(flag(endpoint.port))"
                + (isProcess ? ", or find who has it with: ss -ltnp 'sport = :\(endpoint.port)'" : "")
        case .notPermitted(let endpoint):
            "port \(endpoint.port) may not be bound by this user; choose one above 1023"
        default: description
        }
    }
}
