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

        public init(description: String) { self.description = description }
    }

    /// As it is written.
    public var source: String { template.source }
    private let template: TextTemplate

    public init(_ source: String) throws(Failure) { template = try TextTemplate(source) }

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
        do throws(Failure) {
            return try template.text(TemplateFunctions(scope: scope))
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
