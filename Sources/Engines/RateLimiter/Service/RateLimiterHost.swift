import KernelHosting
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import RateLimiterEngine

/// Runs a rate limiter on a node: an HTTP port where requests are admitted or refused, in front of a server or, without
/// one, answered 200.
///
/// Time comes from the lab clock, which nobody sets. The node's calendar, which can be skewed, only says what stands in
/// `X-RateLimit-Reset`: a wrong calendar makes that field wrong, and no decision.
public final class RateLimiterHost: Service, HTTPService {
    public let runtime: ServiceRuntime
    package let engine: RateLimiter
    let port: UInt16
    private let throttlePort: UInt16?
    private var server: HTTPServer!
    private var throttle: ThrottleServer?
    private let descriptorPort: UInt16?
    private var descriptors: DescriptorServer?
    /// What is in force for requests that begin now.
    private(set) var rules: LimiterRules
    package internal(set) var counters = Counters()
    /// Requests that a leaky bucket holds back at present.
    package var heldCount = 0
    /// Those that are asked about the store only once for each time that it fails.
    private var isStoreDown = false

    package static let tag = "RL"
    /// Requests held back at a time, for all keys together; beyond, 503.
    static let heldLimit = 10_000

    package struct Counters: Equatable, Sendable {
        package var requests = 0
        package var admitted = 0
        package var refused = 0
        package var exempt = 0
        package var delayed = 0
        package var overloaded = 0
        /// Decided without the store because it could not be asked, by what the rules said.
        package var failedOpen = 0
        package var failedClosed = 0
        package var decidedAlone = 0
    }

    /// - Parameters:
    ///   - throttle: the port for `CL.THROTTLE` and for other limiters.
    ///   - descriptors: the port for Envoy's `POST /json`.
    public init(
        node: Node, source: ConfigurationSource<RateLimiterConfiguration>, port: UInt16, throttle: UInt16? = nil,
        descriptors: UInt16? = nil,
        options: ServiceOptions = ServiceOptions()
    ) {
        let configuration = source.initial
        runtime = ServiceRuntime(node: node, tag: Self.tag, options: options)
        self.port = port
        throttlePort = throttle
        descriptorPort = descriptors
        engine = RateLimiter(configuration.rules.map(\.policy), random: node.draw { $0.fork("rate limiting") })
        rules = LimiterRules(configuration, engine.policySet, node: node, before: nil)
        // In a process of its own nobody looks, so nothing is kept.
        if node.world.journal.capacity > 0 {
            engine.startOracle()
            engine.startRecording()
        }
        server = HTTPServer(node: node, service: self, options: Self.options(configuration))
        runtime.reloading = Reloading(source) { [unowned self] new in takeOver(new) }
    }

    package var configuration: RateLimiterConfiguration { rules.configuration }

    /// What concerns clients' connections.
    private static func options(_ configuration: RateLimiterConfiguration) -> HTTPServerOptions {
        var options = HTTPServerOptions()
        options.idleTimeout = configuration.timeouts.idle
        options.bodyTimeout = configuration.timeouts.response
        return options
    }

    // MARK: Life

    public func prepare() {
        runtime.add(server, on: port, announcement: "Listening on :\(port: port)")
        if let throttlePort {
            let throttle = ThrottleServer(self)
            self.throttle = throttle
            runtime.add(throttle.server, on: throttlePort, announcement: "CL.THROTTLE on :\(port: throttlePort)")
        }
        if let descriptorPort {
            let descriptors = DescriptorServer(self)
            self.descriptors = descriptors
            runtime.add(
                descriptors.server, on: descriptorPort, announcement: "Envoy's /json on :\(port: descriptorPort)")
        }
    }

    public func opened() {
        for rule in configuration.rules {
            let policy = rule.policy
            let name = configuration.rules.count == 1 ? "" : "\(policy.name): "
            let shadow = policy.isShadow ? " (shadow: refuses nobody)" : ""
            runtime.log("\(name)\(policy.algorithm.title): \(policy.summary)\(shadow)")
        }
        if let address = configuration.store { runtime.log("Store: \(address.description)") }
        if let upstream = configuration.upstream { runtime.log("Upstream: \(upstream.description)") }
        checkStore()
    }

    public func stop(_ done: @escaping () -> Void) {
        rules.store?.close()
        node.whenFlushed { [self] in
            runtime.log("Stopped")
            done()
        }
    }

    public func collect(into page: inout MetricWriter) { LimiterMetrics.collect(engine, into: &page) }

    /// What this node let its clients have, for `Audit`. What it decided for other limiters is in their logs.
    package var admissions: [ArrivalLog.Arrival] { engine.recording?.all ?? [] }

    package var storeCounters: StoreCounters? { rules.store?.counters }

    /// Takes over a new configuration. Requests that are under way go on under the rules that they began with.
    private func takeOver(_ new: RateLimiterConfiguration) -> LogMessage {
        let old = rules
        engine.reload(new.rules.map(\.policy))
        rules = LimiterRules(new, engine.policySet, node: node, before: old)
        if let store = old.store, store !== rules.store {
            store.close()
            isStoreDown = false
        }
        if old.store !== rules.store { checkStore() }
        server.options = Self.options(new)
        return "Reloaded: \(counted(new.rules.count, "rule"))"
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
    }

    // MARK: The store

    /// Asks the store whether it can count, before the first request does, and again when it is back.
    private func checkStore() {
        guard let store = rules.store else { return }
        store.onReturn = { [weak self] in self?.checkStore() }
        store.check { [weak self, weak store] problem in
            guard let self, let store, store === rules.store else { return }
            switch problem {
            case nil: storeAnswered()
            case .unreachable(let reason): storeFailed(reason)
            case .unsuitable(let reason):
                isStoreDown = true
                let advice =
                    "a store is a Redis that runs scripts (redis://host:port), or the --throttle port of another "
                    + "limiter (host:port)"
                runtime.log(
                    "Store \(configuration.store?.description ?? "") cannot count: \(reason); \(advice)",
                    level: .error)
            }
        }
    }

    func storeFailed(_ reason: String) {
        if isStoreDown { return }
        isStoreDown = true
        runtime.log("Store \(configuration.store?.description ?? "") failed: \(reason)", level: .warning)
    }

    func storeAnswered() {
        guard isStoreDown else { return }
        isStoreDown = false
        runtime.log("Store \(configuration.store?.description ?? "") answers again")
    }
}
