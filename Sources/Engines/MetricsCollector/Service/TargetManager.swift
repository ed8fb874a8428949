import KernelStructures
import KernelTelemetry
import KernelWorld
import MetricsCollectorEngine
import TimeSeriesEngine

/// All targets: a loop for each, started and stopped as discovery finds and loses them.
final class TargetManager {
    private let node: Node
    private let store: TimeSeriesStore
    private let files: CollectorFiles
    private let makeSecurity: (ScrapeConfiguration) -> (any StreamSecurity)?
    private var discoveries: [TargetDiscovery] = []
    /// Targets that the lab itself offers: see `metrics-collector --lab`.
    private let labTargets: (() -> [TargetGroup])?
    private var labTimer: TimerID?
    private var labGroups: [TargetGroup] = []
    private var labConfiguration = ScrapeConfiguration(job: "lab")
    private(set) var loops: [ScrapeLoop] = []
    /// Targets that relabelling has dropped.
    private(set) var droppedTargets: [Labels] = []
    var onTrouble: ((String) -> Void)?
    /// Samples have been committed to the store.
    var onCommit: (() -> Void)?
    private var isOver = false

    private(set) var totals = Totals()

    struct Totals {
        var scrapes = 0
        var failedScrapes = 0
        var samples = 0
    }

    /// Of all jobs together.
    static let targetLimit = 100_000
    private static let labInterval = LabDuration.seconds(1)

    init(
        _ node: Node, _ store: TimeSeriesStore, files: CollectorFiles, labTargets: (() -> [TargetGroup])?,
        makeSecurity: @escaping (ScrapeConfiguration) -> (any StreamSecurity)?
    ) {
        self.node = node
        self.store = store
        self.files = files
        self.labTargets = labTargets
        self.makeSecurity = makeSecurity
    }

    /// Takes a configuration over. Targets that it has, too, with the same job, go on without a gap.
    func apply(_ configuration: CollectorConfiguration, labInterval: LabDuration) {
        for discovery in discoveries { discovery.stop() }
        discoveries = configuration.scrapes.map { scrape in
            let discovery = TargetDiscovery(scrape, node: node, files: files) { [weak self] in self?.update() }
            discovery.onTrouble = { [weak self] text in self?.onTrouble?(text) }
            return discovery
        }
        labConfiguration.interval = labInterval
        labConfiguration.timeout = min(labInterval, .seconds(10))
        // Nobody asks what is not written down yet; all that is found later comes by itself.
        for discovery in discoveries { discovery.start() }
        update()
        if labTargets != nil, labTimer == nil { lookAround() }
    }

    func stop() {
        isOver = true
        for discovery in discoveries { discovery.stop() }
        node.cancel(labTimer)
        for loop in loops { loop.stop() }
    }

    private func lookAround() {
        guard !isOver, let labTargets else { return }
        let groups = labTargets()
        if groups != labGroups {
            labGroups = groups
            update()
        }
        labTimer = node.after(Self.labInterval) { [weak self] in self?.lookAround() }
    }

    /// Starts what is new and stops what is gone.
    private func update() {
        guard !isOver else { return }
        var wanted: [(target: Target, configuration: ScrapeConfiguration)] = []
        var seen: Set<String> = []
        droppedTargets = []
        for discovery in discoveries { collect(discovery.targets, discovery.configuration, &wanted, &seen) }
        collect(labGroups, labConfiguration, &wanted, &seen)
        var present: [String: ScrapeLoop] = [:]
        for loop in loops { present[Self.key(loop.target)] = loop }
        var next: [ScrapeLoop] = []
        var fresh: [ScrapeLoop] = []
        for (target, configuration) in wanted.prefix(Self.targetLimit) {
            let key = Self.key(target)
            if let loop = present[key], loop.scraper.configuration.isSame(as: configuration) {
                present[key] = nil
                next.append(loop)
                continue
            }
            let loop = ScrapeLoop(
                node, TargetScraper(target, configuration, store), seed: 0, security: makeSecurity(configuration)
            ) { [weak self] loop, outcome in self?.ended(loop, outcome) }
            next.append(loop)
            fresh.append(loop)
        }
        for loop in loops where present[Self.key(loop.target)] === loop { loop.stop() }
        loops = next
        // Not all at one moment; a few hundred a second find their place in the interval from there.
        for (index, loop) in fresh.enumerated() { loop.start(after: .milliseconds(index < 20 ? 0 : index * 3)) }
    }

    private static func key(_ target: Target) -> String { "\(target.job) \(target.identity)" }

    private func collect(
        _ groups: [TargetGroup], _ configuration: ScrapeConfiguration,
        _ wanted: inout [(target: Target, configuration: ScrapeConfiguration)], _ seen: inout Set<String>
    ) {
        var count = 0
        for group in groups {
            for address in group.addresses {
                guard let target = Target(address, group: group.labels, configuration) else {
                    if droppedTargets.count < 1000 {
                        droppedTargets.append(
                            group.labels.setting("__address__", to: address).setting("job", to: configuration.job))
                    }
                    continue
                }
                guard seen.insert(Self.key(target)).inserted else { continue }
                count += 1
                if configuration.targetLimit > 0, count > configuration.targetLimit {
                    onTrouble?(
                        "\(configuration.job): more than \(configuration.targetLimit) targets; the rest is left out")
                    return
                }
                wanted.append((target, configuration))
            }
        }
    }

    private func ended(_ loop: ScrapeLoop, _ outcome: TargetScraper.Outcome) {
        totals.scrapes += 1
        if !outcome.isUp { totals.failedScrapes += 1 }
        totals.samples += outcome.keptSamples
        store.add(outcome.exemplars)
        onCommit?()
    }
}
