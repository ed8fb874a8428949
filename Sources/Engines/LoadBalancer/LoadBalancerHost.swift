import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// Runs a load balancer on a node: listens, probes, and carries out what the engine decides.
public final class LoadBalancerHost {
    public let node: Node
    public internal(set) var engine: LoadBalancer
    let port: UInt16
    private var httpProxy: HTTPProxy?
    private var tcpProxy: TCPProxy?
    private var probes: [Int: Probe] = [:]
    private var isDraining = false
    private var onStopped: (() -> Void)?

    static let tag = "LB"

    public init(node: Node, configuration: LoadBalancerConfiguration, port: UInt16) {
        self.node = node
        self.port = port
        engine = LoadBalancer(configuration, now: node.world.now)
    }

    public var configuration: LoadBalancerConfiguration { engine.configuration }

    /// Starts to listen and to probe.
    public func start() throws(NetworkError) {
        switch configuration.mode {
        case .http:
            let proxy = HTTPProxy(self)
            try proxy.listen(on: port)
            httpProxy = proxy
        case .tcp:
            let proxy = TCPProxy(self)
            try proxy.listen(on: port)
            tcpProxy = proxy
        }
        let names = engine.servers.map(\.name).joined(separator: ", ")
        node.log(Self.tag, "Loaded \(engine.servers.count) backends: \(names)")
        node.log(Self.tag, "Health checker started (interval: \(configuration.healthCheck.interval.description))")
        node.log(Self.tag, "Listening on :\(port: port)")
        scheduleTick()
    }

    // MARK: Probes

    private func scheduleTick() {
        guard let deadline = engine.nextDeadline else { return }
        node.after(deadline - node.world.now) { [self] in
            if isDraining { return }
            perform(engine.tick(now: node.world.now))
            scheduleTick()
        }
    }

    func perform(_ effects: [LoadBalancer.Effect]) {
        for effect in effects {
            switch effect {
            case .probe(let server, let number): probe(server, number)
            case .log(let message, let level): node.log(Self.tag, message, level: level)
            case .changed(let server, let from, let to, let reason):
                let subject = "\(node.name)/\(engine.servers[server].name)"
                node.world.journal.record(
                    .state(subject: subject, from: from, to: to, reason: reason), node: node.name)
            case .dropIdleConnections(let server): httpProxy?.dropIdle(server)
            }
        }
    }

    private func probe(_ server: Int, _ number: Int) {
        let probe = Probe(
            node: node, destination: engine.servers[server].destination, mode: configuration.mode,
            settings: configuration.healthCheck
        ) { [self] result in
            probes[number] = nil
            perform(engine.probeFinished(server: server, number: number, result))
        }
        probes[number] = probe
        probe.start()
    }

    // MARK: Stopping

    /// Stops in order: accepts nothing more, lets what is under way finish, for at most the configured time, and then
    /// calls `whenStopped`.
    public func drain(whenStopped: @escaping () -> Void) {
        guard !isDraining else { return whenStopped() }
        isDraining = true
        onStopped = whenStopped
        node.log(Self.tag, "Draining: \(openConnections) connections open")
        httpProxy?.drain()
        tcpProxy?.drain()
        node.after(configuration.timeouts.shutdown) { [self] in finishDraining(isForced: true) }
        connectionClosed()
    }

    var openConnections: Int { (httpProxy?.openConnections ?? 0) + (tcpProxy?.openConnections ?? 0) }

    /// A client's connection has ended.
    func connectionClosed() {
        if isDraining, openConnections == 0 { node.whenFlushed { [self] in finishDraining(isForced: false) } }
    }

    private func finishDraining(isForced: Bool) {
        guard let callback = onStopped else { return }
        onStopped = nil
        if isForced { node.log(Self.tag, "Gave up on \(openConnections) connections", level: .warning) }
        node.log(Self.tag, "Stopped")
        callback()
    }
}

/// One health check of one server.
private final class Probe: HTTPClientDelegate, StreamHandler {
    private let node: Node
    private let destination: HostPort
    private let mode: LoadBalancerConfiguration.Mode
    private let settings: LoadBalancerConfiguration.HealthCheckSettings
    private var report: ((LoadBalancer.ProbeResult) -> Void)?
    private var client: HTTPClientConnection?
    private var stream: Stream?
    private var timer: TimerID?

    init(
        node: Node, destination: HostPort, mode: LoadBalancerConfiguration.Mode,
        settings: LoadBalancerConfiguration.HealthCheckSettings, report: @escaping (LoadBalancer.ProbeResult) -> Void
    ) {
        self.node = node
        self.destination = destination
        self.mode = mode
        self.settings = settings
        self.report = report
    }

    func start() {
        timer = node.after(settings.timeout) { [weak self] in self?.finish(.failed("timeout")) }
        do throws(NetworkError) {
            if mode == .tcp {
                stream = try node.connect(to: destination, handler: self)
            } else {
                client = HTTPClientConnection()
                client?.delegate = self
                try client?.connect(from: node, to: destination)
            }
        } catch {
            node.enqueue { [weak self] in self?.finish(.failed("\(error)")) }
        }
    }

    private func finish(_ result: LoadBalancer.ProbeResult) {
        guard let report else { return }
        self.report = nil
        node.cancel(timer)
        // A server that never answered may still hold the connection: reset it, there is nothing to be polite about.
        result == .passed ? client?.close() : client?.abort()
        stream?.close()
        report(result)
    }

    func clientOpened(_ client: HTTPClientConnection) {
        var request: [UInt8] = []
        HTTPWriter.requestLine("GET", settings.path, into: &request)
        HTTPWriter.field("Host", destination.description, into: &request)
        HTTPWriter.field("User-Agent", "sdlab-health-check", into: &request)
        HTTPWriter.field("Connection", "close", into: &request)
        HTTPWriter.endHead(&request)
        client.begin(.get)
        client.write(request)
    }

    func clientReceivedHead(_ client: HTTPClientConnection) {
        let status = client.head.status
        if status < 200 { return }
        finish((200..<400).contains(status) ? .passed : .failed("status \(status)"))
    }

    func client(_ client: HTTPClientConnection, received body: UnsafeRawBufferPointer) {}
    func clientReceivedEnd(_ client: HTTPClientConnection) {}

    func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {
        switch failure {
        case .notConnected(let reason): finish(.failed(reason == .refused ? "connection refused" : "not reachable"))
        case .closed: finish(.failed("closed without an answer"))
        case .malformed: finish(.failed("not an HTTP answer"))
        }
    }

    func streamOpened(_ stream: Stream) { finish(.passed) }
    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {}
    func stream(_ stream: Stream, closed reason: CloseReason) {
        finish(.failed(reason == .refused ? "connection refused" : "not reachable"))
    }
}
