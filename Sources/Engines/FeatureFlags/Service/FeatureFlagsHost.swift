import FeatureFlagsEngine
import KernelHosting
import KernelJSON
import KernelSQLite
import KernelService
import KernelStorage
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld

/// A server of feature flags on a node: Unleash's client API and OFREP for programs, an API and a page for people, and
/// SQLite behind.
///
/// A change is written and synced before anybody hears of it: the answer to whoever made it, the log, and what is
/// pushed to clients all come behind the sync. If the disk is full the change has not happened; if a sync fails the
/// node ends, because nobody can say what is stored.
public final class FeatureFlagsHost: Service {
    public let runtime: ServiceRuntime
    public let port: UInt16
    public let settings: Settings
    public internal(set) var store: FlagStore
    public internal(set) var counts = FlagCounts()
    /// Turns an answer into text or JSON.
    /// Columns of the terminal for which it is; nil for a program.
    let render: (FlagAnswer, _ asJSON: Bool, _ columns: Int?) -> String
    let streams = FlagStreams()
    private(set) var database: FlagDatabase?
    private let router = HTTPRouter()
    private var server: HTTPServer!
    private var compiled: [String: (revision: Int, set: FlagSet)] = [:]
    private var scheduleTimer: TimerID?
    private var countsTimer: TimerID?
    private(set) var requestCount = 0
    private(set) var evaluationCount = 0

    /// Unleash's.
    public static let defaultPort: UInt16 = 4242
    /// Numbers that clients report are written down so much later: what a crash may cost of them.
    public static let countsDelay = LabDuration.seconds(1)
    private static let bodyLimitBytes = 4 << 20

    public struct Settings: Sendable {
        /// Where it is on the node's disk.
        public var directory: String
        /// As it was typed.
        public var directoryText: String
        /// Of a store that is new.
        public var environments = ["production", "development"]

        public init(directory: String, text: String? = nil) {
            self.directory = directory
            directoryText = text ?? directory
        }
    }

    public init(
        node: Node, port: UInt16, settings: Settings, options: ServiceOptions = ServiceOptions(),
        render: @escaping (FlagAnswer, _ asJSON: Bool, _ columns: Int?) -> String
    ) {
        runtime = ServiceRuntime(node: node, tag: "FLAGS", options: options)
        self.port = port
        self.settings = settings
        self.render = render
        store = FlagStore(environments: settings.environments)
        server = HTTPServer(node: node, service: router)
        router.options.bodyLimitBytes = Self.bodyLimitBytes
        router.options.defaultsToProblems = true
        router.explain = Self.problem
        router.options.crossOrigin = try? CrossOriginPolicy(.any)
        router.options.crossOrigin?.allowedFields += ["X-API-Key", "If-None-Match"]
        FlagClientAPI(self).mount(on: router)
        FlagEvaluationAPI(self).mount(on: router)
        FlagAdminAPI(self).mount(on: router)
        runtime.mount(on: router)
        node.whenEnded { [weak self] in self?.database?.abandon() }
    }

    // MARK: Life

    public func prepare() throws {
        try makeDirectory()
        let database = try FlagDatabase(
            disk: node.disk, path: settings.directory + "/flags.db", seed: node.draw { $0.next() }
        ) { [node, runtime] why in node.enqueue { runtime.fail("PANIC: \(why)") } }
        self.database = database
        let documents = try database.load()
        store = try FlagStore(documents, environments: settings.environments)
        counts = FlagCounts()
        for document in documents where document.kind == "count" { try counts.read(document) }
        try database.write(store.takeDocuments())
        try node.disk.syncDirectory(settings.directory)
        runtime.add(server, on: port, announcement: "Listening on :\(port: port)")
    }

    /// A directory that nobody has synced is gone after a power failure, and everything in it.
    private func makeDirectory() throws(DiskError) {
        try node.disk.makeDirectory(settings.directory)
        var parent = DiskPath.parent(of: settings.directory)
        try node.disk.syncDirectory(parent)
        while parent != "/" {
            parent = DiskPath.parent(of: parent)
            try? node.disk.syncDirectory(parent)
        }
    }

    public func abandonStart() { database?.abandon() }

    public func opened() {
        runtime.log("\(KernelStructures.counted(store.activeFlags.count, "flag")) in \("\(settings.directoryText)")")
        schedule()
    }

    public func willDrain() { router.drain() }

    public func stop(_ done: @escaping () -> Void) {
        node.cancel(scheduleTimer)
        node.cancel(countsTimer)
        do throws(SQLiteError) {
            try database?.write(counts.takeDocuments())
            try database?.close()
            runtime.log("Stopped")
        } catch {
            runtime.log("Closing failed: \("\(error)")", level: .error)
        }
        node.afterDisk(done)
    }

    public var statistics: [Statistic] {
        [
            .init("flags", store.activeFlags.count, .gauge("feature_flags", "Flags that are not archived")),
            .init("revision", store.revision, .gauge("feature_flags_revision", "Changes that clients see, so far")),
            .init(
                "streams", streams.count, .gauge("feature_flags_streams", "Clients that are told of changes at once")),
            .init(
                "schedules", store.schedules.count,
                .gauge("feature_flags_schedules", "Rollouts that go on by themselves")),
            .init("requests", requestCount, .counter("feature_flags_requests_total", "Requests over HTTP")),
            .init(
                "evaluations", evaluationCount,
                .counter("feature_flags_evaluations_total", "Flags that were evaluated here, for clients")),
            .init(
                "dropped_counts", counts.droppedCount,
                .counter("feature_flags_dropped_counts_total", "Numbers of clients that found no room")),
        ]
    }

    // MARK: Deciding

    /// What decides in an environment, compiled once for each revision.
    func flagSet(_ environment: String) -> FlagSet {
        if let found = compiled[environment], found.revision == store.revision { return found.set }
        let set = FlagSet(store.definitions(in: environment))
        compiled[environment] = (store.revision, set)
        return set
    }

    func counted() { requestCount += 1 }

    /// A flag was evaluated here.
    func evaluated(_ flag: String, _ environment: String, isOn: Bool, variant: String?) {
        evaluationCount += 1
        var cell = FlagCounts.Cell()
        if isOn { cell.yes = 1 } else { cell.no = 1 }
        if let variant { cell.variants[variant] = 1 }
        count([flag: cell], in: environment)
    }

    /// Numbers have come. Those of flags that there are not are passed over: a client that lags behind is no mistake.
    func count(_ cells: [String: FlagCounts.Cell], in environment: String) {
        let now = node.wallClock
        for (name, cell) in cells.sorted(by: { $0.key < $1.key }) where store.flags[name] != nil {
            counts.add(cell, flag: name, environment: environment, at: now)
            store.saw(name, at: now)
        }
        guard countsTimer == nil, !runtime.isDraining else { return }
        countsTimer = node.after(Self.countsDelay) { [self] in
            countsTimer = nil
            writeCounts()
        }
    }

    private func writeCounts() {
        counts.expire(now: node.wallClock)
        do throws(SQLiteError) {
            try database?.write(counts.takeDocuments() + store.takeDocuments())
        } catch {
            return fail(error)
        }
        _ = node.disk.collectCost()
    }

    // MARK: Changing

    /// Makes a change durable, and then known.
    ///
    /// - Parameter done: called when it is durable, or not at all if the node ends.
    /// - Throws: `FlagError` at once if the store refuses it.
    func change(_ change: FlagChange, by who: String, _ done: @escaping (FlagOutcome) -> Void) throws {
        try commit({ store throws(FlagError) in try store.apply(change, by: who, now: self.node.wallClock) }, done)
    }

    func commit(
        _ body: (inout FlagStore) throws(FlagError) -> FlagOutcome, _ done: @escaping (FlagOutcome) -> Void
    ) throws {
        let before = store
        let outcome = try body(&store)
        do throws(SQLiteError) {
            try database?.write(store.takeDocuments())
        } catch {
            store = before
            if error.isFull { throw HTTPProblem(507, "the disk is full", remedy: "nothing was changed; make room") }
            fail(error)
            throw HTTPProblem(503, "the change could not be stored")
        }
        node.afterDisk { [self] in
            for line in outcome.lines { runtime.log(line) }
            done(outcome)
            streams.endUnadmitted(store)
            publish(outcome.environments)
            schedule()
        }
    }

    /// Ends the node behind this turn; of a failed sync the database has told already.
    private func fail(_ error: SQLiteError) {
        guard database?.hasFailedSync != true else { return }
        node.enqueue { [runtime] in runtime.fail("PANIC: the flags cannot be stored: \("\(error)")") }
    }

    /// Tells clients that follow.
    private func publish(_ environments: [String]) {
        for environment in environments {
            streams.publish(environment, store) { [self] in etag(environment) }
        }
    }

    /// Of all that clients in that environment get.
    func etag(_ environment: String) -> String { "\"\(environment).\(store.revision)\"" }

    // MARK: Time

    private func schedule() {
        node.cancel(scheduleTimer)
        scheduleTimer = nil
        guard !runtime.isDraining, let deadline = store.nextDeadline else { return }
        scheduleTimer = node.after(max(.zero, deadline - node.wallClock)) { [self] in
            scheduleTimer = nil
            let now = node.wallClock
            do {
                try commit({ store in store.advanceSchedules(now: now) }, { _ in })
            } catch {
                // A full disk: the step is made when there is room.
                runtime.log("A scheduled step could not be stored: \("\(error)")", level: .error)
                scheduleTimer = node.after(.seconds(60)) { [self] in schedule() }
            }
        }
    }

    // MARK: Errors

    private static func problem(_ error: any Error) -> HTTPProblem? {
        switch error {
        case let error as FlagError:
            let status =
                switch error.kind {
                case .missing: 404
                case .conflict: 409
                case .invalid: 400
                case .tooMany: 413
                case .unauthorized: 401
                case .forbidden: 403
                }
            var problem = HTTPProblem(status, error.problem, remedy: error.remedy)
            if status == 401 { problem.fields = [("WWW-Authenticate", "Bearer")] }
            return problem
        case let error as TargetingRuleError: return HTTPProblem(400, error.description)
        default: return nil
        }
    }
}
