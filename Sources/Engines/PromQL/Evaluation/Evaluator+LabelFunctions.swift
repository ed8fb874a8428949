import KernelRegularExpressions
import TimeSeriesEngine

/// `label_replace` and `label_join`.
extension Evaluator {
    func labelReplace(_ arguments: [Expression], _ grid: TimeGrid) throws(PromQLError) -> StepMatrix {
        let source = try vector(arguments[0], grid)
        let destination = try string(arguments[1])
        let replacement = try string(arguments[2])
        let sourceLabel = try string(arguments[3])
        let pattern = try string(arguments[4])
        let expression: RegularExpression
        do throws(RegularExpressionError) {
            expression = try RegularExpression(pattern)
        } catch {
            throw PromQLError.execution("invalid regular expression in label_replace(): \(pattern)")
        }
        guard Self.isLabelName(destination) else {
            throw PromQLError.execution("invalid destination label name in label_replace(): \(destination)")
        }
        let template = GoTemplate(replacement, expression)
        return try relabelled(source) { labels in
            labels.withValue(of: sourceLabel) { value in
                guard let match = Self.wholeMatch(expression, value) else { return labels }
                let bytes = template.expanded(match, value)
                return labels.setting(destination, to: String(decoding: bytes, as: UTF8.self))
            }
        }
    }

    private static func wholeMatch(
        _ expression: RegularExpression, _ value: UnsafeRawBufferPointer
    ) -> RegularExpression.Match? {
        expression.firstMatch(in: value, from: 0, .whole)
    }

    func labelJoin(_ arguments: [Expression], _ grid: TimeGrid) throws(PromQLError) -> StepMatrix {
        let source = try vector(arguments[0], grid)
        let destination = try string(arguments[1])
        let separator = try string(arguments[2])
        var names: [String] = []
        for argument in arguments.dropFirst(3) {
            let name = try string(argument)
            guard Self.isLabelName(name) else {
                throw PromQLError.execution("invalid source label name in label_join(): \(name)")
            }
            names.append(name)
        }
        guard Self.isLabelName(destination) else {
            throw PromQLError.execution("invalid destination label name in label_join(): \(destination)")
        }
        return try relabelled(source) { labels in
            labels.setting(destination, to: names.map { labels[$0] }.joined(separator: separator))
        }
    }

    private func relabelled(
        _ source: StepMatrix, _ body: (Labels) -> Labels
    ) throws(PromQLError) -> StepMatrix {
        var result = source
        for row in 0..<result.rows { result.labels[row] = body(result.labels[row]) }
        try checkTime(result.rows)
        return result.hasSameLabels ? try joined(result) : result
    }
}

/// A replacement as Go's `Regexp.Expand` reads it: `$1`, `${1}`, `$name` (the longest name that there could be), `$$`;
/// groups that do not exist are empty.
struct GoTemplate {
    private enum Part {
        case text([UInt8])
        case group(Int)
    }

    private var parts: [Part] = []

    init(_ template: String, _ expression: RegularExpression) {
        let bytes = Array(template.utf8)
        var text: [UInt8] = []
        var index = 0
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "$"), index + 1 < bytes.count else {
                text.append(bytes[index])
                index += 1
                continue
            }
            if bytes[index + 1] == UInt8(ascii: "$") {
                text.append(UInt8(ascii: "$"))
                index += 2
                continue
            }
            let isBraced = bytes[index + 1] == UInt8(ascii: "{")
            let start = index + (isBraced ? 2 : 1)
            var end = start
            while end < bytes.count, Lexer.isAlphanumeric(bytes[end]) { end += 1 }
            guard end > start, !isBraced || end < bytes.count && bytes[end] == UInt8(ascii: "}") else {
                text.append(bytes[index])
                index += 1
                continue
            }
            parts.append(.text(text))
            text = []
            let name = String(decoding: bytes[start..<end], as: UTF8.self)
            if let group = Int(name) ?? expression.groupNumber(name), group <= expression.groupCount {
                parts.append(.group(group))
            }
            index = end + (isBraced ? 1 : 0)
        }
        parts.append(.text(text))
    }

    func expanded(_ match: RegularExpression.Match, _ value: UnsafeRawBufferPointer) -> [UInt8] {
        var out: [UInt8] = []
        for part in parts {
            switch part {
            case .text(let bytes): out += bytes
            case .group(let group): if let range = match[group] { out += value[range] }
            }
        }
        return out
    }
}
