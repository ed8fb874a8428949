import KernelConfiguration
import TimeSeriesEngine

/// A file of rules: expressions that are evaluated again and again.
///
/// A *recording* rule keeps its result as a series of its own, so that a costly question is asked once a minute and not
/// once a viewer. An *alerting* rule watches: each series of its result is something that is wrong, and when it has
/// been wrong for long enough somebody is told.
///
/// ```yaml
/// groups:
/// - name: shop
///   interval: 15s
///   rules:
///   - record: job:requests:rate1m
///     expr: sum by (job) (rate(http_requests_total[1m]))
///   - alert: NoRequests
///     expr: job:requests:rate1m == 0
///     for: 5m
///     labels: { severity: page }
///     annotations: { summary: "{{ $labels.job }} is idle" }
/// ```
public struct RuleFile: Sendable {
    public let file: String
    public let groups: [RuleGroupDefinition]

    static let groupLimit = 1000
    static let ruleLimit = 10_000

    /// - Parameters:
    ///   - file: the name that errors and answers give.
    ///   - evaluationIntervalMilliseconds: of groups that name none.
    /// - Throws: `ConfigurationError` with line and column, also for an expression or a template that is wrong.
    public init(
        yaml: [UInt8], file: String, evaluationIntervalMilliseconds: Int64 = 60_000
    ) throws(ConfigurationError) {
        self.file = file
        let root = try ConfigurationMapping(
            try YAML.parse(yaml, file: file), what: "a file of rules", keys: ["groups"])
        var groups: [RuleGroupDefinition] = []
        if let value = root["groups"] {
            let list = try value.list(for: "groups")
            guard list.count <= Self.groupLimit else {
                throw ConfigurationError(value.place, "more than \(Self.groupLimit) groups")
            }
            for item in list {
                let group = try RuleGroupDefinition(item, file, evaluationIntervalMilliseconds)
                guard !groups.contains(where: { byteOrder($0.name, group.name) == 0 }) else {
                    throw ConfigurationError(
                        item.place, "groupname: \(quotedByGo(group.name)) is repeated in the same file")
                }
                groups.append(group)
            }
        }
        self.groups = groups
    }
}

/// Rules that are evaluated one after another at the same moment: a later one sees what an earlier one has recorded.
public struct RuleGroupDefinition: Sendable {
    public let name: String
    public let file: String
    public let intervalMilliseconds: Int64
    /// Series or alerts that one of its rules may give; 0 for any number.
    public let limit: Int
    public let rules: [RuleDefinition]

    init(_ value: ConfigurationValue, _ file: String, _ interval: Int64) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(
            value, what: "a group of rules", keys: ["name", "interval", "limit", "rules"])
        guard let name = try mapping.text("name"), !name.isEmpty else {
            throw ConfigurationError(value.place, "a group of rules must have a name")
        }
        self.name = name
        self.file = file
        let own = try mapping.milliseconds("interval") ?? 0
        intervalMilliseconds = own > 0 ? own : max(1, interval)
        limit = try mapping.integer("limit", in: 0...1_000_000_000) ?? 0
        var rules: [RuleDefinition] = []
        if let value = mapping["rules"] {
            let list = try value.list(for: "rules")
            guard list.count <= RuleFile.ruleLimit else {
                throw ConfigurationError(value.place, "more than \(RuleFile.ruleLimit) rules")
            }
            for item in list { rules.append(try RuleDefinition(item)) }
        }
        self.rules = rules
    }
}

/// One rule as it is written.
public struct RuleDefinition: Sendable {
    public enum Kind: Sendable, Equatable {
        case recording
        case alerting(forMilliseconds: Int64, keepFiringForMilliseconds: Int64)
    }

    /// Of the series that is recorded, or of the alert.
    public let name: String
    public let kind: Kind
    public let expression: PromQLExpression
    /// Added to each series; of alerts they are templates.
    public let labels: [(name: String, template: AlertTemplate)]
    public let annotations: [(name: String, template: AlertTemplate)]

    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(
            value, what: "a rule",
            keys: ["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"])
        let record = try mapping.text("record") ?? ""
        let alert = try mapping.text("alert") ?? ""
        if !record.isEmpty, !alert.isEmpty {
            throw ConfigurationError(value.place, "only one of 'record' and 'alert' must be set")
        }
        if record.isEmpty, alert.isEmpty {
            throw ConfigurationError(value.place, "one of 'record' or 'alert' must be set")
        }
        guard let text = try mapping.text("expr"), !text.isEmpty else {
            throw ConfigurationError(value.place, "field 'expr' must be set in rule")
        }
        do throws(PromQLError) { expression = try PromQLExpression(parsing: text) } catch {
            throw ConfigurationError(mapping["expr"]?.place ?? value.place, "could not parse expression: \(error)")
        }
        labels = try Self.templates(mapping["labels"], areLabels: true)
        annotations = try Self.templates(mapping["annotations"], areLabels: false)
        let hold = try mapping.milliseconds("for") ?? 0
        let keep = try mapping.milliseconds("keep_firing_for") ?? 0
        if record.isEmpty {
            name = alert
            kind = .alerting(forMilliseconds: hold, keepFiringForMilliseconds: keep)
            return
        }
        name = record
        kind = .recording
        for (key, isThere) in [("annotations", !annotations.isEmpty), ("for", hold > 0), ("keep_firing_for", keep > 0)]
        where isThere { throw ConfigurationError(value.place, "invalid field '\(key)' in recording rule") }
        guard Self.isMetricName(record) else {
            throw ConfigurationError(mapping["record"]?.place ?? value.place, "invalid recording rule name: \(record)")
        }
    }

    /// An alert that is asked about without a file.
    public init(
        alert name: String, _ expression: PromQLExpression, forMilliseconds: Int64 = 0,
        keepFiringForMilliseconds: Int64 = 0
    ) {
        self.name = name
        self.expression = expression
        kind = .alerting(
            forMilliseconds: max(0, forMilliseconds), keepFiringForMilliseconds: max(0, keepFiringForMilliseconds))
        labels = []
        annotations = []
    }

    static func isMetricName(_ name: String) -> Bool {
        guard let first = name.utf8.first, Lexer.isAlpha(first) || first == UInt8(ascii: ":") else { return false }
        return name.utf8.allSatisfy { Lexer.isAlphanumeric($0) || $0 == UInt8(ascii: ":") }
    }

    private static func templates(
        _ value: ConfigurationValue?, areLabels: Bool
    ) throws(ConfigurationError) -> [(name: String, template: AlertTemplate)] {
        guard let value else { return [] }
        let what = areLabels ? "label" : "annotation"
        guard case .mapping(let pairs) = value.content else {
            throw ConfigurationError(value.place, "\(what)s must be a mapping of names to texts")
        }
        var templates: [(name: String, template: AlertTemplate)] = []
        for (key, value) in pairs {
            let name = try key.text(for: what)
            guard Evaluator.isLabelName(name), !areLabels || name != Labels.metricNameLabel else {
                throw ConfigurationError(key.place, "invalid \(what) name: \(name)")
            }
            let text = value.isNull ? "" : try value.text(for: name)
            do throws(AlertTemplate.Failure) {
                templates.append((name, try AlertTemplate(text)))
            } catch {
                throw ConfigurationError(value.place, "the template of \(what) '\(name)' is wrong: \(error)")
            }
        }
        return templates.sorted { byteOrder($0.name, $1.name) < 0 }
    }
}

extension ConfigurationMapping {
    /// A duration as Prometheus writes it, in milliseconds.
    fileprivate func milliseconds(_ key: String) throws(ConfigurationError) -> Int64? {
        guard let value = self[key] else { return nil }
        switch PromQLDuration.parse(try value.text(for: key)) {
        case .success(let milliseconds): return milliseconds
        case .failure(let failure): throw ConfigurationError(value.place, "\(key): \(failure.message)")
        }
    }
}
