import KernelStructures

/// The patterns in curl's URLs: `[1-3]`, `[001-100:10]`, `[a-e]` and `{one,two}` stand for several URLs each.
///
/// As curl 7.88 has them. All combinations are made one after the other, the last pattern first; none is kept, so a
/// pattern may stand for as many as it likes.
struct CurlGlob {
    fileprivate enum Part {
        case text([UInt8])
        case words([[UInt8]])
        case letters(first: UInt8, count: Int, step: Int)
        /// With zeros before it up to a width.
        case numbers(first: Int, count: Int, step: Int, width: Int)

        var count: Int {
            switch self {
            case .text: 1
            case .words(let words): words.count
            case .letters(_, let count, _), .numbers(_, let count, _, _): count
            }
        }

        func value(_ index: Int) -> [UInt8] {
            switch self {
            case .text(let text): return text
            case .words(let words): return words[index]
            case .letters(let first, _, let step): return [first + UInt8(index * step)]
            case .numbers(let first, _, let step, let width):
                let digits = Array(String(first + index * step).utf8)
                return [UInt8](repeating: 48, count: max(0, width - digits.count)) + digits
            }
        }

        var isText: Bool { if case .text = self { true } else { false } }
    }

    private var parts: [Part] = []
    /// How many URLs it stands for.
    private(set) var count = 1

    /// One URL, whatever is in it.
    init(literal text: String) { parts = [.text(Array(text.utf8))] }

    /// - Throws: what curl says of a pattern that is none, with its place.
    init(_ text: String) throws(CurlMalformedURL) {
        var reader = Reader(text: text, bytes: Array(text.utf8))
        parts = try reader.read()
        for part in parts {
            let (product, overflow) = count.multipliedReportingOverflow(by: part.count)
            count = overflow ? .max : product
        }
    }

    /// The URL of that number, from 0 on, and what its patterns stand for in it, in their order.
    func url(_ number: Int) -> (text: String, values: [String]) {
        var rest = number
        var pieces: [[UInt8]] = []
        var values: [String] = []
        for part in parts.reversed() {
            let piece = part.value(rest % part.count)
            rest /= part.count
            pieces.append(piece)
            if !part.isText { values.append(String(decoding: piece, as: UTF8.self)) }
        }
        return (String(decoding: pieces.reversed().joined(), as: UTF8.self), values.reversed())
    }

    /// A file's name with `#1`, `#2` … replaced by what the patterns stand for; other `#` stay.
    static func name(_ text: String, _ values: [String]) -> String {
        var out = ""
        var rest = text[...]
        while let character = rest.popFirst() {
            let digits = character == "#" ? rest.prefix { $0.isASCII && $0.isNumber } : ""
            if let number = Int(digits), number > 0, number <= values.count {
                out += values[number - 1]
                rest = rest.dropFirst(digits.count)
            } else {
                out.append(character)
            }
        }
        return out
    }
}

extension CurlGlob {
    fileprivate struct Reader {
        let text: String
        let bytes: [UInt8]
        private var position = 0

        init(text: String, bytes: [UInt8]) {
            self.text = text
            self.bytes = bytes
        }

        private func byte(_ offset: Int = 0) -> UInt8? {
            position + offset < bytes.count ? bytes[position + offset] : nil
        }

        /// - Parameter place: bytes before it.
        private func fault(_ complaint: String, at place: Int) -> CurlMalformedURL {
            let arrow = String(repeating: " ", count: place) + "^"
            return CurlMalformedURL(text: "\(complaint) in URL position \(place + 1):\n\(text)\n\(arrow)", status: 3)
        }

        mutating func read() throws(CurlMalformedURL) -> [Part] {
            var parts: [Part] = []
            var literal: [UInt8] = []
            while let next = byte() {
                let start = position
                switch next {
                case UInt8(ascii: "["):
                    if let length = literalBracket {
                        literal += bytes[position..<position + length]
                        position += length
                        continue
                    }
                    parts.append(.text(literal))
                    literal = []
                    parts.append(try readRange())
                case UInt8(ascii: "{"):
                    parts.append(.text(literal))
                    literal = []
                    parts.append(try readWords())
                case UInt8(ascii: "]"), UInt8(ascii: "}"):
                    throw fault("unmatched close brace/bracket", at: start)
                case UInt8(ascii: "\\"):
                    if let escaped = byte(1), "{}[]".utf8.contains(escaped) { position += 1 }
                    literal.append(bytes[position])
                    position += 1
                default:
                    literal.append(next)
                    position += 1
                }
            }
            parts.append(.text(literal))
            return parts
        }

        /// The length of `[::1]` and of `[]`, which are no patterns.
        private var literalBracket: Int? {
            guard let close = bytes[position...].firstIndex(of: UInt8(ascii: "]")) else { return nil }
            let inside = bytes[(position + 1)..<close].prefix { $0 != UInt8(ascii: "%") }
            let isAddress = IPv6Address(parsing: String(decoding: inside, as: UTF8.self)) != nil
            return close == position + 1 || isAddress ? close + 1 - position : nil
        }

        private mutating func readWords() throws(CurlMalformedURL) -> Part {
            let start = position
            var words: [[UInt8]] = []
            var word: [UInt8] = []
            position += 1
            while let next = byte() {
                position += 1
                switch next {
                case UInt8(ascii: "}"):
                    if position == start + 2 { throw fault("empty string within braces", at: position - 1) }
                    return .words(words + [word])
                case UInt8(ascii: ","):
                    words.append(word)
                    word = []
                case UInt8(ascii: "{"), UInt8(ascii: "["): throw fault("nested brace", at: position - 1)
                case UInt8(ascii: "]"): throw fault("unexpected close bracket", at: position - 1)
                case UInt8(ascii: "\\"):
                    word.append(byte() ?? next)
                    if byte() != nil { position += 1 }
                default: word.append(next)
                }
            }
            throw fault("unmatched brace", at: start)
        }

        private mutating func readRange() throws(CurlMalformedURL) -> Part {
            let start = position
            position += 1
            guard let first = byte() else { throw fault("bad range specification", at: start) }
            if Self.isLetter(first) { return try readLetters(first, start) }
            guard let low = readNumber() else { throw fault("bad range specification", at: start) }
            let width = first == 48 ? position - start - 1 : 0
            guard take("-"), let high = readNumber(), let step = readStep(), low <= high,
                low == high ? step == 1 : step <= high - low
            else { throw fault("bad range", at: position) }
            return .numbers(first: low, count: (high - low) / step + 1, step: step, width: width)
        }

        private mutating func readLetters(_ low: UInt8, _ start: Int) throws(CurlMalformedURL) -> Part {
            position += 1
            guard take("-"), let high = byte(), Self.isLetter(high) else { throw fault("bad range", at: start) }
            position += 1
            guard let step = readStep(), low <= high, low == high ? step == 1 : step <= Int(high - low) else {
                throw fault("bad range", at: position)
            }
            return .letters(first: low, count: Int(high - low) / step + 1, step: step)
        }

        /// What stands behind a range: `]`, or `:STEP]`.
        private mutating func readStep() -> Int? {
            var step = 1
            if take(":") {
                guard let number = readNumber() else { return nil }
                step = number
            }
            return take("]") && step > 0 ? step : nil
        }

        private mutating func readNumber() -> Int? {
            let digits = bytes[position...].prefix { $0 >= 48 && $0 <= 57 }
            position += digits.count
            return Int(String(decoding: digits, as: UTF8.self))
        }

        private mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard let next = byte(), UInt32(next) == character.value else { return false }
            position += 1
            return true
        }

        private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }
    }
}
