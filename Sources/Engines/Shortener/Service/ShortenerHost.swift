import KernelHosting
import KernelSQLite
import KernelService
import KernelStorage
import KernelStructures
import KernelWorld
import RateLimiterEngine
import ShortenerEngine

/// Runs a URL shortener on a node: redirects, the APIs, and the clicks on their way into the database.
///
/// A redirect whose link is in memory touches neither router nor database: the click is appended to a file, the answer
/// leaves. Everything else is a route.
public final class ShortenerHost: Service {
    public let runtime: ServiceRuntime
    public let settings: ShortenerSettings
    public let port: UInt16
    let router = HTTPRouter()
    private var server: HTTPServer!
    private(set) var database: (any LinkDatabase)!
    private(set) var clicks: ClickCounter!
    private(set) var codes: CodeSource!
    /// Nil where clicks go straight into the database.
    private(set) var queue: ClickQueue?
    var cache: LinkCache
    private(set) var shared: SharedLinks!
    /// Grows whenever links are forgotten: what was asked for before is not kept then.
    private(set) var forgetCount = 0
    /// Nil where others may add links that this one has not heard of.
    var filter: AliasFilter?
    var keys = KeyRing()
    var domains = DomainTable()
    private var limiter: RateLimiter?
    private(set) var isReady = false
    private var failure: String?
    /// What came before the database was there.
    private var waiting: [(exchange: HTTPExchange, body: () -> Void)] = []
    /// The time for that is over: who comes now is told so at once.
    private var isLate = false
    private(set) var linkCount = 0
    var counts = Counts()

    struct Counts {
        var redirects = 0
        var unknown = 0
        var gone = 0
        var created = 0
        var conflicts = 0
        var limited = 0
        var lostClicks = 0
    }

    public static let defaultPort: UInt16 = 8080
    /// Requests that wait for the database when the service has just begun.
    private static let waitingLimit = 10_000
    /// How long they do.
    private static let waitingPatience = LabDuration.seconds(2)

    public init(node: Node, settings: ShortenerSettings, port: UInt16, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: "URL", options: options)
        self.settings = settings
        self.port = port
        cache = LinkCache(capacity: settings.cacheCapacity)
        if let limit = settings.createsPerMinute, let quota = try? Quota(limit, per: .seconds(60)) {
            limiter = RateLimiter(
                [RateLimitPolicy("creates", .tokenBucket, quota)], random: node.draw { $0.fork("limit") })
        }
        server = HTTPServer(node: node, service: self)
        router.options.defaultsToJSON = true
        router.options.bodyLimitBytes = 8 << 20
        runtime.mount(on: router)
        LinkAPI(self).mount(on: router)
        ShlinkAPI(self).mount(on: router)
        YourlsAPI(self).mount(on: router)
        KeyAPI(self).mount(on: router)
        ShortenerDocument.mount(on: router)
        VisitRoutes(self).mount(on: router)
    }

    // MARK: Life

    public func prepare() throws {
        switch settings.store {
        case .file(let path, let text):
            do throws(SQLiteError) {
                database = try SQLiteLinks(node: node, path: path) { [runtime] why in runtime.fail("PANIC: \(why)") }
            } catch {
                throw ShortenerFailure(description: "\(text): \(error)")
            }
        case .postgres(let url, _):
            let links = PostgresLinks(node: node, url: url)
            links.onChange = { [weak self] text in
                switch text {
                case PostgresLinks.keysNotice: self?.learnKeys { _ in }
                case PostgresLinks.domainsNotice: self?.learnDomains { _ in }
                default: self?.forget(text)
                }
            }
            database = links
        }
        shared = SharedLinks(node, database, cache: settings.sharedCache) { [runtime] in runtime.log($0) }
        // Not weak: an object that is referred to weakly pays for it with every retain and release, and this one is on
        // the way of each visitor. Nobody else keeps what calls it.
        shared.onChange = { [unowned self] code in forget(code) }
        let log = try openClicks()
        queue = settings.queue.map { ClickQueue(self, $0) }
        clicks = ClickCounter(self, log)
        codes = CodeSource(database, firstLength: settings.codeLength)
        runtime.add(server, on: port)
    }

    private func openClicks() throws -> ClickLog {
        do throws(DiskError) {
            let log = try ClickLog(disk: node.disk, directory: settings.clickDirectory)
            node.whenEnded { [weak log] in log?.abandon() }
            return log
        } catch {
            guard case .busy = error else { throw error }
            throw ShortenerFailure(
                description: "\(settings.clickDirectory): another shortener keeps its clicks there; "
                    + "give each a directory of its own: --clicks DIR")
        }
    }

    public func abandonStart() {
        clicks?.close()
        queue?.close()
        shared?.close()
        database?.close()
    }

    public func opened() {
        shared.start()
        queue?.start()
        connect(after: .milliseconds(250))
        node.after(Self.waitingPatience) { [self] in
            isLate = true
            let callers = waiting
            waiting = []
            for caller in callers { caller.exchange.refuse(notThere) }
        }
    }

    private var notThere: HTTPProblem {
        HTTPProblem(
            503, "the database is not there: \(failure ?? "it has not answered yet")", remedy: "try again",
            field: "Retry-After", "1")
    }

    /// Makes the tables, learns what there is, counts what an earlier life has left, and lets the waiting in.
    private func connect(after pause: LabDuration) {
        database.run(LinkTables.definitions) { [self] result in
            if case .failure(let trouble) = result { return connectAgain(trouble, pause) }
            let key = node.draw { $0.next() } >> 2
            let steps: [(@escaping (LinkDatabaseFailure?) -> Void) -> Void] = [
                addColumns, { [codes] in codes!.open(proposedKey: key, $0) }, learnCodes, learnKeys,
                learnDomains,
                { [clicks] in clicks!.open($0) },
            ]
            carryOut(steps[...], pause)
        }
    }

    private func carryOut(_ steps: ArraySlice<(@escaping (LinkDatabaseFailure?) -> Void) -> Void>, _ pause: LabDuration)
    {
        guard let step = steps.first else { return becomeReady() }
        step { [self] failure in
            if let failure { connectAgain(failure, pause) } else { carryOut(steps.dropFirst(), pause) }
        }
    }

    /// Those that a database of an earlier version lacks.
    private func addColumns(_ done: @escaping (LinkDatabaseFailure?) -> Void) { add(LinkTables.additions[...], done) }

    private func add(
        _ rest: ArraySlice<(question: String, statements: [LinkStatement])>,
        _ done: @escaping (LinkDatabaseFailure?) -> Void
    ) {
        guard let addition = rest.first else { return done(nil) }
        database.run(addition.question) { [self] result in
            guard case .failure(let failure) = result, !failure.isPassing else { return add(rest.dropFirst(), done) }
            database.run(addition.statements) { [self] result in
                if case .failure(let failure) = result { done(failure) } else { add(rest.dropFirst(), done) }
            }
        }
    }

    private func connectAgain(_ trouble: LinkDatabaseFailure, _ pause: LabDuration) {
        if failure != trouble.description { runtime.log("Database: \(trouble.description)", level: .warning) }
        failure = trouble.description
        node.after(pause) { [self] in connect(after: min(pause * 2, .seconds(10))) }
    }

    /// All codes, for the filter; only their number where others add to them.
    private func learnCodes(_ done: @escaping (LinkDatabaseFailure?) -> Void) {
        let sql = database.isExclusive ? "SELECT code FROM url_links" : "SELECT count(*) FROM url_links"
        database.run(sql) { [self] result in
            switch result {
            case .failure(let failure): done(failure)
            case .success(let rows) where database.isExclusive:
                linkCount = rows.count
                var filter = AliasFilter(capacity: rows.count * 2, seed: node.draw { $0.next() })
                for row in rows { filter.insert(row.first?.text ?? "") }
                self.filter = filter
                done(nil)
            case .success(let rows):
                linkCount = rows.first?.first?.integer ?? 0
                done(nil)
            }
        }
    }

    private func becomeReady() {
        isReady = true
        isLate = false
        failure = nil
        runtime.log("Database connected, \(counted(linkCount, "link")) stored")
        runtime.log("Listening on :\(port: port)")
        let callers = waiting
        waiting = []
        for caller in callers { caller.body() }
    }

    /// Calls when the database is there; refuses if that takes long, or too many wait for it.
    func whenReady(_ exchange: HTTPExchange, _ body: @escaping () throws -> Void) {
        let carryOut = { exchange.handle { _ in try body() } }
        if isReady { return carryOut() }
        guard !isLate, waiting.count < Self.waitingLimit else { return exchange.refuse(notThere) }
        waiting.append((exchange, carryOut))
    }

    public func willDrain() {
        for caller in waiting { caller.exchange.refuse(notThere) }
        waiting = []
        router.drain()
    }

    public func stop(_ done: @escaping () -> Void) {
        guard isReady else {
            abandonStart()
            return done()
        }
        clicks.flush { [self] _ in
            clicks.endLife { [self] in
                let left = clicks.waitingCount
                clicks.close()
                queue?.close()
                shared.close()
                database.close()
                runtime.log(
                    left == 0
                        ? "Stopped, all clicks counted" : "Stopped, \(counted(left, "click")) wait for the next start")
                node.afterDisk(done)
            }
        }
    }

    public var complaints: [String] { (failure.map { ["database: \($0)"] } ?? []) + clicks.complaints }

    public var statistics: [Statistic] {
        [
            .init("links", linkCount, .gauge("url_links", "Links that are stored")),
            .init("redirects", counts.redirects, .counter("url_redirects_total", "Visitors that were sent on")),
            .init("unknown", counts.unknown, .counter("url_unknown_total", "Visits of codes that there are not")),
            .init("gone", counts.gone, .counter("url_gone_total", "Visits of links that are over")),
            .init("created", counts.created, .counter("url_created_total", "Links that were made")),
            .init("conflicts", counts.conflicts, .counter("url_conflicts_total", "Aliases that were taken")),
            .init("limited", counts.limited, .counter("url_limited_total", "Links refused by the rate limit")),
            .init("cached", cache.count, .gauge("url_cache_entries", "Links in memory")),
            .init("cache_hits", cache.hits, .counter("url_cache_hits_total", "Links found in memory")),
            .init("cache_misses", cache.misses, .counter("url_cache_misses_total", "Links asked of the database")),
            .init(
                "clicks_counted", clicks.countedCount, .counter("url_clicks_counted_total", "Clicks in the database")),
            .init("clicks_waiting", clicks.waitingCount, .gauge("url_clicks_waiting", "Clicks on their way there")),
            .init(
                "pages_sent", queue?.pagesSent ?? 0,
                .counter("url_pages_sent_total", "Pages of clicks that the broker has taken")),
            .init(
                "pages_entered", queue?.pagesEntered ?? 0,
                .counter("url_pages_entered_total", "Pages of clicks that came from the broker")),
            .init("clicks_lost", counts.lostClicks, .counter("url_clicks_lost_total", "Clicks that no disk took")),
        ]
    }

    // MARK: For the routes

    /// Somebody has changed the link; nil: nobody knows which.
    func forget(_ code: String?) {
        forgetCount += 1
        if let code {
            cache.remove(code)
            shared.heard(code)
        } else {
            cache.removeAll()
        }
    }

    func stored(_ link: Link) {
        linkCount += 1
        counts.created += 1
        filter?.insert(link.code)
        forgetCount += 1
        cache.remove(link.code)
        if filter?.isFull == true { learnCodes { _ in } }
    }

    /// - Throws: 429 for a client that has made too many links.
    func expectRoom(for exchange: HTTPExchange) throws(HTTPProblem) {
        guard limiter != nil else { return }
        let client = exchange.field("X-Api-Key") ?? exchange.remote.map { "\($0.address)" } ?? "unknown"
        let decision = limiter!.decide(policy: 0, key: client, now: node.world.now)
        guard !decision.isAllowed else { return }
        counts.limited += 1
        // In whole seconds, and never too few.
        let seconds = max(1, (decision.retryAfter.nanoseconds + 999_999_999) / 1_000_000_000)
        throw HTTPProblem(
            429, "too many links in a minute", remedy: "try again in \(seconds) s", field: "Retry-After", "\(seconds)")
    }

    func base(for exchange: HTTPExchange) -> String {
        settings.base ?? "http://\(exchange.field("Host") ?? "localhost:\(port)")"
    }

    /// - Parameter code: with the link's domain before it, if it has one of its own.
    func shortURL(_ code: String, _ exchange: HTTPExchange) -> String {
        let base = base(for: exchange)
        guard code.contains("/") else { return "\(base)/\(code)" }
        return "\(base.hasPrefix("https:") ? "https" : "http")://\(code)"
    }

    static func problem(_ failure: LinkDatabaseFailure) -> HTTPProblem {
        failure.isPassing
            ? HTTPProblem(503, "the database: \(failure)", remedy: "try again", field: "Retry-After", "1")
            : HTTPProblem(500, "the database: \(failure)")
    }
}

/// Why it does not start.
struct ShortenerFailure: Error, CustomStringConvertible { let description: String }
