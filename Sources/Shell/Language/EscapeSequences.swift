/// Backslash escapes, as `echo -e`, `printf` and `$'…'` know them. What comes out are bytes: `\303\251` is the two
/// bytes of an é.
package enum EscapeSequences {
    package enum Dialect {
        /// `echo -e` and `%b`: octal numbers begin with a 0, and may have three digits behind it.
        case echo
        /// `%b` of `printf`: as `echo -e`, and `\101`.
        case argument
        /// The format of `printf`: as that of other tools, and `\"`, `\'`, `\?`.
        case printf
        /// Formats of other tools: `\101`.
        case format
        /// `$'…'`: as a format, and `\'`, `\"`, `\?`, `\cX`.
        case quoted
    }

    private static let letters: [Character: UInt8] = [
        "n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "v": 11, "f": 12, "e": 27, "E": 27, "\\": 92,
    ]

    /// The text with its escapes resolved. One that is unknown stays as it is.
    package static func resolve(_ text: String, _ dialect: Dialect) -> [UInt8] {
        scan(text, dialect).bytes
    }

    /// - Returns: the bytes, and whether `\c` ended the output (`echo -e` and `%b`).
    package static func scan(_ text: String, _ dialect: Dialect) -> (bytes: [UInt8], isCut: Bool) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var rest = text[...]
        while let character = rest.popFirst() {
            guard character == "\\", let next = rest.first else {
                bytes += Array(String(character).utf8)
                continue
            }
            rest.removeFirst()
            if let letter = letters[next] {
                bytes.append(letter)
            } else if next == "c", dialect == .echo || dialect == .argument {
                return (bytes, true)
            } else if dialect != .echo, dialect != .format, "'\"?".contains(next) {
                bytes += Array(String(next).utf8)
            } else if dialect == .quoted, next == "c", let control = rest.popFirst()?.asciiValue {
                bytes.append(control & 0x1F)
            } else if let byte = number(next, &rest, dialect) {
                bytes += byte
            } else {
                bytes += Array("\\\(next)".utf8)
            }
        }
        return (bytes, false)
    }

    /// The bytes of `\101`, `\x41`, `\u00e9` or `\U0001f600`, whose letter or first digit has been taken.
    private static func number(_ first: Character, _ rest: inout Substring, _ dialect: Dialect) -> [UInt8]? {
        func digits(_ limit: Int, radix: Int) -> Substring {
            let found = rest.prefix(limit).prefix { $0.isASCII && $0.hexDigitValue.map { $0 < radix } ?? false }
            rest = rest.dropFirst(found.count)
            return found
        }
        if first == "0" || dialect != .echo && ("1"..."7").contains(first) {
            let takesThree = first == "0" && (dialect == .echo || dialect == .argument)
            let text = String(first) + digits(takesThree ? 3 : 2, radix: 8)
            return [UInt8(truncatingIfNeeded: Int(text, radix: 8) ?? 0)]
        }
        guard let limit = ["x": 2, "u": 4, "U": 8][first] else { return nil }
        let text = digits(limit, radix: 16)
        guard let value = UInt32(text, radix: 16) else { return nil }
        if first == "x" { return [UInt8(truncatingIfNeeded: value)] }
        return Array(String(Unicode.Scalar(value).map(Character.init) ?? "\u{FFFD}").utf8)
    }
}
