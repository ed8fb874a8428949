import KernelStructures
import ShellLanguage

/// Turns the words of a command into its arguments: variables, `$(…)` results, splitting at blanks, file names.
struct Expansion {
    let session: Session
    let variables: [String: String]
    let status: Int
    /// Results of the `$(…)` parts, in the order in which they stand.
    var outputs: ArraySlice<String>

    /// Arguments that one command may have.
    static let argumentLimit = 100_000

    /// A character of an argument in the making.
    private typealias Piece = (character: Character, isQuoted: Bool)

    /// The scripts whose output must be known before these words can be expanded.
    static func substitutions(in words: [Word]) -> [Script] {
        words.flatMap { word in
            word.parts.compactMap { part in
                if case .output(let script, _) = part { return script }
                return nil
            }
        }
    }

    mutating func arguments(_ words: [Word]) throws(CommandFailure) -> [String] {
        var result: [String] = []
        for word in words {
            result += try arguments(word)
            if result.count > Self.argumentLimit {
                throw CommandFailure("more than \(Self.argumentLimit) arguments", status: 2)
            }
        }
        return result
    }

    /// A word that must be one argument: the target of a redirection, a value.
    mutating func single(_ word: Word) throws(CommandFailure) -> String {
        var text = ""
        for part in word.parts { text += try value(of: part).text }
        return text
    }

    private mutating func value(of part: Word.Part) throws(CommandFailure) -> (
        text: String, isQuoted: Bool, splits: Bool
    ) {
        switch part {
        case .text(let text, let isQuoted):
            return (session.replacingTokens(text), isQuoted, false)
        case .variable(let name, let isQuoted):
            guard let value = variables[name] else {
                // A name that was never given a value is most likely a mistake, and an empty word would hide it.
                throw CommandFailure(
                    "$\(name) has no value\(didYouMean(name, among: variables.keys.sorted()))", status: 2)
            }
            return (value, isQuoted, !isQuoted)
        case .status:
            return (String(status), true, false)
        case .output(_, let isQuoted):
            let output = outputs.popFirst() ?? ""
            return (output, isQuoted, !isQuoted)
        case .arithmetic(let arithmetic):
            do throws(Arithmetic.Failure) {
                return (String(try arithmetic.value { variables[$0] }), true, false)
            } catch {
                throw CommandFailure("$((…)): \(error.text)", status: 2)
            }
        }
    }

    private mutating func arguments(_ word: Word) throws(CommandFailure) -> [String] {
        var arguments: [[Piece]] = []
        var current: [Piece] = []
        var isWord = false
        for part in word.parts {
            let (text, isQuoted, splits) = try value(of: part)
            // `{a,}` leaves nothing between the comma and the brace, and nothing unquoted is no word.
            if isQuoted || (!splits && !text.isEmpty) { isWord = true }
            for character in text {
                if splits, character == " " || character == "\t" || character.isNewline {
                    if isWord || !current.isEmpty { arguments.append(current) }
                    current = []
                    isWord = false
                } else {
                    // What a variable holds may be a pattern for file names only if it stands unquoted.
                    current.append((character, isQuoted))
                }
            }
        }
        if isWord || !current.isEmpty { arguments.append(current) }
        return arguments.flatMap { pieces -> [String] in
            let text = String(pieces.map(\.character))
            guard pieces.contains(where: { !$0.isQuoted && "*?[".contains($0.character) }),
                GlobPattern(pieces).isPattern
            else { return [text] }
            let files = session.files.matches(pieces)
            return files.isEmpty ? [text] : files
        }
    }
}

/// Variables by name. Jobs, stages of pipelines and `$(…)` have copies of their own, as in any shell.
final class VariableScope {
    var values: [String: String]
    init(_ values: [String: String] = [:]) { self.values = values }
    func copy() -> VariableScope { VariableScope(values) }
}
