import CommandKit
import KernelRegularExpressions
import KernelStructures

/// Finds what patterns of `grep` match in a line.
struct GrepFinder {
    private let expressions: [LineExpression]
    private let isLine: Bool

    /// - Parameter flag: `-E` or `-F`, where the name of the command says it.
    init(_ patterns: [String], _ arguments: ParsedArguments, _ flag: String? = nil) throws {
        isLine = arguments.has("line-regexp")
        let isWord = arguments.has("word-regexp") && !isLine
        let isPerl = arguments.has("perl-regexp")
        let isLiteral = arguments.has("fixed-strings") || flag == "-F"
        let isExtended = arguments.has("extended-regexp") || flag == "-E" || isPerl
        if isPerl, isLiteral { throw UsageError("grep: -P and -F exclude each other") }
        let dialect: RegularExpression.Dialect =
            isLiteral ? .literal : isPerl ? .perl : isExtended ? .extended : .basic
        let options = RegularExpression.Options(ignoresCase: arguments.has("ignore-case"))
        // As grep has it, each line of a pattern is one.
        let lines = patterns.flatMap { $0.split(separator: "\n", omittingEmptySubsequences: false) }
        expressions = try lines.map { try LineExpression(String($0), dialect, options, isWord: isWord) }
    }

    /// Why the last answer cannot be trusted; nil where it can.
    var failure: String? { expressions.lazy.compactMap(\.failure).first }

    /// The match that begins first; of several there, the longest.
    func firstMatch(in text: [UInt8], from offset: Int = 0) -> Range<Int>? {
        // The second time it would begin behind the whole line.
        if isLine, offset > 0 { return nil }
        return text.withUnsafeBytes { bytes in
            if expressions.count == 1 { return expressions[0].firstRange(in: bytes, from: offset, isWhole: isLine) }
            return expressions.compactMap { $0.firstRange(in: bytes, from: offset, isWhole: isLine) }
                .min { ($0.lowerBound, -$0.upperBound) < ($1.lowerBound, -$1.upperBound) }
        }
    }
}
