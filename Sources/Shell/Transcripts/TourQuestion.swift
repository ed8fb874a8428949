import CommandKit
import KernelStructures
import ShellSession

/// A case of a tour, taken apart: what is set up and asked, where the learner's turn is, and what follows.
///
/// A tour is a transcript like any other, so it is a test as well. Three comments mean something to whoever plays it:
/// `# Question:` and `# Answer:` begin what is asked and what comes of it, and the command below `# Your turn:` is the
/// one that the learner types. `<=name>` in a comment stands for what the case has captured under that name, so an
/// answer says what was seen and not what somebody once saw.
package struct TourQuestion {
    package let transcriptCase: TranscriptCase
    /// The index of the item that is the learner's: everything before it is set up, everything from it on is played
    /// when it was typed. At the end if there is none.
    package let turn: Int
    /// The command that the learner is to type; nil if there is none.
    package let command: String?

    package static let question = "Question:"
    package static let yourTurn = "Your turn:"
    package static let answer = "Answer:"

    package init(_ transcriptCase: TranscriptCase) {
        self.transcriptCase = transcriptCase
        let items = transcriptCase.items
        let mark = items.firstIndex { $0.source.first?.hasPrefix("# " + Self.yourTurn) == true } ?? items.endIndex
        var found: (Int, String)?
        for index in mark..<items.endIndex {
            guard case .command(_, let text) = items[index].kind else { continue }
            found = (index, text)
            break
        }
        turn = found?.0 ?? items.endIndex
        command = found?.1
    }

    /// Whether what was typed is the command: the same words, however they are quoted and wherever the programs lie.
    ///
    /// - Parameter values: what `$name` in the command stands for.
    package func isCommand(_ typed: String, values: [String: String]) -> Bool {
        guard let command else { return false }
        let words = Self.words(typed)
        return words == Self.words(command) || words == Self.words(Self.filled(command, values))
    }

    /// Whether what was typed says the same in other words: `curl -m 1 URL` for `curl --max-time 1 URL`, `pause web`
    /// for `kill -STOP web`, `%2` for the node that it runs on.
    ///
    /// - Parameter nodeName: the node that somebody means by a word.
    package func isSame(
        _ typed: String, values: [String: String], in commands: CommandTable, nodeName: (String) -> String
    ) -> Bool {
        guard let hint = hint(values: values), !Self.isMoreThanOne(typed), !Self.isMoreThanOne(hint) else {
            return false
        }
        let (mine, theirs) = (Self.plain(Self.words(hint), nodeName), Self.plain(Self.words(typed), nodeName))
        guard let name = mine.first, name == theirs.first, let description = commands[name]?.description,
            let wanted = try? ParsedArguments(mine.dropFirst(), for: description),
            let found = try? ParsedArguments(theirs.dropFirst(), for: description)
        else { return false }
        return wanted.means(found)
    }

    /// Of several ways to say something, the one that tours are written in.
    private static func plain(_ words: [String], _ nodeName: (String) -> String) -> [String] {
        guard let name = words.first else { return words }
        let rest = Array(words.dropFirst())
        switch name {
        case "pause": return ["kill", "-STOP"] + rest.map(nodeName)
        case "resume": return ["kill", "-CONT"] + rest.map(nodeName)
        case "kill": return [name] + rest.map { $0.hasPrefix("-") ? $0 : nodeName($0) }
        case "sleep", "advance":
            return ["advance"] + rest.map { LabDuration(parsing: $0, bareUnit: .seconds(1))?.description ?? $0 }
        case "curl":
            // How much it says of its own makes no difference, nor what it adds to an address by itself.
            return [name]
                + rest.filter { !["-s", "--silent", "-S", "--show-error", "-sS", "-i", "-v"].contains($0) }.map {
                    word in
                    guard word.hasPrefix("localhost") || word.hasPrefix("http://") else { return word }
                    let url = word.hasPrefix("http://") ? word : "http://" + word
                    return url.dropFirst(7).contains("/") ? url : url + "/"
                }
        default: return words
        }
    }

    /// Whether it is a use of the program that the command uses, whatever for.
    package func isNear(_ typed: String) -> Bool {
        guard let command else { return false }
        return Self.plain(Self.words(command), { $0 }).first == Self.plain(Self.words(typed), { $0 }).first
    }

    /// Something of the shell's language that joins commands, or changes where their input and output go.
    private static func isMoreThanOne(_ line: String) -> Bool { line.contains { "|&;<>(){}`$\n".contains($0) } }

    /// The command with the values of its variables.
    package func hint(values: [String: String]) -> String? { command.map { Self.filled($0, values) } }

    private static func filled(_ text: String, _ values: [String: String]) -> String {
        // Longer names first: $next is not $ne with xt behind it.
        values.sorted { ($1.key.count, $0.key) < ($0.key.count, $1.key) }
            .reduce(text) { $0.replacing("$" + $1.key, with: $1.value) }
    }

    /// The words of a line without what makes no difference: quotes, the directory of a program, a comment.
    private static func words(_ line: String) -> [String] {
        var words: [String] = []
        for word in line.split(whereSeparator: \.isWhitespace) {
            if word.hasPrefix("#") { break }
            let plain = word.filter { $0 != "'" && $0 != "\"" }
            words.append(words.isEmpty ? plain.split(separator: "/").last.map(String.init) ?? plain : plain)
        }
        return words
    }

    /// A comment's text with what was captured in place of `<=name>`.
    static func told(_ comment: String, _ values: [String: String]) -> String {
        var result = ""
        var rest = comment[...]
        while let start = rest.firstRange(of: "<=") {
            result += rest[..<start.lowerBound]
            let behind = rest[start.upperBound...]
            guard let end = behind.firstIndex(of: ">") else {
                rest = rest[start.lowerBound...]
                break
            }
            result += values[String(behind[..<end])] ?? "…"
            rest = behind[behind.index(after: end)...]
        }
        return result + rest
    }
}
