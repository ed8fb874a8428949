import KernelStructures

/// A script for `sed` as it has been read.
struct SedProgram {
    var commands: [SedCommand]
    /// The files that it writes, which are empty from the beginning.
    var outputs: [String]
    /// It begins with a line `#n`: as with the flag -n.
    var isQuiet = false

    /// `-i.bak` and `--in-place=.bak` have their value in the same word, or none: they become switches, and what is
    /// captured of a file gets the suffix. Other letters in one word with it, `-ni`, stand before it.
    static func inPlace(_ words: [String]) -> (words: [String], suffix: String) {
        var suffix = ""
        var result: [String] = []
        var isValue = false
        for (index, word) in words.enumerated() {
            if word == "--" { return (result + words[index...], suffix) }
            if isValue {
                isValue = false
                result.append(word)
                continue
            }
            if word.hasPrefix("--in-place=") {
                suffix = String(word.dropFirst("--in-place=".count))
                result.append("--in-place")
            } else if word.hasPrefix("-"), !word.hasPrefix("--"), let place = word.firstIndex(of: "i"),
                !word[..<place].contains(where: { "ef".contains($0) })
            {
                suffix = String(word[word.index(after: place)...])
                result.append(String(word[...place]))
            } else {
                isValue = ["-e", "-f", "-ne", "-nf", "-Ee", "-nEe", "-re"].contains(word)
                result.append(word)
            }
        }
        return (result, suffix)
    }

    /// `l`: a text with what cannot be seen as escapes, in lines of a width; 0: in one.
    static func listed(_ text: [UInt8], width: Int) -> [UInt8] {
        var result: [UInt8] = []
        var column = 0
        for byte in text {
            let piece: String
            switch byte {
            case 7: piece = "\\a"
            case 8: piece = "\\b"
            case 9: piece = "\\t"
            case 10: piece = "\\n"
            case 11: piece = "\\v"
            case 12: piece = "\\f"
            case 13: piece = "\\r"
            case 92: piece = "\\\\"
            case 32...126: piece = String(UnicodeScalar(byte))
            default:
                let digits = String(byte, radix: 8)
                piece = "\\" + String(repeating: "0", count: 3 - digits.count) + digits
            }
            if width > 1, column + piece.utf8.count > width - 1 {
                result += [92, 10]
                column = 0
            }
            result += Array(piece.utf8)
            column += piece.utf8.count
        }
        return result + Array("$\n".utf8)
    }
}

/// One command of a script for `sed`.
struct SedCommand {
    enum Address {
        case line(Int)
        /// `0~3`: each third line, from line 0 on.
        case step(Int, Int)
        /// `$`
        case end
        /// nil: the one that was used last, `//`.
        case pattern(LineExpression?)
        /// `+3`, only as the end of a range.
        case following(Int)
        /// `~4`, only as the end of a range: up to a line whose number is a multiple.
        case multiple(Int)
    }

    enum Action {
        case substitute(SedSubstitution)
        case translate(SedTranslation)
        case delete, deleteFirst, print, printFirst, number, name, next, appendNext
        case copyToHold, appendToHold, copyFromHold, appendFromHold, exchange, empty
        case list(width: Int)
        case quit(Int32, prints: Bool)
        case insert([UInt8])
        case append([UInt8])
        case change([UInt8])
        case read(String)
        case write(String)
        /// `{`: where it is not selected, the command behind its `}` follows.
        case block(end: Int)
        case label
        case branch(Int)
        /// `t`, and `T` where nothing must have been replaced.
        case branchIfReplaced(Int, Bool)
    }

    var first: Address?
    var last: Address?
    var isNegated = false
    var action: Action
}

/// `y/abc/xyz/`: bytes, or characters where some are longer.
struct SedTranslation {
    private var bytes: [UInt8]?
    private var characters: [Character: Character] = [:]

    /// nil if the two are not of one length.
    init?(_ from: String, _ to: String) {
        guard from.count == to.count else { return nil }
        if (from + to).allSatisfy(\.isASCII) {
            var map = (0...255).map { UInt8($0) }
            for (old, new) in zip(from.utf8, to.utf8).reversed() { map[Int(old)] = new }
            bytes = map
        } else {
            for (old, new) in zip(from, to) where characters[old] == nil { characters[old] = new }
        }
    }

    func apply(to line: [UInt8]) -> [UInt8] {
        if let bytes { return line.map { bytes[Int($0)] } }
        return Array(String(String(decoding: line, as: UTF8.self).map { characters[$0] ?? $0 }).utf8)
    }
}
