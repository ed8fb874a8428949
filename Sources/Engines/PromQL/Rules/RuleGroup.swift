import KernelStructures
import TimeSeriesEngine

/// A group of rules at work: what they have found, and what they have recorded last.
///
/// It has no clock and no store: whoever runs it calls `evaluate` every `intervalMilliseconds`, appends the samples,
/// and sends the alerts that are due.
public struct RuleGroup: Sendable {
    public let definition: RuleGroupDefinition
    public private(set) var rules: [Rule]
    public private(set) var lastEvaluation: Int64?

    /// One rule with its state.
    public struct Rule: Sendable {
        public let definition: RuleDefinition
        public internal(set) var book: AlertBook?
        /// What went wrong last time; nil if nothing did.
        public internal(set) var error: String?
        public internal(set) var lastEvaluation: Int64?
        /// Of the samples that it gave last time: those that are missing next time are marked as ended.
        var series: Set<Labels> = []
        var isRestored = false
    }

    /// What templates may speak of besides the alert.
    public struct Context: Sendable {
        public var externalLabels = Labels()
        /// The address under which people reach the collector.
        public var externalURL = ""

        public init() {}
    }

    /// A sample to be appended.
    public struct Sample: Equatable, Sendable {
        public let labels: Labels
        public let timestamp: Int64
        /// Markers of staleness where a series has ended.
        public let value: Double
        public let histogram: NativeHistogram?
    }

    public init(_ definition: RuleGroupDefinition) {
        self.definition = definition
        rules = definition.rules.map { rule in
            var book: AlertBook?
            if case .alerting(let hold, let keep) = rule.kind {
                book = AlertBook(forMilliseconds: hold, keepFiringForMilliseconds: keep)
            }
            return Rule(definition: rule, book: book)
        }
    }

    /// Takes over what the same rules of an older version of the group have found.
    public mutating func adopt(_ older: RuleGroup) {
        for index in rules.indices {
            let own = rules[index].definition
            guard
                let other = older.rules.first(where: {
                    byteOrder($0.definition.name, own.name) == 0 && $0.definition.kind == own.kind
                        && $0.definition.expression.description == own.expression.description
                })
            else { continue }
            let definition = rules[index].definition
            rules[index] = Rule(
                definition: definition, book: other.book, error: other.error, lastEvaluation: other.lastEvaluation,
                series: other.series, isRestored: other.isRestored)
        }
        lastEvaluation = older.lastEvaluation
    }

    /// Evaluates rule after rule. Each rule's samples are handed to `append` before the next one is evaluated, so that
    /// it sees them; a rule that fails leaves its error behind and the others go on.
    ///
    /// - Parameters:
    ///   - first: the rule to begin with, where those before it have been evaluated.
    ///   - wasCutShort: asked behind each rule whether the limits ended it although it may take longer.
    /// - Returns: the rule that was cut short, which is as if it had not been begun, like those behind it; nil when all
    ///   of them have been evaluated.
    @discardableResult
    public mutating func evaluate(
        at now: Int64, from first: Int = 0, over queryable: any Queryable, limits: QueryLimits = QueryLimits(),
        context: Context = Context(), wasCutShort: () -> Bool = { false }, append: ([Sample]) -> Void
    ) -> Int? {
        lastEvaluation = now
        for index in rules.indices.dropFirst(first) {
            let before = rules[index]
            let outcome = Result { () throws(PromQLError) in
                try evaluate(index, now, queryable, limits, context)
            }
            // A template whose query was cut short does not throw; it says so in its text.
            if wasCutShort() {
                rules[index] = before
                return index
            }
            rules[index].lastEvaluation = now
            switch outcome {
            case .success(let samples):
                rules[index].error = nil
                append(samples + ended(index, samples, now))
            case .failure(let error): rules[index].error = error.description
            }
        }
        return nil
    }

    private mutating func evaluate(
        _ index: Int, _ now: Int64, _ queryable: any Queryable, _ limits: QueryLimits, _ context: Context
    ) throws(PromQLError) -> [Sample] {
        let result = try rules[index].definition.expression.evaluate(over: queryable, at: now, limits: limits)
        let elements = try Self.elements(result.value)
        if rules[index].book == nil { return try recorded(elements, rules[index].definition, now) }
        return try alerted(elements, index, now, queryable, limits, context)
    }

    private static func elements(_ value: QueryValue) throws(PromQLError) -> [VectorElement] {
        switch value {
        case .vector(let elements): return elements
        case .scalar(let time, let value): return [VectorElement(labels: Labels(), timestamp: time, value: value)]
        case .string, .matrix: throw PromQLError.execution("rule result is not a vector or scalar")
        }
    }

    private func recorded(
        _ elements: [VectorElement], _ rule: RuleDefinition, _ now: Int64
    ) throws(PromQLError) -> [Sample] {
        if definition.limit > 0, elements.count > definition.limit {
            throw PromQLError.execution("exceeded limit of \(definition.limit) with \(elements.count) series")
        }
        var seen = Set<Labels>()
        var samples: [Sample] = []
        for element in elements {
            var labels = element.labels.setting(Labels.metricNameLabel, to: rule.name)
            for label in rule.labels { labels = labels.setting(label.name, to: label.template.source) }
            guard seen.insert(labels).inserted else {
                throw PromQLError.execution(
                    "vector contains metrics with the same labelset after applying rule labels")
            }
            samples.append(
                Sample(labels: labels, timestamp: now, value: element.value, histogram: element.histogram))
        }
        return samples
    }

    private mutating func ended(_ index: Int, _ samples: [Sample], _ now: Int64) -> [Sample] {
        let current = Set(samples.map(\.labels))
        let gone = rules[index].series.subtracting(current).sorted()
        rules[index].series = current
        return gone.map { Sample(labels: $0, timestamp: now, value: Staleness.marker, histogram: nil) }
    }

    // MARK: Alerts

    private mutating func alerted(
        _ elements: [VectorElement], _ index: Int, _ now: Int64, _ queryable: any Queryable, _ limits: QueryLimits,
        _ context: Context
    ) throws(PromQLError) -> [Sample] {
        let rule = rules[index].definition
        guard var book = rules[index].book else { return [] }
        var seen = Set<Labels>()
        var findings: [AlertBook.Finding] = []
        for element in elements {
            let scope = AlertTemplate.Scope(
                labels: element.labels, value: element.value, context: context, now: now, queryable: queryable,
                limits: limits)
            var labels = element.labels.withoutMetricName
            for label in rule.labels { labels = labels.setting(label.name, to: label.template.text(in: scope)) }
            labels = labels.setting("alertname", to: rule.name)
            guard seen.insert(labels).inserted else {
                throw PromQLError.execution(
                    "vector contains metrics with the same labelset after applying alert labels")
            }
            findings.append(
                AlertBook.Finding(
                    labels: labels, annotations: rule.annotations.map { ($0.name, $0.template.text(in: scope)) },
                    value: element.value))
        }
        let active = book.update(findings, at: now)
        if definition.limit > 0, active > definition.limit {
            book.removeAll()
            rules[index].book = book
            throw PromQLError.execution("exceeded limit of \(definition.limit) with \(active) alerts")
        }
        if !rules[index].isRestored {
            rules[index].isRestored = true
            AlertRestoration(now: now, queryable: queryable, limits: limits).restore(&book, rule.name)
        }
        rules[index].book = book
        return book.alerts.filter { $0.state != .inactive }.flatMap { Self.samples(of: $0, now) }
    }

    /// `ALERTS` says that it is there, `ALERTS_FOR_STATE` since when, for whoever has to go on after a restart.
    private static func samples(of alert: Alert, _ now: Int64) -> [Sample] {
        let state = alert.labels.setting(Labels.metricNameLabel, to: "ALERTS").setting(
            "alertstate", to: alert.state.rawValue)
        let since = alert.labels.setting(Labels.metricNameLabel, to: "ALERTS_FOR_STATE")
        return [
            Sample(labels: state, timestamp: now, value: 1, histogram: nil),
            Sample(labels: since, timestamp: now, value: Double(alert.activeAt / 1000), histogram: nil),
        ]
    }

    /// The alerts of all rules that receivers are to be told of now.
    public mutating func takeDueAlerts(at now: Int64) -> [Alert] {
        var due: [Alert] = []
        for index in rules.indices {
            let alerts =
                rules[index].book?.takeDue(at: now, intervalMilliseconds: definition.intervalMilliseconds) ?? []
            let expression = rules[index].definition.expression.description
            for var alert in alerts {
                alert.expression = expression
                due.append(alert)
            }
        }
        return due
    }
}

/// Goes on after a restart with what `ALERTS_FOR_STATE` says: an alert that has been pending for four of five minutes
/// is not to begin anew. Time in which nobody looked does not count.
struct AlertRestoration {
    static let toleranceMilliseconds: Int64 = 3_600_000
    static let graceMilliseconds: Int64 = 600_000

    let now: Int64
    let queryable: any Queryable
    let limits: QueryLimits

    func restore(_ book: inout AlertBook, _ name: String) {
        guard book.forMilliseconds >= Self.graceMilliseconds else { return }
        var selection = Selection(from: now - Self.toleranceMilliseconds, through: now - 1)
        selection.seriesLimit = limits.series
        let matchers: [LabelMatcher] = [
            .equal(Labels.metricNameLabel, "ALERTS_FOR_STATE"), .equal("alertname", name),
        ]
        guard let found = try? queryable.select(matchers, selection) else { return }
        var column = SampleColumn()
        for series in found {
            column.removeAll()
            guard (try? series.read(into: &column)) != nil else { continue }
            guard let last = column.values.lastIndex(where: { $0.isFinite && $0.magnitude < 1e15 }) else { continue }
            let wasActiveAt = Int64(column.values[last]) * 1000
            let remaining = book.forMilliseconds - (column.timestamps[last] - wasActiveAt)
            let activeAt: Int64
            if remaining <= 0 {
                activeAt = wasActiveAt
            } else if remaining < Self.graceMilliseconds {
                activeAt = now + Self.graceMilliseconds - book.forMilliseconds
            } else {
                activeAt = wasActiveAt + now - column.timestamps[last]
            }
            book.restore(series.labels.withoutMetricName, activeAt: activeAt)
        }
    }
}
