import LogModelEngine

/// Reads what people type who look for something, and says where it cannot be meant.
struct SearchParser {
    private let bytes: [UInt8]
    private var offset = 0
    private static let depthLimit = 80
    private static let textLimitBytes = 16_384

    init(_ text: String) throws(LogQLError) {
        bytes = Array(text.utf8)
        guard bytes.count <= Self.textLimitBytes else {
            throw LogQLError(.badRequest, "the search is longer than \(Self.textLimitBytes) bytes")
        }
    }

    mutating func parse() throws(LogQLError) -> SearchExpression {
        skipSpace()
        guard offset < bytes.count else { throw error("nothing to search for; write a word, or field:value") }
        let expression = try alternatives(nil, 1)
        guard offset == bytes.count else { throw error("unexpected )") }
        return expression
    }

    private func error(_ message: String, at place: Int? = nil) -> LogQLError {
        LogQLError(in: bytes, at: place ?? offset, message)
    }

    private func byte(_ distance: Int = 0) -> UInt8? {
        offset + distance < bytes.count ? bytes[offset + distance] : nil
    }

    private mutating func skipSpace() {
        while let byte = byte(), byte <= 0x20 { offset += 1 }
    }

    /// Takes an operator, which is written in capitals and stands by itself.
    private mutating func take(_ word: String) -> Bool {
        let end = offset + word.utf8.count
        guard end <= bytes.count, bytes[offset..<end].elementsEqual(word.utf8) else { return false }
        if end < bytes.count, !Self.endsWord(bytes[end]) { return false }
        offset = end
        skipSpace()
        return true
    }

    private static func endsWord(_ byte: UInt8) -> Bool {
        byte <= 0x20 || byte == UInt8(ascii: "(") || byte == UInt8(ascii: ")") || byte == UInt8(ascii: "\"")
    }

    // MARK: Operators

    /// - Parameter field: within `field:( … )`, whose words all belong to it.
    private mutating func alternatives(_ field: String?, _ depth: Int) throws(LogQLError) -> SearchExpression {
        guard depth <= Self.depthLimit else { throw error("parentheses lie deeper than \(Self.depthLimit) levels") }
        var parts = [try conjunction(field, depth)]
        while take("OR") || take("||") { parts.append(try conjunction(field, depth)) }
        return parts.count == 1 ? parts[0] : .any(parts)
    }

    private mutating func conjunction(_ field: String?, _ depth: Int) throws(LogQLError) -> SearchExpression {
        var parts = [try condition(field, depth)]
        while true {
            if take("AND") || take("&&") {
                parts.append(try condition(field, depth))
                continue
            }
            let place = offset
            if offset == bytes.count || byte() == UInt8(ascii: ")") || take("OR") || take("||") {
                offset = place
                return parts.count == 1 ? parts[0] : .all(parts)
            }
            parts.append(try condition(field, depth))
        }
    }

    private mutating func condition(_ field: String?, _ depth: Int) throws(LogQLError) -> SearchExpression {
        guard depth <= Self.depthLimit else { throw error("NOT stands more than \(Self.depthLimit) times in a row") }
        if take("NOT") { return .not(try condition(field, depth + 1)) }
        if byte() == UInt8(ascii: "-"), byte(1).map({ !Self.endsWord($0) }) ?? false {
            offset += 1
            return .not(try condition(field, depth + 1))
        }
        let place = offset
        for word in ["AND", "OR", "&&", "||"] where take(word) {
            throw error("\(word) stands between two conditions; one of them is missing", at: place)
        }
        guard let first = byte() else { throw error("a condition is missing at the end") }
        if first == UInt8(ascii: ")") { throw error("unexpected )") }
        if first == UInt8(ascii: "(") { return try group(field, depth) }
        if field == nil, let name = fieldName() {
            if byte() == UInt8(ascii: "(") { return try group(name, depth) }
            return Self.field(name, try value(name))
        }
        if let field { return Self.field(field, try value(field)) }
        let isQuoted = first == UInt8(ascii: "\"")
        let text = isQuoted ? try phrase() : word()
        guard isQuoted || !text.isEmpty else { throw error("a word is missing here", at: place) }
        skipSpace()
        let found = SearchExpression.text(SearchText(text, mayBeWildcard: !isQuoted))
        guard let digits = ShortIdentifier.beginning(text) else { return found }
        return .any([found, .identifier(digits, isInLine: false)])
    }

    private mutating func group(_ field: String?, _ depth: Int) throws(LogQLError) -> SearchExpression {
        let place = offset
        offset += 1
        skipSpace()
        let inner = try alternatives(field, depth + 1)
        guard byte() == UInt8(ascii: ")") else { throw error("this ( is never closed", at: place) }
        offset += 1
        skipSpace()
        return inner
    }

    /// `level:warning` means the lines of whoever writes `warn` as well, and the other way round; the beginning of an
    /// identifier is meant as such where `trace_id` is asked for; and `_exists_:status` is `status:*`, as to Lucene.
    private static func field(_ name: String, _ value: SearchValue) -> SearchExpression {
        guard case .text(let text, _) = value else { return .field(name, value) }
        if name == "_exists_" { return .field(text, .anything) }
        if name == ShortIdentifier.name, let digits = ShortIdentifier.beginning(text),
            digits.utf8.count < ShortIdentifier.wholeDigits
        {
            return .any([.field(name, value), .identifier(digits, isInLine: true)])
        }
        guard name == "level", let same = levels.first(where: { $0.contains(text.lowercased()) }) else {
            return .field(name, value)
        }
        return .any(same.map { .field(name, .text($0, SearchText($0, mayBeWildcard: false))) })
    }

    private static let levels = [["warn", "warning"]]

    // MARK: Values

    /// The name before a colon, which is taken together with it.
    private mutating func fieldName() -> String? {
        guard let first = byte(), LogLexer.isLetter(first) || first == UInt8(ascii: "@") else { return nil }
        var end = offset
        while end < bytes.count,
            LogLexer.isLetter(bytes[end]) || LogLexer.isDigit(bytes[end]) || "@.-".utf8.contains(bytes[end])
        {
            end += 1
        }
        guard end < bytes.count, bytes[end] == UInt8(ascii: ":") else { return nil }
        defer { offset = end + 1 }
        return String(decoding: bytes[offset..<end], as: UTF8.self)
    }

    private mutating func value(_ name: String) throws(LogQLError) -> SearchValue {
        guard let first = byte(), !Self.endsWord(first) || first == UInt8(ascii: "\"") else {
            throw error("the value of \(name) is missing behind its colon")
        }
        defer { skipSpace() }
        switch first {
        case UInt8(ascii: "\""):
            let text = try phrase()
            return .text(text, SearchText(text, mayBeWildcard: false))
        case UInt8(ascii: "["), UInt8(ascii: "{"): return try interval()
        case UInt8(ascii: "="):
            offset += 1
            return .exactly(byte() == UInt8(ascii: "\"") ? try phrase() : word())
        case UInt8(ascii: ">"), UInt8(ascii: "<"):
            offset += 1
            let isIncluded = byte() == UInt8(ascii: "=")
            if isIncluded { offset += 1 }
            let place = offset
            let text = byte() == UInt8(ascii: "\"") ? try phrase() : word()
            guard !text.isEmpty else { throw error("a value is missing behind the comparison", at: place) }
            let bound = SearchValue.Bound(text: text, isIncluded: isIncluded)
            return first == UInt8(ascii: ">") ? .range(lower: bound, upper: nil) : .range(lower: nil, upper: bound)
        default:
            let text = word()
            return text == "*" ? .anything : .text(text, SearchText(text, mayBeWildcard: true))
        }
    }

    /// `[500 TO 599]`, `{0 TO *]`: square brackets include their end, braces do not, `*` is open.
    private mutating func interval() throws(LogQLError) -> SearchValue {
        let place = offset
        let includesLower = byte() == UInt8(ascii: "[")
        offset += 1
        skipSpace()
        let lower = bound()
        skipSpace()
        guard take("TO") else { throw error("a range is written [500 TO 599]", at: place) }
        let upper = bound()
        skipSpace()
        guard let end = byte(), end == UInt8(ascii: "]") || end == UInt8(ascii: "}"), !lower.isEmpty, !upper.isEmpty
        else { throw error("a range is written [500 TO 599]", at: place) }
        offset += 1
        return .range(
            lower: lower == "*" ? nil : .init(text: lower, isIncluded: includesLower),
            upper: upper == "*" ? nil : .init(text: upper, isIncluded: end == UInt8(ascii: "]")))
    }

    private mutating func bound() -> String {
        let start = offset
        while let byte = byte(), byte > 0x20, byte != UInt8(ascii: "]"), byte != UInt8(ascii: "}") { offset += 1 }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func word() -> String {
        let start = offset
        while let byte = byte(), !Self.endsWord(byte) { offset += 1 }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    /// Between quotation marks; `\"` and `\\` stand for themselves.
    private mutating func phrase() throws(LogQLError) -> String {
        let place = offset
        offset += 1
        var content: [UInt8] = []
        while let byte = byte() {
            offset += 1
            if byte == UInt8(ascii: "\"") { return String(decoding: content, as: UTF8.self) }
            if byte == UInt8(ascii: "\\"), let next = self.byte(),
                next == UInt8(ascii: "\"") || next == UInt8(ascii: "\\")
            {
                offset += 1
                content.append(next)
            } else {
                content.append(byte)
            }
        }
        throw error("this quotation mark is never closed", at: place)
    }
}
