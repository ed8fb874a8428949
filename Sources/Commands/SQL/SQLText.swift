import KernelStructures
import ShellSession

/// What has to be known of SQL to send one statement after the other: where each ends.
enum SQLText {
    /// The statements of a text: what semicolons divide, outside of quotes, comments and `$$`. A line that begins with
    /// a backslash where a statement could begin is one of psql's words, and one by itself.
    static func statements(_ text: String) -> [String] {
        var scanner = Scanner(bytes: Array(text.utf8))
        return scanner.statements()
    }

    private struct Scanner {
        let bytes: [UInt8]
        var position = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        mutating func statements() -> [String] {
            var found: [String] = []
            var start = 0
            var isEmpty = true
            while position < bytes.count {
                let byte = bytes[position]
                switch byte {
                case UInt8(ascii: ";"):
                    if !isEmpty { found.append(String(decoding: bytes[start..<position], as: UTF8.self)) }
                    position += 1
                    start = position
                    isEmpty = true
                case UInt8(ascii: "\\") where isEmpty:
                    start = position
                    skip(to: "\n")
                    found.append(String(decoding: bytes[start..<position], as: UTF8.self))
                    start = position
                case UInt8(ascii: "-") where follows("--"): skip(to: "\n")
                case UInt8(ascii: "/") where follows("/*"): skipComment()
                case UInt8(ascii: "'"):
                    isEmpty = false
                    skipQuoted(byte, escapes: isEscapeString)
                case UInt8(ascii: "\""):
                    isEmpty = false
                    skipQuoted(byte, escapes: false)
                case UInt8(ascii: "$"):
                    isEmpty = false
                    skipDollar()
                case 32, 9...13: position += 1
                default:
                    isEmpty = false
                    position += 1
                }
            }
            if !isEmpty { found.append(String(decoding: bytes[start...], as: UTF8.self)) }
            return found.map(SQLText.trimmed)
        }

        private func follows(_ text: StaticString) -> Bool {
            let wanted = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
            return bytes[position...].starts(with: wanted)
        }

        /// Whether the quote here begins `E'…'`, in which backslashes count.
        private var isEscapeString: Bool {
            guard position > 0, bytes[position - 1] | 32 == UInt8(ascii: "e") else { return false }
            return position < 2 || !isWord(bytes[position - 2])
        }

        private func isWord(_ byte: UInt8) -> Bool {
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 95
                || byte >= 128
        }

        private mutating func skip(to end: Unicode.Scalar) {
            while position < bytes.count, bytes[position] != UInt8(ascii: end) { position += 1 }
        }

        /// Comments may stand in comments.
        private mutating func skipComment() {
            var depth = 0
            while position < bytes.count {
                if follows("/*") {
                    depth += 1
                    position += 2
                } else if follows("*/") {
                    depth -= 1
                    position += 2
                    if depth == 0 { return }
                } else {
                    position += 1
                }
            }
        }

        private mutating func skipQuoted(_ quote: UInt8, escapes: Bool) {
            position += 1
            while position < bytes.count {
                if escapes, bytes[position] == UInt8(ascii: "\\") {
                    position = min(bytes.count, position + 2)
                } else {
                    position += 1
                    if bytes[position - 1] == quote { return }
                }
            }
        }

        /// `$tag$ … $tag$`; a parameter such as `$1` is none.
        private mutating func skipDollar() {
            var end = position + 1
            while end < bytes.count, isWord(bytes[end]) { end += 1 }
            let isParameter = position + 1 < bytes.count && (48...57).contains(bytes[position + 1])
            let isWithinWord = position > 0 && isWord(bytes[position - 1])
            guard end < bytes.count, bytes[end] == UInt8(ascii: "$"), !isParameter, !isWithinWord else {
                position += 1
                return
            }
            let tag = Array(bytes[position...end])
            position = end + 1
            while position < bytes.count {
                if bytes[position...].starts(with: tag) {
                    position += tag.count
                    return
                }
                position += 1
            }
        }
    }

    /// The same, if the last one is complete: ended, and not in the midst of a quote or a comment. Nil if there is more
    /// to come.
    static func completeStatements(_ text: String) -> [String]? {
        let found = statements(text)
        // Another word is another statement then.
        return !found.isEmpty && statements(text + "\nx").count > found.count ? found : nil
    }

    static func trimmed(_ text: String) -> String {
        var slice = Substring(text)
        while let first = slice.first, first.isWhitespace { slice.removeFirst() }
        while let last = slice.last, last.isWhitespace { slice.removeLast() }
        return String(slice)
    }

    /// The line in which an error is, and a mark below it, as psql shows them.
    ///
    /// - Parameter position: in characters from 1.
    static func pointer(to position: Int, in statement: String) -> [String] {
        var rest = position
        // CR LF ends a line, and counts as two.
        for (index, scalars) in statement.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            let count = scalars.count
            let line = String(scalars.last == "\r" ? scalars.dropLast() : scalars)
            if rest <= count + 1, rest >= 1 {
                let head = "LINE \(index + 1): "
                let blanks = String(repeating: " ", count: head.count + rest - 1)
                return [head + line, blanks + "^"]
            }
            rest -= count + 1
        }
        return []
    }
}

/// psql's words that begin with a backslash: questions to the catalogue, and how results are shown.
enum SQLShortcut {
    /// `\x`, `\x on`, `\x off`, `\x auto`.
    ///
    /// - Returns: what is to be from now on; nil if it is another word.
    static func expansion(_ text: String, now: SQLView.Expansion) throws(CommandFailure) -> SQLView.Expansion? {
        let words = words(text)
        guard words.first == "\\x" else { return nil }
        if words.count == 1 { return now == .on ? .off : .on }
        guard words.count == 2, let wanted = SQLView.Expansion(rawValue: words[1]) else {
            throw CommandFailure("\(text): it must be \\x on, \\x off or \\x auto")
        }
        return wanted
    }

    /// `\q`
    static func isQuit(_ text: String) -> Bool { words(text) == ["\\q"] }

    private static func words(_ text: String) -> [String] {
        text.split { $0.isWhitespace || $0 == ";" }.map(String.init)
    }

    static func expand(_ text: String) throws(CommandFailure) -> String {
        guard text.hasPrefix("\\") else { return text }
        let words = words(text)
        switch (words[0], words.count) {
        case ("\\l", 1):
            return "select datname as \"Name\", pg_catalog.pg_encoding_to_char(encoding) as \"Encoding\" "
                + "from pg_catalog.pg_database order by 1"
        case ("\\d", 1), ("\\dt", 1): return relations("'r','p'")
        case ("\\di", 1): return relations("'i'")
        case ("\\d", 2): return columns(words[1])
        default:
            throw CommandFailure(
                "\\\(words[0].dropFirst()) is not known here: \\l, \\d, \\dt, \\di, \\d NAME, \\x, \\q")
        }
    }

    private static func relations(_ kinds: String) -> String {
        "select n.nspname as \"Schema\", c.relname as \"Name\", "
            + "case c.relkind when 'i' then 'index' when 'v' then 'view' else 'table' end as \"Type\" "
            + "from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
            + "where c.relkind in (\(kinds)) and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') "
            + "order by 1, 2"
    }

    private static func columns(_ name: String) -> String {
        let plain = name.replacing("'", with: "''")
        return "select a.attname as \"Column\", pg_catalog.format_type(a.atttypid, a.atttypmod) as \"Type\", "
            + "case when a.attnotnull then 'not null' else '' end as \"Nullable\" "
            + "from pg_catalog.pg_attribute a where a.attrelid = '\(plain)'::pg_catalog.regclass "
            + "and a.attnum > 0 and not a.attisdropped order by a.attnum"
    }
}
