/// A page that was written for 80 columns, on a terminal that has fewer: broken between words, never within one.
///
/// Sentences that begin at the margin are joined and broken anew. An entry (a name, a gap, what is said of it) keeps
/// its gap if that leaves half of the line for the text; otherwise the text goes on below, a little further in. What
/// fits as it is stays as it is.
public func reflowed(_ text: String, columns: Int) -> String {
    let columns = max(10, columns)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard lines.contains(where: { displayWidth($0) > columns }) else { return text }
    var result: [String] = []
    var block: PageBlock?
    for line in lines {
        if block?.takes(line) == true { continue }
        if let block { result += block.lines(columns) }
        block = PageBlock(line)
    }
    if let block { result += block.lines(columns) }
    return result.joined(separator: "\n")
}

/// What belongs together on a page: sentences at the margin, or an entry with the lines that continue it.
private struct PageBlock {
    private var text: String
    private let indent: Int
    /// Where an entry's text begins; nil for sentences, and for a line without a gap.
    private let textColumn: Int?
    private var originals: [String]

    init(_ line: String) {
        text = line
        originals = [line]
        indent = line.prefix { $0 == " " }.count
        textColumn = Self.gap(line, behind: indent)
    }

    /// Where the text behind the first gap of two blanks or more begins.
    private static func gap(_ line: String, behind indent: Int) -> Int? {
        var blanks = 0
        for (column, character) in line.enumerated().dropFirst(indent) {
            if character == " " {
                blanks += 1
            } else if blanks >= 2 {
                return column
            } else {
                blanks = 0
            }
        }
        return nil
    }

    /// Adds a line that continues this one; false if it begins something else.
    mutating func takes(_ line: String) -> Bool {
        guard !line.isEmpty, !text.isEmpty else { return false }
        let depth = line.prefix { $0 == " " }.count
        let continues: Bool
        if let textColumn {
            continues = depth == textColumn
        } else {
            // Only a line that was broken is continued: a heading is shorter.
            continues =
                depth == indent && indent == 0 && (originals.last?.count ?? 0) > 50
                && Self.gap(line, behind: 0) == nil
        }
        guard continues else { return false }
        text += " " + line.dropFirst(depth)
        originals.append(line)
        return true
    }

    func lines(_ columns: Int) -> [String] {
        guard originals.contains(where: { displayWidth($0) > columns }) else { return originals }
        guard let textColumn else {
            return split(wrapped(text, columns: columns, indent: indent == 0 ? 0 : min(indent + 2, columns / 2)))
        }
        if textColumn <= columns / 2 { return split(wrapped(text, columns: columns, indent: textColumn)) }
        // The gap has no room: the name, and what is said of it below.
        var name = String(text.prefix(textColumn))
        while name.last == " " { name.removeLast() }
        let inner = String(repeating: " ", count: min(indent + 4, columns / 2))
        let rest = text.dropFirst(textColumn)
        return split(wrapped(name, columns: columns, indent: inner.count))
            + split(wrapped(inner + rest, columns: columns, indent: inner.count))
    }

    private func split(_ text: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            var line = line
            while line.last == " " { line.removeLast() }
            return String(line)
        }
    }
}
