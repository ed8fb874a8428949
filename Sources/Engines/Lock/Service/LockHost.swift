import KernelHosting
import KernelService
import KernelWorld
import LockEngine

/// Runs it on a node, behind an HTTP port.
public final class LockHost: Service, HTTPService {
    public let runtime: ServiceRuntime
    package private(set) var engine = Lock()
    private var settings: Lock.Settings
    private let port: UInt16
    private var server: HTTPServer!

    public init(
        node: Node, source: ConfigurationSource<Lock.Settings>, port: UInt16,
        options: ServiceOptions = ServiceOptions()
    ) {
        runtime = ServiceRuntime(node: node, tag: "LOCK", options: options)
        settings = source.initial
        self.port = port
        server = HTTPServer(node: node, service: self)
        runtime.reloading = Reloading(source) { [unowned self] new in
            settings = new
            return "Reloaded"
        }
    }

    public func prepare() { runtime.add(server, on: port, announcement: "Listening on :\(port: port)") }

    public func stop(_ done: @escaping () -> Void) {
        runtime.log("Stopped")
        done()
    }

    public var statistics: [Statistic] {
        [.init("visits", engine.visits, .counter("lock_visits_total", "Visits so far"))]
    }

    // MARK: HTTPService

    public func requestBegan(_ connection: HTTPServerConnection) {}

    public func requestEnded(_ connection: HTTPServerConnection) {
        if runtime.answer(connection) { return }
        connection.respond(status: 200, body: engine.visit(settings) + "\n")
    }
}
