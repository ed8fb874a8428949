/// Tells recordings of a terminal from scripts.
package enum RecordedText {
    /// Whether any line begins with `$ `, but for those of a script's here-documents.
    ///
    /// - Parameter allowsIndent: whether there may be blanks before it, as in what was pasted from a page.
    package static func hasCommands(_ text: String, allowsIndent: Bool = false) -> Bool {
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isLineEnd)
        var index = 0
        while index < lines.count {
            let line = allowsIndent ? lines[index].drop { $0 == " " } : lines[index]
            if line.hasPrefix("$ ") { return true }
            let documents = hereDocuments(beginningIn: lines[index])
            index += 1
            for (delimiter, stripsTabs) in documents {
                // One that never ends is none: a line of prose may have `<<` in it.
                let end = lines[index...].firstIndex { (stripsTabs ? $0.drop { $0 == "\t" } : $0) == delimiter }
                if let end { index = end + 1 }
            }
        }
        return false
    }

    /// The words with which the here-documents end that a line of a script begins.
    private static func hereDocuments(beginningIn line: Substring) -> [(delimiter: String, stripsTabs: Bool)] {
        var found: [(String, Bool)] = []
        guard line.utf8.contains(UInt8(ascii: "<")) else { return found }
        var rest = line[...]
        while let place = rest.firstRange(of: "<<") {
            rest = rest[place.upperBound...]
            if rest.hasPrefix("<") {
                rest.removeFirst()
                continue
            }
            let stripsTabs = rest.hasPrefix("-")
            if stripsTabs { rest.removeFirst() }
            rest = rest.drop { $0 == " " || $0 == "\t" }
            let word = rest.prefix { !$0.isWhitespace && !";|&<>)".contains($0) }
            let delimiter = word.filter { !"'\"\\".contains($0) }
            if !delimiter.isEmpty { found.append((delimiter, stripsTabs)) }
        }
        return found
    }
}
