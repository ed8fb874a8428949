import KernelConfiguration
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import MetricsCollectorEngine
import PromQLEngine
import TimeSeriesEngine

/// Evaluates groups of rules at their intervals, keeps what they record, and tells Alertmanagers of alerts.
final class RuleKeeper {
    private let node: Node
    private let externalURL: String
    private let store: TimeSeriesStore
    private let longQueries: LongQueries
    /// Groups that take longer than a slice, by their places.
    private var underWay: [Int: LongQuery] = [:]
    private(set) var groups: [RuleGroup] = []
    private var timers: [TimerID] = []
    private var configuration = CollectorConfiguration()
    private var isOver = false
    /// Samples have been committed to the store.
    var onCommit: (() -> Void)?
    var onTrouble: ((String) -> Void)?
    private(set) var evaluationCount = 0
    /// Evaluations that were due while the one before was under way.
    private(set) var missedCount = 0
    private(set) var sentCount = 0
    private(set) var failedSendCount = 0
    /// Alertmanagers that did not answer last time, so that each is complained of once.
    private var silentManagers: Set<HostPort> = []

    private static let sendDeadline = LabDuration.seconds(10)
    /// Files of rules.
    private static let fileLimit = 1000

    /// - Parameter externalURL: where people reach the collector.
    init(_ node: Node, _ store: TimeSeriesStore, _ longQueries: LongQueries, externalURL: String) {
        self.node = node
        self.externalURL = externalURL
        self.store = store
        self.longQueries = longQueries
    }

    /// Reads the files of rules that a configuration names.
    ///
    /// - Throws: what is wrong with one of them.
    static func read(_ configuration: CollectorConfiguration, _ files: CollectorFiles) throws -> [RuleGroupDefinition] {
        var groups: [RuleGroupDefinition] = []
        let interval = max(1, configuration.evaluationInterval.nanoseconds / 1_000_000)
        for pattern in configuration.ruleFiles {
            for name in files.matching(pattern).prefix(fileLimit) {
                let file = try RuleFile(
                    yaml: try files.read(name), file: name, evaluationIntervalMilliseconds: interval)
                groups += file.groups
            }
        }
        return groups
    }

    /// Takes rules over. Those that were there before go on with what they have found.
    func apply(_ configuration: CollectorConfiguration, _ definitions: [RuleGroupDefinition]) {
        self.configuration = configuration
        endAll()
        groups = definitions.map { definition in
            var group = RuleGroup(definition)
            let older = groups.first { $0.definition.name == definition.name && $0.definition.file == definition.file }
            if let older { group.adopt(older) }
            return group
        }
        for index in groups.indices { timers.append(schedule(index)) }
    }

    func stop() {
        isOver = true
        endAll()
    }

    private func endAll() {
        for timer in timers { node.cancel(timer) }
        timers = []
        for run in underWay.values { longQueries.end(run) }
        underWay = [:]
    }

    /// At the multiples of its interval.
    private func schedule(_ index: Int) -> TimerID {
        let step = max(1, groups[index].definition.intervalMilliseconds)
        let now = node.world.now.nanoseconds / 1_000_000
        let wait = step - (now % step + step) % step
        return node.after(.milliseconds(Int(clamping: wait))) { [weak self] in
            guard let self, !isOver, groups.indices.contains(index) else { return }
            evaluate(index)
            if timers.indices.contains(index) { timers[index] = schedule(index) }
        }
    }

    /// At once if that takes a millisecond or so; otherwise the rest of the group is evaluated in slices, and what is
    /// due meanwhile is left out, as Prometheus does.
    private func evaluate(_ index: Int) {
        guard underWay[index] == nil else {
            missedCount += 1
            return
        }
        let now = node.milliseconds
        var context = RuleGroup.Context()
        context.externalLabels = configuration.externalLabels
        context.externalURL = externalURL
        evaluationCount += 1
        let trial = ShortTrial()
        let rest = groups[index].evaluate(
            at: now, over: store, limits: trial.limits(QueryLimits()), context: context,
            wasCutShort: { trial.isOver }, append: append)
        guard let rest else { return evaluated(index, now) }
        var group = groups[index]
        underWay[index] = longQueries.add(limits: QueryLimits()) { [store, append] limits in
            group.evaluate(at: now, from: rest, over: store, limits: limits, context: context, append: append)
        } completion: { [weak self] in
            guard let self else { return }
            underWay[index] = nil
            groups[index] = group
            evaluated(index, now)
        }
    }

    private func evaluated(_ index: Int, _ now: Int64) {
        onCommit?()
        let due = groups[index].takeDueAlerts(at: now)
        if !due.isEmpty { send(due) }
    }

    private var append: ([RuleGroup.Sample]) -> Void {
        { [store] samples in Self.append(samples, to: store) }
    }

    /// What the store refuses (a second result for one moment, a full store) is left out, as with any other sample.
    private static func append(_ samples: [RuleGroup.Sample], to store: TimeSeriesStore) {
        var batch = TimeSeriesStore.Batch()
        for sample in samples {
            do throws(AppendError) {
                let handle = try store.handle(sample.labels)
                if let histogram = sample.histogram {
                    try store.add(sample.timestamp, histogram, to: handle, &batch)
                } else {
                    try store.add(sample.timestamp, sample.value, to: handle, &batch)
                }
            } catch {
                continue
            }
        }
        store.commit(batch)
    }

    // MARK: Alertmanagers

    /// Where Prometheus shows an expression as a table.
    private static func link(to expression: String) -> String {
        let words = expression.split(separator: " ", omittingEmptySubsequences: false)
        return "/graph?g0.expr=\(words.map { PercentCoding.encode(String($0)) }.joined(separator: "+"))&g0.tab=1"
    }

    private func send(_ alerts: [Alert]) {
        let list = alerts.map { alert -> JSONValue in
            var own = alert
            for (name, value) in configuration.externalLabels.pairs where !own.labels.has(name) {
                own.labels = own.labels.setting(name, to: value)
            }
            return own.notification(generatorURL: externalURL + Self.link(to: alert.expression))
        }
        let body = JSONValue.array(list).bytes(.compact)
        for manager in configuration.alertmanagers {
            var request = HTTPCall.Request(
                "POST", url: HTTPURL(host: manager.host, port: manager.port, target: "/api/v2/alerts"))
            request.fields = [("Content-Type", "application/json"), ("User-Agent", "sdlab")]
            request.body = body
            request.deadline = Self.sendDeadline
            HTTPCall(node, request) { [weak self] result in self?.sent(alerts.count, to: manager, result) }.start()
        }
    }

    private func sent(_ count: Int, to manager: HostPort, _ result: Result<HTTPCall.Response, HTTPCall.Failure>) {
        let trouble: String
        switch result {
        case .success(let response) where response.isSuccess:
            sentCount += count
            silentManagers.remove(manager)
            return
        case .success(let response): trouble = response.problem.description
        case .failure(let failure): trouble = failure.description
        }
        failedSendCount += count
        if silentManagers.insert(manager).inserted { onTrouble?("alertmanager \(manager): \(trouble)") }
    }
}
