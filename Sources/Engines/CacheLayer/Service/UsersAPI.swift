import CacheLayerEngine
import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld

/// The application of the documentation: users over HTTP, from a PostgreSQL, with a cache layer in between whose shared
/// half is any server that speaks RESP.
public final class UsersAPI: Service {
    public struct Settings: Sendable {
        public var configuration = CacheConfiguration(keyPrefix: "user:")
        public var database: PostgresURL
        public var cache: HostPort?
        /// How long the shared cache has for an answer.
        public var cacheTimeout = LabDuration.milliseconds(500)
        /// How it hears of what others change.
        public var invalidation = CacheInvalidation.channel
        /// Connections to the database, at most.
        public var databaseConnections = 10
        public static let databaseConnectionRange = UserDatabase.limitRange
        /// Users that are made where there is no table yet.
        public var seedCount = 1_000
        public var auditPercent = 0
        /// Where write-behind keeps its writes.
        public var directory = "/users-api"
        public var queue = WriteBehindQueue.Settings()

        public init(database: PostgresURL) { self.database = database }
    }

    public let runtime: ServiceRuntime
    public let port: UInt16
    public let settings: Settings
    public private(set) var host: LayerHost!
    public private(set) var audit: StalenessAudit
    /// When users were asked for, and how long the database took: what a stampede is replayed with.
    public private(set) var arrivals = ReaderArrivals()
    let users: UserTable
    private let router = HTTPRouter()
    private var server: HTTPServer!
    private var remote: RESPRemote?
    private var listener: NoticeListener?
    private var trackingListener: TrackingListener?
    private var feed: CacheEventFeed?
    private var log: WriteBehindLog?
    public private(set) var requestCount = 0
    private let durations: MetricFamily<Histogram>?

    /// Where changes are told, and heard of.
    static let channel = "cache-layer:changes"
    /// Characters of a user's name and of an address.
    static let textLimit = 200

    public init(node: Node, port: UInt16, settings: Settings, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: "API", options: options)
        self.port = port
        self.settings = settings
        durations = try? runtime.metrics.histograms(
            "http_request_duration_seconds", "From a request for a user to its answer", labels: ["method", "status"])
        audit = StalenessAudit(percent: settings.auditPercent)
        users = UserTable(
            node: node, url: settings.database, seedCount: settings.seedCount,
            connections: settings.databaseConnections)
        server = HTTPServer(node: node, service: router)
        router.options.defaultsToJSON = true
        makeLayer()
        addRoutes()
        runtime.mount(on: router)
    }

    private func makeLayer() {
        var configuration = settings.configuration
        configuration.tellsEvents = settings.cache != nil
        let random = node.draw { $0.fork("cache layer") }
        // All users have one tag, so that all can be forgotten at once.
        var layer = CacheLayer(
            configuration, codec: User.codec, hasRemote: settings.cache != nil, random: random, queue: settings.queue,
            tags: { _ in ["users"] })
        if let cache = settings.cache {
            layer.isToldOfReadsOnly = settings.invalidation == .tracking
            let dialect = RESPDialect(origin: node.name, readsBack: settings.invalidation == .tracking)
            remote = RESPRemote(
                node: node, destination: cache, timeout: settings.cacheTimeout, dialect: dialect,
                isOneConnection: settings.invalidation != .channel)
        }
        if configuration.strategy.contains(.writeBehind) {
            log = WriteBehindLog(node: node, directory: settings.directory)
        }
        let source = LayerHost.Source(
            load: { [users] in users.load($0, $1) }, store: { [users] in users.store($0, $1, $2) },
            storeAll: { [users] in users.storeAll($0, $1) })
        host = LayerHost(node: node, layer: layer, source: source, remote: remote, log: log)
        host.onTrouble = { [unowned self] in runtime.log($0, level: .warning) }
    }

    // MARK: Life

    public func prepare() throws {
        if let log {
            let unconfirmed = try log.open()
            host.restore(
                try unconfirmed.compactMap { record in
                    guard case .write(let sequence, let since, let key, let bytes) = record else { return nil }
                    return .init(
                        key: key, value: try bytes.map { try User.codec.decode($0) }, sequence: sequence, since: since)
                })
        }
        runtime.add(server, on: port, announcement: "Users on :\(port: port)")
    }

    public func abandonStart() { log?.close() }

    public func opened() {
        if host.layer.writeBehind.count > 0 {
            let count = host.layer.writeBehind.count
            runtime.log(
                "\(counted(count, "write of an earlier life waits", "writes of an earlier life wait")) for the database"
            )
        }
        users.prepare { [unowned self] failure in
            runtime.log("Database \(settings.database.text): \(failure)", level: .warning)
        }
        guard let remote else { return }
        let feed = CacheEventFeed(
            node: node, remote: remote, place: HostPort(host: node.address.description, port: port).description,
            prefix: settings.configuration.keyPrefix)
        self.feed = feed
        host.onEvent = { [weak feed] in feed?.send($0) }
        host.hears(false)
        if settings.invalidation == .channel { listen(remote) } else { track(remote) }
        feed.announce()
    }

    /// Follows what other processes change. Until that is so, entries of this process are used for a second only.
    private func listen(_ remote: RESPRemote) {
        let listener = NoticeListener(node: node, destination: remote.destination, channel: Self.channel)
        listener.onHearing = { [unowned self] isHearing in
            self.remote?.dialect.channel = self.listener?.isUnsupported == true ? nil : Self.channel
            host.hears(isHearing)
        }
        listener.onNotice = { [unowned self] text in
            if let notice = remote.dialect.notice(text) { host.heard(notice) }
        }
        self.listener = listener
        listener.start()
    }

    /// The same, where the cache itself says what has changed.
    private func track(_ remote: RESPRemote) {
        let listener = TrackingListener(
            node: node, remote: remote, keyPrefix: settings.configuration.keyPrefix,
            isBroadcasting: settings.invalidation == .broadcast)
        listener.onHearing = { [unowned self] isHearing in
            if trackingListener?.isUnsupported == true {
                let place = remote.destination.description
                runtime.log(
                    "\(place) knows no CLIENT TRACKING in RESP3: entries are used for a second only", level: .warning)
            }
            host.hears(isHearing)
        }
        listener.onNotice = { [unowned self] notice in
            if let notice { host.heard(notice, isInOrder: true) } else { host.invalidateAll() }
        }
        trackingListener = listener
        listener.start()
    }

    /// Whoever watches would never go by himself.
    public func willDrain() { router.drain() }

    public func stop(_ done: @escaping () -> Void) {
        host.drain { [self] in
            users.close()
            listener?.close()
            trackingListener?.close()
            remote?.close()
            log?.close()
            node.whenFlushed(done)
        }
    }

    public var complaints: [String] {
        (log?.brokenReason).map { ["writes cannot be kept: \($0)"] } ?? []
    }

    // MARK: Requests

    private func addRoutes() {
        router.on("GET", "/users/{id}") { [unowned self] exchange in try get(exchange) }
        router.on("PUT", "/users/{id}") { [unowned self] exchange in try put(exchange) }
        router.on("DELETE", "/users/{id}") { [unowned self] exchange in
            write(exchange, try key(exchange), nil)
        }
        router.on("POST", "/cache/invalidate") { [unowned self] exchange in try invalidate(exchange) }
        router.on("GET", "/cache/explain/{id}") { [unowned self] exchange in
            exchange.answer(json: host.layer.explain(try key(exchange), now: node.world.now).json(now: node.world.now))
        }
        router.on("GET", "/events") { [unowned self] exchange in
            guard let feed else { throw HTTPProblem(404, "there is no shared cache, so nobody could find this") }
            try feed.serve(exchange)
        }
    }

    private func key(_ exchange: HTTPExchange) throws(HTTPProblem) -> String {
        let word = exchange.parameters["id"]
        guard let id = UserTable.id(of: word), id > 0 else {
            throw HTTPProblem(
                400, "'\(word)' is no number of a user", remedy: "give a whole number of 1 to \(Int32.max)")
        }
        return "\(id)"
    }

    private func get(_ exchange: HTTPExchange) throws {
        let key = try key(exchange)
        requestCount += 1
        let began = node.world.now
        arrivals.note(began)
        let number = requestCount
        host.read(key, by: "request \(number)") { [self] outcome in
            switch outcome {
            case .failure(let failure):
                let problem = Self.problem(failure)
                observe("GET", problem.status, since: began, exchange)
                exchange.refuse(problem)
            case .success(let found):
                observe("GET", found?.value is User ? 200 : 404, since: began, exchange)
                guard let user = found?.value as? User else {
                    answered(key, since: began)
                    return exchange.refuse(HTTPProblem(404, "there is no user \(key)"))
                }
                if found?.freshness == .stale { try? exchange.addField("Warning", "110 - \"Response is Stale\"") }
                exchange.answer(json: user.json(version: found?.version ?? 0))
                answered(key, since: began)
                if let found { check(user, found, at: node.world.now) }
            }
        }
    }

    private func observe(_ method: String, _ status: Int, since began: LabTime, _ exchange: HTTPExchange) {
        durations?.with(method, "\(status)").observe(node.world.now - began, within: exchange.span)
    }

    private func answered(_ key: String, since began: LabTime) {
        feed?.answered(key, after: node.world.now - began)
    }

    private func check(_ user: User, _ found: CacheAnswer, at time: LabTime) {
        guard found.freshness != .loaded, found.freshness != .pending, node.draw({ audit.begins(&$0) }) else { return }
        let loaded = found.loadedAt + found.loadDuration
        let served = StalenessAudit.Served(user, version: found.version, loadedAt: loaded, at: time)
        users.truth(of: user.id) { [weak self] truth in
            guard let self else { return }
            audit.ended(served, truth: truth, now: node.world.now)
        }
    }

    private func put(_ exchange: HTTPExchange) throws {
        let key = try key(exchange)
        let body = try exchange.json()
        func text(_ name: String) throws(HTTPProblem) -> String {
            guard case .string(let text)? = body[name], !text.isEmpty, text.count <= Self.textLimit else {
                throw HTTPProblem(
                    400, "\(name): there is no text of 1 to \(Self.textLimit) characters",
                    remedy: "send {\"name\": \"…\", \"email\": \"…\"}")
            }
            return text
        }
        let user = User(id: Int(key) ?? 0, name: try text("name"), email: try text("email"))
        write(exchange, key, user)
    }

    private func write(_ exchange: HTTPExchange, _ key: String, _ user: User?) {
        requestCount += 1
        let began = node.world.now
        let method = user == nil ? "DELETE" : "PUT"
        host.write(key, user, by: "request \(requestCount)") { [self] outcome in
            switch outcome {
            case .success:
                let status = user == nil ? 204 : 200
                observe(method, status, since: began, exchange)
                exchange.answer(status, json: user?.json() ?? .null)
            case .failure(let failure):
                let problem = Self.problem(failure)
                observe(method, problem.status, since: began, exchange)
                exchange.refuse(problem)
            }
        }
    }

    private func invalidate(_ exchange: HTTPExchange) throws {
        var query = try exchange.query()
        let keys = query.takeAll("key")
        let tag = try query.take("tag")
        try query.expectNothingElse()
        guard keys.isEmpty != (tag == nil) else {
            throw HTTPProblem(400, "what is to be forgotten?", remedy: "say key=123, or tag=users")
        }
        var left = keys.count + (tag == nil ? 0 : 1)
        var isDone = true
        let ended: (Bool) -> Void = { isSuccess in
            isDone = isDone && isSuccess
            left -= 1
            if left > 0 { return }
            if isDone { return exchange.answer(204) }
            exchange.refuse(HTTPProblem(502, "forgotten here, but the shared cache could not be told"))
        }
        if let tag { return host.invalidate(tag: tag, ended) }
        for key in keys { host.invalidate(key, ended) }
    }

    private static func problem(_ failure: CacheFailure) -> HTTPProblem {
        switch failure {
        case .timedOut: HTTPProblem(504, failure.description)
        case .source, .outcomeUnknown, .abandoned: HTTPProblem(502, failure.description)
        default: HTTPProblem(503, failure.description, field: "Retry-After", "1")
        }
    }

    // MARK: Numbers

    public func collect(into page: inout MetricWriter) {
        CacheMetrics.collect(host.layer, loadTimes: host.loadTimes, name: "users", into: &page)
    }

    public var statistics: [Statistic] {
        let layer = host.layer
        let counters = layer.counters
        return [
            Statistic("requests", requestCount, .counter("users_requests_total", "Requests so far")),
            Statistic("reads", counters.reads), Statistic("hits", counters.hits),
            Statistic("stale_hits", counters.staleHits),
            Statistic("shared_cache_hits", counters.remoteHits), Statistic("misses", counters.misses),
            Statistic("coalesced", counters.coalesced), Statistic("loads", counters.loads),
            Statistic("load_failures", counters.loadFailures), Statistic("load_timeouts", counters.timeouts),
            Statistic("early_loads", counters.earlyLoads),
            Statistic("discarded_fills", counters.discardedFills), Statistic("writes", counters.writes),
            Statistic("entries", layer.entryCount), Statistic("write_queue", layer.writeBehind.count),
            Statistic("database_queries", users.queryCount), Statistic("database_writes", users.writeCount),
            Statistic(
                "connections", users.connectionCount,
                .gauge("users_database_connections", "Connections to the database that have been needed")),
        ]
    }
}
