/// Reads a template.
struct TemplateParser {
    typealias Failure = AlertTemplate.Failure

    /// Text, or what stands between `{{` and `}}`.
    private enum Piece {
        case text(String)
        case action([Word])
    }

    enum Word: Equatable {
        case name(String)
        case text(String)
        case number(Double)
        /// `.x.y`, behind something or by itself.
        case fields([String])
        case variable(String)
        case symbol(Character)
        case assign
    }

    private var pieces: [Piece] = []
    private var at = 0
    private static let depthLimit = 50

    init(_ source: String) throws(Failure) {
        var rest = Substring(source)
        var trims = false
        while let open = rest.ranges(of: "{{").first {
            var text = rest[..<open.lowerBound]
            if trims { text = Self.trimmedStart(text) }
            rest = rest[open.upperBound...]
            guard let close = rest.ranges(of: "}}").first else { throw Failure(description: "unclosed action") }
            var body = rest[..<close.lowerBound]
            rest = rest[close.upperBound...]
            if body.first == "-", body.dropFirst().first?.isWhitespace ?? true {
                while text.last?.isWhitespace == true { text = text.dropLast() }
                body = body.dropFirst()
            }
            trims = body.last == "-" && (body.dropLast().last?.isWhitespace ?? true)
            if trims { body = body.dropLast() }
            if !text.isEmpty { pieces.append(.text(String(text))) }
            let trimmed = Self.trimmedStart(body)
            if trimmed.hasPrefix("/*") { continue }
            pieces.append(.action(try Self.words(String(trimmed))))
        }
        if trims { rest = Self.trimmedStart(rest) }
        if !rest.isEmpty { pieces.append(.text(String(rest))) }
    }

    private static func trimmedStart(_ text: Substring) -> Substring { text.drop { $0.isWhitespace } }

    // MARK: Words

    private static func words(_ body: String) throws(Failure) -> [Word] {
        var words: [Word] = []
        var rest = Array(body)[...]
        func name() -> String {
            let name = rest.prefix { $0 == "_" || $0.isLetter || $0.isNumber }
            rest = rest.dropFirst(name.count)
            return String(name)
        }
        while let first = rest.first {
            switch first {
            case _ where first.isWhitespace: rest = rest.dropFirst()
            case "\"", "`":
                let (text, length) = try quoted(rest)
                words.append(.text(text))
                rest = rest.dropFirst(length)
            case "|", "(", ")", ",":
                words.append(.symbol(first))
                rest = rest.dropFirst()
            case ":" where rest.dropFirst().first == "=":
                words.append(.assign)
                rest = rest.dropFirst(2)
            case "$":
                rest = rest.dropFirst()
                words.append(.variable(name()))
            case ".":
                var fields: [String] = []
                while rest.first == "." {
                    rest = rest.dropFirst()
                    let field = name()
                    if !field.isEmpty { fields.append(field) }
                }
                words.append(.fields(fields))
            case _ where first.isNumber || first == "-":
                let text = String(rest.prefix { $0.isNumber || "+-.eExX_".contains($0) || $0.isHexDigit })
                rest = rest.dropFirst(text.count)
                guard let number = Double(text) else { throw Failure(description: "bad number syntax: \(text)") }
                words.append(.number(number))
            case _ where first.isLetter || first == "_": words.append(.name(name()))
            default: throw Failure(description: "unexpected '\(first)' in an action")
            }
        }
        return words
    }

    private static func quoted(_ rest: ArraySlice<Character>) throws(Failure) -> (String, Int) {
        var text = ""
        var length = 1
        let quote = rest.first
        var isEscaped = false
        for character in rest.dropFirst() {
            length += 1
            if isEscaped {
                isEscaped = false
                switch character {
                case "n": text += "\n"
                case "t": text += "\t"
                case "r": text += "\r"
                case "\\", "\"", "'": text.append(character)
                default: text += "\\\(character)"
                }
            } else if character == quote {
                return (text, length)
            } else if character == "\\", quote == "\"" {
                isEscaped = true
            } else {
                text.append(character)
            }
        }
        throw Failure(description: "unterminated quoted string")
    }

    // MARK: Blocks

    mutating func parse() throws(Failure) -> [TemplateNode] {
        let (nodes, end) = try block(0)
        if let end { throw Failure(description: "unexpected {{\(end)}}") }
        return nodes
    }

    /// Up to `end` or `else` (whose words follow in `elseWords`), or to the template's end.
    private mutating func block(_ depth: Int) throws(Failure) -> ([TemplateNode], String?) {
        guard depth <= Self.depthLimit else { throw Failure(description: "blocks lie too deep in one another") }
        var nodes: [TemplateNode] = []
        while at < pieces.count {
            let piece = pieces[at]
            at += 1
            switch piece {
            case .text(let text): nodes.append(.text(text))
            case .action(let words):
                guard let first = words.first else { throw Failure(description: "missing value for command") }
                switch first {
                case .name("end"): return (nodes, "end")
                case .name("else"):
                    elseWords = Array(words.dropFirst())
                    return (nodes, "else")
                case .name("if"): nodes.append(try conditional(Array(words.dropFirst()), depth))
                case .name("with"), .name("range"):
                    nodes.append(try scoped(Array(words.dropFirst()), isLoop: first == .name("range"), depth))
                case .name("define"), .name("template"), .name("block"), .name("break"), .name("continue"):
                    throw Failure(description: "'\(Self.text(first))' is not known here")
                default:
                    if case .variable(let name) = first, words.dropFirst().first == .assign {
                        nodes.append(.assignment(name, try pipeline(words.dropFirst(2))))
                    } else {
                        nodes.append(.action(try pipeline(words[...])))
                    }
                }
            }
        }
        return (nodes, nil)
    }

    private var elseWords: [Word] = []

    private static func text(_ word: Word) -> String {
        if case .name(let name) = word { return name }
        return ""
    }

    private mutating func conditional(_ words: [Word], _ depth: Int) throws(Failure) -> TemplateNode {
        let condition = try pipeline(words[...])
        let (then, end) = try block(depth + 1)
        guard end == "else" else {
            guard end == "end" else { throw Failure(description: "unexpected end of a template: {{end}} is missing") }
            return .conditional(condition, then: then, otherwise: [])
        }
        if elseWords.first == .name("if") {
            guard depth < Self.depthLimit else { throw Failure(description: "blocks lie too deep in one another") }
            return .conditional(
                condition, then: then, otherwise: [try conditional(Array(elseWords.dropFirst()), depth + 1)])
        }
        return .conditional(condition, then: then, otherwise: try otherwise(depth))
    }

    private mutating func otherwise(_ depth: Int) throws(Failure) -> [TemplateNode] {
        let (nodes, end) = try block(depth + 1)
        guard end == "end" else { throw Failure(description: "unexpected end of a template: {{end}} is missing") }
        return nodes
    }

    private mutating func scoped(_ words: [Word], isLoop: Bool, _ depth: Int) throws(Failure) -> TemplateNode {
        var variables: [String] = []
        var rest = words[...]
        if let assign = words.firstIndex(of: .assign) {
            for word in words[..<assign] {
                if case .variable(let name) = word { variables.append(name) }
            }
            rest = words[(assign + 1)...]
        }
        let value = try pipeline(rest)
        let (body, end) = try block(depth + 1)
        guard end != nil else { throw Failure(description: "unexpected end of a template: {{end}} is missing") }
        return .scoped(
            value, isLoop: isLoop, variables: variables, body: body,
            otherwise: end == "else" ? try otherwise(depth) : [])
    }

    // MARK: Pipelines

    private func pipeline(_ words: ArraySlice<Word>) throws(Failure) -> TemplatePipeline {
        var rest = words
        let pipeline = try commands(&rest, 0)
        guard rest.isEmpty else { throw Failure(description: "unexpected ) in an action") }
        return pipeline
    }

    private func commands(_ rest: inout ArraySlice<Word>, _ depth: Int) throws(Failure) -> TemplatePipeline {
        guard depth <= Self.depthLimit else { throw Failure(description: "parentheses lie too deep in one another") }
        var commands: [[TemplateOperand]] = []
        var command: [TemplateOperand] = []
        while let word = rest.first, word != .symbol(")") {
            rest = rest.dropFirst()
            guard command.count < 100 else { throw Failure(description: "too many arguments") }
            switch word {
            case .symbol("|"):
                guard !command.isEmpty else { throw Failure(description: "missing value for command") }
                commands.append(command)
                command = []
            case .symbol("("):
                let inner = try parenthesized(&rest, depth)
                command.append(.pipeline(inner, fields: fields(&rest)))
            case .text(let text): command.append(.text(text))
            case .number(let number): command.append(.number(number))
            case .name("true"), .name("false"): command.append(.truth(word == .name("true")))
            case .name(let name): command.append(.function(name))
            case .variable(let name): command.append(.variable(name, fields: fields(&rest)))
            case .fields(let names): command.append(.variable(nil, fields: names))
            case .assign, .symbol: throw Failure(description: "unexpected punctuation in an action")
            }
        }
        guard !command.isEmpty else { throw Failure(description: "missing value for command") }
        return TemplatePipeline(commands: commands + [command])
    }

    /// What stands in parentheses.
    private func parenthesized(_ rest: inout ArraySlice<Word>, _ depth: Int) throws(Failure) -> TemplatePipeline {
        let inner = try commands(&rest, depth + 1)
        guard rest.first == .symbol(")") else { throw Failure(description: "unclosed left paren") }
        rest = rest.dropFirst()
        return inner
    }

    private func fields(_ rest: inout ArraySlice<Word>) -> [String] {
        guard case .fields(let names)? = rest.first, !names.isEmpty else { return [] }
        rest = rest.dropFirst()
        return names
    }
}
