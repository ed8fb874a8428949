import KernelStructures
import ShellLanguage

/// Words to arguments: splitting, and names of files.
extension Expansion {
    mutating func arguments(_ word: Word) throws(Stop) -> [String] {
        var splitter = FieldSplitter(separators: scope.value(of: "IFS"))
        for piece in try pieces(word) {
            switch piece {
            case .text(let text, let isQuoted, let splits):
                try count(text)
                splitter.take(text, isQuoted: isQuoted, splits: splits)
            case .edge: splitter.edge()
            }
        }
        var result: [String] = []
        for pieces in splitter.finish() { result += try files(pieces) }
        return result
    }

    /// The files that a word names as a pattern; itself, where it is none, or finds none.
    private func files(_ pieces: [GlobPattern.Piece]) throws(Stop) -> [String] {
        let text = String(pieces.map(\.character))
        guard !scope.options.findsNoFiles,
            pieces.contains(where: { !$0.isQuoted && "*?[(".contains($0.character) }),
            GlobPattern(pieces).isPattern
        else { return [text] }
        let options = scope.options.shell
        let files: [String]
        do throws(LabFileError) { files = try session.files.matches(pieces, options: options) } catch {
            throw Self.failure("\(text): \(error)")
        }
        if !files.isEmpty { return files }
        if options.contains("failglob") { throw Self.lineFailure("no match: \(text)") }
        return options.contains("nullglob") ? [] : [text]
    }

    /// Whether a text is what a pattern describes, as `case` and `[[ ]]` compare.
    func fits(_ text: String, _ pieces: [GlobPattern.Piece]) -> Bool {
        guard scope.options.shell.contains("nocasematch") else { return GlobPattern(pieces).matches(text) }
        return GlobPattern(GlobPattern.lowercased(pieces)).matches(text.lowercased())
    }
}

/// Splits what variables and `$(…)` gave into arguments (POSIX 2.6.5): blanks of IFS in a row are one separator, any
/// other of its characters is one by itself.
struct FieldSplitter {
    private let blanks: Set<Character>
    private let others: Set<Character>
    private var fields: [[GlobPattern.Piece]] = []
    private var current: [GlobPattern.Piece] = []
    /// There is a word, even if it has no characters: `""`.
    private var isWord = false
    /// A blank has ended a field, and nothing has come since.
    private var isAfterBlank = false

    /// - Parameter separators: the value of IFS; nil for blanks, tabs and newlines.
    init(separators: String?) {
        let separators = separators ?? " \t\n"
        blanks = Set(separators.filter { $0 == " " || $0 == "\t" || $0.isLineEnd })
        others = Set(separators.filter { !($0 == " " || $0 == "\t" || $0.isLineEnd) })
    }

    mutating func take(_ text: String, isQuoted: Bool, splits: Bool) {
        // `{a,}` leaves nothing between the comma and the brace, and nothing unquoted is no word.
        if isQuoted || (!splits && !text.isEmpty) { isWord = true }
        guard splits else {
            // What a variable holds may be a pattern for file names only if it stands unquoted.
            for character in text { current.append((character, isQuoted)) }
            return
        }
        for character in text {
            if blanks.contains(character) {
                if endField() { isAfterBlank = true }
            } else if others.contains(character) {
                // Behind a blank that has ended a field it is part of the same edge; otherwise one of its own.
                if !endField(), !isAfterBlank { fields.append([]) }
                isAfterBlank = false
            } else {
                isAfterBlank = false
                current.append((character, false))
            }
        }
    }

    @discardableResult
    private mutating func endField() -> Bool {
        guard isWord || !current.isEmpty else { return false }
        fields.append(current)
        current = []
        isWord = false
        return true
    }

    /// Between two of `$@`.
    mutating func edge() {
        endField()
        isAfterBlank = false
    }

    mutating func finish() -> [[GlobPattern.Piece]] {
        endField()
        return fields
    }
}
