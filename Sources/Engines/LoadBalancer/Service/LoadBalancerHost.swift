import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// Runs a load balancer on a node: listens, probes, and carries out what the engine decides.
public final class LoadBalancerHost {
    public let node: Node
    public internal(set) var engine: LoadBalancer
    let port: UInt16
    private(set) var httpProxy: HTTPProxy?
    private(set) var tcpProxy: TCPProxy?
    private var metricsServer: MetricsServer?
    var badMessages = BadMessages()
    private var probes: [Int: Probe] = [:]
    /// Those that wait for room at a server, by their tickets.
    private var waiting: [Int: (admitted: () -> Void, timedOut: () -> Void)] = [:]
    private var tickTimer: TimerID?
    private var tickTime = LabTime.distantFuture
    private(set) var isDraining = false
    /// Reads the configuration again; nil if it did not come from a file.
    public var readAgain: (() throws -> LoadBalancerConfiguration)?
    private var onStopped: (() -> Void)?

    static let tag = "LB"

    public init(node: Node, configuration: LoadBalancerConfiguration, port: UInt16) {
        self.node = node
        self.port = port
        engine = LoadBalancer(configuration, now: node.world.now, random: node.draw { $0.fork("balancing") })
        // In a process of its own nobody looks, so nothing is kept.
        if node.world.journal.capacity > 0 { engine.startRecording() }
    }

    public var configuration: LoadBalancerConfiguration { engine.configuration }

    /// What holds the host in its turn.
    private func letGo() {
        httpProxy?.letGo()
        httpProxy = nil
        tcpProxy?.letGo()
        tcpProxy = nil
        metricsServer = nil
        probes = [:]
        waiting = [:]
        readAgain = nil
        onStopped = nil
    }

    /// Starts to listen and to probe.
    public func start() throws(NetworkError) {
        node.whenEnded { [weak self] in self?.letGo() }
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
        if configuration.healthCheck.kind != .off {
            node.log(Self.tag, "Health checker started (interval: \(configuration.healthCheck.interval.description))")
        }
        node.log(Self.tag, "Listening on :\(port: port)")
        scheduleTick()
    }

    /// Opens the runtime API, the port for Prometheus, and a second way in for clients, where they are wanted.
    ///
    /// - Parameter socket: the path of a unix socket of the machine, for clients on it.
    public func openDoors(runtime: RuntimePlace?, metrics: UInt16?, socket: String? = nil) throws(NetworkError) {
        if let socket {
            try httpProxy?.listen(atPath: socket)
            try tcpProxy?.listen(atPath: socket)
            node.log(Self.tag, "Listening on \(socket)")
        }
        if let runtime {
            try RuntimeServer.listen(self, at: runtime)
            switch runtime {
            case .port(let port): node.log(Self.tag, "Runtime API on :\(port: port)")
            case .path(let path): node.log(Self.tag, "Runtime API on \(path)")
            }
        }
        if let metrics {
            let server = MetricsServer(self)
            try server.listen(on: metrics)
            metricsServer = server
            node.log(Self.tag, "Metrics on :\(port: metrics)")
        }
    }

    /// What an operator does to the engine; its effects are carried out at once.
    public func operate(_ change: (inout LoadBalancer, LabTime) -> [LoadBalancer.Effect]) {
        let effects = change(&engine, node.world.now)
        httpProxy?.configurationChanged()
        perform(effects)
    }

    // MARK: Time

    private func scheduleTick() {
        node.cancel(tickTimer)
        tickTimer = nil
        guard !isDraining, let deadline = engine.nextDeadline else { return }
        tickTime = deadline
        tickTimer = node.after(deadline - node.world.now) { [self] in
            tickTimer = nil
            if isDraining { return }
            perform(engine.tick(now: node.world.now))
            if tickTimer == nil { scheduleTick() }
        }
    }

    func perform(_ effects: [LoadBalancer.Effect]) {
        for effect in effects {
            switch effect {
            case .probe(let server, let number): probe(server, number)
            case .log(let message, let level): node.log(Self.tag, message, level: level)
            case .changed(let server, let from, let to, let reason):
                node.world.journal.record(
                    .state(subject: "\(node.name)/\(server)", from: from, to: to, reason: reason), node: node.name)
            case .dropIdleConnections(let server): httpProxy?.dropIdle(server)
            case .admit(let ticket): waiting.removeValue(forKey: ticket)?.admitted()
            case .timedOut(let ticket): waiting.removeValue(forKey: ticket)?.timedOut()
            case .deadlineMoved: scheduleTick()
            }
        }
    }

    // MARK: Requests

    /// A server is done with a request.
    func requestEnded(_ server: Int, _ outcome: LoadBalancer.Outcome, latency: LabDuration, request: Int) {
        let effects = engine.requestEnded(
            server: server, outcome, latency: latency, request: request, now: node.world.now)
        if !effects.isEmpty { perform(effects) }
    }

    /// A client's connection did not begin with a PROXY header.
    func refused(_ stream: Stream, _ failure: ProxyProtocolFailure) {
        // Somebody only looked whether the port is open, as TCP health checks do.
        if failure == .closed(byteCount: 0) { return }
        node.log(Self.tag, "Refused \(address: stream.remote.address): \("\(failure)")", level: .warning)
    }

    /// What a server is told of the client before anything else.
    func proxyHeader(
        _ version: LoadBalancerConfiguration.Backend.ProxyVersion, client: ProxyEndpoint, balancer: ProxyEndpoint
    ) -> ProxyHeader {
        .forwarding(version == .v1 ? .v1 : .v2, client: client, balancer: balancer)
    }

    func wait(_ ticket: Int, whenAdmitted: @escaping () -> Void, whenTimedOut: @escaping () -> Void) {
        waiting[ticket] = (whenAdmitted, whenTimedOut)
        if tickTimer == nil || engine.nextDeadline.map({ $0 < tickTime }) ?? false { scheduleTick() }
    }

    func stopWaiting(_ ticket: Int) {
        waiting[ticket] = nil
        engine.stopWaiting(ticket: ticket, now: node.world.now)
    }

    // MARK: Probes

    private func probe(_ server: Int, _ number: Int) {
        let probe = Probe(
            node: node, destination: engine.servers[server].destination,
            kind: configuration.healthCheck.kind ?? (configuration.mode == .tcp ? .tcp : .http),
            settings: configuration.healthCheck, sendProxy: engine.servers[server].settings.sendProxy
        ) { [self] result in
            probes[number] = nil
            perform(engine.probeFinished(server: server, number: number, result, now: node.world.now))
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
