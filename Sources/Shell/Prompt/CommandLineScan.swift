/// The beginning of a command line, as far as completion needs to know it: which command is being typed, its words so
/// far, and the unfinished word at the end.
struct CommandLineScan {
    /// The finished words of the command at the end, without quotes; empty where a command's name is expected.
    private(set) var words: [String] = []
    /// The word at the end, without quotes and backslashes.
    private(set) var partial = ""
    /// How many scalars of the text the word at the end takes.
    private(set) var partialScalars = 0
    /// The quote in which the text ends.
    private(set) var quote: Character?
    /// The word at the end names a file to read or write.
    private(set) var isRedirection = false
    /// Nothing that the text ends in can be completed: a comment, a command of the host.
    private(set) var isOpaque = false
    /// Part of the word at the end is the output of a command, which is not known.
    private(set) var isComputed = false

    private var isInWord = false
    /// What was open around a `$(`, innermost last.
    private var outer: [(words: [String], quote: Character?)] = []

    /// Words after which a command's name follows.
    private static let introductions: Set = ["do", "then", "else", "elif", "if", "while", "until"]

    init(_ text: String) {
        let characters = Array(text)
        var index = 0
        while index < characters.count { index = read(characters, index) }
    }

    /// Reads the character at `index` and returns the index of the next one to read.
    private mutating func read(_ text: [Character], _ index: Int) -> Int {
        let character = text[index]
        let next = index + 1 < text.count ? text[index + 1] : nil
        if isOpaque {
            if character.isLineEnd { endCommand() }
            return index + 1
        }
        if character == "$", next == "(", quote != "'" {
            outer.append((words, quote))
            endCommand()
            quote = nil
            return index + 2
        }
        if let open = quote {
            count(character)
            if character == open { quote = nil } else { partial.append(character) }
            return index + 1
        }
        switch character {
        case "'", "\"":
            quote = character
            count(character)
        case "\\":
            count(character)
            if let next {
                count(next)
                partial.append(next)
                return index + 2
            }
        case ";": endCommand()
        // `>|`, `>&` and `&>` lead to a file.
        case "|" where isRedirection && !isInWord: break
        case "&" where isRedirection && !isInWord: break
        case "&" where !isInWord && next == ">": redirect()
        case "|" where !partial.hasPrefix("{"): endCommand()
        case "&" where !isInWord: endCommand()
        case ")" where !outer.isEmpty:
            endCommand()
            (words, quote) = outer.removeLast()
            isInWord = true
            isComputed = true
        case "<" where !text[index...].starts(with: "<->"): redirect()
        case ">" where !partial.hasSuffix("-"): redirect()
        case "#" where !isInWord: isOpaque = true
        case "!" where !isInWord && words.isEmpty && next != " ": isOpaque = true
        case _ where character.isLineEnd: endCommand()
        case _ where character.isWhitespace: endWord()
        default:
            count(character)
            partial.append(character)
        }
        return index + 1
    }

    private mutating func count(_ character: Character) {
        isInWord = true
        partialScalars += character.unicodeScalars.count
    }

    private mutating func endWord() {
        if isInWord, !isRedirection, !isIntroduction { words.append(partial) }
        if isInWord { isRedirection = false }
        clearPartial()
    }

    /// A word that leaves the place of the command's name free: `do`, an assignment, the `$` of a pasted line.
    private var isIntroduction: Bool {
        guard words.isEmpty else { return false }
        if partial == "$" || Self.introductions.contains(partial) { return true }
        guard let name = partial.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).first else {
            return false
        }
        return name.count < partial.count && name.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" }
    }

    private mutating func endCommand() {
        words = []
        isRedirection = false
        isOpaque = false
        clearPartial()
    }

    private mutating func redirect() {
        // The 2 of `2>` is no word.
        if isInWord, partial != "2", partial != "1" { endWord() }
        clearPartial()
        isRedirection = true
    }

    private mutating func clearPartial() {
        partial = ""
        partialScalars = 0
        isInWord = false
        isComputed = false
    }
}
