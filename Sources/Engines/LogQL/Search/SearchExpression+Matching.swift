import KernelJSON
import LogModelEngine
import TimeSeriesEngine

extension SearchExpression {
    /// Whether a line fulfils it.
    func matches(_ line: inout LineState) -> Bool {
        switch self {
        case .all(let parts):
            for part in parts where !part.matches(&line) { return false }
            return true
        case .any(let parts):
            for part in parts where part.matches(&line) { return true }
            return false
        case .not(let part): return !part.matches(&line)
        case .text(let text): return line.withLine(text.isFound) || isFoundInMembers(text, &line)
        case .identifier(let digits, let isInLine):
            if line.metadata[ShortIdentifier.name].lowercased().hasPrefix(digits) { return true }
            guard isInLine else { return false }
            if line.value(of: ShortIdentifier.name)?.lowercased().hasPrefix(digits) == true { return true }
            return line.members(named: ShortIdentifier.name).contains { $0.lowercased().hasPrefix(digits) }
        case .field(let name, let value): return value.matches(name, &line)
        }
    }

    /// In JSON a text may be hidden by escapes: `"caf\u00e9"`, `"line\nbreak"`.
    private func isFoundInMembers(_ text: SearchText, _ line: inout LineState) -> Bool {
        guard line.withLine({ $0.contains(UInt8(ascii: "\\")) }), case .json(let members) = line.fields else {
            return false
        }
        return members.contains { text.isFound(in: $0.value) }
    }
}

extension SearchText {
    func isFound(in value: JSONValue) -> Bool {
        switch value {
        case .string(let text): isFound(in: text)
        case .array(let elements): elements.contains(where: isFound)
        case .object(let members): members.contains { isFound(in: $0.value) }
        default: false
        }
    }

    func isFound(in text: String) -> Bool {
        var text = text
        return text.withUTF8 { isFound(in: UnsafeRawBufferPointer($0)) }
    }

    func isFound(in text: UnsafeRawBufferPointer) -> Bool {
        if case .bytes(let bytes) = self { return ByteSearch.first(bytes, in: text) != nil }
        var start = 0
        while start < text.count {
            guard LogWords.isOfWord(text[start]) else {
                start += 1
                continue
            }
            if begins(text, at: start) { return true }
            while start < text.count, LogWords.isOfWord(text[start]) { start += 1 }
        }
        return false
    }

    /// Whether it stands at the beginning of a word.
    private func begins(_ text: UnsafeRawBufferPointer, at start: Int) -> Bool {
        switch self {
        case .bytes: return false
        case .wildcard(let pattern):
            var end = start
            while end < text.count, LogWords.isOfWord(text[end]) { end += 1 }
            return Self.isLike(pattern, UnsafeRawBufferPointer(rebasing: text[start..<end]))
        case .words(let words):
            var place = start
            for (index, word) in words.enumerated() {
                if index > 0 {
                    while place < text.count, !LogWords.isOfWord(text[place]) { place += 1 }
                }
                guard text.count - place >= word.count else { return false }
                for letter in word {
                    guard ByteSearch.lowercased(text[place]) == letter else { return false }
                    place += 1
                }
                if place < text.count, LogWords.isOfWord(text[place]) { return false }
            }
            return true
        }
    }

    /// Whether a word is like a pattern with `*` and `?`. A star that did not reach far enough is the only place to go
    /// back to, so the time is at most the product of both lengths.
    static func isLike(_ pattern: [UInt8], _ word: UnsafeRawBufferPointer) -> Bool {
        var p = 0
        var w = 0
        var star: (p: Int, w: Int)?
        while w < word.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                star = (p, w)
                p += 1
            } else if p < pattern.count,
                pattern[p] == UInt8(ascii: "?") || pattern[p] == ByteSearch.lowercased(word[w])
            {
                p += 1
                w += 1
            } else if let last = star {
                p = last.p + 1
                w = last.w + 1
                star = (last.p, w)
            } else {
                return false
            }
        }
        while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p += 1 }
        return p == pattern.count
    }
}

extension SearchValue {
    func matches(_ name: String, _ line: inout LineState) -> Bool {
        if let label = SearchExpression.otherName(of: name).flatMap({ line.value(of: $0) }), matches(label: label) {
            return true
        }
        if let label = line.value(of: name), !label.isEmpty, matches(label: label) { return true }
        for member in line.members(named: name) where matches(member: member) { return true }
        return false
    }

    private func matches(label: String) -> Bool {
        switch self {
        case .text(let value, .wildcard(let pattern)):
            if byteOrder(value, label) == 0 { return true }
            var label = label
            return label.withUTF8 { SearchText.isLike(pattern, UnsafeRawBufferPointer($0)) }
        case .text(let value, _), .exactly(let value): return byteOrder(value, label) == 0
        case .range(let lower, let upper): return Self.isBetween(label, lower, upper)
        case .anything: return true
        }
    }

    private func matches(member: String) -> Bool {
        switch self {
        case .text(_, let text): text.isFound(in: member)
        case .exactly(let value): byteOrder(value, member) == 0
        case .range(let lower, let upper): Self.isBetween(member, lower, upper)
        case .anything: true
        }
    }

    private static func isBetween(_ value: String, _ lower: Bound?, _ upper: Bound?) -> Bool {
        if let lower {
            guard let order = order(value, lower.text), order > 0 || order == 0 && lower.isIncluded else {
                return false
            }
        }
        if let upper {
            guard let order = order(value, upper.text), order < 0 || order == 0 && upper.isIncluded else {
                return false
            }
        }
        return true
    }

    /// Numbers, durations and sizes by what they say, other texts by their bytes; nil for a number and something else.
    private static func order(_ value: String, _ bound: String) -> Int? {
        if let limit = Double(bound) { return Double(value).map { $0 < limit ? -1 : $0 > limit ? 1 : 0 } }
        if let limit = GoDuration.parse(bound) {
            return GoDuration.parse(value).map { $0 < limit ? -1 : $0 > limit ? 1 : 0 }
        }
        if let limit = ByteSize.parse(bound) {
            return ByteSize.parse(value).map { $0 < limit ? -1 : $0 > limit ? 1 : 0 }
        }
        return byteOrder(value, bound)
    }
}
