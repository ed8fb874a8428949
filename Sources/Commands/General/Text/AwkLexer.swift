import ShellLanguage

/// Cuts a program for `awk` into its words.
struct AwkLexer {
    enum Token: Equatable {
        case number(Double)
        case string(String)
        case pattern(String)
        /// A function's name with its parenthesis right behind it.
        case functionName(String)
        case name(String)
        case keyword(String)
        case sign(String)
        case newline
        case end
    }

    static let keywords: Set<String> = [
        "BEGIN", "END", "function", "func", "if", "else", "while", "for", "do", "break", "continue", "next", "nextfile",
        "exit", "return", "delete", "in", "getline", "print", "printf",
    ]
    static let builtins: Set<String> = [
        "length", "substr", "index", "split", "sub", "gsub", "gensub", "match", "sprintf", "sin", "cos", "atan2", "exp",
        "log", "sqrt", "int", "rand", "srand", "tolower", "toupper", "close", "fflush", "systime", "strftime", "system",
    ]
    private static let signs = [
        "**=", "+=", "-=", "*=", "/=", "%=", "^=", "==", "<=", ">=", "!=", "++", "--", "&&", "||", ">>", "!~", "**",
        "{",
        "}", "(", ")", "[", "]", ";", ",", "+", "-", "*", "/", "%", "^", "!", ">", "<", "|", "?", ":", "~", "$", "=",
    ]

    private let text: [Character]
    private var index = 0
    private(set) var line = 1
    /// What came last: whether a `/` divides or begins a pattern depends on it.
    private var last = Token.newline

    init(_ text: String) { self.text = Array(text) }

    private var dividesHere: Bool {
        switch last {
        case .number, .string, .pattern, .name: true
        case .keyword(let word): word == "getline"
        case .sign(let sign): [")", "]", "$", "++", "--"].contains(sign)
        default: false
        }
    }

    mutating func next() throws -> Token {
        last = try token()
        return last
    }

    private mutating func token() throws -> Token {
        while index < text.count {
            let character = text[index]
            if character == "\\", index + 1 < text.count, text[index + 1].isLineEnd {
                index += 2
                line += 1
            } else if character.isLineEnd {
                index += 1
                line += 1
                return .newline
            } else if character == "#" {
                while index < text.count, !text[index].isLineEnd { index += 1 }
            } else if character.isWhitespace {
                index += 1
            } else {
                break
            }
        }
        guard index < text.count else { return .end }
        let character = text[index]
        if character == "\"" { return .string(try quoted("\"")) }
        if character == "/", !dividesHere { return .pattern(try quoted("/")) }
        let nextIsDigit = index + 1 < text.count && text[index + 1].isASCII && text[index + 1].isNumber
        if character.isASCII, character.isNumber || character == "." && nextIsDigit { return try number() }
        if character == "_" || character.isASCII && character.isLetter { return word() }
        for sign in Self.signs where follows(sign) {
            index += sign.count
            return .sign(sign == "**" ? "^" : sign == "**=" ? "^=" : sign)
        }
        throw AwkFailure("line \(line): unexpected '\(character)'")
    }

    private func follows(_ sign: String) -> Bool {
        var place = index
        for character in sign {
            guard place < text.count, text[place] == character else { return false }
            place += 1
        }
        return true
    }

    private mutating func number() throws -> Token {
        let start = index
        func isDigit(_ place: Int) -> Bool { place < text.count && text[place].isASCII && text[place].isNumber }
        if text[index] == "0", index + 1 < text.count, text[index + 1] == "x" || text[index + 1] == "X" {
            var end = index + 2
            while end < text.count, text[end].isHexDigit { end += 1 }
            guard let value = UInt64(String(text[(index + 2)..<end]), radix: 16) else {
                throw AwkFailure("line \(line): '\(String(text[index..<end]))' is not a number")
            }
            index = end
            return .number(Double(value))
        }
        while isDigit(index) { index += 1 }
        if index < text.count, text[index] == "." {
            index += 1
            while isDigit(index) { index += 1 }
        }
        if index < text.count, text[index] == "e" || text[index] == "E" {
            let sign = index + 1 < text.count && "+-".contains(text[index + 1]) ? 2 : 1
            if isDigit(index + sign) {
                index += sign
                while isDigit(index) { index += 1 }
            }
        }
        var digits = String(text[start..<index])
        if digits.hasSuffix(".") { digits += "0" }
        guard let value = Double(digits.hasPrefix(".") ? "0" + digits : digits) else {
            throw AwkFailure("line \(line): '\(digits)' is not a number")
        }
        return .number(value)
    }

    private mutating func word() -> Token {
        let start = index
        while index < text.count,
            text[index] == "_" || text[index].isASCII && (text[index].isLetter || text[index].isNumber)
        {
            index += 1
        }
        let word = String(text[start..<index])
        if Self.keywords.contains(word) { return .keyword(word == "func" ? "function" : word) }
        return index < text.count && text[index] == "(" && !Self.builtins.contains(word)
            ? .functionName(word) : .name(word)
    }

    /// A text in quotes with its escapes, or a pattern, which keeps them.
    private mutating func quoted(_ end: Character) throws -> String {
        let start = line
        index += 1
        var result = ""
        var isInBrackets = false
        while index < text.count, text[index] != end || isInBrackets {
            let character = text[index]
            index += 1
            if character.isLineEnd {
                guard end == "\"" else { throw AwkFailure("line \(start): the pattern has no end") }
                throw AwkFailure("line \(start): the text has no end")
            }
            guard character == "\\", index < text.count else {
                if end == "/" {
                    if character == "[", !isInBrackets {
                        isInBrackets = true
                        // A bracket right behind the opening one is a member.
                        result.append(character)
                        if index < text.count, text[index] == "^" { result.append("^"); index += 1 }
                        if index < text.count, text[index] == "]" { result.append("]"); index += 1 }
                        continue
                    }
                    if character == "]" { isInBrackets = false }
                }
                result.append(character)
                continue
            }
            let next = text[index]
            index += 1
            if next.isLineEnd {
                line += 1
            } else if end == "/" {
                result += next == "/" ? "/" : "\\\(next)"
            } else if next == "\"" || next == "/" {
                result.append(next)
            } else if "0"..."7" ~= next {
                var digits = String(next)
                while digits.count < 3, index < text.count, "0"..."7" ~= text[index] {
                    digits.append(text[index])
                    index += 1
                }
                result.append(ByteText.character(UInt8(truncatingIfNeeded: Int(digits, radix: 8) ?? 0)))
            } else if next == "x", index < text.count, text[index].isASCII, text[index].isHexDigit {
                var digits = ""
                while digits.count < 2, index < text.count, text[index].isASCII, text[index].isHexDigit {
                    digits.append(text[index])
                    index += 1
                }
                result.append(ByteText.character(UInt8(digits, radix: 16) ?? 0))
            } else if let escape = [
                "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "a": "\u{7}", "b": "\u{8}", "f": "\u{C}", "v": "\u{B}",
            ][next] {
                result += escape
            } else {
                result += "\\\(next)"
            }
        }
        guard index < text.count else {
            throw AwkFailure("line \(start): the \(end == "/" ? "pattern" : "text") has no end")
        }
        index += 1
        return ByteText.joined(result)
    }
}
