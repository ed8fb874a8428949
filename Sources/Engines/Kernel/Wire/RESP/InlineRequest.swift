/// A request as a person types it with telnet: words between blanks, `"…"` with escapes, `'…'` as it stands.
enum InlineRequest {
    /// The words of a line; nil where a quote is not closed, or something but a blank follows it.
    static func words(_ line: UnsafeRawBufferPointer) -> [[UInt8]]? {
        var words: [[UInt8]] = []
        var place = 0
        while true {
            while place < line.count, isBlank(line[place]) { place += 1 }
            if place == line.count { return words }
            guard let word = word(line, &place) else { return nil }
            words.append(word)
        }
    }

    private static func word(_ line: UnsafeRawBufferPointer, _ place: inout Int) -> [UInt8]? {
        var word: [UInt8] = []
        while place < line.count, !isBlank(line[place]) {
            let byte = line[place]
            place += 1
            guard byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") else {
                word.append(byte)
                continue
            }
            guard quoted(line, &place, by: byte, into: &word) else { return nil }
            return place == line.count || isBlank(line[place]) ? word : nil
        }
        return word
    }

    /// Reads to the closing quote; false if there is none.
    private static func quoted(
        _ line: UnsafeRawBufferPointer, _ place: inout Int, by quote: UInt8, into word: inout [UInt8]
    ) -> Bool {
        while place < line.count {
            let byte = line[place]
            place += 1
            if byte == quote { return true }
            guard byte == UInt8(ascii: "\\"), place < line.count else {
                word.append(byte)
                continue
            }
            if quote == UInt8(ascii: "'") {
                if line[place] == quote { place += 1 }
                word.append(line[place - 1] == quote ? quote : byte)
            } else {
                word.append(escaped(line, &place))
            }
        }
        return false
    }

    private static func escaped(_ line: UnsafeRawBufferPointer, _ place: inout Int) -> UInt8 {
        let byte = line[place]
        place += 1
        if byte == UInt8(ascii: "x"), place + 1 < line.count, let high = digit(line[place]),
            let low = digit(line[place + 1])
        {
            place += 2
            return high << 4 | low
        }
        switch byte {
        case UInt8(ascii: "n"): return 10
        case UInt8(ascii: "r"): return 13
        case UInt8(ascii: "t"): return 9
        case UInt8(ascii: "b"): return 8
        case UInt8(ascii: "a"): return 7
        default: return byte
        }
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }

    /// What C's isspace() takes for a blank, and the zero byte.
    private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) || byte == 0 }
}
