import KernelRegularExpressions

/// The range of a match in a line, and those of its groups, in byte offsets.
struct LineMatch {
    let range: Range<Int>
    /// Nil for a group that took no part.
    let groups: [Range<Int>?]

    /// The match for number 0, then the groups; nil for one that took no part or does not exist.
    subscript(number: Int) -> Range<Int>? {
        number == 0 ? range : groups.indices.contains(number - 1) ? groups[number - 1] : nil
    }
}

/// An expression of `grep` or `sed`.
///
/// RE2 finds it in linear time, where it can be said to RE2. What cannot goes to `WalkingExpression`, which tries one
/// way after another: `\1` in a pattern, the two ends of words that `\<` and `\>` tell apart, and what Perl's look
/// around.
final class LineExpression {
    private enum Kind {
        case linear(RegularExpression)
        case walking(WalkingExpression)
    }

    private let kind: Kind
    let groupCount: Int
    /// It stands in the second group, between what is no part of a word.
    private let isInGroup: Bool

    /// - Parameter isWord: it must begin and end where no letter, digit or `_` stands beside it.
    /// - Throws: `RegularExpressionError` or `WalkingError`, which say where the pattern is wrong.
    init(
        _ pattern: String, _ dialect: RegularExpression.Dialect, _ options: RegularExpression.Options,
        isWord: Bool = false
    ) throws {
        func walking() throws -> WalkingExpression {
            try WalkingExpression(pattern, dialect, options, isWord: isWord)
        }
        let isLiteral = dialect == .literal
        if dialect == .basic || dialect == .extended, WalkingExpression.tellsWordEnds(pattern) {
            kind = .walking(try walking())
        } else {
            do {
                let word =
                    isWord
                    ? Self.asWord(isLiteral ? Self.escaped(pattern) : pattern, isBasic: dialect == .basic) : pattern
                kind = .linear(try RegularExpression(word, isWord && isLiteral ? .extended : dialect, options))
            } catch {
                guard !isLiteral else { throw error }
                // What is wrong for RE2 may be right where one way after another is tried.
                do { kind = .walking(try walking()) } catch let other as WalkingError {
                    // Of what both do not take, RE2 knows the place; of what only the other could take, it does not.
                    guard dialect == .perl || error.problem.contains("repeats what a group matched") else {
                        throw error
                    }
                    throw other
                }
            }
        }
        switch kind {
        case .linear(let expression): (groupCount, isInGroup) = (expression.groupCount, isWord)
        case .walking(let expression): (groupCount, isInGroup) = (expression.groupCount, false)
        }
    }

    /// The pattern as the second group between what is not part of a word.
    private static func asWord(_ pattern: String, isBasic: Bool) -> String {
        isBasic
            ? "\\(^\\|[^[:alnum:]_]\\)\\(\(pattern)\\)\\([^[:alnum:]_]\\|$\\)"
            : "(^|[^[:alnum:]_])(\(pattern))([^[:alnum:]_]|$)"
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { $0 += "\\.[]*^$+?(){}|".contains($1) ? "\\\($1)" : String($1) }
    }

    /// Why the last answers cannot be trusted: too many ways had to be tried. Nil where they can.
    var failure: String? { if case .walking(let walking) = kind { walking.failure } else { nil } }

    func firstMatch(in text: UnsafeRawBufferPointer, from offset: Int = 0) -> LineMatch? {
        switch kind {
        case .walking(let expression): return expression.firstMatch(in: text, from: offset)
        case .linear(let expression):
            return expression.firstMatch(in: text, from: offset).map { LineMatch(range: $0.range, groups: $0.groups) }
        }
    }

    func firstRange(
        in text: UnsafeRawBufferPointer, from offset: Int = 0, isWhole: Bool = false
    ) -> Range<Int>? {
        switch kind {
        case .walking(let expression): expression.firstMatch(in: text, from: offset, isWhole: isWhole)?.range
        case .linear(let expression):
            isInGroup
                ? expression.firstMatch(in: text, from: offset)?[2]
                : expression.firstRange(in: text, from: offset, isWhole ? .whole : .anywhere)
        }
    }

    /// The matches from left to right that do not overlap; an empty one directly behind another does not count.
    func allMatches(in text: UnsafeRawBufferPointer, limit: Int = .max) -> [LineMatch] {
        var found: [LineMatch] = []
        var offset = 0
        var lastEnd = -1
        while found.count < limit, offset <= text.count, let match = firstMatch(in: text, from: offset) {
            if !match.range.isEmpty || match.range.lowerBound != lastEnd { found.append(match) }
            offset = match.range.upperBound
            lastEnd = offset
            guard match.range.isEmpty else { continue }
            offset += 1
            while offset < text.count, text[offset] & 0xC0 == 0x80 { offset += 1 }
        }
        return found
    }
}
