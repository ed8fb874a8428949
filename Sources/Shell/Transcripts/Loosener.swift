import ShellLab

/// Makes a transcript that passes in one lab pass in others, too: where one of them says something else, the words that
/// differ become holes.
///
/// What chance and the transport choose (a client's port, an identifier, a duration) is no part of what somebody wanted
/// to keep when they recorded a session. Which words those are nobody has to guess: run it again elsewhere, and look.
package struct Loosener {
    let tags: [String]

    /// Lines that are loosened, after which something must be wrong.
    private static let limit = 1000

    struct Result {
        var text: String
        var holeCount = 0
        /// What no hole helps with.
        var failure: CaseFailure?
    }

    /// - Returns: the text with its holes; as it was where they do not help.
    /// - Throws: `TranscriptError` if the text cannot be read.
    func loosen(_ text: String, name: String, for options: TestOptions) throws(TranscriptError) -> Result {
        var result = Result(text: text)
        var lines = TranscriptParser.lines(of: text)
        for _ in 0..<Self.limit {
            guard let failure = try firstFailure(of: result.text, name, options) else { return result }
            guard case .replace(let place, let new)? = failure.repair, new.count == 1, place.file == name,
                lines.indices.contains(place.line - 1),
                let (line, holes) = Self.line(lines[place.line - 1], elsewhere: new[0])
            else { return Result(text: text, failure: failure) }
            lines[place.line - 1] = line
            result.holeCount += holes
            result.text = lines.map { $0 + "\n" }.joined()
        }
        return Result(text: text, failure: try firstFailure(of: text, name, options))
    }

    private func firstFailure(
        of text: String, _ name: String, _ options: TestOptions
    ) throws(TranscriptError) -> CaseFailure? {
        let transcript = try TestRun.transcript(text, name: name, tags: tags)
        return CaseExecution.firstFailure(in: transcript, options: options)?.failure
    }

    // MARK: Lines

    /// A line that stands for two, and how many holes it has for that; nil where they are not alike.
    package static func line(_ old: String, elsewhere new: String) -> (line: String, holes: Int)? {
        let (left, right) = (words(old), words(new))
        guard left.count == right.count, !old.hasPrefix("\\"), old != new else { return nil }
        var holes = 0
        var line = ""
        for (one, other) in zip(left, right) {
            if one == other {
                line += one
            } else {
                // Blanks differ where the word beside them has another length.
                line += one.first == " " || other.first == " " ? "<any>" : hole(Array(one), Array(other))
                holes += 1
            }
        }
        // Nothing but holes would say nothing.
        return left.contains { $0.first != " " && right.contains($0) } ? (line, holes) : nil
    }

    /// Words and the blanks between them, in turn.
    private static func words(_ line: String) -> [String] {
        var words: [String] = []
        for character in line {
            if let last = words.last?.last, (last == " ") == (character == " ") {
                words[words.count - 1].append(character)
            } else {
                words.append(String(character))
            }
        }
        return words
    }

    /// A word with a hole for the part of it that differs: the narrowest that takes both.
    private static func hole(_ one: [Character], _ other: [Character]) -> String {
        func isInside(_ character: Character) -> Bool { character.isLetter || character.isNumber || character == "." }
        let shorter = min(one.count, other.count)
        var start = 0
        while start < shorter, one[start] == other[start] { start += 1 }
        var rest = 0
        while rest < shorter - start, one[one.count - 1 - rest] == other[other.count - 1 - rest] { rest += 1 }
        while start > 0, isInside(one[start - 1]) { start -= 1 }
        while rest > 0, isInside(one[one.count - rest]) { rest -= 1 }
        let cores = [Array(one[start..<(one.count - rest)]), Array(other[start..<(other.count - rest)])]
        let types: [HoleType] = [.int, .num, .dur, .pct, .ts, .ip, .id]
        let type = types.first { type in
            cores.allSatisfy { !$0.isEmpty && type.ends(in: $0, from: 0).contains($0.count) }
        }
        return String(one[..<start]) + "<\((type ?? .any).rawValue)>" + String(one[(one.count - rest)...])
    }
}
