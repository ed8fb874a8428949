import KernelHosting
import KernelService
import KernelStorage
import KernelStructures
import KernelTelemetry
import KernelWorld
import LogModelEngine
import LogQLService
import LogStoreEngine
import TimeSeriesEngine

/// Runs a store of logs on a node: takes lines over TCP, UDP and HTTP, and acknowledges what is on the disk.
///
/// ```
/// :5140 TCP  lines of JSON, agents, syslog ─┐
/// :5140 UDP  syslog                         ├─▶ intake ─▶ store ─▶ one commit for all that came in a turn ─▶ answers
/// :5141 HTTP batches, Loki's push, OTLP    ─┘               └─▶ packing, a piece between two turns
/// ```
///
/// When memory is full until it has been packed, HTTP is told to come again (429), and TCP is read no more: the
/// senders' own buffers fill, an agent's spool grows, and nobody's application waits.
public final class LogCollectorHost: Service {
    public struct Settings {
        /// For lines; HTTP is at the next one unless `httpPort` says otherwise.
        public var port: UInt16 = 5140
        public var httpPort: UInt16?
        /// A further port that speaks HTTP: where clients of Loki look.
        public var lokiPort: UInt16?
        /// As the user wrote it, for log lines.
        public var storageName = "./logs"
        public var directory = "/logs"
        public var store = LogStoreSettings()
        public var limits = LogLimits()
        /// Whether the lab's own journal is taken in.
        public var takesLab = false
        /// Bytes of messages whose ends have not come, of all connections together: once for HTTP's bodies, and once
        /// for lines, syslog and agents.
        public var gatheredLimitBytes = 256 << 20

        public init() {}

        var httpPortOrNext: UInt16 { httpPort ?? (port == .max ? port - 1 : port + 1) }
    }

    public let runtime: ServiceRuntime
    public let settings: Settings
    /// Nil before it has started.
    public private(set) var store: LogStore?
    /// What is answered over HTTP, queries included.
    public let router: HTTPRouter
    /// Questions about what is stored, in Loki's manner.
    lazy var queryAPI = LogQueryAPI(node: node) { [weak self] in self?.source }
    let counts = IntakeCounts()
    private var lineServer: LineServer!
    private var httpServer: HTTPServer!
    private var datagrams: DatagramSocket?
    private lazy var datagramHandler = SyslogDatagrams(self)
    private var turns: CommitTurns<StoreReply>!
    private var maintenanceTimer: TimerID?
    private var isMaintaining = false
    private var journal: JournalIntake?
    private var toldProblems = 0
    /// Why the last commit failed, while it does.
    private(set) var commitFailure: String?
    private var retryTimer: TimerID?

    public init(node: Node, settings: Settings, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: "LC", options: options)
        self.settings = settings
        var options = HTTPRouterOptions()
        options.bodyLimitBytes = Self.bodyLimitBytes
        options.gatheredLimitBytes = settings.gatheredLimitBytes
        router = HTTPRouter(options: options)
        httpServer = HTTPServer(node: node, service: router)
        lineServer = LineServer(self)
        turns = CommitTurns(node: node) { [unowned self] done in commit(done) }
        runtime.mount(on: router)
        mountPush()
        mountOTLP()
        mountQueryAPI()
    }

    static let bodyLimitBytes = 16 << 20

    /// Nanoseconds since 1970, as this node's clock has it.
    var now: Int64 { node.wallClock.nanoseconds }

    /// What queries read; a store without anything before it has started.
    public var source: (any LogSource)? { store }

    // MARK: Life

    public func prepare() throws {
        let store = try LogStore(
            settings: settings.store, limits: settings.limits, disk: node.disk, directory: settings.directory, now: now)
        self.store = store
        do {
            datagrams = try node.bindDatagrams(on: settings.port, handler: datagramHandler)
        } catch {
            abandonStart()
            throw error
        }
        runtime.add(lineServer.server, on: settings.port)
        runtime.add(httpServer, on: settings.httpPortOrNext)
        if let port = settings.lokiPort { runtime.add(httpServer, on: port) }
    }

    public func abandonStart() {
        datagrams?.close()
        try? store?.close(now: now)
        store = nil
    }

    public func opened() {
        runtime.log("Storage initialized: \(settings.storageName)")
        if let store, store.statistics.recoveredEntries > 0 {
            runtime.log("Recovered \(counted(store.statistics.recoveredEntries, "line")) from the log")
        }
        runtime.log(
            "Accepting logs on :\(port: settings.port) (TCP) and :\(port: settings.httpPortOrNext) (HTTP)")
        if settings.takesLab {
            store?.whenEmpty = "there are no lines here yet: no other node of the lab has logged any since it started"
            journal = JournalIntake(self)
            journal?.start()
        }
        tellProblems()
        waitToMaintain()
    }

    public func willDrain() {
        queryAPI.drain()
        router.drain()
        datagrams?.close()
        lineServer.closeAll()
    }

    public func stop(_ done: @escaping () -> Void) {
        node.cancel(maintenanceTimer)
        node.cancel(retryTimer)
        journal?.stop()
        datagramHandler.stop()
        do throws(DiskError) {
            try store?.close(now: now)
        } catch {
            runtime.log("The log could not be closed: \("\(error)")", level: .error)
        }
        done()
    }

    private func tellProblems() {
        guard let problems = store?.problems else { return }
        for problem in problems.dropFirst(min(toldProblems, problems.count)) {
            runtime.log("\(problem)", level: .warning)
        }
        toldProblems = problems.count
    }

    // MARK: Durability

    /// Has `reply` called once all that was taken up to now is on the disk, or cannot be put there.
    func whenDurable(_ reply: @escaping (_ failure: String?) -> Void) { turns.note(StoreReply(reply)) }

    /// Something was taken in that nobody waits for.
    func noteWork() { turns.noteWork() }

    private func commit(_ done: @escaping (String?) -> Void) {
        guard let store else { return done("the store is closed") }
        do throws(DiskError) {
            if store.needsCommit { try store.commit(now: now) }
            if commitFailure != nil { runtime.log("The disk takes writes again") }
            commitFailure = nil
        } catch {
            guard case .noSpace = error else {
                // What was promised may be gone: whoever starts it again has it recover what is there.
                runtime.fail("The log could not be written: \("\(error)")")
                return done("\(error)")
            }
            if commitFailure == nil {
                runtime.log("The disk is full: nothing is acknowledged until there is room", level: .error)
            }
            commitFailure = "\(error)"
            retryLater()
            return node.afterDisk { done("\(error)") }
        }
        maintainSoon()
        node.afterDisk { done(nil) }
    }

    private static let retryInterval = LabDuration.seconds(1)

    private func retryLater() {
        guard retryTimer == nil else { return }
        retryTimer = node.after(Self.retryInterval) { [unowned self] in
            retryTimer = nil
            turns.noteWork()
        }
    }

    /// For those who wait for an acknowledgement: what keeps the log from being written, while something does.
    var whyNothingIsStored: String? { commitFailure == nil ? nil : "its disk is full" }

    /// Whether senders must wait.
    var isBusy: Bool { commitFailure != nil || store?.isOverloaded != false }

    // MARK: What can wait

    private static let maintenanceInterval = LabDuration.seconds(30)

    private func waitToMaintain() {
        maintenanceTimer = node.after(Self.maintenanceInterval) { [unowned self] in
            maintenanceTimer = nil
            maintainSoon()
            if maintenanceTimer == nil { waitToMaintain() }
        }
    }

    private func maintainSoon() {
        guard !isMaintaining else { return }
        isMaintaining = true
        maintain()
    }

    /// A piece a turn, so that others are served between.
    private func maintain() {
        guard let store, runtime.phase != .stopped else { return }
        do throws(DiskError) {
            let hasMore = try store.maintain(now: now)
            tellProblems()
            lineServer.goOn()
            if hasMore { return node.afterDisk { [weak self] in self?.maintain() } }
        } catch {
            guard case .noSpace = error else { return runtime.fail("The log could not be written: \("\(error)")") }
            retryLater()
        }
        isMaintaining = false
    }

    // MARK: Numbers

    public var complaints: [String] {
        let damages = store?.damages ?? []
        let more = damages.count > 1 ? " and \(damages.count - 1) more" : ""
        return (commitFailure.map { ["the disk: \($0)"] } ?? [])
            + damages.prefix(1).map { "a segment cannot be read: \($0.problem)\(more)" }
    }

    public var statistics: [Statistic] {
        guard let store else { return [] }
        let own = store.statistics
        let report = store.report
        return [
            Statistic("lines", own.entries, .counter("log_lines_received_total", "Lines taken so far")),
            Statistic("line_bytes", own.bytes, .counter("log_bytes_received_total", "Bytes of lines taken so far")),
            Statistic("refused", counts.refused),
            Statistic(
                "duplicates", own.duplicates + counts.repeated,
                .counter("log_lines_repeated_total", "Lines that were there already")),
            Statistic("commits", own.commits, .counter("log_commits_total", "Syncs of the log")),
            Statistic("streams", report.activeStreams, .gauge("log_streams", "Streams of the last hour")),
            Statistic("hot_bytes", report.hotBytes, .gauge("log_hot_bytes", "Bytes of lines in memory")),
            Statistic(
                "cached_bytes", report.cachedBytes,
                .gauge("log_cached_bytes", "Bytes of tables and chunks that were read lately")),
            Statistic("warm_bytes", report.warm.lineBytes, .gauge("log_warm_bytes", "Bytes of lines in segments")),
            Statistic(
                "warm_stored_bytes", report.warm.fileBytes,
                .gauge("log_warm_stored_bytes", "Bytes of these segments, with all indices")),
            Statistic(
                "cold_bytes", report.cold.lineBytes,
                .gauge("log_cold_bytes", "Bytes of lines in segments of days that are over")),
            Statistic(
                "cold_stored_bytes", report.cold.fileBytes,
                .gauge("log_cold_stored_bytes", "Bytes of these segments, with all indices")),
            Statistic("segments", report.warm.segments + report.cold.segments),
            Statistic("days", report.days),
        ]
    }

    public func collect(into page: inout MetricWriter) {
        page.family(
            "log_lines_retimed_total", .counter, "Lines that are kept at the time of their arrival, not at their own"
        ) { $0.add(counts.retimed) }
        page.family("log_lines_refused_total", .counter, "Lines that were not taken, by reason") { family in
            let reasons = counts.refusals.sorted { byteOrder($0.key, $1.key) < 0 }
            for (reason, count) in reasons { family.add(count, [("reason", reason)]) }
        }
    }
}

/// Somebody who is told when something is durable.
final class StoreReply: TurnConnection {
    private let send: (String?) -> Void
    init(_ send: @escaping (String?) -> Void) { self.send = send }
    func seal() {}
    func sendSealed(_ failure: String?) { send(failure) }
}
