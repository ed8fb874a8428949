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
    /// Bytes of one value, and of all arguments of one command, which Linux limits to 2 MiB.
    static let wordLimitBytes = 16 << 20
    static let argumentLimitBytes = 4 << 20

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
        var byteCount = 0
        for word in words {
            let added = try arguments(word)
            result += added
            byteCount += added.reduce(0) { $0 + $1.utf8.count }
            if byteCount > Self.argumentLimitBytes {
                throw CommandFailure("arguments of more than \(byteCountText(Self.argumentLimitBytes))", status: 2)
            }
            if result.count > Self.argumentLimit {
                throw CommandFailure("more than \(Self.argumentLimit) arguments", status: 2)
            }
        }
        return result
    }

    /// A word that must be one argument: the target of a redirection, a value.
    mutating func single(_ word: Word) throws(CommandFailure) -> String {
        var text = ""
        for part in word.parts {
            text += try value(of: part).text
            try Self.check(text.utf8.count)
        }
        return text
    }

    private static func check(_ byteCount: Int, _ limit: Int = wordLimitBytes) throws(CommandFailure) {
        guard byteCount > limit else { return }
        throw CommandFailure("a word of more than \(byteCountText(limit))", status: 2)
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
        var byteCount = 0
        for part in word.parts {
            let (text, isQuoted, splits) = try value(of: part)
            byteCount += text.utf8.count
            try Self.check(byteCount, Self.argumentLimitBytes)
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
    private(set) var values: [String: String] = [:]
    private var byteCount = 0

    /// Bytes that all variables together may hold.
    static let limitBytes = 128 << 20

    init() {}

    func copy() -> VariableScope {
        let copy = VariableScope()
        copy.values = values
        copy.byteCount = byteCount
        return copy
    }

    func set(_ name: String, _ value: String) throws(CommandFailure) {
        let newCount = byteCount - (values[name]?.utf8.count ?? 0) + value.utf8.count
        guard newCount <= Self.limitBytes else {
            throw CommandFailure(
                "\(name): the variables would hold more than \(byteCountText(Self.limitBytes))", status: 2)
        }
        byteCount = newCount
        values[name] = value
    }
}
