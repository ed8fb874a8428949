import TimeSeriesEngine

/// Expressions as text, in the one form that `format_query` gives for all spellings of a query.
extension Expression {
    var text: String {
        switch node {
        case .number(let value): return numberText(value)
        case .string(let value): return quotedByGo(value)
        case .selector(let selector): return selector.text(range: nil)
        case .range(let selector, let milliseconds): return selector.text(range: milliseconds)
        case .subquery(let subquery):
            return subquery.inner.text + subquery.suffixText
        case .parentheses(let inner): return "(\(inner.text))"
        case .unary(let isNegative, let operand): return (isNegative ? "-" : "+") + operand.text
        case .binary(let binary):
            return "\(binary.left.text) \(binary.operation.rawValue)\(binary.modifierText) \(binary.right.text)"
        case .aggregation(let aggregation):
            let arguments = [aggregation.parameter, aggregation.operand].compactMap { $0?.text }
            return aggregation.headText + "(" + arguments.joined(separator: ", ") + ")"
        case .call(let call):
            return "\(call.function.name)(\(call.arguments.map(\.text).joined(separator: ", ")))"
        }
    }
}

/// A number as Go's `%v` writes it, which Prometheus uses.
func numberText(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return GoFormat.shortest(value)
}

extension TimeShift {
    var text: String {
        var text = ""
        switch anchor {
        case nil: break
        case .milliseconds(let milliseconds):
            text += " @ " + GoFormat.fixed(Double(milliseconds) / 1000, digits: 3)
        case .start: text += " @ start()"
        case .end: text += " @ end()"
        }
        if offsetMilliseconds > 0 {
            text += " offset \(PromQLDuration.text(offsetMilliseconds))"
        } else if offsetMilliseconds < 0 {
            text += " offset -\(PromQLDuration.text(-offsetMilliseconds))"
        }
        return text
    }
}

extension VectorSelector {
    func text(range: Int64?) -> String {
        // The name stands in front; it is among the matchers only for whoever looks series up.
        let conditions = matchers.filter { name.isEmpty || $0.name != Labels.metricNameLabel }
        let braces =
            conditions.isEmpty
            ? (name.isEmpty ? "{}" : "")
            : "{"
                + conditions.map { "\($0.name)\($0.kind.rawValue)\(quotedByGo($0.value))" }.sorted {
                    byteOrder($0, $1) < 0
                }
                .joined(separator: ",") + "}"
        return name + braces + (range.map { "[\(PromQLDuration.text($0))]" } ?? "") + shift.text
    }
}

extension Binary {
    var modifierText: String {
        var text = returnsBool ? " bool" : ""
        if hasMatching,
            matching.isOn || !matching.labels.isEmpty || matching.cardinality == .manyToOne
                || matching.cardinality == .oneToMany
        {
            text += matching.isOn ? " on" : " ignoring"
            text += " (\(matching.labels.joined(separator: ", ")))"
            switch matching.cardinality {
            case .manyToOne: text += " group_left"
            case .oneToMany: text += " group_right"
            case .oneToOne, .manyToMany: return text
            }
            text += " (\(matching.included.joined(separator: ", ")))"
        }
        return text
    }
}

extension Aggregation {
    var headText: String {
        if isWithout { return "\(operation.rawValue) without (\(grouping.joined(separator: ", "))) " }
        return grouping.isEmpty
            ? operation.rawValue : "\(operation.rawValue) by (\(grouping.joined(separator: ", "))) "
    }
}

/// Long expressions on several lines, as Prometheus's `Prettify` breaks them: whatever is longer than 100 characters
/// has its parts on lines of their own, two spaces further in.
extension Expression {
    func pretty(_ level: Int = 0) -> String {
        let indent = String(repeating: "  ", count: level)
        let line = text
        let fits = line.utf8.count <= 100
        switch node {
        case .unary(let isNegative, let operand):
            return indent + (isNegative ? "-" : "+") + operand.pretty(level).drop { $0 == " " }
        case _ where fits: return indent + line
        case .number, .string, .selector, .range: return indent + line
        case .parentheses(let inner): return "\(indent)(\n\(inner.pretty(level + 1))\n\(indent))"
        case .subquery(let subquery): return subquery.inner.pretty(level) + subquery.suffixText
        case .binary(let binary):
            return "\(binary.left.pretty(level + 1))\n\(indent)\(binary.operation.rawValue)\(binary.modifierText)\n"
                + binary.right.pretty(level + 1)
        case .aggregation(let aggregation):
            let arguments = [aggregation.parameter, aggregation.operand].compactMap { $0?.pretty(level + 1) }
            return "\(indent)\(aggregation.headText)(\n\(arguments.joined(separator: ",\n"))\n\(indent))"
        case .call(let call):
            let arguments = call.arguments.map { $0.pretty(level + 1) }
            return "\(indent)\(call.function.name)(\n\(arguments.joined(separator: ",\n"))\n\(indent))"
        }
    }
}

extension Subquery {
    var suffixText: String {
        "[\(PromQLDuration.text(rangeMilliseconds)):\(stepMilliseconds.map(PromQLDuration.text) ?? "")]" + shift.text
    }
}
