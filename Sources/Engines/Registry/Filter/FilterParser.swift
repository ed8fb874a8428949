import KernelRegularExpressions

/// Reads a filter expression by recursive descent, to a limited depth.
struct FilterParser {
    private enum Token: Equatable {
        case word(String)
        case quoted(String)
        case symbol(String)
        case end
    }

    private var rest: Substring
    private let text: String
    private var token = Token.end
    private var depth = 0

    init(_ text: String) {
        self.text = text
        rest = text[...]
    }

    mutating func expression() throws(RegistryError) -> CatalogFilter.Term {
        try advance()
        let term = try either()
        guard token == .end else { throw expected("and, or, or the end") }
        return term
    }

    // MARK: Tokens

    private func fail(_ problem: String) -> RegistryError {
        let column = text.distance(from: text.startIndex, to: rest.startIndex) + 1
        return RegistryError(
            .malformed, "filter: \(problem) before column \(column)",
            remedy: "such as ServiceTags contains \"v1\" and ServiceMeta.env == prod")
    }

    private func expected(_ what: String) -> RegistryError {
        switch token {
        case .end: fail("it ends where there should be \(what)")
        case .word(let text), .quoted(let text), .symbol(let text): fail("'\(text.prefix(40))' is not \(what)")
        }
    }

    private static func isOfWord(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || "_-/:*@".contains(character)
    }

    private mutating func advance() throws(RegistryError) {
        rest = rest.drop { $0.isWhitespace }
        guard let first = rest.first else {
            token = .end
            return
        }
        if first == "\"" || first == "`" {
            token = .quoted(try quoted(first))
        } else if Self.isOfWord(first) {
            let word = rest.prefix(while: Self.isOfWord)
            rest = rest[word.endIndex...]
            token = .word(String(word))
        } else if rest.hasPrefix("==") || rest.hasPrefix("!=") {
            token = .symbol(String(rest.prefix(2)))
            rest = rest.dropFirst(2)
        } else if "().[]".contains(first) {
            token = .symbol(String(first))
            rest = rest.dropFirst()
        } else {
            throw fail("'\(first)' means nothing")
        }
    }

    private mutating func quoted(_ mark: Character) throws(RegistryError) -> String {
        rest = rest.dropFirst()
        var text = ""
        while let character = rest.popFirst() {
            if character == mark { return text }
            guard character == "\\", mark == "\"" else {
                text.append(character)
                continue
            }
            guard let escaped = rest.popFirst() else { break }
            text.append(escaped == "n" ? "\n" : escaped == "t" ? "\t" : escaped)
        }
        throw fail("a text that begins with \(mark) does not end")
    }

    private mutating func take(_ word: String) throws(RegistryError) -> Bool {
        guard case .word(let text) = token, text.lowercased() == word else { return false }
        try advance()
        return true
    }

    private mutating func take(symbol: String) throws(RegistryError) -> Bool {
        guard token == .symbol(symbol) else { return false }
        try advance()
        return true
    }

    // MARK: Terms

    private mutating func either() throws(RegistryError) -> CatalogFilter.Term {
        depth += 1
        defer { depth -= 1 }
        guard depth <= CatalogFilter.depthLimit else { throw fail("nested too deep") }
        var term = try both()
        while try take("or") { term = .or(term, try both()) }
        return term
    }

    private mutating func both() throws(RegistryError) -> CatalogFilter.Term {
        var term = try single()
        while try take("and") { term = .and(term, try single()) }
        return term
    }

    private mutating func single() throws(RegistryError) -> CatalogFilter.Term {
        depth += 1
        defer { depth -= 1 }
        guard depth <= CatalogFilter.depthLimit else { throw fail("nested too deep") }
        if try take("not") { return .not(try single()) }
        guard try take(symbol: "(") else { return try match() }
        let inner = try either()
        guard try take(symbol: ")") else { throw expected("')'") }
        return inner
    }

    /// A selector and what is said of it, or a value and the selector that it is to be in.
    private mutating func match() throws(RegistryError) -> CatalogFilter.Term {
        if case .quoted(let value) = token {
            try advance()
            return try membership(value)
        }
        guard case .word(let first) = token else { throw expected("a selector or a value") }
        try advance()
        if case .word(let next) = token, ["in"].contains(next.lowercased()) { return try membership(first) }
        let path = try selector(first)
        if try take(symbol: "==") { return .equals(path, try value()) }
        if try take(symbol: "!=") { return .not(.equals(path, try value())) }
        if try take("contains") { return .contains(path, try value()) }
        if try take("matches") { return .matches(path, try pattern()) }
        if try take("is") {
            let isNegated = try take("not")
            guard try take("empty") else { throw expected("empty") }
            return isNegated ? .not(.isEmpty(path)) : .isEmpty(path)
        }
        guard try take("not") else { throw expected("==, !=, in, contains, matches or is empty") }
        if try take("contains") { return .not(.contains(path, try value())) }
        if try take("matches") { return .not(.matches(path, try pattern())) }
        if try take("in"), path.count == 1 { return .not(.contains(try selector(), path[0])) }
        throw expected("contains, matches or in")
    }

    private mutating func membership(_ value: String) throws(RegistryError) -> CatalogFilter.Term {
        let isNegated = try take("not")
        guard try take("in") else { throw expected("in") }
        let term = CatalogFilter.Term.contains(try selector(), value)
        return isNegated ? .not(term) : term
    }

    private mutating func selector() throws(RegistryError) -> [String] {
        guard case .word(let first) = token else { throw expected("a selector") }
        try advance()
        return try selector(first)
    }

    private mutating func selector(_ first: String) throws(RegistryError) -> [String] {
        var path = [first]
        while true {
            if try take(symbol: ".") {
                guard case .word(let name) = token else { throw expected("a name") }
                path.append(name)
                try advance()
            } else if try take(symbol: "[") {
                guard case .quoted(let name) = token else { throw expected("a text in quotes") }
                path.append(name)
                try advance()
                guard try take(symbol: "]") else { throw expected("']'") }
            } else {
                return path
            }
        }
    }

    private mutating func value() throws(RegistryError) -> String {
        switch token {
        case .quoted(let text):
            try advance()
            return text
        case .word(var text):
            try advance()
            // A number with a point, or an address.
            while try take(symbol: ".") {
                guard case .word(let next) = token else { throw expected("what follows the point") }
                text += "." + next
                try advance()
            }
            return text
        default: throw expected("a value")
        }
    }

    private mutating func pattern() throws(RegistryError) -> RegularExpression {
        let text = try value()
        do {
            return try RegularExpression(text)
        } catch {
            throw RegistryError(.malformed, "filter: '\(text)' is no pattern: \(error)")
        }
    }
}
