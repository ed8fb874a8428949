import KernelHosting
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// Runs a load balancer on a node: listens, probes, and carries out what the engine decides.
public final class LoadBalancerHost: Service {
    public let runtime: ServiceRuntime
    public internal(set) var engine: LoadBalancer
    let port: UInt16
    private let places: Places
    private(set) var httpProxy: HTTPProxy?
    private(set) var tcpProxy: TCPProxy?
    private var runtimeServer: RuntimeServer?
    /// Whether clients can come.
    var frontState = FrontSide.State.open
    var badMessages = BadMessages()
    private var probes: [Int: Probe] = [:]
    /// Those that wait for room at a server.
    private var waiting = WaitingRequests()
    private var tickTimer: TimerID?
    private var tickTime = LabTime.distantFuture
    /// The configuration's certificates, once it is prepared.
    private(set) var security: BalancerSecurity!
    private let readFile: (String) throws -> [UInt8]
    private let discovery: Discovery?
    var follower: ServiceFollower?

    static let tag = "LB"

    /// Where it listens, beside its port.
    public struct Places: Sendable {
        /// A unix socket of the machine, for clients on it.
        public var socket: String?
        /// HAProxy's runtime API.
        public var runtimeAPI: ServiceRuntime.Place?

        public init(socket: String? = nil, runtimeAPI: ServiceRuntime.Place? = nil) {
            self.socket = socket
            self.runtimeAPI = runtimeAPI
        }
    }

    /// - Parameters:
    ///   - discovery: where its servers are found out; those of the configuration serve until that is known.
    ///   - readFile: the bytes of a file that the configuration names: a certificate.
    public init(
        node: Node, source: ConfigurationSource<LoadBalancerConfiguration>, port: UInt16, places: Places = Places(),
        discovery: Discovery? = nil, options: ServiceOptions = ServiceOptions(),
        readFile: @escaping (String) throws -> [UInt8] = { throw ReloadFailure("\($0): no file can be read here") }
    ) {
        runtime = ServiceRuntime(node: node, tag: Self.tag, options: options)
        self.port = port
        self.places = places
        self.readFile = readFile
        self.discovery = discovery
        engine = LoadBalancer(source.initial, now: node.world.now, random: node.draw { $0.fork("balancing") })
        // In a process of its own nobody looks, so nothing is kept.
        if node.world.journal.capacity > 0 { engine.startRecording() }
        runtime.reloading = Reloading(source) { [unowned self] new in
            try takeOver(new)
            return nil
        }
        setDrainTimeout()
    }

    public var configuration: LoadBalancerConfiguration { engine.configuration }

    // MARK: Life

    /// - Throws: what is wrong with a certificate.
    public func prepare() throws {
        if configuration.tls != nil, runtime.options.makeSecurity != nil {
            throw ReloadFailure("TLS with clients stands in the file already (tls:); leave out --tls")
        }
        security = try BalancerSecurity(configuration, node: node, read: readFile)
        node.whenEnded { [weak self] in self?.letGo() }
        let clients: any ConnectionServer
        switch configuration.mode {
        case .http:
            let proxy = HTTPProxy(self)
            httpProxy = proxy
            clients = proxy.server
        case .tcp:
            let proxy = TCPProxy(self)
            tcpProxy = proxy
            clients = proxy.server
        }
        runtime.add(clients, on: port, announcement: "Listening on :\(port: port)")
        if let socket = places.socket {
            runtime.add(clients, at: .path(socket), announcement: "Listening on \(socket)")
        }
        if let place = places.runtimeAPI {
            let server = RuntimeServer(self)
            runtimeServer = server
            let announcement: LogMessage =
                switch place {
                case .port(let port): "Runtime API on :\(port: port)"
                case .path(let path): "Runtime API on \(path)"
                }
            runtime.add(server.server, at: place, for: .operators, announcement: announcement)
        }
    }

    /// What holds the host in its turn.
    private func letGo() {
        httpProxy?.letGo()
        httpProxy = nil
        tcpProxy = nil
        probes = [:]
        waiting.removeAll()
        follower = nil
    }

    public func opened() {
        let names = engine.servers.map(\.name).joined(separator: ", ")
        if let discovery { follow(discovery) }
        if discovery == nil || !engine.servers.isEmpty {
            runtime.log("Loaded \(counted(engine.servers.count, "backend")): \(names)")
        }
        if configuration.healthCheck.kind != .off {
            runtime.log("Health checker started (interval: \(configuration.healthCheck.interval.description))")
        }
        scheduleTick()
    }

    /// Of clients.
    var openConnections: Int {
        (httpProxy?.server.openConnectionCount ?? 0) + (tcpProxy?.server.openConnectionCount ?? 0)
    }

    public func willDrain() {
        follower?.stop()
        runtime.log("Draining: \(counted(openConnections, "connection")) open")
    }

    public func stop(_ done: @escaping () -> Void) {
        runtime.log("Stopped")
        done()
    }

    public var complaints: [String] { engine.poolSize == 0 ? ["no server is up"] : [] }

    public func collect(into page: inout MetricWriter) {
        PrometheusMetrics.collect(engine, frontSide(withSessions: false), now: node.world.now, into: &page)
    }

    // MARK: Change

    /// Takes over a new configuration while requests are under way.
    ///
    /// Proxies used to do this by starting a second process beside the first and handing it the listening socket, as
    /// the old one could not change its mind. Here the engine compares the two lists: nothing is closed that is in use,
    /// so there is nothing to lose.
    private func takeOver(_ new: LoadBalancerConfiguration) throws {
        guard new.mode == configuration.mode else {
            throw ReloadFailure("the mode cannot change from \(configuration.mode.rawValue) to \(new.mode.rawValue)")
        }
        guard (new.tls == nil) == (configuration.tls == nil) else {
            throw ReloadFailure("clients cannot be told to speak TLS, or not to, while it runs; start it anew")
        }
        security = try BalancerSecurity(new, node: node, read: readFile)
        var new = new
        // What the registry has said goes before what stands in the file.
        if follower?.instances != nil { new.backends = configuration.backends }
        operate { engine, now in engine.reload(new, now: now) }
        httpProxy?.configurationReloaded()
        tcpProxy?.configurationChanged()
        setDrainTimeout()
    }

    private func setDrainTimeout() {
        if runtime.options.drainTimeout == nil { runtime.drainTimeout = configuration.timeouts.shutdown }
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
        guard !runtime.isDraining, let deadline = engine.nextDeadline else { return }
        tickTime = deadline
        tickTimer = node.after(deadline - node.world.now) { [self] in
            tickTimer = nil
            if runtime.isDraining { return }
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
            case .admit(let ticket): waiting.take(ticket)?.admitted()
            case .timedOut(let ticket): waiting.take(ticket)?.timedOut()
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
        if let follower, outcome == .failed { follower.report(failureOf: engine.servers[server].name) }
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

    func wait(_ ticket: Int, _ request: WaitingRequests.Request) {
        waiting.add(request, ticket)
        if tickTimer == nil || engine.nextDeadline.map({ $0 < tickTime }) ?? false { scheduleTick() }
    }

    func stopWaiting(_ ticket: Int) {
        waiting.remove(ticket)
        engine.stopWaiting(ticket: ticket, now: node.world.now)
    }

    // MARK: Probes

    private func probe(_ server: Int, _ number: Int) {
        let probe = Probe(
            node: node, destination: engine.servers[server].destination,
            kind: configuration.healthCheck.kind ?? (configuration.mode == .tcp ? .tcp : .http),
            settings: configuration.healthCheck, sendProxy: engine.servers[server].settings.sendProxy,
            security: security.client(of: engine.servers[server].settings)
        ) { [self] result in
            probes[number] = nil
            perform(engine.probeFinished(server: server, number: number, result, now: node.world.now))
        }
        probes[number] = probe
        probe.start()
    }
}
