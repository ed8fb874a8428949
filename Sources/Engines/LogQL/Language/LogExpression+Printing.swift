import PromQLEngine
import TimeSeriesEngine

/// Queries as text, in the one form that `format_query` gives for all spellings.
extension LogPipeline {
    var selectorText: String {
        "{" + matchers.map { "\($0.name)\($0.kind.rawValue)\(quotedByGo($0.value))" }.joined(separator: ", ") + "}"
    }

    var text: String { ([selectorText] + stages.map(\.text)).joined(separator: " ") }
}

extension LogStage {
    var text: String {
        switch self {
        case .lineFilter(let filter): return filter.text
        case .json(let extractions): return "| json" + Self.text(extractions)
        case .logfmt(let isStrict, let keepsEmpty, let extractions):
            return "| logfmt" + (isStrict ? " --strict" : "") + (keepsEmpty ? " --keep-empty" : "")
                + Self.text(extractions)
        case .regexp(let line): return "| regexp \(quotedByGo(line.expression.pattern))"
        case .pattern(let pattern): return "| pattern \(quotedByGo(pattern.source))"
        case .unpack: return "| unpack"
        case .labelFilter(let filter): return "| \(filter.text)"
        case .lineFormat(let template): return "| line_format \(quotedByGo(template.source))"
        case .labelFormat(let assignments):
            return "| label_format " + assignments.map(\.text).joined(separator: ", ")
        case .decolorize: return "| decolorize"
        case .drop(let selections): return "| drop " + selections.map(\.text).joined(separator: ", ")
        case .keep(let selections): return "| keep " + selections.map(\.text).joined(separator: ", ")
        case .search(let query): return "| search \(quotedByGo(query.source))"
        case .fields(let names): return "| fields " + names.joined(separator: ", ")
        }
    }

    private static func text(_ extractions: [LabelExtraction]) -> String {
        extractions.isEmpty
            ? "" : " " + extractions.map { "\($0.label)=\(quotedByGo($0.source))" }.joined(separator: ", ")
    }
}

extension LineFilter {
    var text: String {
        operation.rawValue + " "
            + needles.map { needle in
                switch needle {
                case .text(let bytes): quotedByGo(String(decoding: bytes, as: UTF8.self))
                case .expression(let expression): quotedByGo(expression.pattern)
                case .pattern(let pattern): quotedByGo(pattern.source)
                case .address(let pattern): "ip(\(quotedByGo(pattern.source)))"
                }
            }.joined(separator: " or ")
    }
}

extension LabelAssignment {
    var text: String {
        switch source {
        case .label(let name): "\(label)=\(name)"
        case .template(let template): "\(label)=\(quotedByGo(template.source))"
        }
    }
}

extension LabelSelection {
    var text: String { matcher.map { "\(name)\($0.kind.rawValue)\(quotedByGo($0.value))" } ?? name }
}

extension LabelFilter {
    var text: String {
        switch self {
        case .text(let matcher): "\(matcher.name)\(matcher.kind.rawValue)\(quotedByGo(matcher.value))"
        case .quantity(let name, let comparison, let quantity): "\(name) \(comparison.rawValue) \(quantity.text)"
        case .address(let name, let isEqual, let pattern):
            "\(name)\(isEqual ? "=" : "!=")ip(\(quotedByGo(pattern.source)))"
        case .all(let filters): filters.map(\.enclosed).joined(separator: " and ")
        case .any(let filters): filters.map(\.enclosed).joined(separator: " or ")
        }
    }

    private var enclosed: String {
        switch self {
        case .all, .any: "(\(text))"
        default: text
        }
    }
}

extension LabelFilter.Quantity {
    var text: String {
        switch self {
        case .number(let value): MetricExpression.text(value)
        case .durationNanoseconds(let nanoseconds): GoDuration.text(nanoseconds)
        case .bytes(let bytes): ByteSize.text(bytes)
        }
    }
}

extension RangeAggregation {
    var text: String { "\(operation.rawValue)(\(argumentText))\(grouping.map { " " + $0.text } ?? "")" }

    var argumentText: String {
        var text = operation == .quantileOverTime ? MetricExpression.text(quantile) + ", " : ""
        text += pipeline.text
        if let unwrap { text += " " + unwrap.text }
        text += (pipeline.stages.isEmpty && unwrap == nil ? "" : " ") + "[\(GoDuration.text(rangeNanoseconds))]"
        if hasOffset { text += " offset \(GoDuration.text(offsetNanoseconds))" }
        return text
    }
}

extension Unwrap {
    var text: String {
        let name = conversion == .none ? label : "\(conversion.rawValue)(\(label))"
        return (["| unwrap \(name)"] + filters.map { "| \($0.text)" }).joined(separator: " ")
    }
}

extension Grouping {
    var text: String { (isWithout ? "without (" : "by (") + labels.joined(separator: ", ") + ")" }
}

extension MetricMatching {
    var text: String {
        (isOn ? "on (" : "ignoring (") + labels.joined(separator: ", ") + ")"
            + (group.isEmpty ? "" : " \(group) (\(included.joined(separator: ", ")))")
    }
}

extension MetricExpression {
    static func text(_ value: Double) -> String { sampleText(value) }

    var text: String {
        switch node {
        case .number(let value): return Self.text(value)
        case .range(let range): return range.text
        case .vector(let value): return "vector(\(Self.text(value)))"
        case .aggregation(_, _, _, let operand): return "\(headText)(\(parameterText)\(operand.text))"
        case .binary(_, _, _, let left, let right): return "\(left.text) \(headText) \(right.text)"
        case .labelReplace(let operand, let texts):
            return "label_replace(\(operand.text), \(texts.map(quotedByGo).joined(separator: ", ")))"
        case .parentheses(let inner): return "(\(inner.text))"
        }
    }

    /// What stands before the parentheses, or between the operands.
    private var headText: String {
        switch node {
        case .aggregation(let name, _, let grouping, _): name + (grouping.map { " \($0.text) " } ?? "")
        case .binary(let name, let returnsBool, let matching, _, _):
            name + (returnsBool ? " bool" : "") + (matching.map { " \($0.text)" } ?? "")
        default: ""
        }
    }

    private var parameterText: String {
        if case .aggregation(_, let parameter?, _, _) = node { return "\(parameter), " }
        return ""
    }
}

// MARK: On several lines

/// Whatever is longer than 100 characters has its parts on lines of their own, two spaces further in.
private let lineLength = 100

extension LogPipeline {
    func pretty(_ level: Int = 0) -> String {
        let indent = String(repeating: "  ", count: level)
        if text.utf8.count <= lineLength { return indent + text }
        return ([indent + selectorText] + stages.map { indent + "  " + $0.text }).joined(separator: "\n")
    }
}

extension MetricExpression {
    func pretty(_ level: Int = 0) -> String {
        let indent = String(repeating: "  ", count: level)
        let line = text
        if line.utf8.count <= lineLength { return indent + line }
        switch node {
        case .number, .vector: return indent + line
        case .range(let range): return range.pretty(indent, level)
        case .aggregation(_, _, _, let operand):
            let parameter = parameterText.isEmpty ? "" : "\(indent)  \(parameterText.dropLast())\n"
            return "\(indent)\(headText)(\n\(parameter)\(operand.pretty(level + 1))\n\(indent))"
        case .binary(_, _, _, let left, let right):
            return "\(left.pretty(level + 1))\n\(indent)\(headText)\n\(right.pretty(level + 1))"
        case .labelReplace(let operand, let texts):
            return "\(indent)label_replace(\n\(operand.pretty(level + 1)),\n"
                + texts.map { "\(indent)  \(quotedByGo($0))" }.joined(separator: ",\n") + "\n\(indent))"
        case .parentheses(let inner): return "\(indent)(\n\(inner.pretty(level + 1))\n\(indent))"
        }
    }
}

extension RangeAggregation {
    fileprivate func pretty(_ indent: String, _ level: Int) -> String {
        var lines = [indent + operation.rawValue + "("]
        if operation == .quantileOverTime { lines.append("\(indent)  \(MetricExpression.text(quantile)),") }
        lines.append(indent + "  " + pipeline.selectorText)
        lines += pipeline.stages.map { indent + "    " + $0.text }
        if let unwrap { lines.append(indent + "    " + unwrap.text) }
        lines[lines.count - 1] += " [\(GoDuration.text(rangeNanoseconds))]"
        if hasOffset { lines[lines.count - 1] += " offset \(GoDuration.text(offsetNanoseconds))" }
        lines.append("\(indent))" + (grouping.map { " " + $0.text } ?? ""))
        return lines.joined(separator: "\n")
    }
}
