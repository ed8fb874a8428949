/// Reads lines of `key=value key="a b" flag` (logfmt), pair by pair and in place.
///
/// What is no pair is left out, and reading goes on behind it; `problem` says what the first of it was, for those who
/// are strict.
struct LogfmtReader {
    private let line: UnsafeRawBufferPointer
    private var offset = 0
    private(set) var problem: String?

    struct Pair {
        var key: String
        var value: String
    }

    init(_ line: UnsafeRawBufferPointer) { self.line = line }

    mutating func next() -> Pair? {
        while offset < line.count {
            guard line[offset] > 0x20 else {
                offset += 1
                continue
            }
            let start = offset
            while offset < line.count, Self.isOfKey(line[offset]) { offset += 1 }
            if offset == start {
                skip("unexpected '\(Character(Unicode.Scalar(line[offset])))'", at: start)
                continue
            }
            let key = String(decoding: line[start..<offset], as: UTF8.self)
            guard offset < line.count, line[offset] == UInt8(ascii: "=") else {
                if offset < line.count, line[offset] == UInt8(ascii: "\"") {
                    skip("unexpected '\"'", at: offset)
                    continue
                }
                return Pair(key: key, value: "")
            }
            offset += 1
            if offset < line.count, line[offset] == UInt8(ascii: "\"") {
                guard let value = quoted() else { continue }
                return Pair(key: key, value: value)
            }
            let valueStart = offset
            while offset < line.count, line[offset] > 0x20, line[offset] != UInt8(ascii: "\"") {
                offset += 1
            }
            if offset < line.count, line[offset] == UInt8(ascii: "\"") {
                skip("unexpected '\"'", at: offset)
                continue
            }
            return Pair(key: key, value: String(decoding: line[valueStart..<offset], as: UTF8.self))
        }
        return nil
    }

    private static func isOfKey(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte != UInt8(ascii: "=") && byte != UInt8(ascii: "\"")
    }

    /// Goes on behind the next blank.
    private mutating func skip(_ what: String, at place: Int) {
        if problem == nil { problem = "logfmt syntax error at pos \(place + 1) : \(what)" }
        while offset < line.count, line[offset] > 0x20 { offset += 1 }
    }

    private mutating func quoted() -> String? {
        let start = offset
        offset += 1
        var bytes: [UInt8] = []
        while offset < line.count {
            let byte = line[offset]
            offset += 1
            if byte == UInt8(ascii: "\"") { return String(decoding: bytes, as: UTF8.self) }
            guard byte == UInt8(ascii: "\\"), offset < line.count else {
                bytes.append(byte)
                continue
            }
            let escaped = line[offset]
            offset += 1
            switch escaped {
            case UInt8(ascii: "n"): bytes.append(10)
            case UInt8(ascii: "r"): bytes.append(13)
            case UInt8(ascii: "t"): bytes.append(9)
            case UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "/"): bytes.append(escaped)
            case UInt8(ascii: "u"): unicode(into: &bytes)
            default: bytes += [byte, escaped]
            }
        }
        skip("unterminated quoted value", at: start)
        return nil
    }

    private mutating func unicode(into bytes: inout [UInt8]) {
        var value: UInt32 = 0
        let start = offset
        while offset < line.count, offset < start + 4,
            let digit = Character(Unicode.Scalar(line[offset])).hexDigitValue
        {
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        bytes += String(Unicode.Scalar(value) ?? "\u{FFFD}").utf8
    }
}
