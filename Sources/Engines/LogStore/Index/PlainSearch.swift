import Glibc
import LogModelEngine

/// Whether lines that have no index yet may have what is looked for: by looking at all of their bytes, many at a time.
enum PlainSearch {
    static func mayHave(_ hint: LogHint, _ block: LogBlock) -> Bool {
        switch hint {
        case .anything: true
        case .all(let hints): hints.allSatisfy { mayHave($0, block) }
        case .any(let hints): hints.isEmpty || hints.contains { mayHave($0, block) }
        case .contains(let bytes): block.withText { text, _ in isFound(bytes, in: text) }
        case .word(let text): hasWords(text, block)
        case .field(let name, let value):
            block.hasMetadata || block.labels[name] == value || hasWords(value, block)
        }
    }

    /// Escapes may hide words: where there are any, nothing can be said.
    private static func hasWords(_ text: String, _ block: LogBlock) -> Bool {
        block.withText { bytes, _ in
            guard let base = bytes.baseAddress else { return false }
            if memchr(base, Int32(UInt8(ascii: "\\")), bytes.count) != nil { return true }
            return text.utf8.split(whereSeparator: { !LogWords.isOfWord($0) }).allSatisfy { word in
                isFound(Array(word.prefix(LogWords.lengthLimit)), in: bytes)
            }
        }
    }

    /// The most usual letters of logs come last.
    private static func rank(_ byte: UInt8) -> Int {
        switch byte {
        case 0x20, UInt8(ascii: "\""), UInt8(ascii: ":"), UInt8(ascii: ","): 4
        case _ where "etaoinsrl012".utf8.contains(byte | 0x20): 3
        case _ where LogWords.isOfWord(byte): 2
        default: 1
        }
    }

    /// Whether bytes stand somewhere, whatever the case of their letters. Two of them, the rarest ones, are compared in
    /// eight places at once; only where both fit is the rest looked at.
    static func isFound(_ needle: [UInt8], in text: UnsafeRawBufferPointer) -> Bool {
        guard !needle.isEmpty else { return true }
        guard let base = text.baseAddress, text.count >= needle.count else { return false }
        let order = needle.indices.sorted { (rank(needle[$0]), $0) < (rank(needle[$1]), $1) }
        let one = order[0]
        let two = order.count > 1 ? order[1] : order[0]
        let wantedOne = UInt64(needle[one] | 0x20) &* ones
        let wantedTwo = UInt64(needle[two] | 0x20) &* ones
        let end = text.count - needle.count
        // As far as eight bytes can be read behind either of the two.
        let wideEnd = min(end, text.count - max(one, two) - 8)
        var place = 0
        while place <= wideEnd {
            let left = (base + place + one).loadUnaligned(as: UInt64.self) | ones &* 0x20
            let right = (base + place + two).loadUnaligned(as: UInt64.self) | ones &* 0x20
            let difference = (left ^ wantedOne) | (right ^ wantedTwo)
            // Whether one of its bytes is 0.
            if (difference &- ones) & ~difference & (ones &* 0x80) != 0 {
                for offset in 0..<min(8, end - place + 1) where isEqual(base + place + offset, needle) { return true }
            }
            place += 8
        }
        while place <= end {
            if isEqual(base + place, needle) { return true }
            place += 1
        }
        return false
    }

    private static let ones: UInt64 = 0x0101_0101_0101_0101

    @inline(__always)
    private static func folded(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    private static func isEqual(_ text: UnsafeRawPointer, _ needle: [UInt8]) -> Bool {
        for index in needle.indices {
            if folded(text.load(fromByteOffset: index, as: UInt8.self)) != folded(needle[index]) { return false }
        }
        return true
    }
}
