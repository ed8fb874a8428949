import KernelStructures

/// Writes what happened as lines of a transcript that match it.
package enum TranscriptText {
    /// A line of output. What would mean something else to the reader gets a backslash.
    package static func output(_ line: String, tags: Set<String>) -> String {
        let text = line.trimmingTrailingBlanks
        if text.isEmpty { return "" }
        return isPlain(text, tags: tags) ? text : "\\" + text
    }

    /// Lines of output. An empty one between two others stands as it is; elsewhere it would mean nothing.
    static func output(
        _ lines: [String], tags: Set<String>, followsOutput: Bool, precedesOutput: Bool = false
    ) -> [String] {
        let texts = lines.map { output($0, tags: tags) }
        return texts.enumerated().map { index, text in
            let hasBefore = followsOutput || texts[..<index].contains { !$0.isEmpty }
            let hasAfter = precedesOutput || texts[(index + 1)...].contains { !$0.isEmpty }
            return text.isEmpty && !(hasBefore && hasAfter) ? "\\" : text
        }
    }

    /// Whether the line, read again, is output that means itself.
    private static func isPlain(_ text: String, tags: Set<String>) -> Bool {
        let isSomethingElse =
            text.hasPrefix("$ ") || text == "$" || text.hasPrefix("@") || text.hasPrefix("\\")
            || (text.hasPrefix("-- ") && text.hasSuffix(" --")) || TranscriptParser.isComment(text)
        guard !isSomethingElse, case .output(let pattern)? = try? TranscriptParser.expectation(text, tags: tags) else {
            return false
        }
        return pattern.isPlain && pattern.text == text
    }

    /// A log line, with holes for what may differ in another run.
    package static func log(_ line: LogLine) -> String { "[\(line.tag)] \(withoutZeros(line.message.template))" }

    /// What was written as a line that a transcript can hold. A view on a terminal has bold titles and colours; what it
    /// says is the same.
    static func line(of bytes: [UInt8]) -> String {
        withoutZeros(withoutStyles(String(decoding: bytes, as: UTF8.self)))
    }

    /// With a picture of NUL for each: a file with a zero in it is no text, and would not be read again.
    static func withoutZeros(_ text: String) -> String {
        text.utf8.contains(0) ? text.replacing("\0", with: "\u{2400}") : text
    }
}
