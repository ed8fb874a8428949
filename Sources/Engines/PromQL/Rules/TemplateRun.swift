import TimeSeriesEngine

/// A template at work.
struct TemplateRun {
    typealias Failure = AlertTemplate.Failure

    private let vocabulary: any TemplateVocabulary
    private(set) var output = ""
    private var variables: [(name: String, value: TemplateValue)] = []
    private var steps = 0

    private static let outputLimitBytes = 65_536
    private static let stepLimit = 100_000

    init(_ vocabulary: any TemplateVocabulary) {
        self.vocabulary = vocabulary
        variables = vocabulary.variables
    }

    mutating func write(_ nodes: [TemplateNode], dot: TemplateValue) throws(Failure) {
        for node in nodes {
            steps += 1
            guard steps <= Self.stepLimit else { throw Failure(description: "the template runs for too long") }
            switch node {
            case .text(let text): try append(text)
            case .action(let pipeline): try append(try value(of: pipeline, dot).text)
            case .assignment(let name, let pipeline):
                let value = try value(of: pipeline, dot)
                variables.append((name, value))
            case .conditional(let condition, let then, let otherwise):
                try inner(try value(of: condition, dot).isTrue ? then : otherwise, dot)
            case .scoped(let pipeline, let isLoop, let names, let body, let otherwise):
                try scoped(try value(of: pipeline, dot), isLoop, names, body, otherwise, dot)
            }
        }
    }

    private mutating func append(_ text: String) throws(Failure) {
        output += text
        guard output.utf8.count <= Self.outputLimitBytes else {
            throw Failure(description: "the text is longer than \(Self.outputLimitBytes) bytes")
        }
    }

    /// Variables of a block end with it.
    private mutating func inner(_ nodes: [TemplateNode], _ dot: TemplateValue) throws(Failure) {
        let count = variables.count
        try write(nodes, dot: dot)
        variables.removeLast(variables.count - count)
    }

    private mutating func scoped(
        _ value: TemplateValue, _ isLoop: Bool, _ names: [String], _ body: [TemplateNode], _ otherwise: [TemplateNode],
        _ dot: TemplateValue
    ) throws(Failure) {
        guard value.isTrue else { return try inner(otherwise, dot) }
        let count = variables.count
        defer { variables.removeLast(variables.count - count) }
        guard isLoop else {
            if let name = names.first { variables.append((name, value)) }
            return try inner(body, value)
        }
        for (key, item) in try items(of: value) {
            if let last = names.last { variables.append((last, item)) }
            if names.count > 1, let first = names.first { variables.append((first, key)) }
            try inner(body, item)
            variables.removeLast(variables.count - count)
        }
    }

    private func items(of value: TemplateValue) throws(Failure) -> [(TemplateValue, TemplateValue)] {
        switch value {
        case .samples(let samples):
            return samples.enumerated().map { (.number(Double($0.offset)), .sample($0.element)) }
        case .labels(let labels): return labels.pairs.map { (.text($0.name), .text($0.value)) }
        default: throw Failure(description: "range can't iterate over \(value.text)")
        }
    }

    // MARK: Values

    private mutating func value(of pipeline: TemplatePipeline, _ dot: TemplateValue) throws(Failure) -> TemplateValue {
        var last: TemplateValue?
        for command in pipeline.commands {
            guard let head = command.first else { continue }
            if case .function(let name) = head {
                var arguments: [TemplateValue] = []
                for operand in command.dropFirst() { arguments.append(try value(of: operand, dot)) }
                if let last { arguments.append(last) }
                last = try call(name, arguments)
            } else {
                guard command.count == 1, last == nil else {
                    throw Failure(description: "can't give argument to non-function")
                }
                last = try value(of: head, dot)
            }
        }
        return last ?? .nothing
    }

    private mutating func call(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> TemplateValue {
        // A query is worth a thousand of the other steps.
        steps += name == "query" ? 1000 : 1
        guard steps <= Self.stepLimit else { throw Failure(description: "the template runs for too long") }
        let value = try vocabulary.call(name, arguments)
        if case .text(let text) = value, text.utf8.count > Self.outputLimitBytes {
            throw Failure(description: "a text is longer than \(Self.outputLimitBytes) bytes")
        }
        return value
    }

    private mutating func value(of operand: TemplateOperand, _ dot: TemplateValue) throws(Failure) -> TemplateValue {
        switch operand {
        case .text(let text): return .text(text)
        case .number(let number): return .number(number)
        case .truth(let truth): return .truth(truth)
        case .function(let name): return try call(name, [])
        case .pipeline(let pipeline, let fields): return try field(fields, of: try value(of: pipeline, dot))
        case .variable(nil, let fields): return try field(fields, of: dot)
        case .variable("", let fields): return try field(fields, of: .scope)
        case .variable(let name?, let fields):
            guard let variable = variables.last(where: { $0.name == name }) else {
                throw Failure(description: "undefined variable \"$\(name)\"")
            }
            return try field(fields, of: variable.value)
        }
    }

    private func field(_ names: [String], of value: TemplateValue) throws(Failure) -> TemplateValue {
        var value = value
        for name in names {
            switch (value, name) {
            case (.labels(let labels), _): value = .text(labels[name])
            case (.scope, _):
                guard let member = vocabulary.member(name) else {
                    throw Failure(description: "can't evaluate field \(name)")
                }
                value = member
            case (.sample(let sample), "Labels"): value = .labels(sample.labels)
            case (.sample(let sample), "Value"): value = .number(sample.value)
            default: throw Failure(description: "can't evaluate field \(name)")
            }
        }
        return value
    }
}
