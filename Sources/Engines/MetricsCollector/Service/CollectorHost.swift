import KernelCoroutines
import KernelHosting
import KernelJSON
import KernelService
import KernelStorage
import KernelStructures
import KernelTelemetry
import KernelWorld
import MetricsCollectorEngine
import PromQLEngine
import TimeSeriesEngine

/// Runs a collector on a node: its targets, its store, and the HTTP API of Prometheus.
public final class CollectorHost: Service {
    public struct Settings {
        public var port = MetricsCollector.defaultPort
        public var store = StoreSettings()
        /// Where log and blocks are; nil for a store in memory, which a restart empties.
        public var directory: String?
        public var files = CollectorFiles.none
        /// The nodes of the lab that show metrics, for `--lab`; nil without it.
        public var labTargets: (() -> [TargetGroup])?
        /// TLS toward targets; nil where none can be made.
        public var makeSecurity: (ScrapeConfiguration, Node) -> (any StreamSecurity)? = { _, _ in nil }

        public init() {}
    }

    public let runtime: ServiceRuntime
    public let settings: Settings
    public var port: UInt16 { settings.port }
    public private(set) var configuration: CollectorConfiguration
    public private(set) var store: TimeSeriesStore
    private(set) var manager: TargetManager!
    private(set) var rules: RuleKeeper!
    private(set) var writers: [RemoteWriter] = []
    let longQueries: LongQueries
    let router = HTTPRouter()
    private var server: HTTPServer!
    /// What the files of rules said before the start.
    private var firstRules: [RuleGroupDefinition] = []
    private let storeSettings: StoreSettings
    private var maintenanceTimer: TimerID?
    private var maintenance: Coroutine<Result<Void, any Error>>?
    private var toldProblems = 0
    var apiRequestCount = 0
    var apiFailureCount = 0

    public init(
        node: Node, source: ConfigurationSource<CollectorConfiguration>, settings: Settings,
        options: ServiceOptions = ServiceOptions()
    ) {
        runtime = ServiceRuntime(node: node, tag: "PROM", options: options)
        longQueries = LongQueries(node)
        self.settings = settings
        configuration = source.initial
        var own = settings.store
        own.outOfOrderMilliseconds = source.initial.outOfOrderWindow.nanoseconds / 1_000_000
        own.tiers = source.initial.tiers
        storeSettings = own
        store = TimeSeriesStore(settings: own)
        router.options.defaultsToJSON = true
        server = HTTPServer(node: node, service: router)
        runtime.reloading = Reloading(source) { [unowned self] new in try takeOver(new) }
        mountAPI()
        runtime.mount(on: router)
    }

    // MARK: Life

    /// What a start would say of a configuration and of all files that it names: rules, and lists of targets that are
    /// there already.
    ///
    /// - Returns: how many rules there are.
    /// - Throws: what is wrong with one of them.
    public static func check(_ configuration: CollectorConfiguration, _ files: CollectorFiles) throws -> Int {
        for scrape in configuration.scrapes { try TargetDiscovery.check(scrape, files) }
        return try RuleKeeper.read(configuration, files).reduce(0) { $0 + $1.rules.count }
    }

    public func prepare() throws {
        let definitions = try RuleKeeper.read(configuration, settings.files)
        if let directory = settings.directory {
            let random = node.draw { SeededRandom(seed: $0.next()) }
            store = try TimeSeriesStore(
                settings: storeSettings, disk: node.disk, directory: directory, random: random)
        }
        let makeSecurity = settings.makeSecurity
        manager = TargetManager(node, store, files: settings.files, labTargets: settings.labTargets) {
            [unowned node] in makeSecurity($0, node)
        }
        manager.onTrouble = { [unowned self] text in runtime.log("\(text)", level: .warning) }
        manager.onCommit = { [unowned self] in syncSoon() }
        rules = RuleKeeper(node, store, longQueries, externalURL: "http://\(node.name):\(port)")
        rules.onTrouble = { [unowned self] text in runtime.log("\(text)", level: .warning) }
        rules.onCommit = { [unowned self] in syncSoon() }
        firstRules = definitions
        runtime.add(server, on: port, announcement: "Listening on :\(port: port)")
    }

    public func abandonStart() { closeStore() }

    public func opened() {
        let count = configuration.staticTargetCount
        if settings.labTargets != nil, count == 0 {
            runtime.log("Scraping every node of the lab")
        } else {
            runtime.log("Loaded \(count) scrape target\(count == 1 ? "" : "s")")
        }
        runtime.log("Scrape interval: \(configuration.scrapeInterval)")
        let replayed = store.statistics.replayedSamples
        if replayed > 0 { runtime.log("Recovered \(counted(replayed, "sample")) from the log") }
        let kept = store.statistics.snapshotSeries
        if kept > 0 { runtime.log("Found \(kept) series as they were left") }
        tellProblems()
        manager.apply(configuration, labInterval: configuration.scrapeInterval)
        rules.apply(configuration, firstRules)
        startWriters(configuration)
        firstRules = []
        waitToMaintain()
    }

    /// What the store has found or could not do, each once.
    private func tellProblems() {
        for problem in store.problems.dropFirst(toldProblems) { runtime.log("\(problem)", level: .warning) }
        toldProblems = store.problems.count
    }

    // MARK: The store

    private static let syncInterval = LabDuration.seconds(1)
    private static let maintenanceInterval = LabDuration.seconds(60)
    private var isSyncDue: Bool { syncTimer != nil }
    private var syncTimer: TimerID?

    /// What has been committed is durable a second later at the latest.
    private func syncSoon() {
        guard !isSyncDue, store.needsSync else { return }
        syncTimer = node.after(Self.syncInterval) { [unowned self] in
            syncTimer = nil
            do throws(DiskError) {
                try store.sync()
            } catch {
                runtime.log("The log could not be synced: \("\(error)")", level: .error)
            }
        }
    }

    private func waitToMaintain() {
        maintenanceTimer = node.after(Self.maintenanceInterval) { [unowned self] in maintain() }
    }

    /// Somebody has sent so much that waiting would only let the head grow.
    func maintainIfDue() {
        guard maintenanceTimer != nil, store.needsCut else { return }
        node.cancel(maintenanceTimer)
        maintenanceTimer = nil
        node.enqueue { [weak self] in self?.maintain() }
    }

    /// One piece of work a turn, so that others are served between; blocks are written in slices.
    private func maintain() {
        maintenanceTimer = nil
        if let job = store.nextJob(now: node.milliseconds) { return write(job) }
        // What is taken out of memory may be what a query between two of its slices is still to read.
        longQueries.whenQuiet { [weak self] in
            guard let self else { return }
            goOn(hasMore: store.maintain(now: node.milliseconds))
        }
    }

    private func goOn(hasMore: Bool) {
        tellProblems()
        if hasMore { node.enqueue { [weak self] in self?.maintain() } } else { waitToMaintain() }
    }

    private func write(_ job: BlockJob) {
        inSlices({ giveWay in Result { try job.write(giveWay) } }) { [weak self] written in
            self?.longQueries.whenQuiet { [weak self] in
                guard let self else { return }
                do { try store.take(job, written) } catch { return blockFailed(error) }
                checkpoint()
            }
        }
    }

    private func checkpoint() {
        let store = store
        inSlices({ giveWay in Result { try store.checkpoint(giveWay) } }) { [weak self] done in
            guard let self else { return }
            do { try done.get() } catch { return blockFailed(error) }
            goOn(hasMore: true)
        }
    }

    private func blockFailed(_ error: any Error) {
        store.failed("a block", error)
        goOn(hasMore: false)
    }

    var isWritingBlock: Bool { maintenance != nil }

    /// Runs a body between everything else; all at once where there is no thread for that.
    private func inSlices(
        _ body: @escaping (() -> Bool) -> Result<Void, any Error>, then: @escaping (Result<Void, any Error>) -> Void
    ) {
        do throws(CoroutineError) {
            maintenance = try node.runInSlices(sliceCost: LongQueries.sliceCost) { slice in
                body { slice.offer() }
            } completion: { [weak self] result in
                self?.maintenance = nil
                then(result)
            }
        } catch {
            then(body { true })
        }
    }

    public func stop(_ done: @escaping () -> Void) {
        closeStore()
        done()
    }

    private func closeStore() {
        longQueries.stop()
        maintenance?.stop()
        maintenance = nil
        node.cancel(maintenanceTimer)
        node.cancel(syncTimer)
        do throws(DiskError) {
            try store.close()
        } catch {
            runtime.log("The log could not be closed: \("\(error)")", level: .error)
        }
    }

    private func takeOver(_ new: CollectorConfiguration) throws -> LogMessage? {
        let definitions = try RuleKeeper.read(new, settings.files)
        configuration = new
        rules.apply(new, definitions)
        manager.apply(new, labInterval: new.scrapeInterval)
        startWriters(new)
        // Those of names and registries come when these have answered.
        let count = manager.loops.count
        return "Reloaded: \(count) scrape target\(count == 1 ? "" : "s"), every \(new.scrapeInterval)"
    }

    /// One for each place; whoever has samples waiting for one that stays goes on.
    private func startWriters(_ configuration: CollectorConfiguration) {
        let before = writers
        writers = configuration.remoteWrites.map { place in
            if let known = before.first(where: { $0.url == place.url && !$0.isStale(configuration) }) { return known }
            var scrape = ScrapeConfiguration(job: "remote_write")
            scrape.scheme = place.url.hasPrefix("https:") ? "https" : "http"
            let writer = RemoteWriter(
                node, url: place.url, externalLabels: configuration.externalLabels,
                security: settings.makeSecurity(scrape, node))
            writer.onTrouble = { [unowned self] text in runtime.log("\(text)", level: .warning) }
            return writer
        }
        for writer in before where !writers.contains(where: { $0 === writer }) { writer.stop() }
        let writers = writers
        store.onSample =
            writers.isEmpty
            ? nil : { labels, time, value in for writer in writers { writer.add(labels, time, value) } }
    }

    public func willDrain() {
        manager.stop()
        rules.stop()
        for writer in writers { writer.stop() }
    }

    // MARK: Numbers

    public var complaints: [String] { [] }

    public var statistics: [Statistic] {
        let report = store.cardinality(limit: 0)
        let up = manager.loops.count { $0.lastOutcome?.isUp == true }
        return [
            Statistic(
                "targets", manager.loops.count, .gauge("prometheus_sd_discovered_targets", "Targets that are scraped")),
            Statistic("targets_up", up),
            Statistic("scrapes", manager.totals.scrapes, .counter("prometheus_target_scrapes_total", "Scrapes so far")),
            Statistic(
                "failed_scrapes", manager.totals.failedScrapes,
                .counter("prometheus_target_scrapes_failed_total", "Scrapes that brought nothing")),
            Statistic(
                "samples", store.statistics.appendedSamples,
                .counter("prometheus_tsdb_head_samples_appended_total", "Samples taken so far")),
            Statistic(
                "samples_refused", store.statistics.refusedSamples,
                .counter("prometheus_tsdb_samples_refused_total", "Samples that came twice, too late or out of order")),
            Statistic("series", report.seriesCount, .gauge("prometheus_tsdb_head_series", "Series in memory")),
            Statistic("chunks", report.chunkCount, .gauge("prometheus_tsdb_head_chunks", "Chunks in memory")),
            Statistic(
                "chunk_bytes", report.chunkBytes,
                .gauge("prometheus_tsdb_head_chunk_bytes", "Bytes of packed samples in memory")),
            Statistic(
                "remote_samples", writers.reduce(0) { $0 + $1.queue.sentCount },
                .counter("prometheus_remote_storage_samples_total", "Samples that others have taken")),
            Statistic(
                "remote_pending", writers.reduce(0) { $0 + $1.queue.pendingCount },
                .gauge("prometheus_remote_storage_samples_pending", "Samples on their way to others")),
            Statistic(
                "remote_lost", writers.reduce(0) { $0 + $1.queue.failedCount + $1.queue.droppedCount },
                .counter("prometheus_remote_storage_samples_failed_total", "Samples that others never got")),
            Statistic(
                "long_queries", longQueries.count,
                .gauge("prometheus_engine_queries", "Queries that are carried out in slices now, or wait to be")),
            Statistic(
                "rule_evaluations", rules?.evaluationCount ?? 0,
                .counter("prometheus_rule_group_iterations_total", "Evaluations of groups of rules")),
            Statistic(
                "missed_rule_evaluations", rules?.missedCount ?? 0,
                .counter(
                    "prometheus_rule_group_iterations_missed_total",
                    "Evaluations that were left out because the one before was under way")),
            Statistic(
                "notifications", rules?.sentCount ?? 0,
                .counter("prometheus_notifications_sent_total", "Alerts that an Alertmanager has taken")),
            Statistic(
                "failed_notifications", rules?.failedSendCount ?? 0,
                .counter("prometheus_notifications_errors_total", "Alerts that an Alertmanager did not take")),
            Statistic(
                "api_requests", apiRequestCount, .counter("prometheus_api_requests_total", "Requests to the API")),
        ]
    }

    /// The targets as they are now, for views.
    public var targetStates: [TargetState] {
        manager.loops.map { loop in
            let outcome = loop.lastOutcome
            return TargetState(
                job: loop.target.job, instance: loop.target.labels["instance"], url: loop.target.url,
                isUp: outcome?.isUp, samples: outcome?.keptSamples ?? 0, lastTime: loop.lastTime,
                duration: loop.lastDuration, error: outcome?.error)
        }
    }

    public struct TargetState: Sendable {
        public let job: String
        public let instance: String
        public let url: String
        /// nil before the first scrape.
        public let isUp: Bool?
        public let samples: Int
        public let lastTime: LabTime?
        public let duration: LabDuration
        public let error: String?
    }
}
