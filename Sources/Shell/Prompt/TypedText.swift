import ShellLanguage

/// What somebody typed or pasted, by what is to be done with it.
package enum TypedText: Equatable {
    /// Nothing but blanks.
    case empty
    /// Lines of the language.
    case script(String)
    /// Several lines, some of which begin `$ `: a recorded session.
    case transcript(String)

    package init(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.count > 1, RecordedText.hasCommands(text, allowsIndent: true) {
            self = .transcript(text)
        } else if text.allSatisfy(\.isWhitespace) {
            self = .empty
        } else {
            self = .script(Self.isCommandLine(text[...]) ? String(text.drop { $0 == " " }.dropFirst(2)) : text)
        }
    }

    /// Whether more lines of a recorded session may follow a line. On a terminal that does not mark what is pasted,
    /// this is the only sign of it.
    static func beginsTranscript(_ line: String) -> Bool { line.hasPrefix("$ ") || line.hasPrefix("# ") }

    private static func isCommandLine(_ line: Substring) -> Bool { line.drop { $0 == " " }.hasPrefix("$ ") }

    /// Pasted text as it may stand in the line being typed: newlines as such and none at the end, no other control
    /// characters than tabs.
    package static func cleaned(_ pasted: String.UnicodeScalarView) -> String {
        var result = String.UnicodeScalarView()
        var previous: Unicode.Scalar?
        for scalar in pasted {
            switch scalar {
            case "\r": result.append("\n")
            case "\n": if previous != "\r" { result.append("\n") }
            case "\t": result.append(scalar)
            case _ where scalar.value < 32 || scalar.value == 127: break
            default: result.append(scalar)
            }
            previous = scalar
        }
        while result.last == "\n" { result.removeLast() }
        return String(result)
    }

    /// The commands of a transcript, each with the lines that it needs to be complete; what it expects is left out.
    static func commands(ofTranscript text: String) -> [String] {
        var commands: [String] = []
        var open: String?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if let begun = open {
                open = begun + "\n" + line
            } else if isCommandLine(line) {
                open = String(line.drop { $0 == " " }.dropFirst(2))
            }
            guard let command = open else { continue }
            do throws(SyntaxError) {
                _ = try Parser.parse(command)
            } catch {
                if error.isIncomplete { continue }
            }
            commands.append(command)
            open = nil
        }
        return commands + [open].compactMap { $0 }
    }
}
