import CommandKit
import KernelRegularExpressions
import KernelStructures

/// Finds what patterns of `grep` match in a line.
struct GrepFinder {
    private let expressions: [RegularExpression]
    private let isWord: Bool
    private let isLine: Bool
    /// Only the last group is the match: what stands before `\K` is not shown.
    private var keepsLast = false

    /// - Parameter flag: `-E` or `-F`, where the name of the command says it.
    init(_ patterns: [String], _ arguments: ParsedArguments, _ flag: String? = nil) throws {
        isLine = arguments.has("line-regexp")
        let isWord = arguments.has("word-regexp") && !isLine
        self.isWord = isWord
        let isPerl = arguments.has("perl-regexp")
        let isLiteral = arguments.has("fixed-strings") || flag == "-F"
        let isExtended = arguments.has("extended-regexp") || flag == "-E" || isPerl
        if isPerl, isLiteral { throw UsageError("grep: -P and -F exclude each other") }
        let dialect: RegularExpression.Dialect =
            isLiteral ? .literal : isPerl ? .perl : isExtended ? .extended : .basic
        let options = RegularExpression.Options(ignoresCase: arguments.has("ignore-case"))
        // As grep has it, each line of a pattern is one.
        let lines = patterns.flatMap { $0.split(separator: "\n", omittingEmptySubsequences: false) }
        if isPerl { for line in lines { try Self.refuseLookaround(line) } }
        if isPerl, lines.count == 1, let place = lines[0].firstRange(of: "\\K"), !isWord {
            let (before, behind) = (lines[0][..<place.lowerBound], lines[0][place.upperBound...])
            // The last group holds what stands behind; groups of its own would be counted, too.
            let expression = try RegularExpression("(?:\(before))(?P<kept>\(behind))", .perl, options)
            expressions = [expression]
            keepsLast = true
            return
        }
        expressions = try lines.map { line in
            guard isWord else { return try RegularExpression(String(line), dialect, options) }
            let isBasic = !isLiteral && !isExtended
            let word = Self.asWord(isLiteral ? Self.escaped(line) : String(line), isBasic: isBasic)
            return try RegularExpression(word, isBasic ? .basic : isPerl ? .perl : .extended, options)
        }
    }

    /// The expressions here take time in proportion to the text, which looking around does not.
    private static func refuseLookaround(_ pattern: Substring) throws {
        for sign in ["(?=", "(?!", "(?<=", "(?<!"] where pattern.contains(sign) {
            throw UsageError(
                "grep: -P: '\(sign)', looking around, is not known here; \\K cuts off what stands before, "
                    + "and sed's groups cut out a part")
        }
    }

    /// The pattern as the second group between what is not part of a word.
    private static func asWord(_ pattern: String, isBasic: Bool) -> String {
        isBasic
            ? "\\(^\\|[^[:alnum:]_]\\)\\(\(pattern)\\)\\([^[:alnum:]_]\\|$\\)"
            : "(^|[^[:alnum:]_])(\(pattern))([^[:alnum:]_]|$)"
    }

    private static func escaped(_ text: Substring) -> String {
        text.reduce(into: "") { $0 += "\\.[]*^$+?(){}|".contains($1) ? "\\\($1)" : String($1) }
    }

    /// The match that begins first; of several there, the longest.
    func firstMatch(in text: [UInt8], from offset: Int = 0) -> Range<Int>? {
        text.withUnsafeBytes { bytes in
            expressions.compactMap { range(of: $0, in: bytes, from: offset) }
                .min { ($0.lowerBound, -$0.upperBound) < ($1.lowerBound, -$1.upperBound) }
        }
    }

    private func range(
        of expression: RegularExpression, in bytes: UnsafeRawBufferPointer, from offset: Int
    ) -> Range<Int>? {
        // The second time it would begin behind the whole line.
        if isLine { return offset == 0 ? expression.firstRange(in: bytes, from: 0, .whole) : nil }
        if keepsLast {
            guard let number = expression.groupNumber("kept") else { return nil }
            return expression.firstMatch(in: bytes, from: offset)?[number]
        }
        if isWord { return expression.firstMatch(in: bytes, from: offset)?[2] }
        return expression.firstRange(in: bytes, from: offset)
    }
}
