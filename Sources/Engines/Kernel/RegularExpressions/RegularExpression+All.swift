extension RegularExpression {
    /// The matches from left to right that do not overlap, the first `limit` of them.
    ///
    /// An empty match counts, unless it stands directly behind another match.
    public func allMatches(in text: UnsafeRawBufferPointer, limit: Int = .max) -> [Match] {
        var found: [Match] = []
        var offset = 0
        var lastEnd = -1
        while found.count < limit, offset <= text.count, let match = firstMatch(in: text, from: offset) {
            if match.range.isEmpty {
                if match.range.lowerBound != lastEnd { found.append(match) }
                offset = Self.characterEnd(text, match.range.upperBound)
            } else {
                found.append(match)
                offset = match.range.upperBound
            }
            lastEnd = match.range.upperBound
        }
        return found
    }

    public func allMatches(in text: String, limit: Int = .max) -> [Match] {
        var text = text
        return text.withUTF8 { allMatches(in: UnsafeRawBufferPointer($0), limit: limit) }
    }

    /// `text` with its first `limit` matches replaced.
    public func replacing(
        in text: [UInt8], with replacement: RegularExpressionReplacement, limit: Int = .max
    ) -> [UInt8] {
        text.withUnsafeBytes { bytes in
            var out: [UInt8] = []
            var position = 0
            for match in allMatches(in: bytes, limit: limit) {
                out += bytes[position..<match.range.lowerBound]
                replacement.write(match, of: bytes, to: &out)
                position = match.range.upperBound
            }
            out += bytes[position...]
            return out
        }
    }

    public func replacing(
        in text: String, with replacement: RegularExpressionReplacement, limit: Int = .max
    ) -> String {
        String(decoding: replacing(in: Array(text.utf8), with: replacement, limit: limit), as: UTF8.self)
    }

    /// Where the character ends that begins at `offset`, which may be the text's end.
    private static func characterEnd(_ text: UnsafeRawBufferPointer, _ offset: Int) -> Int {
        var end = offset + 1
        while end < text.count, text[end] & 0xC0 == 0x80 { end += 1 }
        return end
    }
}

/// What stands in a match's place: text with `$1`, `${12}`, `${name}` for groups, `$0` for the match, `$$` for a
/// dollar.
public struct RegularExpressionReplacement: Sendable {
    private enum Part: Sendable {
        case text([UInt8])
        case group(Int)
    }

    private var parts: [Part] = []

    /// - Throws: `RegularExpressionError` for a group that the expression does not have.
    public init(_ template: String, for expression: RegularExpression) throws(RegularExpressionError) {
        var rest = template[...]
        while let dollar = rest.firstIndex(of: "$") {
            if dollar > rest.startIndex { parts.append(.text(Array(rest[..<dollar].utf8))) }
            rest = rest[dollar...].dropFirst()
            if rest.first == "$" {
                parts.append(.text([UInt8(ascii: "$")]))
                rest = rest.dropFirst()
                continue
            }
            let name: Substring
            if rest.first == "{", let end = rest.firstIndex(of: "}") {
                name = rest[..<end].dropFirst()
                rest = rest[end...].dropFirst()
            } else {
                name = rest.prefix { $0.isASCII && $0.isNumber }
                rest = rest.dropFirst(name.count)
            }
            guard let number = Int(name) ?? expression.groupNumber(String(name)), number >= 0,
                number <= expression.groupCount
            else {
                throw RegularExpressionError(
                    pattern: template,
                    problem: "the expression has no group '\(name)'; a dollar itself is written $$",
                    character: template.distance(from: template.startIndex, to: dollar) + 1)
            }
            parts.append(.group(number))
        }
        if !rest.isEmpty { parts.append(.text(Array(rest.utf8))) }
    }

    func write(_ match: RegularExpression.Match, of text: UnsafeRawBufferPointer, to out: inout [UInt8]) {
        for part in parts {
            switch part {
            case .text(let bytes): out += bytes
            case .group(let number): if let range = match[number] { out += text[range] }
            }
        }
    }
}
