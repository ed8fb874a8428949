import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterEngine

/// Runs a rate limiter on a node: an HTTP port where requests are admitted or refused, in front of a server or, without
/// one, answered 200.
///
/// Time comes from the lab clock, which nobody sets. The node's calendar, which can be skewed, only says what stands in
/// `X-RateLimit-Reset`: a wrong calendar makes that field wrong, and no decision.
public final class RateLimiterHost: HTTPService {
    public let node: Node
    public internal(set) var configuration: RateLimiterConfiguration
    public let engine: RateLimiter
    let port: UInt16
    private var server: HTTPServer!
    private(set) var forwarder: Forwarder?
    private(set) var throttle: ThrottleServer?
    private var metrics: LimiterMetricsServer?
    private(set) var store: (any LimitStore)?
    public internal(set) var counters = Counters()
    /// Requests that a leaky bucket holds back at present.
    package var heldCount = 0
    /// Those that are asked about the store only once for each time that it fails.
    private var isStoreDown = false
    private(set) var isDraining = false
    private var onStopped: (() -> Void)?
    /// Reads the configuration again; nil if it did not come from a file.
    public var readAgain: (() throws -> RateLimiterConfiguration)?

    public static let tag = "RL"
    /// Requests held back at a time, for all keys together; beyond, 503.
    static let heldLimit = 10_000

    public struct Counters: Equatable, Sendable {
        public var requests = 0
        public var admitted = 0
        public var refused = 0
        public var exempt = 0
        public var delayed = 0
        public var overloaded = 0
        /// Decided without the store because it could not be asked, by what the rules said.
        public var failedOpen = 0
        public var failedClosed = 0
        public var decidedAlone = 0
        public var reloads = 0
    }

    public init(node: Node, configuration: RateLimiterConfiguration, port: UInt16) {
        self.node = node
        self.port = port
        self.configuration = configuration
        engine = RateLimiter(configuration.rules.map(\.policy), random: node.draw { $0.fork("rate limiting") })
        // In a process of its own nobody looks, so nothing is kept.
        if node.world.journal.capacity > 0 {
            engine.startOracle()
            engine.startRecording()
        }
        var options = HTTPServerOptions()
        options.idleTimeout = configuration.timeouts.idle
        options.bodyTimeout = configuration.timeouts.response
        server = HTTPServer(node: node, service: self, options: options)
        forwarder = configuration.upstream.map { Forwarder(node: node, destination: $0, configuration.timeouts) }
        store = makeStore(configuration)
        prepareFields()
    }

    public func start() throws(NetworkError) {
        try server.listen(on: port)
        for rule in configuration.rules {
            let policy = rule.policy
            let name = configuration.rules.count == 1 ? "" : "\(policy.name): "
            let shadow = policy.isShadow ? " (shadow: refuses nobody)" : ""
            node.log(Self.tag, "\(name)\(policy.algorithm.title): \(policy.summary)\(shadow)")
        }
        if let address = configuration.store { node.log(Self.tag, "Store: \(address.description)") }
        if let upstream = configuration.upstream { node.log(Self.tag, "Upstream: \(upstream.description)") }
        node.log(Self.tag, "Listening on :\(port: port)")
    }

    /// Opens the port for `CL.THROTTLE` and for other limiters, and the one for Prometheus, where they are wanted.
    public func openDoors(throttle throttlePort: UInt16?, metrics metricsPort: UInt16?) throws(NetworkError) {
        if let throttlePort {
            let server = ThrottleServer(self)
            try server.listen(on: throttlePort)
            throttle = server
            node.log(Self.tag, "CL.THROTTLE on :\(port: throttlePort)")
        }
        if let metricsPort {
            let server = LimiterMetricsServer(self)
            try server.listen(on: metricsPort)
            metrics = server
            node.log(Self.tag, "Metrics on :\(port: metricsPort)")
        }
    }

    private func makeStore(_ configuration: RateLimiterConfiguration) -> (any LimitStore)? {
        switch configuration.store {
        case nil: nil
        case .redis(let place, let database):
            RedisStore(node: node, destination: place, database: database, timeout: configuration.storeTimeout)
        case .peer(let place):
            PeerStore(node: node, destination: place, lease: configuration.lease, timeout: configuration.storeTimeout)
        }
    }

    /// What this node let its clients have, for `Audit`. What it decided for other limiters is in their logs.
    public var admissions: [ArrivalLog.Arrival] { engine.recording?.all ?? [] }

    public var storeCounters: StoreCounters? { store?.counters }

    // MARK: Change

    /// Reads the configuration again and takes it over. With an error in it all stays as it is.
    public func reload() throws {
        do {
            guard let readAgain else {
                throw ReloadFailure(description: "it was started without --config; there is no file to read again")
            }
            let new = try readAgain()
            let old = configuration
            configuration = new
            engine.reload(new.rules.map(\.policy))
            if new.upstream != old.upstream {
                forwarder = new.upstream.map { Forwarder(node: node, destination: $0, new.timeouts) }
            }
            if new.store != old.store || new.lease != old.lease || new.storeTimeout != old.storeTimeout {
                store?.close()
                store = makeStore(new)
                isStoreDown = false
            }
            prepareFields()
            counters.reloads += 1
            node.log(Self.tag, "Reloaded: \(new.rules.count) rules")
        } catch {
            node.log(Self.tag, "Not reloaded: \("\(error)")", level: .error)
            throw error
        }
    }

    /// Why a new configuration was not taken over.
    public struct ReloadFailure: Error, CustomStringConvertible {
        public let description: String
    }

    // MARK: Fields

    /// The `RateLimit-Policy` line for a request under the only rule there is.
    private(set) var policyLine: [UInt8] = []
    /// Whether there is one rule, which concerns all requests by their address: most limiters, and the short way.
    private(set) var isSimple = false

    private func prepareFields() {
        let rules = configuration.rules
        policyLine = []
        if rules.count == 1 {
            HTTPWriter.field("RateLimit-Policy", RateLimitFields.policyItem(rules[0].policy), into: &policyLine)
        }
        isSimple =
            rules.count == 1 && rules[0].concernsAll && rules[0].key.isAddressOnly && rules[0].costHeader == nil
            && rules[0].policy.algorithm != .concurrency
            && configuration.trustedProxies == .none && configuration.exempt.isEmpty && !configuration.showsPartitionKey
    }

    // MARK: HTTPService

    private func exchange(_ connection: HTTPServerConnection) -> LimitedExchange {
        if let context = connection.context { return unsafeDowncast(context, to: LimitedExchange.self) }
        let exchange = LimitedExchange(self, connection)
        connection.context = exchange
        return exchange
    }

    public func requestBegan(_ connection: HTTPServerConnection) { exchange(connection).begin() }
    public func request(_ connection: HTTPServerConnection, body: UnsafeRawBufferPointer) {
        exchange(connection).receive(body)
    }
    public func requestEnded(_ connection: HTTPServerConnection) { exchange(connection).requestEnded() }
    public func responseDrained(_ connection: HTTPServerConnection) { exchange(connection).drained() }
    public func requestAbandoned(_ connection: HTTPServerConnection) { exchange(connection).abandon() }

    public func connectionClosed(_ connection: HTTPServerConnection) {
        (connection.context as? LimitedExchange)?.abandon()
        connection.context = nil
        server.forget(connection)
        stopIfDone()
    }

    // MARK: The store

    func storeFailed(_ reason: String) {
        if isStoreDown { return }
        isStoreDown = true
        node.log(Self.tag, "Store \(configuration.store?.description ?? "") failed: \(reason)", level: .warning)
    }

    func storeAnswered() {
        guard isStoreDown else { return }
        isStoreDown = false
        node.log(Self.tag, "Store \(configuration.store?.description ?? "") answers again")
    }

    // MARK: Stopping

    /// Accepts nothing more, finishes what is under way, then calls back.
    public func drain(whenStopped: @escaping () -> Void) {
        guard !isDraining else { return whenStopped() }
        isDraining = true
        onStopped = whenStopped
        server.drain()
        throttle?.drain()
        stopIfDone()
    }

    private func stopIfDone() {
        guard isDraining, server.openConnectionCount == 0, let callback = onStopped else { return }
        onStopped = nil
        store?.close()
        node.whenFlushed { [self] in
            node.log(Self.tag, "Stopped")
            callback()
        }
    }
}
