import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld

/// A service that tells a registry where it is: when it starts, and when it stops.
///
/// It speaks Consul's HTTP API, so the registry may be the lab's or a real one. While nobody answers it asks again,
/// with growing pauses; and because a registry may lose its memory, it looks now and then whether it is still known.
/// One that is killed says nothing: that is what health checks are for.
public final class ServiceRegistration {
    public struct Settings: Sendable {
        /// What the service is called; instances of one service have one name.
        public var name: String
        public var registry: HostPort
        /// The port that clients are to use.
        public var port: UInt16
        /// A path that answers 2xx while it is well; nil: that it takes connections is enough.
        public var healthPath: String?
        public var checkInterval = LabDuration.seconds(10)

        public init(name: String, registry: HostPort, port: UInt16) {
            self.name = name
            self.registry = registry
            self.port = port
        }
    }

    private let node: Node
    private let settings: Settings
    private var failureCount = 0
    private var isOver = false
    private var timer: TimerID?
    /// Something that its operator should know.
    public var onTrouble: ((String) -> Void)?

    private static let firstPause = LabDuration.seconds(1)
    private static let longestPause = LabDuration.seconds(30)
    private static let reviewInterval = LabDuration.seconds(30)
    private static let deadline = LabDuration.seconds(5)

    public init(_ node: Node, _ settings: Settings) {
        self.node = node
        self.settings = settings
    }

    /// Its name and its port are enough: no other instance on the node has the port.
    private var id: String { "\(settings.name)-\(node.name)-\(settings.port)" }

    private func request(_ method: String, _ target: String) -> HTTPCall.Request {
        var request = HTTPCall.Request(
            method, url: HTTPURL(host: settings.registry.host, port: settings.registry.port, target: target))
        request.fields = [("User-Agent", "sdlab"), ("Accept", "application/json")]
        request.deadline = Self.deadline
        return request
    }

    public func start() {
        let address = node.address.bracketed
        var check: [(key: String, value: JSONValue)] = []
        if let path = settings.healthPath {
            check = [("HTTP", .string("http://\(address):\(settings.port)\(path)"))]
        } else {
            check = [("TCP", .string("\(address):\(settings.port)"))]
        }
        check += [
            ("Interval", .string(settings.checkInterval.description)),
            ("DeregisterCriticalServiceAfter", "10m"),
        ]
        let body = JSONValue.object([
            ("ID", .string(id)), ("Name", .string(settings.name)), ("Address", .string(node.address.description)),
            ("Port", .integer(Int(settings.port))), ("Check", .object(check)),
        ])
        var request = request("PUT", "/v1/agent/service/register")
        request.body = body.bytes()
        HTTPCall(node, request) { [self] result in registered(result) }.start()
    }

    private func registered(_ result: Result<HTTPCall.Response, HTTPCall.Failure>) {
        guard !isOver else { return }
        let trouble: String
        switch result {
        case .success(let response) where response.isSuccess:
            failureCount = 0
            timer = node.after(Self.reviewInterval) { [self] in review() }
            return
        case .success(let response): trouble = response.problem.description
        case .failure(let failure): trouble = failure.description
        }
        if failureCount == 0 { onTrouble?("not registered at \(settings.registry): \(trouble); trying again") }
        failureCount += 1
        let pause = min(Self.longestPause, Self.firstPause * (1 << min(failureCount - 1, 10)))
        timer = node.after(pause) { [self] in start() }
    }

    /// Is it still known there?
    private func review() {
        HTTPCall(node, request("GET", "/v1/agent/service/\(PercentCoding.encode(id))")) { [self] result in
            guard !isOver else { return }
            if case .success(let response) = result, response.isSuccess {
                timer = node.after(Self.reviewInterval) { [self] in review() }
            } else {
                start()
            }
        }.start()
    }

    /// Takes itself off the registry; what becomes of that is not waited for longer than a few seconds.
    public func stop(_ done: @escaping () -> Void) {
        isOver = true
        node.cancel(timer)
        let target = "/v1/agent/service/deregister/\(PercentCoding.encode(id))"
        HTTPCall(node, request("PUT", target)) { _ in done() }.start()
    }
}
