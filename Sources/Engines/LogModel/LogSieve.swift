import Glibc

/// Which lines of a block may have what a hint asks for, by looking at all of its bytes, many at a time.
///
/// ## The problem
///
/// An index says which chunk may have a rare word. One line of a thousand has it, and cutting each line into words, or
/// reading it as JSON, to find out which one costs more than all that the index has saved.
///
/// ## An everyday picture
///
/// Who looks for a name on a printed page does not read the page: the eye runs over it for the name's most unusual
/// letters, and reads where they stand.
///
/// ## How
///
/// A hint is brought down to one text that must stand in every wanted line, the longest one it has. The block's bytes
/// are searched for it in one go; each place is in a line, and the rest of that line need not be searched. What is not
/// named is passed over, and what is named is still to be looked at: the sieve lets too much through, never too little.
///
/// ## Where it is wrong
///
/// Escapes in JSON may hide a word (`caf\u00e9`): a line with a backslash is always let through where words are wanted.
public enum LogSieve {
    /// The lines that may fulfil the hint, rising; nil where that cannot be said of any.
    public static func lines(_ hint: LogHint, _ block: LogBlock) -> [Int]? {
        switch hint {
        case .anything: return nil
        case .all(let hints):
            for hint in hints.sorted(by: { weight($0) > weight($1) }) {
                if let lines = lines(hint, block) { return lines }
            }
            return nil
        case .any(let hints):
            var found: Set<Int> = []
            for hint in hints {
                guard let lines = lines(hint, block) else { return nil }
                found.formUnion(lines)
            }
            return hints.isEmpty ? nil : found.sorted()
        case .contains(let bytes): return bytes.isEmpty ? nil : lines(with: bytes, block)
        case .word(let text): return lines(withWords: text, block)
        case .field(let name, let value):
            return block.hasMetadata || block.labels[name] == value ? nil : lines(withWords: value, block)
        }
    }

    /// Those lines of a part of a block: all of the part where the hint says nothing.
    public static func lines(_ hint: LogHint, _ block: LogBlock, in range: Range<Int>) -> [Int] {
        guard let lines = lines(hint, block) else { return Array(range) }
        return lines.filter(range.contains)
    }

    /// Whether any line may fulfil the hint.
    public static func mayHave(_ hint: LogHint, _ block: LogBlock) -> Bool {
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

    private static func words(_ text: String) -> [[UInt8]] {
        text.utf8.split { !LogWords.isOfWord($0) }.map { Array($0.prefix(LogWords.lengthLimit)) }
    }

    /// Escapes may hide words: where there are any, nothing can be said.
    private static func hasWords(_ text: String, _ block: LogBlock) -> Bool {
        block.withText { bytes, _ in
            guard let base = bytes.baseAddress else { return false }
            if memchr(base, Int32(backslash[0]), bytes.count) != nil { return true }
            return words(text).allSatisfy { isFound($0, in: bytes) }
        }
    }

    private static let backslash = [UInt8(ascii: "\\")]

    // MARK: Lines

    /// Bytes of the longest text that such a line must have: the longer, the fewer have it.
    private static func weight(_ hint: LogHint) -> Int {
        switch hint {
        case .anything: 0
        case .all(let hints): hints.map(weight).max() ?? 0
        case .any(let hints): hints.map(weight).min() ?? 0
        case .contains(let bytes): bytes.count
        case .word(let text), .field(_, let text): words(text).map(\.count).max() ?? 0
        }
    }

    private static func lines(withWords text: String, _ block: LogBlock) -> [Int]? {
        guard let longest = words(text).max(by: { $0.count < $1.count }) else { return nil }
        let plain = lines(with: longest, block)
        let hidden = lines(with: backslash, block)
        return hidden.isEmpty ? plain : Set(plain).union(hidden).sorted()
    }

    private static func lines(with needle: [UInt8], _ block: LogBlock) -> [Int] {
        block.withText { text, ends in
            var found: [Int] = []
            var next = 0
            scan(needle, in: text) { place in
                // The line that the place is in: the first one that ends behind it.
                var low = next
                var high = ends.count
                while low < high {
                    let middle = (low + high) / 2
                    if ends[middle] <= place { low = middle + 1 } else { high = middle }
                }
                guard low < ends.count else { return nil }
                // It may stand across two lines, and then nothing of its size fits behind it.
                if place + needle.count <= ends[low] { found.append(low) }
                next = low + 1
                return ends[low]
            }
            return found
        }
    }

    // MARK: Bytes

    /// Whether bytes stand somewhere, whatever the case of their letters.
    public static func isFound(_ needle: [UInt8], in text: UnsafeRawBufferPointer) -> Bool {
        var isFound = needle.isEmpty
        scan(needle, in: text) { _ in
            isFound = true
            return nil
        }
        return isFound
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

    /// Calls `body` with places where bytes stand, whatever the case of their letters. It says from where on the next
    /// one is wanted, behind this one, or that none is.
    ///
    /// Two of the bytes, the rarest ones, are compared in eight places at once; only where both fit is the rest looked
    /// at.
    private static func scan(_ needle: [UInt8], in text: UnsafeRawBufferPointer, _ body: (Int) -> Int?) {
        guard let base = text.baseAddress, !needle.isEmpty, text.count >= needle.count else { return }
        let order = needle.indices.sorted { (rank(needle[$0]), $0) < (rank(needle[$1]), $1) }
        let one = order[0]
        let two = order.count > 1 ? order[1] : order[0]
        let wantedOne = UInt64(needle[one] | 0x20) &* ones
        let wantedTwo = UInt64(needle[two] | 0x20) &* ones
        let end = text.count - needle.count
        // As far as eight bytes can be read behind either of the two.
        let wideEnd = min(end, text.count - max(one, two) - 8)
        var place = 0
        wide: while place <= wideEnd {
            let left = (base + place + one).loadUnaligned(as: UInt64.self) | ones &* 0x20
            let right = (base + place + two).loadUnaligned(as: UInt64.self) | ones &* 0x20
            let difference = UInt64(littleEndian: (left ^ wantedOne) | (right ^ wantedTwo))
            // The upper bit of each byte that is 0; above such a one perhaps of another, too.
            var zeros = (difference &- ones) & ~difference & (ones &* 0x80)
            while zeros != 0 {
                let candidate = place + zeros.trailingZeroBitCount / 8
                zeros &= zeros &- 1
                guard candidate <= end, isEqual(base + candidate, needle) else { continue }
                guard let next = body(candidate) else { return }
                place = max(next, candidate + 1)
                continue wide
            }
            place += 8
        }
        while place <= end {
            if isEqual(base + place, needle) {
                guard let next = body(place) else { return }
                place = max(next, place + 1)
            } else {
                place += 1
            }
        }
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
