import KernelJSON
import KernelStructures

/// What happened, in the shape of the Toolkit's `journal.json`.
public struct ExperimentJournal: Sendable {
    public enum Status: String, Sendable {
        case running, completed, failed, aborted, interrupted

        var shout: String { rawValue.uppercased() }
    }

    /// One activity that was carried out.
    struct Entry: Sendable {
        let activity: Activity
        let outcome: ExperimentRun.Outcome
        let judgement: Judgement?
        let start: LabTime
        let end: LabTime
        let isDegraded: Bool
    }

    public internal(set) var status = Status.running
    /// Whether the hypothesis did not hold.
    public internal(set) var deviated = false
    /// Why it did not come to its planned end.
    public internal(set) var reason: String?
    public internal(set) var start = LabTime.documentedEpoch
    public internal(set) var end = LabTime.documentedEpoch
    private let experiment: ChaosExperiment
    private var entries: [(section: String, entry: Entry)] = []
    private var sections: Set<String> = []
    private var measures: [(name: String, section: String, value: Double?)] = []
    /// What the metrics system has said, query by query.
    public private(set) var figures: [MetricsFigure] = []
    /// Rounds of probes beyond the limit are counted and not kept.
    public private(set) var droppedCount = 0

    static let entryLimit = 50_000

    init(_ experiment: ChaosExperiment) { self.experiment = experiment }

    public var hasPassed: Bool { status == .completed && !deviated }

    mutating func begin(_ section: String) { sections.insert(section) }

    mutating func note(
        _ activity: Activity, _ outcome: ExperimentRun.Outcome, _ judgement: Judgement?, in section: String,
        _ start: LabTime, _ end: LabTime, isDegraded: Bool = false
    ) {
        guard entries.count < Self.entryLimit else {
            droppedCount += 1
            return
        }
        entries.append(
            (
                section,
                Entry(
                    activity: activity, outcome: outcome, judgement: judgement, start: start, end: end,
                    isDegraded: isDegraded)
            ))
    }

    mutating func note(measure name: String, _ value: Double?, in section: String) {
        measures.append((name, section, value))
    }

    mutating func note(figure query: MetricsPlan.Query, _ phase: ExperimentRun.MetricsPhase, _ value: Double?) {
        if figures.last?.name != query.name { figures.append(MetricsFigure(name: query.name, unit: query.unit)) }
        let last = figures.count - 1
        switch phase {
        case .before: figures[last].before = value
        case .during: figures[last].during = value
        case .after: figures[last].after = value
        }
    }

    func isMet(_ section: String) -> Bool { entries(section).allSatisfy { $0.judgement?.isMet ?? true } }

    private func entries(_ section: String) -> [Entry] { entries.filter { $0.section == section }.map(\.entry) }

    /// The first thing that was not as it should be.
    var firstDeviation: String? {
        for (_, entry) in entries {
            guard let judgement = entry.judgement, !judgement.isMet else { continue }
            return "\(entry.activity.name): \(judgement.reasons.joined(separator: ", "))"
        }
        return nil
    }

    // MARK: The impact

    /// What the probes saw in one phase.
    public struct Impact: Sendable, Equatable {
        public let phase: String
        public let probes: Int
        public let degraded: Int
        public let failed: Int
        /// Of those that were answered; nil without any.
        public let median: LabDuration?
        public let longest: LabDuration?
    }

    public var impact: [Impact] {
        ["before", "during", "after"].filter { sections.contains($0) }.map { phase in
            let all = entries(phase)
            let times = all.compactMap { entry -> LabDuration? in
                if case .done(let observation) = entry.outcome { return observation.latency }
                return nil
            }.sorted()
            return Impact(
                phase: phase, probes: all.count, degraded: all.count(where: \.isDegraded),
                failed: all.count { $0.judgement.map { !$0.isMet } ?? false },
                median: times.isEmpty ? nil : times[(times.count - 1) / 2], longest: times.last)
        }
    }

    /// The numbers that were looked at, in their order: before and after.
    public var measured: [(name: String, before: Double?, after: Double?)] {
        experiment.measures.map(\.probe.name).map { name in
            (
                name, measures.first { $0.name == name && $0.section == "before" }?.value,
                measures.first { $0.name == name && $0.section == "after" }?.value
            )
        }
    }

    // MARK: As JSON

    /// - Parameter node: where it ran.
    public func json(node: String, version: String) -> JSONValue {
        let measures = measured.map { one -> JSONValue in
            [
                "name": .string(one.name), "before": one.before.map { .number($0) } ?? .null,
                "after": one.after.map { .number($0) } ?? .null,
            ]
        }
        let states: JSONValue = [
            "before": state("before") ?? .null, "after": state("after") ?? .null, "during": rounds,
        ]
        var members: [(key: String, value: JSONValue)] = [
            ("chaoslib-version", .string("sdlab \(version)")), ("platform", "sdlab"), ("node", .string(node)),
            ("experiment", JournalSecrets.hidden(experiment.document)), ("start", Self.stamp(start)),
            ("status", .string(status.rawValue)),
            ("deviated", .bool(deviated)), ("steady_states", states),
        ]
        members += [
            ("run", .array(entries("method").map(Self.json))),
            ("rollbacks", .array(entries("rollbacks").map(Self.json))), ("end", Self.stamp(end)),
            ("duration", .number((end - start).seconds)), ("reason", reason.map { .string($0) } ?? .null),
            ("impact", .array(impact.map(Self.json))), ("measures", .array(measures)),
            ("metrics", .array(figures.map(Self.json))),
        ]
        return .object(members)
    }

    private func state(_ section: String) -> JSONValue? {
        guard sections.contains(section) else { return nil }
        return Self.state(entries(section))
    }

    private static func state(_ entries: [Entry]) -> JSONValue {
        .object([
            ("steady_state_met", .bool(entries.allSatisfy { $0.judgement?.isMet ?? true })),
            ("probes", .array(entries.map(json))),
        ])
    }

    /// One state a round of all probes.
    private var rounds: JSONValue {
        let all = entries("during")
        let size = max(1, experiment.hypothesis?.probes.count ?? 1)
        return .array(
            stride(from: 0, to: all.count, by: size).map { Self.state(Array(all[$0..<min($0 + size, all.count)])) })
    }

    private static func json(_ entry: Entry) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = [("activity", JournalSecrets.hidden(entry.activity.document))]
        switch entry.outcome {
        case .done(let observation): members += [("output", observation.output), ("status", "succeeded")]
        case .failed(let reason, _):
            members += [("output", .null), ("status", "failed"), ("exception", .array([.string(reason)]))]
        }
        members += [
            ("start", stamp(entry.start)), ("end", stamp(entry.end)),
            ("duration", .number((entry.end - entry.start).seconds)),
        ]
        if let judgement = entry.judgement {
            members.append(("tolerance_met", .bool(judgement.isMet)))
            if entry.isDegraded { members.append(("degraded", true)) }
            if !judgement.isMet { members.append(("reasons", .array(judgement.reasons.map { .string($0) }))) }
        }
        return .object(members)
    }

    private static func json(_ figure: MetricsFigure) -> JSONValue {
        func number(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
        return .object([
            ("name", .string(figure.name)), ("unit", .string(figure.unit)), ("before", number(figure.before)),
            ("during", number(figure.during)), ("after", number(figure.after)),
        ])
    }

    private static func json(_ impact: Impact) -> JSONValue {
        .object([
            ("phase", .string(impact.phase)), ("probes", .integer(impact.probes)),
            ("degraded", .integer(impact.degraded)), ("failed", .integer(impact.failed)),
            ("median_ms", impact.median.map { .milliseconds($0) } ?? .null),
            ("longest_ms", impact.longest.map { .milliseconds($0) } ?? .null),
        ])
    }

    /// ISO 8601 in UTC and without its zone, as the Toolkit writes it.
    private static func stamp(_ time: LabTime) -> JSONValue {
        let civil = CivilTime(time)
        let day = "\(padded(civil.year, 4))-\(padded(civil.month, 2))-\(padded(civil.day, 2))"
        let clock = "\(padded(civil.hour, 2)):\(padded(civil.minute, 2)):\(padded(civil.second, 2))"
        return .string("\(day)T\(clock).\(padded(civil.nanosecond / 1000, 6))")
    }
}
