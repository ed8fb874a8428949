/// `[[ … ]]`: words in it are neither split nor patterns for file names, `<` and `>` compare, and what stands behind
/// `==`, `!=` and `=~` is a pattern as far as it is not quoted.
extension Parser {
    private static let unaryTests: Set<String> = [
        "-e", "-f", "-d", "-s", "-r", "-w", "-x", "-n", "-z", "-v", "-a", "-t", "-o", "-h", "-L", "-p",
        "-S", "-b", "-c", "-g", "-u", "-k", "-O", "-G", "-N",
    ]
    private static let comparisons: Set<String> = [
        "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-ef", "<", ">",
    ]
    /// Of bash, and not here: the lab's files have no times.
    private static let refusedComparisons: Set<String> = ["-nt", "-ot"]

    mutating func conditional() throws(SyntaxError) -> CommandSyntax {
        let place = position
        advance(2)
        testCount = 0
        let condition = try disjunction(place)
        try skipConditionalBlank()
        guard keywordIs("]]") else {
            if current == nil { throw SyntaxError(place, "an open [[", isIncomplete: true) }
            throw SyntaxError(position, "unexpected '\(wordHere())' between [[ and ]]")
        }
        advance(2)
        return .conditional(condition, place)
    }

    /// `a && b && …` is a tree as deep as it is long.
    private mutating func countTest() throws(SyntaxError) {
        testCount += 1
        if testCount > Self.testLimit { throw SyntaxError(position, "more than \(Self.testLimit) tests in one [[ ]]") }
    }

    private static let testLimit = 500

    private func keywordIs(_ word: String) -> Bool {
        guard follows(word) else { return false }
        guard let next = peek(word.count) else { return true }
        return next.isWhitespace || ";&|)".contains(next)
    }

    private mutating func skipConditionalBlank() throws(SyntaxError) { try skipNewlines() }

    private mutating func disjunction(_ place: Position) throws(SyntaxError) -> Conditional {
        var left = try conjunction(place)
        while true {
            try skipConditionalBlank()
            guard follows("||") else { return left }
            advance(2)
            try countTest()
            left = .or(left, try conjunction(place))
        }
    }

    private mutating func conjunction(_ place: Position) throws(SyntaxError) -> Conditional {
        var left = try test(place)
        while true {
            try skipConditionalBlank()
            guard follows("&&") else { return left }
            advance(2)
            try countTest()
            left = .and(left, try test(place))
        }
    }

    private mutating func test(_ place: Position) throws(SyntaxError) -> Conditional {
        depth += 1
        defer { depth -= 1 }
        try checkDepth()
        try skipConditionalBlank()
        guard current != nil else { throw SyntaxError(place, "an open [[", isIncomplete: true) }
        if keywordIs("]]") { throw SyntaxError(position, "a condition is missing before ]]") }
        if current == "!", peek(1)?.isWhitespace == true {
            advance()
            return .not(try test(place))
        }
        if current == "(" {
            advance()
            let inner = try disjunction(place)
            try skipConditionalBlank()
            guard current == ")" else { throw SyntaxError(position, "an open (", isIncomplete: current == nil) }
            advance()
            return inner
        }
        let first = try conditionalWord()
        try skipBlank()
        if let name = first.keyword, Self.unaryTests.contains(name), !endsTest, binarySign() == nil {
            return .unary(name, try conditionalWord())
        }
        if Self.refusedComparisons.contains(wordHere()) {
            throw SyntaxError(position, "'\(wordHere())' is not known here: files have no times")
        }
        guard let sign = binarySign() else { return .word(first) }
        advance(sign.count)
        try skipBlank()
        guard !endsTest else {
            throw SyntaxError(position, "nothing follows '\(sign)' between [[ and ]]", isIncomplete: current == nil)
        }
        switch sign {
        case "==", "=": return .pattern(first, isNegated: false, try conditionalWord())
        case "!=": return .pattern(first, isNegated: true, try conditionalWord())
        case "=~": return .expression(first, try conditionalWord(isExpression: true))
        default: return .binary(first, sign, try conditionalWord())
        }
    }

    /// Whether what stands here is no word of a test.
    private var endsTest: Bool {
        guard let character = current else { return true }
        return character.isLineEnd || follows("&&") || follows("||") || character == ")" || keywordIs("]]")
    }

    /// The operator between two words that stands here.
    private func binarySign() -> String? {
        for sign in ["==", "!=", "=~", "="] where follows(sign) && peek(sign.count)?.isWhitespace == true {
            return sign
        }
        if current == "<" && !follows("<(") || current == ">" { return String(current!) }
        let word = wordHere()
        return Self.comparisons.contains(word) ? word : nil
    }

    private mutating func conditionalWord(isExpression: Bool = false) throws(SyntaxError) -> Word {
        let before = wordKind
        wordKind = isExpression ? .expression : .conditional
        defer { wordKind = before }
        return try word()
    }
}
