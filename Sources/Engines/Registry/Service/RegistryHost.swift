import KernelCryptography
import KernelHosting
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWorld
import RegistryEngine

/// Runs a registry on a node: answers HTTP and DNS, makes the checks, and carries out what the engine decides.
public final class RegistryHost: Service {
    public let runtime: ServiceRuntime
    public let settings: RegistrySettings
    public private(set) var engine: Registry
    let watches = WatchTable()
    public let port: UInt16
    public let dnsPort: UInt16?
    private let router = HTTPRouter()
    /// Nil for a registry on its own.
    private(set) var group: RegistryGroup?
    /// Whether it makes the checks.
    private(set) var leads = false
    private var isRegisteringOwnNode = false
    private var server: HTTPServer!
    private var dns: DNSService?
    private var timer: TimerID?
    private var timerTime = LabTime.distantFuture
    public private(set) var requestCount = 0
    public private(set) var wakeCount = 0
    public private(set) var probeCount = 0

    public static let defaultPort: UInt16 = 8500
    public static let defaultDNSPort: UInt16 = 8600
    private static let tag = "REG"

    /// - Parameters:
    ///   - settings: its node's name, id and address are filled in here.
    ///   - dnsPort: nil for a registry that does not speak DNS.
    ///   - peers: the members of its group, itself included, in the same order at all of them; empty: it is on its own.
    ///   - id: its place among them, from 1.
    ///   - directory: where it keeps the group's log on its disk.
    public init(
        node: Node, settings: RegistrySettings, port: UInt16, dnsPort: UInt16?, peers: [HostPort] = [], id: Int = 1,
        directory: String = "registry-data", options: ServiceOptions = ServiceOptions()
    ) {
        runtime = ServiceRuntime(node: node, tag: Self.tag, options: options)
        var settings = settings
        // All members of a group speak for one node: what is registered at one of them is known to all.
        settings.node = peers.isEmpty ? node.name : "registry"
        settings.address = node.address.description
        settings.nodeID = Self.newID(node)
        self.settings = settings
        self.port = port
        self.dnsPort = dnsPort
        engine = Registry(settings, random: node.draw { $0.fork("registry") })
        server = HTTPServer(node: node, service: router)
        router.options.defaultsToJSON = true
        router.options.bodyLimitBytes = RegistryLimits.valueBytes + 1024
        router.options.crossOrigin = nil
        router.explain = { ($0 as? RegistryError).map(Self.problem) }
        runtime.mount(on: router)
        RegistryAPI(self).mount(on: router)
        if !peers.isEmpty {
            let group = RegistryGroup(self, node: node, .init(id: id, peers: peers, directory: directory))
            group.member.mount(on: router)
            self.group = group
        }
    }

    static func problem(_ error: RegistryError) -> HTTPProblem {
        let status =
            switch error.kind {
            case .malformed: 400
            case .missing: 404
            case .refused: 409
            case .full: 413
            case .unavailable: 503
            }
        return HTTPProblem(status, error.description, remedy: error.remedy)
    }

    // MARK: Life

    public func prepare() throws {
        try group?.member.open()
        node.whenEnded { [weak self] in self?.group?.letGo() }
        runtime.add(server, on: port, announcement: "HTTP API on :\(port: port)")
        if let dnsPort {
            let dns = DNSService(self)
            self.dns = dns
            try dns.open(on: dnsPort)
            runtime.add(dns.server, on: dnsPort, announcement: "DNS server on :\(port: dnsPort)")
        }
    }

    public func abandonStart() { dns?.close() }

    public func opened() {
        node.enqueue { [self] in runtime.log("Health checker started") }
        guard let group else {
            leads = true
            return registerOwnNode()
        }
        group.member.start()
    }

    /// The node that the agent itself is on is always there: whoever takes it off the catalogue finds it back at once,
    /// as by Consul's anti-entropy.
    private func registerOwnNode() {
        guard engine.catalog.nodes[settings.node] == nil, !isRegisteringOwnNode else { return }
        isRegisteringOwnNode = true
        var own = CatalogNode(name: settings.node, address: settings.address)
        own.id = settings.nodeID
        var alive = CatalogCheck(node: settings.node, id: "serfHealth", name: "Serf Health Status")
        alive.status = .passing
        alive.output = "Agent alive and reachable"
        submit(.register(node: own, instance: nil, checks: [alive])) { [weak self] _ in
            self?.isRegisteringOwnNode = false
        }
    }

    /// Another member leads, or this one.
    func leadershipChanged(isLeader: Bool) {
        leads = false
        node.cancel(timer)
        timer = nil
        guard isLeader else { return }
        // What was agreed on before has to be known first.
        group?.member.read { [self] result in
            guard case .success = result, group?.member.isLeader == true else { return }
            leads = true
            engine.beginLeading(now: node.world.now)
            registerOwnNode()
            schedule()
        }
    }

    public func willDrain() { router.drain() }

    public func stop(_ done: @escaping () -> Void) {
        dns?.close()
        node.cancel(timer)
        leads = false
        let finish = { [self] in
            runtime.log("Stopped")
            done()
        }
        if let group { group.member.stop(finish) } else { finish() }
    }

    public var complaints: [String] {
        group?.member?.failure.map { ["this member has stopped: \($0)"] } ?? []
    }

    public var statistics: [Statistic] {
        let catalog = engine.catalog
        let bad = catalog.instances.values.count { catalog.status(of: $0) == .critical }
        return [
            .init("services", catalog.serviceNames.count, .gauge("registry_services", "Names of services")),
            .init("instances", catalog.instances.count, .gauge("registry_instances", "Instances of services")),
            .init("critical", bad, .gauge("registry_critical_instances", "Instances that are critical")),
            .init("keys", catalog.entries.count, .gauge("registry_keys", "Keys of the key-value store")),
            .init("sessions", catalog.sessions.count, .gauge("registry_sessions", "Sessions")),
            .init("index", Int(clamping: catalog.lastIndex), .gauge("registry_index", "Index of the last change")),
            .init("watchers", watches.count, .gauge("registry_watchers", "Requests that wait for a change")),
            .init("wakes", wakeCount, .counter("registry_wakes_total", "Waiting requests that a change has answered")),
            .init("checks_made", probeCount, .counter("registry_checks_total", "Health checks made")),
            .init(
                "repairs", engine.repairCount,
                .counter("registry_repairs_total", "Rows of the catalogue that anti-entropy has put right")),
            .init("requests", requestCount, .counter("registry_requests_total", "Requests over HTTP")),
            .init(
                "dns_queries", dns?.queryCount ?? 0, .counter("registry_dns_queries_total", "Queries over DNS")),
        ]
    }

    // MARK: Commands

    /// The one way in for every change of the catalogue. In a group it goes through the log.
    ///
    /// - Parameter done: called once, now or later.
    func submit(_ command: RegistryCommand, _ done: @escaping (RegistryOutcome) -> Void = { _ in }) {
        guard let group else { return done(apply(command, index: engine.catalog.lastIndex + 1)) }
        group.member.propose(command.encoded) { result in
            switch result {
            case .success(let answer): done(RegistryOutcome(encoded: answer.bytes) ?? .done)
            case .failure(let failure):
                done(.refused(RegistryError(.unavailable, "\(failure)", remedy: "ask again")))
            }
        }
    }

    /// For what has been counted or seen here as leader: a session's end, what a check has found. The next leader
    /// counts anew.
    private func submitAsLeader(_ command: RegistryCommand) {
        guard let group else { return submit(command) }
        group.member.proposeAsLeader(command.encoded) { _ in }
    }

    func apply(_ command: RegistryCommand, index: UInt64) -> RegistryOutcome {
        let (outcome, effects) = engine.apply(command, index: index, now: node.world.now)
        perform(effects)
        if leads, !runtime.isDraining { registerOwnNode() }
        return outcome
    }

    func restore(_ catalog: RegistryCatalog) {
        engine.restore(catalog, now: node.world.now)
        dns?.catalogChanged()
        wakeCount += watches.wakeAll(catalog)
    }

    /// Calls when what is known here is all that the group has agreed on; at once for a registry on its own.
    func whenCurrent(_ body: @escaping (_ trouble: RegistryError?) -> Void) {
        guard let group else { return body(nil) }
        group.member.read { result in
            switch result {
            case .success: body(nil)
            case .failure(let failure): body(RegistryError(.unavailable, "\(failure)", remedy: "or add ?stale"))
            }
        }
    }

    /// Whether it decides for its group, or for itself.
    public var isLeader: Bool { leads }
    var knowsLeader: Bool { group.map { $0.member.leader != nil } ?? true }
    /// How old what is known here may be: since when it has heard of no leader.
    var sinceLeaderContact: LabDuration { group?.member.sinceLeaderContact ?? .zero }

    /// Has the engine do something that is no command.
    func operate<R>(_ body: (inout Registry, LabTime) throws -> (R, [Registry.Effect])) rethrows -> R {
        let (result, effects) = try body(&engine, node.world.now)
        perform(effects)
        return result
    }

    private func perform(_ effects: [Registry.Effect]) {
        for effect in effects {
            switch effect {
            // Those who do not lead know as much, and say nothing.
            case .probe, .propose, .log, .changed: if leads { performAsLeader(effect) }
            case .wake(let topics):
                if topics.contains(where: \.concernsServices) { dns?.catalogChanged() }
                wakeCount += watches.wake(topics, engine.catalog)
            case .deadlineMoved: schedule()
            }
        }
    }

    private func performAsLeader(_ effect: Registry.Effect) {
        switch effect {
        case .probe(let probe): make(probe)
        case .propose(let command): submitAsLeader(command)
        case .log(let message, let level): runtime.log(message, level: level)
        case .changed(let subject, let from, let to, let reason):
            node.world.journal.record(
                .state(subject: "\(node.name)/\(subject)", from: from, to: to, reason: reason), node: node.name)
        case .wake, .deadlineMoved: break
        }
    }

    func newID() -> String { Self.newID(node) }

    private static func newID(_ node: Node) -> String {
        node.draw { LabUUID.timeOrdered(at: node.world.now, using: &$0) }.description
    }

    func counted() { requestCount += 1 }

    /// A client was told about a service.
    func seen(_ service: String, by client: String, way: String) {
        let index = engine.catalog.index(of: .service(service))
        engine.noteSighting(by: client, way: way, service: service, index: index, now: node.world.now)
    }

    /// Who asks: a node of the lab by its name, everybody else by address.
    func name(of endpoint: Endpoint?) -> String {
        guard let endpoint else { return "?" }
        if let known = node.world.nodes.at(endpoint.address) { return known.name }
        return endpoint.address.isLoopback ? "client" : endpoint.address.description
    }

    // MARK: Time

    private func schedule() {
        guard leads, !runtime.isDraining, let deadline = engine.nextDeadline else { return }
        if timer != nil, timerTime <= deadline { return }
        node.cancel(timer)
        timerTime = deadline
        timer = node.after(max(.zero, deadline - node.world.now)) { [self] in
            timer = nil
            if runtime.isDraining || !leads { return }
            perform(engine.tick(now: node.world.now))
            schedule()
        }
    }

    private func make(_ probe: CheckProbe) {
        probeCount += 1
        CheckProber.make(probe, from: node) { [self] result in
            perform(engine.probeFinished(probe, result, now: node.world.now))
            schedule()
        }
    }
}
