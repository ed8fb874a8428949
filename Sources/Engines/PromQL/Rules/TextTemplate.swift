import TimeSeriesEngine

/// A text with places to be filled in, in the language of Go's `text/template`; what the names in it mean is told by a
/// `TemplateVocabulary`.
///
/// There are `if`, `else`, `range`, `with`, variables, pipelines, comments, `{{-` and `-}}`; definitions of templates
/// within templates are refused. How deep blocks may lie, how long the text may be and how often a loop may run are
/// bounded.
public struct TextTemplate: Sendable {
    /// As it is written.
    public let source: String
    private let nodes: [TemplateNode]

    public init(_ source: String) throws(AlertTemplate.Failure) {
        self.source = source
        guard source.utf8.count <= 65_536 else {
            throw AlertTemplate.Failure(description: "longer than 65536 bytes")
        }
        guard source.utf8.contains(UInt8(ascii: "{")) else {
            nodes = source.isEmpty ? [] : [.text(source)]
            return
        }
        var parser = try TemplateParser(source)
        nodes = try parser.parse()
    }

    public func text(_ vocabulary: some TemplateVocabulary) throws(AlertTemplate.Failure) -> String {
        var run = TemplateRun(vocabulary)
        try run.write(nodes, dot: vocabulary.dot)
        return run.output
    }
}

/// What the names in a template mean.
public protocol TemplateVocabulary {
    /// What the dot is at the beginning.
    var dot: TemplateValue { get }
    /// What `$name` is.
    var variables: [(name: String, value: TemplateValue)] { get }
    /// What `$.name` is; nil if there is none.
    func member(_ name: String) -> TemplateValue?
    /// - Throws: for a function that there is not, and for arguments that it does not take.
    func call(_ name: String, _ arguments: [TemplateValue]) throws(AlertTemplate.Failure) -> TemplateValue
}

/// A value while a template runs.
public enum TemplateValue {
    case nothing
    case text(String)
    case number(Double)
    case truth(Bool)
    case labels(Labels)
    case sample(VectorElement)
    case samples([VectorElement])
    /// What `$` is: the vocabulary's members, of an alert `.Labels`, `.Value`, `.ExternalLabels`, `.ExternalURL`.
    case scope

    public var isTrue: Bool {
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
    public var text: String {
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

    public func number() throws(AlertTemplate.Failure) -> Double {
        switch self {
        case .number(let number): return number
        case .text(let text): if let number = ClassicHistogram.bound(text) { return number }
        default: break
        }
        throw AlertTemplate.Failure(description: "can't convert \(text) to float")
    }
}
