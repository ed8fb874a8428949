import TimeSeriesEngine

/// The text of a label or an annotation with places for what an alert is about: `{{ $labels.job }} is idle`.
///
/// The language is the part of Go's `text/template` that alerts are written in: `if`, `else`, `range`, `with`,
/// variables, pipelines, comments, `{{-` and `-}}`; Prometheus's functions (`humanize`, `query`, `first`, `label`, …)
/// and Go's (`printf`, `eq`, `len`, …). Definitions of templates within templates are refused.
///
/// Evaluating one cannot fail: what goes wrong stands in the text instead, as in Prometheus, so that an alert comes
/// even if its description is broken. How deep blocks may lie, how long the text may be and how often a loop may run
/// are bounded.
public struct AlertTemplate: Sendable {
    /// What is wrong with a template.
    public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// As it is written.
    public let source: String
    private let nodes: [TemplateNode]

    public init(_ source: String) throws(Failure) {
        self.source = source
        guard source.utf8.count <= 65_536 else { throw Failure(description: "longer than 65536 bytes") }
        guard source.utf8.contains(UInt8(ascii: "{")) else {
            nodes = source.isEmpty ? [] : [.text(source)]
            return
        }
        var parser = try TemplateParser(source)
        nodes = try parser.parse()
    }

    /// What a template speaks of.
    public struct Scope {
        public let labels: Labels
        public let value: Double
        public let context: RuleGroup.Context
        public let now: Int64
        public let queryable: any Queryable
        public let limits: QueryLimits

        public init(
            labels: Labels, value: Double, context: RuleGroup.Context, now: Int64, queryable: any Queryable,
            limits: QueryLimits
        ) {
            self.labels = labels
            self.value = value
            self.context = context
            self.now = now
            self.queryable = queryable
            self.limits = limits
        }
    }

    public func text(in scope: Scope) -> String {
        var run = TemplateRun(scope: scope)
        do throws(Failure) {
            try run.write(nodes, dot: .scope)
            return run.output
        } catch {
            return "<error expanding template: \(error)>"
        }
    }
}

/// A piece of a template.
indirect enum TemplateNode: Sendable {
    case text(String)
    case action(TemplatePipeline)
    case assignment(String, TemplatePipeline)
    case conditional(TemplatePipeline, then: [TemplateNode], otherwise: [TemplateNode])
    /// `with` and `range` make their value the dot.
    case scoped(TemplatePipeline, isLoop: Bool, variables: [String], body: [TemplateNode], otherwise: [TemplateNode])
}

/// Commands, each of which takes the result of the one before as its last argument.
struct TemplatePipeline: Sendable {
    var commands: [[TemplateOperand]]
}

indirect enum TemplateOperand: Sendable {
    case text(String)
    case number(Double)
    case truth(Bool)
    /// `.`, `$`, `$name`, with `.field`s behind; the dot has no name.
    case variable(String?, fields: [String])
    case function(String)
    case pipeline(TemplatePipeline, fields: [String])
}

/// A value while a template runs.
enum TemplateValue {
    case nothing
    case text(String)
    case number(Double)
    case truth(Bool)
    case labels(Labels)
    case sample(VectorElement)
    case samples([VectorElement])
    /// What the dot is at the beginning: `.Labels`, `.Value`, `.ExternalLabels`, `.ExternalURL`.
    case scope

    var isTrue: Bool {
        switch self {
        case .nothing: false
        case .text(let text): !text.isEmpty
        case .number(let number): number != 0
        case .truth(let truth): truth
        case .labels(let labels): !labels.isEmpty
        case .samples(let samples): !samples.isEmpty
        case .sample, .scope: true
        }
    }

    /// As it is printed.
    var text: String {
        switch self {
        case .nothing: ""
        case .text(let text): text
        case .number(let number): numberText(number)
        case .truth(let truth): truth ? "true" : "false"
        case .labels(let labels): "map[" + labels.pairs.map { "\($0.name):\($0.value)" }.joined(separator: " ") + "]"
        case .sample(let sample): "{\(sample.labels.braced) \(numberText(sample.value))}"
        case .samples(let samples): "[" + samples.map { TemplateValue.sample($0).text }.joined(separator: " ") + "]"
        case .scope: ""
        }
    }

    func number() throws(AlertTemplate.Failure) -> Double {
        switch self {
        case .number(let number): return number
        case .text(let text): if let number = ClassicHistogram.bound(text) { return number }
        default: break
        }
        throw AlertTemplate.Failure(description: "can't convert \(text) to float")
    }
}
