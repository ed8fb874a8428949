import CircuitBreakerEngine
import GatewayEngine
import KernelHosting
import KernelService
import KernelStructures
import KernelTLS
import KernelWorld
import LoadBalancerEngine
import LoadBalancerService

/// A service behind the gateway: its servers, who of them gets a request, and whether any is asked at all.
///
/// The decisions are the load balancer's engine's and the circuit breaker's; here they are carried out. A cluster lives
/// for as long as the configuration names its service; requests that are under way hold it for longer.
final class ServiceCluster {
    let node: Node
    private(set) var service: GatewayConfiguration.Service
    private(set) var engine: LoadBalancer
    private(set) var breaker: BreakerEngine?
    /// Keeps connections that nobody uses.
    private let pool: UpstreamPool
    /// By slot.
    private(set) var servers: [UpstreamServer] = []
    /// Nil: it speaks no TLS.
    let security: TLSClient?
    private var follower: ServiceFollower?
    private var waiting = WaitingRequests()
    /// Checks that are under way, by their numbers.
    private var probes: [Int: Probe] = [:]
    /// Nobody needs it any more but requests that are under way.
    private var isRetired = false
    private var tickTimer: TimerID?
    private var tickTime = LabTime.distantFuture
    private let log: (LogMessage, LogLevel) -> Void

    var name: String { service.name }

    /// Who gets a request.
    enum Choice {
        case server(Int, Permit?)
        case wait(ticket: Int)
        /// The breaker is open for so long.
        case open(LabDuration)
        case none(String)
    }

    /// - Throws: `TLSConfigurationError` where the lab's authority cannot be read.
    init(
        _ service: GatewayConfiguration.Service, node: Node, registry: HostPort,
        log: @escaping (LogMessage, LogLevel) -> Void
    ) throws {
        self.node = node
        self.service = service
        self.log = log
        pool = UpstreamPool(node: node, noun: service.name, timeouts: UpstreamTimeouts())
        engine = LoadBalancer(service.balancing, now: node.world.now, random: node.draw { $0.fork(service.name) })
        breaker = service.breaker.map {
            BreakerEngine($0, now: node.world.now, random: node.draw { $0.fork("breaker") })
        }
        if service.isSecure {
            var options = try TLSClientOptions.lab(node.world)
            options.serverName = service.tlsName
            security = try TLSClient(options)
        } else {
            security = nil
        }
        takeServers()
        if case .registry(let name) = service.source { follow(name, at: registry) }
        scheduleTick()
    }

    /// Whether this cluster can go on under another description, with all that it knows.
    func canBecome(_ new: GatewayConfiguration.Service) -> Bool {
        new.source == service.source && new.isSecure == service.isSecure && new.tlsName == service.tlsName
    }

    func reload(_ new: GatewayConfiguration.Service) {
        let old = service
        service = new
        if old.breaker != new.breaker {
            if let settings = new.breaker {
                if breaker == nil { breaker = BreakerEngine(settings, now: node.world.now) }
                breaker?.reconfigure(settings, now: node.world.now)
            } else {
                breaker = nil
            }
        }
        var balancing = new.balancing
        if case .registry = new.source { balancing.backends = engine.configuration.backends }
        if balancing != engine.configuration { perform(engine.reload(balancing, now: node.world.now)) }
    }

    /// Nobody will ask for it any more.
    func retire() {
        isRetired = true
        follower?.stop()
        follower = nil
        probes = [:]
        if engine.waitingCount == 0 {
            node.cancel(tickTimer)
            tickTimer = nil
        }
        for server in servers { server.dropIdle() }
    }

    // MARK: Choosing

    /// - Parameters:
    ///   - arrival: the request's, with a number of `requestArrived`.
    ///   - tried: slots of servers that have failed it.
    func choose(_ arrival: Arrival, excluding tried: [Int]) -> Choice {
        let now = node.world.now
        var permit: Permit?
        if breaker != nil {
            let admission = breaker!.tryAcquire(now: now)
            if let change = admission.change { note(change) }
            guard let given = admission.permit else {
                return .open(
                    max(.milliseconds(1), breaker!.openUntil < .distantFuture ? breaker!.openUntil - now : .seconds(1)))
            }
            permit = given
        }
        switch engine.choose(arrival, excluding: tried, now: now) {
        case .server(let slot): return .server(slot, permit)
        case .wait(let ticket):
            release(permit)
            return .wait(ticket: ticket)
        case .none(let reason):
            release(permit)
            engine.unserved()
            return .none(text(reason, hasTried: !tried.isEmpty))
        }
    }

    private func text(_ reason: DecisionLog.Reason, hasTried: Bool) -> String {
        switch reason {
        case .lineIsFull: "every server is full, and so is the queue"
        default: hasTried ? "no server could be reached" : absence?.sentence ?? "no server is in the pool"
        }
    }

    /// What the registry says, or why it says nothing, where nobody is known; nil where servers are written down.
    var absence: (words: String, sentence: String)? { follower?.absence }

    func requestArrived() -> Int { engine.requestArrived() }

    func hasCandidate(excluding tried: [Int]) -> Bool { engine.hasCandidate(excluding: tried) }

    func attemptBegan(_ slot: Int) { engine.requestBegan(server: slot) }

    /// A permit for a second attempt at the same server, on another connection.
    func anotherPermit() -> Permit? { breaker?.tryAcquire(now: node.world.now).permit }

    /// - Parameter outcome: what the balancer makes of it; the breaker goes by the same.
    func attemptEnded(
        _ slot: Int, _ outcome: LoadBalancer.Outcome, _ permit: Permit?, latency: LabDuration, request: Int
    ) {
        let now = node.world.now
        if let permit, breaker != nil {
            let reaction =
                switch outcome {
                case .answered(let status) where CallClassifier.classify(httpStatus: status) != .failure:
                    breaker!.onSuccess(permit, now: now)
                case .answered, .failed: breaker!.onFailure(permit, now: now)
                case .abandoned, .stale: breaker!.release(permit, now: now)
                }
            if let change = reaction.change { note(change) }
        }
        let effects = engine.requestEnded(server: slot, outcome, latency: latency, request: request, now: now)
        if !effects.isEmpty { perform(effects) }
        if outcome == .failed { follower?.report(failureOf: engine.servers[slot].name) }
    }

    private func release(_ permit: Permit?) {
        if let permit { _ = breaker?.release(permit, now: node.world.now) }
    }

    private func note(_ change: Transition) {
        let level: LogLevel = change.to == .closed || change.to == .halfOpen ? .info : .warning
        log("Circuit of \(name): \(change.from.rawValue) → \(change.to.rawValue)", level)
        node.world.journal.record(
            .state(
                subject: "\(node.name)/\(name)", from: change.from.rawValue, to: change.to.rawValue,
                reason: "\(change.reason)"),
            node: node.name)
    }

    /// Whether the connection to that server is worth keeping.
    func keepsConnections(_ slot: Int) -> Bool { engine.servers[slot].keepsConnections }

    // MARK: Waiting

    func wait(_ ticket: Int, _ request: WaitingRequests.Request) {
        waiting.add(request, ticket)
        scheduleTick()
    }

    func stopWaiting(_ ticket: Int) {
        waiting.remove(ticket)
        engine.stopWaiting(ticket: ticket, now: node.world.now)
    }

    // MARK: Servers

    private func follow(_ name: String, at registry: HostPort) {
        let follower = ServiceFollower(node, service: name, registry: registry) { [weak self] instances in
            self?.take(instances)
        }
        follower.onFailure = { [weak self] text in
            self?.log("\(registry.description) cannot be asked for \(name): \(text)", .warning)
        }
        self.follower = follower
        follower.start()
    }

    private func take(_ instances: [DiscoveredInstance]) {
        var backends: [LoadBalancerConfiguration.Backend] = []
        for one in instances where one.status != "critical" && backends.count < LoadBalancerConfiguration.backendLimit {
            guard !backends.contains(where: { $0.name == one.id }) else { continue }
            backends.append(.init(name: one.id, destination: one.destination, weight: one.weight))
        }
        guard backends != engine.configuration.backends else { return }
        perform(engine.follow(backends, of: name, now: node.world.now))
    }

    private func takeServers() {
        for (slot, server) in engine.servers.enumerated() {
            if slot == servers.count {
                servers.append(UpstreamServer(server.destination, in: pool))
            } else if servers[slot].destination != server.destination {
                servers[slot].dropIdle()
                servers[slot] = UpstreamServer(server.destination, in: pool)
            }
        }
    }

    private func perform(_ effects: [LoadBalancer.Effect]) {
        takeServers()
        for effect in effects {
            switch effect {
            case .probe(let slot, let number): probe(slot, number)
            case .log(let message, let level): log(message, level)
            case .changed(let server, let from, let to, let reason):
                node.world.journal.record(
                    .state(subject: "\(node.name)/\(server)", from: from, to: to, reason: reason), node: node.name)
            case .dropIdleConnections(let slot): servers[slot].dropIdle()
            case .admit(let ticket): waiting.take(ticket)?.admitted()
            case .timedOut(let ticket): waiting.take(ticket)?.timedOut()
            case .deadlineMoved: break
            }
        }
        scheduleTick()
    }

    private func scheduleTick() {
        guard let deadline = engine.nextDeadline, !isRetired || engine.waitingCount > 0 else { return }
        if tickTimer != nil, tickTime <= deadline { return }
        node.cancel(tickTimer)
        tickTime = deadline
        tickTimer = node.after(deadline - node.world.now) { [weak self] in
            guard let self else { return }
            tickTimer = nil
            perform(engine.tick(now: node.world.now))
        }
    }

    /// Checks one server, as the balancer does.
    private func probe(_ slot: Int, _ number: Int) {
        if isRetired { return }
        let settings = engine.configuration.healthCheck
        let probe = Probe(
            node: node, destination: engine.servers[slot].destination, kind: settings.kind ?? .http,
            settings: settings, sendProxy: nil, security: security
        ) { [weak self] result in
            guard let self, !isRetired else { return }
            probes[number] = nil
            perform(engine.probeFinished(server: slot, number: number, result, now: node.world.now))
        }
        probes[number] = probe
        probe.start()
    }
}
