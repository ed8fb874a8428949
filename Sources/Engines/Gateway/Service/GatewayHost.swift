import GatewayEngine
import KernelCryptography
import KernelHosting
import KernelJWT
import KernelService
import KernelStructures
import KernelTLS
import KernelTelemetry
import KernelWire
import KernelWorld
import RateLimiterEngine

/// Runs an API gateway on a node.
public final class GatewayHost: Service, HTTPService {
    public let runtime: ServiceRuntime
    package internal(set) var engine: Gateway
    package let limiter: RateLimiter
    /// What is in force for requests that begin now.
    private(set) var rules: GatewayRules!
    /// What verifiers did whose settings are no longer in force: counters never go back.
    private var earlierTokens = JWTVerifier.Statistics()
    var tokenStatistics: JWTVerifier.Statistics {
        earlierTokens + (rules.tokens?.verifier.statistics ?? JWTVerifier.Statistics())
    }
    private var clusters: [String: ServiceCluster] = [:]
    private let port: UInt16
    /// Where clients come without TLS, beside `port`.
    private let plainPort: UInt16?
    private var server: HTTPServer!
    private var plainServer: HTTPServer?
    /// TLS for `port`; nil: none.
    private let makeSecurity: ((Node, [String]) throws -> any StreamSecurity)?
    private let readFile: (String) throws -> [UInt8]
    private let totals: MetricFamily<Histogram>
    private let upstreams: MetricFamily<Histogram>
    /// By reason.
    package private(set) var denials: [String: Int] = [:]
    private var mirrorsUnderWay = 0
    private var refusalLines = LineBudget()
    private let link = GatewayLink()

    static let tag = "GW"
    /// Copies under way at a time; further ones are not sent.
    static let mirrorLimit = 256
    /// Bytes of a client's request id that is believed.
    private static let requestIDLimit = 128

    /// - Parameters:
    ///   - plainPort: a second port, without TLS.
    ///   - readFile: the bytes of a file that the configuration names: keys, secrets.
    public init(
        node: Node, source: ConfigurationSource<GatewayConfiguration>, port: UInt16, plainPort: UInt16? = nil,
        options: ServiceOptions = ServiceOptions(),
        readFile: @escaping (String) throws -> [UInt8] = { throw ReloadFailure("\($0): no file can be read here") }
    ) throws {
        // The port says it: whoever connects there speaks TLS.
        makeSecurity =
            options.makeSecurity ?? (port == 443 ? { try TLSServing().makeServer(for: $0, speaking: $1) } : nil)
        var options = options
        options.makeSecurity = nil
        runtime = ServiceRuntime(node: node, tag: Self.tag, options: options)
        self.port = port
        self.plainPort = plainPort
        self.readFile = readFile
        engine = Gateway(source.initial, random: node.draw { $0.fork("gateway") })
        limiter = RateLimiter([], random: node.draw { $0.fork("rate limiting") })
        if node.world.journal.capacity > 0 { limiter.startRecording() }
        totals = try runtime.metrics.histograms(
            "gateway_request_duration_seconds", "From the end of a request's head to the end of its answer",
            labels: ["route"])
        upstreams = try runtime.metrics.histograms(
            "gateway_upstream_duration_seconds", "Of that, with servers behind", labels: ["route"])
        server = HTTPServer(node: node, service: self, options: Self.options(source.initial))
        link.host = self
        runtime.reloading = Reloading(source) { [unowned self] new in try takeOver(new) }
        setDrainTimeout(source.initial)
    }

    deinit { link.host = nil }

    package var configuration: GatewayConfiguration { engine.configuration }

    /// What concerns clients' connections.
    private static func options(_ configuration: GatewayConfiguration) -> HTTPServerOptions {
        var options = HTTPServerOptions()
        options.idleTimeout = configuration.idleTimeout
        options.headTimeout = configuration.requestTimeout
        options.limits.headBytes = configuration.headLimitBytes
        options.limits.startLineBytes = min(configuration.headLimitBytes, 8 * 1024)
        return options
    }

    private func setDrainTimeout(_ configuration: GatewayConfiguration) {
        if runtime.options.drainTimeout == nil { runtime.drainTimeout = configuration.shutdownTimeout }
    }

    /// What a start would stumble over beyond the configuration itself: keys and secrets that are not there, or not
    /// what they should be.
    ///
    /// - Throws: what is wrong with a file that the configuration names.
    public static func check(_ configuration: GatewayConfiguration, readFile: (String) throws -> [UInt8]) throws {
        if let settings = tokenSettings(configuration) {
            _ = try TokenAuthority.verifier(settings, readFile: readFile)
        }
        if let settings = configuration.introspection { _ = try Introspector.secret(settings, readFile: readFile) }
    }

    /// Nil where no route asks for tokens.
    private static func tokenSettings(_ configuration: GatewayConfiguration) -> GatewayConfiguration.JWTSettings? {
        guard configuration.routes.contains(where: { $0.access.methods.contains(.jwt) }) else { return nil }
        return configuration.jwt ?? GatewayConfiguration.JWTSettings()
    }

    // MARK: Life

    /// - Throws: what is wrong with a file that the configuration names.
    public func prepare() throws {
        node.whenEnded { [link] in link.host?.letGo() }
        rules = try makeRules(configuration, engine.table)
        limiter.reload(rules.limits)
        rules.adopt(limiter.policySet)
        if let makeSecurity { server.security = try makeSecurity(node, server.applicationProtocols) }
        runtime.add(server, on: port, announcement: "Listening on :\(port: port)")
        if let plainPort {
            let plain = HTTPServer(node: node, service: self, options: Self.options(configuration))
            plainServer = plain
            runtime.add(plain, on: plainPort, announcement: "Listening on :\(port: plainPort) without TLS")
        }
    }

    public func abandonStart() { letGo() }

    public func opened() {
        runtime.log("Loaded \(counted(configuration.routes.count, "route"))")
        tellHiddenRoutes()
        if let tokens = rules.tokens {
            if tokens.keyCount > 0 { runtime.log(TokenAuthority.loaded(tokens.keyCount)) }
            tokens.start()
        }
        if !rules.limits.isEmpty { runtime.log("Rate limiters initialized") }
    }

    public func willDrain() { runtime.log("Draining: \(counted(runtime.openConnectionCount, "connection")) open") }

    public func stop(_ done: @escaping () -> Void) {
        letGo()
        node.whenFlushed { [self] in
            runtime.log("Stopped")
            done()
        }
    }

    /// What holds the host in its turn, or goes on by itself.
    private func letGo() {
        rules?.tokens?.stop()
        for name in clusters.keys.sorted() { clusters[name]?.retire() }
        clusters = [:]
    }

    // MARK: Change

    /// Everything that can fail is made first; then all of it is in force at once.
    private func makeRules(_ configuration: GatewayConfiguration, _ table: RouteTable) throws -> GatewayRules {
        var made: [String: ServiceCluster] = [:]
        do {
            try makeClusters(configuration, &made)
            return try makeRules(configuration, table, made)
        } catch {
            for name in made.keys.sorted() where made[name] !== clusters[name] { made[name]?.retire() }
            throw error
        }
    }

    private func makeClusters(_ configuration: GatewayConfiguration, _ made: inout [String: ServiceCluster]) throws {
        for service in configuration.services {
            let known = configuration.registry == self.configuration.registry ? clusters[service.name] : nil
            if let known, known.canBecome(service) {
                made[service.name] = known
            } else {
                made[service.name] = try ServiceCluster(service, node: node, registry: configuration.registry) {
                    [runtime] message, level in runtime.log(message, level: level)
                }
            }
        }
    }

    private func makeRules(
        _ configuration: GatewayConfiguration, _ table: RouteTable, _ made: [String: ServiceCluster]
    ) throws -> GatewayRules {
        var firstLimit = 0
        var routes: [LiveRoute] = []
        for (index, route) in configuration.routes.enumerated() {
            let live = try LiveRoute(
                route, index: index, firstLimit: firstLimit, node: node,
                clusters: { name in
                    guard let cluster = made[name] else { preconditionFailure("a route's service is always there") }
                    return cluster
                }, histograms: (totals.with(route.name), upstreams.with(route.name)))
            firstLimit += (route.limit == nil ? 0 : 1) + (route.addressLimit == nil ? 0 : 1)
            routes.append(live)
        }
        let rules = GatewayRules(
            configuration, table: table, routes: routes, tokens: try makeTokens(configuration),
            introspector: try configuration.introspection.map {
                try Introspector($0, node: node, readFile: readFile)
            })
        // From here on nothing fails.
        for service in configuration.services where made[service.name] === clusters[service.name] {
            made[service.name]?.reload(service)
        }
        for name in clusters.keys.sorted() where made[name] !== clusters[name] { clusters[name]?.retire() }
        clusters = made
        return rules
    }

    private func makeTokens(_ configuration: GatewayConfiguration) throws -> TokenAuthority? {
        guard let settings = Self.tokenSettings(configuration) else { return nil }
        // Keys that were fetched are not thrown away: who issues them may be out just now.
        if case .url = settings.keys, let known = rules?.tokens, known.settings == settings { return known }
        return try TokenAuthority(settings, node: node, readFile: readFile) { [runtime] message, level in
            runtime.log(message, level: level)
        }
    }

    private func takeOver(_ new: GatewayConfiguration) throws -> LogMessage {
        let old = rules
        let rules = try makeRules(new, RouteTable(new.routes, versionField: new.versionField))
        engine.reload(new)
        limiter.reload(rules.limits)
        rules.adopt(limiter.policySet)
        self.rules = rules
        if old?.tokens !== rules.tokens {
            if let past = old?.tokens?.verifier.statistics { earlierTokens = earlierTokens + past }
            old?.tokens?.stop()
            rules.tokens?.start()
        }
        server.options = Self.options(new)
        plainServer?.options = Self.options(new)
        setDrainTimeout(new)
        tellHiddenRoutes()
        return "Reloaded: \(counted(new.routes.count, "route"))"
    }

    private func tellHiddenRoutes() {
        for (name, other) in configuration.hiddenRoutes.prefix(10) {
            runtime.log("\(name) gets no request: \(other) takes all of them", level: .warning)
        }
    }

    // MARK: HTTPService

    private func exchange(_ connection: HTTPServerConnection) -> GatewayExchange {
        if let context = connection.context { return unsafeDowncast(context, to: GatewayExchange.self) }
        let exchange = GatewayExchange(self, connection)
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
        (connection.context as? GatewayExchange)?.close()
        connection.context = nil
    }

    // MARK: For exchanges

    /// Of the client, if it comes by a trusted proxy; of all others one of the gateway's own.
    func requestID(of head: HTTPHead, _ connection: HTTPServerConnection) -> String {
        if rules.configuration.trustedProxies.trusts(connection.clientAddress),
            let given = head.value(of: "X-Request-Id"), given.utf8.count <= Self.requestIDLimit, !given.isEmpty,
            given.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != 34 && $0 != 92 })
        {
            return given
        }
        return node.draw { LabUUID.timeOrdered(at: node.world.now, using: &$0) }.description
    }

    /// One who has nothing to show.
    func anonymous(_ connection: HTTPServerConnection, _ rules: GatewayRules) -> Identity {
        let head = connection.head
        let forwarded = head.fields.filter { $0.name == .xForwardedFor }.map { head.valueBytes(of: $0) }
        let client = rules.configuration.trustedProxies.client(peer: connection.clientAddress, forwarded: forwarded)
        return Identity(subject: "ip:" + client.key(ipv6Prefix: 64))
    }

    func denied(_ refusal: AccessRefusal, _ request: String) {
        denials[refusal.reason, default: 0] += 1
        guard refusalLines.take(node.world.now) else { return }
        runtime.log("Denied \(request): \(refusal.status), \(refusal.reason)")
    }

    func unmatched(_ request: String) {
        engine.countUnmatched()
        guard refusalLines.take(node.world.now) else { return }
        runtime.log("No route for \(request)")
    }

    /// Whoever knocks ten thousand times a second does not fill the log.
    func limited(_ subject: String, _ route: String) {
        guard refusalLines.take(node.world.now) else { return }
        runtime.log("Rate limit hit for \(id: subject) on route:\(route)")
    }

    /// - Parameter decision: of the route's own limit.
    func passed(
        to service: String, upstream: LabDuration, decision: RateLimiter.Decision?, status: Int, isFailure: Bool
    ) {
        guard configuration.logsRequests else { return }
        let time = Self.shown(upstream)
        let end = isFailure ? ", failed: \(status)" : ""
        if let decision, decision.limit < .max {
            let used = decision.limit - decision.remaining
            runtime.log("→ \(service) \(time) (rate: \(used)/\(decision.limit))\(end)")
        } else {
            runtime.log("→ \(service) \(time)\(end)")
        }
    }

    /// Whole milliseconds, or what there is of the first.
    private static func shown(_ time: LabDuration) -> LabDuration {
        let unit: Int64 = time >= .milliseconds(1) ? 1_000_000 : 1000
        return LabDuration(nanoseconds: (time.nanoseconds + unit / 2) / unit * unit)
    }

    /// - Returns: whether it was sent.
    func send(_ mirror: MirroredRequest) -> Bool {
        guard mirrorsUnderWay < Self.mirrorLimit else { return false }
        mirrorsUnderWay += 1
        mirror.send { [link] in link.host?.mirrorsUnderWay -= 1 }
        return true
    }

    /// The services in the configuration's order.
    var presentClusters: [ServiceCluster] { configuration.services.compactMap { clusters[$0.name] } }
    /// Where clients come, and whether they speak TLS there.
    package var listeningPorts: [(port: UInt16, isSecure: Bool)] {
        [(port, server.security != nil)] + (plainPort.map { [($0, false)] } ?? [])
    }
    package var introspectionCalls: Int { rules.introspector?.calls ?? 0 }
    var tokens: TokenAuthority? { rules?.tokens }
}

/// The way to the host for those who may outlive it. A weak reference would do, and slow each retain of the host, which
/// is on the way of every request.
private final class GatewayLink {
    unowned(unsafe) var host: GatewayHost?
}

/// So many log lines a second, and no more.
struct LineBudget {
    private var second = Int64.min
    private var count = 0
    static let limit = 20

    mutating func take(_ now: LabTime) -> Bool {
        if now.unixSeconds != second { (second, count) = (now.unixSeconds, 0) }
        count += 1
        return count <= Self.limit
    }
}
