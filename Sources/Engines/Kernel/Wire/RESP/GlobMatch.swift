/// Redis's patterns for keys: `*`, `?`, `[a-z]`, `[^a]`, and `\` before a character that is meant as it stands.
///
/// Bytes, not characters. It goes back to the last `*` only, so a pattern costs at most its length for each byte.
public enum GlobMatch {
    public static func matches(_ text: UnsafeRawBufferPointer, _ pattern: [UInt8]) -> Bool {
        var place = 0
        var position = 0
        var star: (pattern: Int, text: Int)?
        while position < text.count {
            if place < pattern.count, pattern[place] == UInt8(ascii: "*") {
                star = (place + 1, position)
                place += 1
                continue
            }
            if place < pattern.count, let next = step(pattern, place, text[position]) {
                place = next
                position += 1
                continue
            }
            guard let last = star else { return false }
            star = (last.pattern, last.text + 1)
            place = last.pattern
            position = last.text + 1
        }
        while place < pattern.count, pattern[place] == UInt8(ascii: "*") { place += 1 }
        return place == pattern.count
    }

    /// Where the pattern goes on if its element at `place` takes the byte; nil if it does not.
    private static func step(_ pattern: [UInt8], _ place: Int, _ byte: UInt8) -> Int? {
        switch pattern[place] {
        case UInt8(ascii: "?"): return place + 1
        case UInt8(ascii: "\\") where place + 1 < pattern.count: return pattern[place + 1] == byte ? place + 2 : nil
        case UInt8(ascii: "["): return set(pattern, place + 1, byte)
        default: return pattern[place] == byte ? place + 1 : nil
        }
    }

    private static func set(_ pattern: [UInt8], _ start: Int, _ byte: UInt8) -> Int? {
        var place = start
        let isNegated = place < pattern.count && pattern[place] == UInt8(ascii: "^")
        if isNegated { place += 1 }
        var isIn = false
        while place < pattern.count, pattern[place] != UInt8(ascii: "]") {
            if pattern[place] == UInt8(ascii: "\\"), place + 1 < pattern.count {
                place += 1
                if pattern[place] == byte { isIn = true }
                place += 1
            } else if place + 2 < pattern.count, pattern[place + 1] == UInt8(ascii: "-") {
                let low = min(pattern[place], pattern[place + 2])
                let high = max(pattern[place], pattern[place + 2])
                if (low...high).contains(byte) { isIn = true }
                place += 3
            } else {
                if pattern[place] == byte { isIn = true }
                place += 1
            }
        }
        // A set that is not closed lasts to the end of the pattern.
        return isIn != isNegated ? min(place + 1, pattern.count) : nil
    }
}
