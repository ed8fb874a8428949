import KernelLoopback

/// What was typed, oldest first, kept in a plain text file: one entry a line, a newline inside an entry as `\n`, a
/// backslash as `\\`.
package final class TypedHistory {
    package private(set) var entries: [String] = []
    private let file: String?
    private let complain: (String) -> Void
    private var canWrite = true
    /// Where the search with Up and Down stands: what was typed when it began, and the entry that is shown.
    private var search: (typed: String, index: Int)?

    /// Entries that are kept.
    package static let limit = 10_000

    /// Reads the file, if there is one, and shortens it if it has grown too long.
    ///
    /// - Parameters:
    ///   - file: where entries are kept; nil keeps them for this session only.
    ///   - complain: hears, once, that the file cannot be used.
    private var endsWithoutNewline = false

    package init(file: String?, complain: @escaping (String) -> Void) {
        self.file = file
        self.complain = complain
        guard let file, HostFile.exists(file) else { return }
        if HostFile.isSpecial(file) {
            fail("\(file) is no file")
            return
        }
        do {
            let text = String(decoding: try HostFile.read(file), as: UTF8.self)
            // An editor may have left lines that end in CR LF, and a last one without an end.
            let lines = text.split { $0 == "\n" || $0 == "\r\n" }
            endsWithoutNewline = text.last.map { $0 != "\n" && $0 != "\r\n" } ?? false
            entries = lines.suffix(Self.limit).map(Self.unescaped)
            if lines.count > Self.limit {
                try HostFile.write(Array(entries.map { Self.escaped($0) + "\n" }.joined().utf8), to: file, mode: 0o600)
            }
        } catch {
            fail("\(error)")
        }
    }

    /// Remembers an entry, unless it is empty, begins with a blank, or is the same as the one before.
    ///
    /// - Returns: whether it was remembered.
    @discardableResult
    package func add(_ entry: String) -> Bool {
        search = nil
        guard let first = entry.first, first != " ", !entry.allSatisfy(\.isWhitespace), entry != entries.last else {
            return false
        }
        entries.append(entry)
        if entries.count > Self.limit { entries.removeFirst() }
        if let file, canWrite {
            let start = endsWithoutNewline ? "\n" : ""
            endsWithoutNewline = false
            do { try HostFile.append(Array((start + Self.escaped(entry) + "\n").utf8), to: file) } catch {
                fail("\(error)")
            }
        }
        return true
    }

    private func fail(_ text: String) {
        canWrite = false
        complain("what is typed will not be remembered: \(text)")
    }

    // MARK: Up and Down

    /// The nearest older entry that begins with what was typed when the search began; nil if there is none.
    ///
    /// - Parameters:
    ///   - line: the line as it is now. If it is no longer what the search showed last, a new search begins.
    package func older(than line: String) -> String? {
        let (typed, index) = continuing(from: line)
        guard let found = entries[..<index].lastIndex(where: { $0.hasPrefix(typed) && $0 != line }) else { return nil }
        search = (typed, found)
        return entries[found]
    }

    /// The nearest newer entry; after the newest, what was typed when the search began.
    package func newer(than line: String) -> String? {
        guard let current = search, entries[current.index] == line else { return nil }
        let (typed, index) = current
        if let found = entries[(index + 1)...].firstIndex(where: { $0.hasPrefix(typed) && $0 != line }) {
            search = (typed, found)
            return entries[found]
        }
        search = nil
        return typed
    }

    private func continuing(from line: String) -> (typed: String, index: Int) {
        if let search, entries[search.index] == line { return search }
        return (line, entries.count)
    }

    // MARK: The file's form

    static func escaped(_ entry: String) -> String { entry.replacing("\\", with: "\\\\").replacing("\n", with: "\\n") }

    static func unescaped(_ line: Substring) -> String {
        var result = ""
        var isEscape = false
        for character in line {
            if isEscape {
                result.append(character == "n" ? "\n" : character)
                isEscape = false
            } else if character == "\\" {
                isEscape = true
            } else {
                result.append(character)
            }
        }
        return result
    }
}
