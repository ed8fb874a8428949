import CommandKit
import KernelStructures
import KernelWorld
import ShellSession

/// A host that can read its configuration again.
package protocol Reloadable: AnyObject {
    var node: Node { get }
    /// - Throws: what is wrong with it; it has been logged, and nothing has changed.
    func reload() throws
}

/// A component that runs a host, whatever its kind.
package protocol HostingComponent: AnyObject {
    var anyHost: AnyObject? { get }
}

/// A service as a program: starts its node and its host, is ready when it listens, and stops in order on SIGTERM and
/// SIGINT; a second one ends it at once.
package final class ServiceProgram<Host: AnyObject>: Program, Component, HostingComponent {
    package let process: Process
    private let make: (Node) throws -> Host
    private let startHost: (Host) throws -> Void
    private let drain: (Host, @escaping () -> Void) -> Void
    private let describe: (Host) -> View
    private let draw: ((Host) -> View)?
    private let onHangUp: ((Host) -> Void)?
    package let kind: String
    private let nodeName: String
    package private(set) var host: Host?
    package var anyHost: AnyObject? { host }
    private var isStopping = false

    package init(
        _ process: Process, kind: String, nodeName: String, make: @escaping (Node) throws -> Host,
        start: @escaping (Host) throws -> Void, drain: @escaping (Host, @escaping () -> Void) -> Void,
        describe: @escaping (Host) -> View, picture: ((Host) -> View)? = nil, onHangUp: ((Host) -> Void)? = nil
    ) {
        draw = picture
        self.onHangUp = onHangUp
        self.process = process
        self.kind = kind
        self.nodeName = nodeName
        self.make = make
        startHost = start
        self.drain = drain
        self.describe = describe
    }

    package func start() {
        do {
            let node = try process.startNode(nodeName)
            let host = try make(node)
            self.host = host
            try startHost(host)
            noteTakenPorts(node)
            process.ready()
        } catch let error as NetworkError {
            process.complain(Self.explain(error, isProcess: process.session.isProcess))
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

    package static func explain(_ error: NetworkError, isProcess: Bool) -> String {
        switch error {
        case .addressInUse(let endpoint):
            "port \(endpoint.port) is in use on \(endpoint.address); choose another --port"
                + (isProcess ? ", or find who has it with: ss -ltnp 'sport = :\(endpoint.port)'" : "")
        case .notPermitted(let endpoint):
            "port \(endpoint.port) may not be bound by this user; choose one above 1023"
        default: error.description
        }
    }

    package func handle(_ signal: Signal) -> Bool {
        if signal == .hangUp, let host, let onHangUp {
            onHangUp(host)
            return true
        }
        guard [.terminate, .interrupt, .hangUp].contains(signal), let host else { return false }
        if isStopping { return false }
        isStopping = true
        drain(host) { [self] in process.exit(0) }
        return true
    }

    package var stats: View? { host.map(describe) }
    package var picture: View? { host.flatMap { host in draw.map { $0(host) } } }
}
