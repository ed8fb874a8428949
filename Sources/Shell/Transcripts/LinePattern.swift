import KernelRegularExpressions
import ShellLanguage

/// One expected line: literal text, or text with holes.
///
/// A line is tried literally first, then with its holes, then the same again without its note. So text that happens to
/// look like a hole or a note still means itself.
public struct LinePattern: Sendable {
    public enum Form: Sendable { case text, literal, regularExpression, glob }

    public let text: String
    public let form: Form
    /// `(?)`: may be missing.
    public let isOptional: Bool
    /// `(never)`: must be missing.
    public let isNever: Bool
    private let templates: [Template]
    private let expression: RegularExpression?

    /// Reads what stands in a transcript: a body, its suffixes ` (re)`, ` (glob)`, ` (?)` or ` (never)`, and a note.
    ///
    /// - Throws: text that says what is wrong: a malformed regular expression.
    package init(reading source: String) throws(RegularExpressionError) {
        var read = Suffixes(body: source)
        if source.hasPrefix("\\") {
            read.body.removeFirst()
            read.form = .literal
        } else {
            // A note stands behind the suffixes, where there are any.
            let found = Self.withoutNotes(source).lazy.map(Suffixes.init(reading:)).first { $0.isAny }
            if let found { read = found }
        }
        text = read.body.trimmingTrailingBlanks
        form = read.form
        isOptional = read.isOptional
        isNever = read.isNever
        expression = form == .regularExpression ? try RegularExpression(text) : nil
        templates = form == .text ? Self.withoutNotes(text).map { Template($0) } : []
    }

    /// A body and what stands behind it in parentheses.
    private struct Suffixes {
        var body: String
        var form = Form.text
        var isOptional = false
        var isNever = false
        var isAny: Bool { form != .text || isOptional || isNever }

        init(body: String) { self.body = body }

        private func strip(_ suffix: String, from body: inout String) -> Bool {
            guard body.hasSuffix(suffix) else { return false }
            body.removeLast(suffix.count)
            return true
        }

        init(reading source: String) {
            body = source.trimmingTrailingBlanks
            var isSuffix = true
            while isSuffix {
                isSuffix = false
                if strip(" (?)", from: &body) { (isOptional, isSuffix) = (true, true) }
                if strip(" (never)", from: &body) { (isNever, isSuffix) = (true, true) }
                if form == .text, strip(" (re)", from: &body) { (form, isSuffix) = (.regularExpression, true) }
                if form == .text, strip(" (glob)", from: &body) { (form, isSuffix) = (.glob, true) }
            }
        }
    }

    /// Whether it means the text that it shows and nothing else.
    package var isPlain: Bool {
        form == .text && !isOptional && !isNever && templates.count == 1 && templates[0].isLiteral
    }

    /// The text, and the text without its note if it seems to have one.
    private static func withoutNotes(_ text: String) -> [String] {
        var forms = [text]
        for marker in [" ← ", " # "] {
            if let range = text.ranges(of: marker).last {
                forms.append(String(text[..<range.lowerBound]).trimmingTrailingBlanks)
            }
        }
        return forms
    }

    /// Names that a match captures.
    var captureNames: [String] { templates.flatMap(\.captureNames) }

    /// Whether a line is as expected.
    ///
    /// - Parameter captures: what was captured so far; a match adds to it.
    package func matches(_ line: String, collapsingBlanks: Bool, _ captures: inout [String: String]) -> Bool {
        let line = collapsingBlanks ? line.collapsingBlanks : line.trimmingTrailingBlanks
        switch form {
        case .literal: return line == (collapsingBlanks ? text.collapsingBlanks : text)
        case .regularExpression: return expression?.matchesWhole(line) ?? false
        case .glob: return GlobPattern(text).matches(line)
        case .text:
            for template in templates {
                let expected = collapsingBlanks ? template.text.collapsingBlanks : template.text
                if line == expected { return true }
                let usable = collapsingBlanks && expected != template.text ? Template(expected) : template
                if let found = usable.match(line, captures) {
                    captures = found
                    return true
                }
            }
            return false
        }
    }
}

extension LinePattern {
    /// Another line, with those of this one's holes that stand for the same word of it: what is put right keeps what
    /// it left open.
    ///
    /// - Returns: nil where no hole can be kept.
    func keepingHoles(in line: String, _ captures: [String: String], collapsingBlanks: Bool) -> String? {
        guard form == .text else { return nil }
        let expected = text.split(separator: " ")
        let words = line.split(separator: " ")
        guard expected.count == words.count else { return nil }
        var result = ""
        var end = line.startIndex
        var known = captures
        var isOpen = false
        for (old, word) in zip(expected, words) {
            result += line[end..<word.startIndex]
            end = word.endIndex
            let template = Template(String(old))
            if !template.isLiteral, let found = template.match(String(word), known) {
                known = found
                isOpen = true
                result += old
            } else {
                result += word
            }
        }
        var scratch = captures
        guard isOpen, let pattern = try? LinePattern(reading: result), !pattern.isNever,
            pattern.matches(line, collapsingBlanks: collapsingBlanks, &scratch)
        else { return nil }
        return result + (isOptional ? " (?)" : "")
    }
}

extension String {
    var trimmingTrailingBlanks: String {
        var end = endIndex
        while end > startIndex {
            let previous = index(before: end)
            guard self[previous].isWhitespace else { break }
            end = previous
        }
        return String(self[..<end])
    }

    /// Without blanks at either end, and with one blank for each run of them.
    var collapsingBlanks: String { split(whereSeparator: \.isWhitespace).joined(separator: " ") }
}
