import CommandKit
import ShellSession

/// How the line being typed looks, and what it will probably become: colours for its parts, and a ghost behind it.
///
/// An unknown command is red as soon as no known one begins so; quoted text is green, and yellow while its quote is
/// open; comments are faint. The ghost is the rest of the newest line in the history that begins so, or what a command
/// takes, once only its name stands there.
package struct LinePaint: Equatable {
    package struct Span: Equatable {
        package let text: String
        /// The parameters of a terminal's SGR sequence; empty for none.
        package let style: String
    }

    package private(set) var spans: [Span] = []
    /// What would follow, and whether it can be taken over with a key.
    package private(set) var ghost = ""
    package private(set) var isGhostTakeable = false
    private let own: Set<String>

    private static let unknown = "31"
    private static let known = "1"
    private static let quoted = "32"
    private static let openQuote = "33"
    private static let comment = "90"
    private static let variable = "36"

    /// - Parameters:
    ///   - text: the line, without newlines.
    ///   - history: what was typed, oldest first.
    ///   - own: aliases and functions, which can be run as well.
    package init(_ text: String, commands: CommandTable, history: [String], own: Set<String> = []) {
        self.own = own
        color(Array(text), commands)
        // Bytes are counted, not characters: this is done for every key, over all of the history.
        let length = text.utf8.count
        if !text.allSatisfy(\.isWhitespace),
            let older = history.last(where: {
                $0.utf8.count > length && $0.hasPrefix(text) && !$0.utf8.contains(UInt8(ascii: "\n"))
            })
        {
            ghost = String(older.dropFirst(text.count))
            isGhostTakeable = true
        } else {
            ghost = Self.usage(text, commands) ?? ""
        }
    }

    /// What a command takes, where its name, or its name and a verb, is all that stands there.
    private static func usage(_ text: String, _ commands: CommandTable) -> String? {
        let scan = CommandLineScan(text)
        guard text.hasSuffix(" "), scan.partial.isEmpty, scan.quote == nil, !scan.isOpaque,
            let name = scan.words.first, let command = commands[name]?.description
        else { return nil }
        switch scan.words.count {
        case 1: return command.usage
        case 2: return command.subcommand(scan.words[1])?.usage
        default: return nil
        }
    }

    private mutating func color(_ text: [Character], _ commands: CommandTable) {
        var index = 0
        var isCommandDue = true
        while index < text.count {
            let character = text[index]
            let start = index
            if character.isWhitespace {
                while index < text.count, text[index].isWhitespace { index += 1 }
                add(text[start..<index], "")
            } else if character == "#" {
                add(text[start...], Self.comment)
                return
            } else if ";|&()".contains(character) {
                index += 1
                add(text[start..<index], "")
                isCommandDue = true
            } else {
                index = Self.wordEnd(text, from: index)
                let word = String(text[start..<index])
                if isCommandDue, !word.contains("\"") && !word.contains("'") {
                    isCommandDue = Self.introductions.contains(word) || Self.isAssignment(word)
                    add(text[start..<index], commandStyle(word, isWhole: index < text.count, commands))
                } else {
                    isCommandDue = false
                    colorWord(text[start..<index])
                }
            }
        }
    }

    private static let introductions: Set = [
        "do", "then", "else", "elif", "if", "while", "until", "time", "!", "$", "{", "done", "fi", "esac",
    ]

    private static func isAssignment(_ word: String) -> Bool {
        guard let name = word.split(separator: "=", omittingEmptySubsequences: false).first, name.count < word.count
        else { return false }
        return !name.isEmpty && name.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" }
    }

    private func commandStyle(_ word: String, isWhole: Bool, _ commands: CommandTable) -> String {
        if commands[word] != nil || own.contains(word) { return Self.known }
        let language: Set = ["for", "case", "in", "function", "[[", "]]", "}", "select"]
        if Self.introductions.contains(word) || language.contains(word) || Self.isAssignment(word) { return "" }
        if word.contains("$") || word.hasPrefix("!") || word.contains("(") { return "" }
        let base = word.split(separator: "/").last.map(String.init) ?? word
        let mayBecome =
            !isWhole && (commands.names.contains { $0.hasPrefix(base) } || own.contains { $0.hasPrefix(word) })
        return mayBecome ? "" : Self.unknown
    }

    /// Where a word ends, quotes within it included.
    private static func wordEnd(_ text: [Character], from start: Int) -> Int {
        var index = start
        var quote: Character?
        while index < text.count {
            let character = text[index]
            if let open = quote {
                if character == open { quote = nil }
            } else if character == "'" || character == "\"" {
                quote = character
            } else if character == "\\" {
                index += 1
            } else if character.isWhitespace || ";|()".contains(character) {
                break
            }
            index += 1
        }
        return min(index, text.count)
    }

    private mutating func colorWord(_ word: ArraySlice<Character>) {
        var rest = word
        while let first = rest.first {
            if first == "'" || first == "\"" {
                let end = rest.dropFirst().firstIndex(of: first)
                let piece = end.map { rest[...$0] } ?? rest
                add(piece, end == nil ? Self.openQuote : Self.quoted)
                rest = rest[piece.endIndex...]
            } else if first == "$" {
                let name = rest.dropFirst().prefix { $0.isLetter || $0.isNumber || "_{}?".contains($0) }
                let piece = rest[rest.startIndex..<name.endIndex]
                add(piece, Self.variable)
                rest = rest[piece.endIndex...]
            } else {
                let piece = rest.prefix { $0 != "'" && $0 != "\"" && $0 != "$" }
                add(piece, "")
                rest = rest[piece.endIndex...]
            }
        }
    }

    private mutating func add(_ text: ArraySlice<Character>, _ style: String) {
        if !text.isEmpty { spans.append(Span(text: String(text), style: style)) }
    }

    /// The line's text with its colours.
    var colored: String {
        spans.map { $0.style.isEmpty ? $0.text : "\u{1B}[\($0.style)m\($0.text)\u{1B}[0m" }.joined()
    }
}
