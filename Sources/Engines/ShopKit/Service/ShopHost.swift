import KernelHosting
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import MessageQueueService

/// Where a service of the shop finds what it needs: addresses and nothing else.
public struct ShopSettings {
    /// What it is called in the registry, and as the host that others look for: `inventory`.
    public var name: String
    public var port: UInt16
    public var database: PostgresURL?
    public var broker: BrokerPlace?
    /// A server of RESP; nil: it does without.
    public var cache: HostPort?
    public var registry: HostPort?
    /// A server of feature flags, by which it can be made to fail; nil: it cannot.
    public var flags: HostPort?
    /// Other services by their names, where no registry knows them.
    public var peers: [String: HostPort] = [:]
    /// Between two questions to the registry's health check.
    public var checkInterval = LabDuration.seconds(10)

    public init(name: String, port: UInt16) {
        self.name = name
        self.port = port
    }

    /// Where everybody is if nobody says otherwise.
    public static let ports: [(name: String, port: UInt16)] = [
        ("users", 8081), ("products", 8082), ("inventory", 8083), ("orders", 8084), ("payments", 8085),
        ("notifications", 8086),
    ]

    public func peer(_ name: String) -> HostPort {
        peers[name] ?? HostPort(host: name, port: Self.ports.first { $0.name == name }?.port ?? 80)
    }
}

/// What every service of a shop has: a port with a router, a database of its own, an entry in the registry, and a way
/// to the other services.
///
/// ## An everyday picture
///
/// A stall in a market hall. Whatever it sells, it has the same counter, the same ledger under the counter, its name on
/// the board at the door, and a telephone to the other stalls, with the rule that one does not go on ringing where
/// nobody answers. None of that is what the stall is for, so it is built once.
///
/// ## How
///
/// ```
///   requests ──▶ router ──▶ the service's handlers ──▶ ShopDatabase ──▶ its database
///                                   └────────────────▶ PeerClient (breaker, retry, timeout) ──▶ other services
///   opened ──▶ schema (made when the database answers) ──▶ ready ──▶ registry
/// ```
///
/// It remembers nothing that is not in its database: a node that is killed begins again with what is there.
public final class ShopHost {
    public let runtime: ServiceRuntime
    public let settings: ShopSettings
    public let router = HTTPRouter()
    public let database: ShopDatabase?
    /// Its tables are there.
    public private(set) var isReady = false
    private var server: HTTPServer!
    private var registration: ServiceRegistration?
    private var peers: [String: PeerClient] = [:]
    private var failure: String?
    private let failures: FailureSwitch?
    private var pause = ShopHost.firstPause
    private var isStopping = false
    private let requests: MetricFamily<Histogram>?

    private static let firstPause = LabDuration.milliseconds(200)
    private static let longestPause = LabDuration.seconds(5)
    private static let wellnessPause = LabDuration.milliseconds(20)
    private static let registrationPatience = LabDuration.seconds(5)

    public init(node: Node, tag: String, settings: ShopSettings, options: ServiceOptions = ServiceOptions()) {
        self.settings = settings
        runtime = ServiceRuntime(node: node, tag: tag, options: options)
        database = settings.database.map { ShopDatabase(node, $0) }
        requests = try? runtime.metrics.histograms(
            "shop_request_duration_seconds", "Answers by service, route and status",
            labels: ["service", "route", "status"])
        failures = settings.flags.map { FailureSwitch(node, service: settings.name, server: $0) }
        router.options.defaultsToJSON = true
        server = HTTPServer(node: node, service: router)
        runtime.mount(on: router)
        failures?.onChange = { [weak self] isOn in
            guard let self, let flag = failures?.flag else { return }
            runtime.log(isOn ? "Flag \(id: flag) is on: failing on purpose" : "Flag \(id: flag) is off")
        }
    }

    public var node: Node { runtime.node }
    public var now: LabTime { node.wallClock }
    public var nowSeconds: Int { Int(node.wallClock.unixSeconds) }
    public var nowText: String { "\(node.wallClock)" }

    // MARK: Life

    /// For `Service.prepare`: adds the port.
    public func prepare(announcement: LogMessage) {
        runtime.add(server, on: settings.port, announcement: announcement)
    }

    /// For `Service.opened`: makes the tables as soon as the database answers, then calls `ready` and tells the
    /// registry. Where the database is not there yet it asks again, with growing pauses.
    public func opened(schema: [String], ready: @escaping () -> Void) {
        failures?.start()
        prepareTables(schema, ready)
    }

    private func prepareTables(_ schema: [String], _ ready: @escaping () -> Void) {
        // One without tables is a page for people: nobody looks for it in the registry.
        guard let database else {
            isReady = true
            return ready()
        }
        run(schema[...], on: database) { [weak self] failure in
            guard let self else { return }
            guard let failure else { return becomeReady(ready) }
            if failure.sqlState == .invalidCatalogName { return makeDatabase(schema, ready) }
            if self.failure == nil { runtime.log("Database \(database.url.text): \("\(failure)")", level: .warning) }
            self.failure = "\(failure)"
            again(schema, ready)
        }
    }

    private func again(_ schema: [String], _ ready: @escaping () -> Void) {
        node.after(pause) { [weak self] in self?.prepareTables(schema, ready) }
        pause = min(Self.longestPause, pause + pause)
    }

    /// Each service has a database of its own, which nobody else looks into.
    private func makeDatabase(_ schema: [String], _ ready: @escaping () -> Void) {
        guard var url = database?.url else { return }
        let name = url.database
        url.database = "postgres"
        let client = ShopDatabase(node, url)
        client.query("create database \"\(name.filter { $0 != "\"" })\"") { [weak self] _ in
            client.close()
            // If somebody else was faster, or it failed, the next attempt says so.
            self?.again(schema, ready)
        }
    }

    private func run(
        _ statements: ArraySlice<String>, on database: ShopDatabase,
        _ completion: @escaping (PostgresFailure?) -> Void
    ) {
        guard let statement = statements.first else { return completion(nil) }
        database.query(statement) { [weak self] result in
            if case .failure(let failure) = result { return completion(failure) }
            self?.run(statements.dropFirst(), on: database, completion)
        }
    }

    private func becomeReady(_ ready: @escaping () -> Void) {
        failure = nil
        isReady = true
        ready()
        registerWhenWell(until: node.world.now + Self.registrationPatience)
    }

    /// Tells the registry as soon as the whole service is well: whoever is told of sooner is checked too soon, and
    /// nobody is sent there until the next check. After a while it is told all the same, and asks what is wrong.
    private func registerWhenWell(until deadline: LabTime) {
        guard let registry = settings.registry, !isStopping else { return }
        guard runtime.complaints.isEmpty || node.world.now >= deadline else {
            node.after(Self.wellnessPause) { [weak self] in self?.registerWhenWell(until: deadline) }
            return
        }
        var entry = ServiceRegistration.Settings(name: settings.name, registry: registry, port: settings.port)
        entry.healthPath = "/health"
        entry.checkInterval = settings.checkInterval
        let registration = ServiceRegistration(node, entry)
        registration.onTrouble = { [weak self] text in self?.runtime.log("\(text)", level: .warning) }
        self.registration = registration
        registration.start()
    }

    /// For `Service.complaints`.
    public var complaints: [String] {
        if let failure { return ["database: \(failure)"] }
        return isReady ? [] : ["its tables are not there yet"]
    }

    /// For `Service.stop`.
    public func stop(_ done: @escaping () -> Void) {
        isStopping = true
        for (_, peer) in peers.sorted(by: { $0.key < $1.key }) { peer.stop() }
        let end = { [self] in
            database?.close()
            node.whenFlushed(done)
        }
        let leave = { [self] in
            if let registration { registration.stop(end) } else { end() }
        }
        if let failures { failures.stop(leave) } else { leave() }
    }

    // MARK: Requests

    /// Adds a route whose answers are counted and timed.
    public func on(_ method: String, _ template: String, _ handler: @escaping HTTPRouter.Handler) {
        router.on(method, template) { [weak self] exchange in
            guard let self else { return }
            guard isReady else {
                throw HTTPProblem(
                    503, "\(settings.name) is not ready: \(complaints.first ?? "")", remedy: "ask again in a moment",
                    field: "Retry-After", "1")
            }
            if let failure = failures?.next() { return try fail(exchange, failure, handler) }
            try handler(exchange)
        }
    }

    private func fail(
        _ exchange: HTTPExchange, _ failure: FailureSwitch.Failure, _ handler: @escaping HTTPRouter.Handler
    ) throws {
        exchange.span?.note("failure.injected", [.init("flag", .text(failures?.flag ?? ""))])
        switch failure {
        case .error:
            throw HTTPProblem(
                503, word: "failure_injected", "\(settings.name) fails, because a flag says so",
                remedy: "turn it off: flags-cli rollout \(failures?.flag ?? "") --percent 0")
        case .slow(let milliseconds):
            node.after(.milliseconds(milliseconds)) {
                exchange.handle(handler)
            }
        case .silent: break
        }
    }

    /// Answers, and counts the answer.
    public func answer(_ exchange: HTTPExchange, _ status: Int = 200, _ json: [UInt8], since began: LabTime) {
        exchange.answer(status, bytes: json, type: "application/json")
        requests?.with(settings.name, exchange.route ?? "", "\(status)").observe(
            node.world.now - began, within: exchange.span)
    }

    // MARK: Other services

    /// Another service, by its name.
    public func peer(_ name: String) -> PeerClient {
        if let known = peers[name] { return known }
        let client = PeerClient(node, name: name, fixed: settings.peer(name), registry: settings.registry)
        client.onChange = { [weak self] message, isTrouble in
            self?.runtime.log(message, level: isTrouble ? .warning : .info)
        }
        peers[name] = client
        return client
    }

    /// The ways to the others that were gone so far, by name.
    var ways: [(name: String, peer: PeerClient)] {
        peers.sorted { $0.key < $1.key }.map { ("\(settings.name)->\($0.key)", $0.value) }
    }

    /// For `Service.collect`: how the ways to the others are.
    public func collect(into page: inout MetricWriter) {
        let sorted = peers.sorted { $0.key < $1.key }
        guard !sorted.isEmpty else { return }
        page.family("shop_peer_calls_total", .counter, "Questions to other services, by how they ended") { samples in
            for (name, peer) in sorted {
                samples.add(peer.answeredCount, [("peer", name), ("result", "answered")])
                samples.add(peer.failedCount, [("peer", name), ("result", "failed")])
            }
        }
        page.family("shop_peer_circuit_open", .gauge, "1 while nobody asks that service") { samples in
            for (name, peer) in sorted { samples.add(peer.isOpen ? 1 : 0, [("peer", name)]) }
        }
    }
}
