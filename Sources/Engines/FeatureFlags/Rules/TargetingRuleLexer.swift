/// A rule's words.
enum RuleToken: Equatable {
    /// A field, a keyword or an operator in letters.
    case word(String)
    case text(String)
    case number(String)
    /// `==`, `(`, `&&` …
    case symbol(String)
    case end

    var shown: String {
        switch self {
        case .word(let text), .number(let text), .symbol(let text): "'\(text)'"
        case .text(let text): "\"\(text)\""
        case .end: "the end"
        }
    }
}

/// Cuts a rule into words.
struct TargetingRuleLexer {
    static let lengthLimitBytes = 4096

    private let characters: [Character]
    private var place = 0
    let rule: String

    /// - Throws: `TargetingRuleError` for one that is too long.
    init(_ rule: String) throws(TargetingRuleError) {
        self.rule = rule
        if rule.utf8.count > Self.lengthLimitBytes {
            throw TargetingRuleError(
                rule: "", problem: "longer than \(Self.lengthLimitBytes) bytes", character: nil)
        }
        characters = Array(rule)
    }

    func error(_ problem: String, at place: Int) -> TargetingRuleError {
        TargetingRuleError(rule: rule, problem: problem, character: place + 1)
    }

    /// The next word, and where it begins.
    mutating func next() throws(TargetingRuleError) -> (token: RuleToken, place: Int) {
        while place < characters.count, characters[place].isWhitespace { place += 1 }
        let start = place
        guard place < characters.count else { return (.end, start) }
        let first = characters[place]
        if first == "\"" || first == "'" { return (.text(try text(first)), start) }
        if Self.isDigit(first) || first == "-" && place + 1 < characters.count && Self.isDigit(characters[place + 1]) {
            return (.number(try number()), start)
        }
        if Self.isLetter(first) {
            while place < characters.count, Self.isOfWord(characters[place]) { place += 1 }
            return (.word(String(characters[start..<place])), start)
        }
        for symbol in ["==", "!=", "<=", ">=", "&&", "||", "<", ">", "(", ")", "[", "]", ",", "!"]
        where characters[place...].starts(with: symbol) {
            place += symbol.count
            return (.symbol(symbol), start)
        }
        if first == "=" { throw error("'=' compares nothing; write ==", at: start) }
        throw error("'\(first)' means nothing here", at: start)
    }

    private static func isDigit(_ character: Character) -> Bool { character.isASCII && character.isNumber }
    private static func isLetter(_ character: Character) -> Bool { character.isLetter || character == "_" }
    private static func isOfWord(_ character: Character) -> Bool {
        isLetter(character) || isDigit(character) || character == "." || character == "-"
    }

    private mutating func text(_ quote: Character) throws(TargetingRuleError) -> String {
        let start = place
        place += 1
        var text = ""
        while place < characters.count {
            let character = characters[place]
            place += 1
            if character == quote { return text }
            guard character == "\\" else {
                text.append(character)
                continue
            }
            guard place < characters.count else { break }
            switch characters[place] {
            case "n": text.append("\n")
            case "t": text.append("\t")
            case "\"", "'", "\\": text.append(characters[place])
            // A pattern's own escapes stay as they are: "^\d+$".
            default: text += "\\" + String(characters[place])
            }
            place += 1
        }
        throw error("this text does not end; close it with \(quote)", at: start)
    }

    private mutating func number() throws(TargetingRuleError) -> String {
        let start = place
        if characters[place] == "-" { place += 1 }
        while place < characters.count, Self.isDigit(characters[place]) || characters[place] == "." { place += 1 }
        let text = String(characters[start..<place])
        guard FlagNumber.value(text) != nil else {
            throw error("'\(text)' is no number; a version stands in quotes: \"1.2.3\"", at: start)
        }
        if place < characters.count, Self.isLetter(characters[place]) {
            throw error("a number ends in a letter; text stands in quotes", at: place)
        }
        return text
    }
}
