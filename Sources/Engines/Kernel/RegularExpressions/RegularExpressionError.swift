import CRE2

/// What is wrong with a pattern, and where.
public struct RegularExpressionError: Error, Equatable, Sendable, CustomStringConvertible {
    public let pattern: String
    /// `missing ]: '[a'`
    public let problem: String
    /// From 1; nil where it is no single place.
    public let character: Int?

    public var description: String { "'\(pattern)': \(problem)" + (character.map { " at character \($0)" } ?? "") }

    init(pattern: String, problem: String, character: Int?) {
        self.pattern = pattern
        self.problem = problem
        self.character = character
    }

    /// Nil if the expression is valid.
    init?(of expression: OpaquePointer, _ pattern: String) {
        var argumentStart: UnsafePointer<CChar>?
        guard let text = sdlab_re2_error(expression, &argumentStart) else { return nil }
        let argument = argumentStart.map { String(cString: $0) } ?? ""
        var problem = String(cString: text)
        self.pattern = pattern
        switch sdlab_re2_kind_of_error(expression) {
        case SDLAB_RE2_UNCLOSED_PARENTHESIS:
            self.problem = "missing )"
            character = ParenthesisScan(of: pattern).unclosed.last
            return
        case SDLAB_RE2_UNEXPECTED_PARENTHESIS:
            self.problem = "unexpected )"
            character = ParenthesisScan(of: pattern).unexpected
            return
        case SDLAB_RE2_TRAILING_BACKSLASH:
            self.problem = "a backslash at the end"
            character = pattern.count
            return
        default: break
        }
        // RE2 repeats the part of the pattern behind its words.
        if !argument.isEmpty, problem.hasSuffix(": " + argument) { problem.removeLast(argument.count + 2) }
        self.problem = argument.isEmpty || argument == pattern ? problem : "\(problem): '\(argument)'"
        let range = argument.isEmpty ? nil : pattern.ranges(of: argument).first
        character = range.map { pattern.distance(from: pattern.startIndex, to: $0.lowerBound) + 1 }
    }
}

/// The parentheses of a pattern that have no counterpart, as places from 1.
private struct ParenthesisScan {
    private(set) var unclosed: [Int] = []
    private(set) var unexpected: Int?

    init(of pattern: String) {
        var isEscaped = false
        var isInBrackets = false
        for (index, character) in pattern.enumerated() {
            if isEscaped {
                isEscaped = false
                continue
            }
            switch character {
            case "\\": isEscaped = true
            case "[": isInBrackets = true
            case "]": isInBrackets = false
            case "(" where !isInBrackets: unclosed.append(index + 1)
            case ")" where !isInBrackets:
                if unclosed.popLast() == nil { unexpected = unexpected ?? index + 1 }
            default: break
            }
        }
    }
}
