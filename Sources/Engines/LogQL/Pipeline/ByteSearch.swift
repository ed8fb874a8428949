import Glibc

/// Where bytes stand among other bytes.
enum ByteSearch {
    /// The first place of `needle` at `offset` or later.
    static func first(_ needle: [UInt8], in text: UnsafeRawBufferPointer, from offset: Int = 0) -> Int? {
        guard offset >= 0, offset <= text.count else { return nil }
        guard !needle.isEmpty else { return offset }
        guard let base = text.baseAddress, text.count - offset >= needle.count else { return nil }
        // The C library looks for one byte at a time with all the processor has; the rarest one leads to the fewest
        // places that have to be looked at.
        let rare = rarest(needle)
        return needle.withUnsafeBytes { needle in
            guard let start = needle.baseAddress else { return nil }
            var place = offset + rare
            let end = text.count - needle.count + rare
            while place <= end, let found = memchr(base + place, Int32(needle[rare]), end - place + 1) {
                let candidate = UnsafeRawPointer(found) - base - rare
                if memcmp(base + candidate, start, needle.count) == 0 { return candidate }
                place = candidate + rare + 1
            }
            return nil
        }
    }

    /// The place of the byte that is found least in lines of logs, as far as one can say.
    private static func rarest(_ needle: [UInt8]) -> Int {
        var best = 0
        var bestRank = Int.max
        for (index, byte) in needle.enumerated() {
            let rank =
                switch byte {
                case UInt8(ascii: " "), UInt8(ascii: "\""): 5
                case _ where "etaoinsrl".utf8.contains(byte): 4
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): 3
                case UInt8(ascii: "A")...UInt8(ascii: "Z"): 2
                default: 1
                }
            if rank < bestRank {
                best = index
                bestRank = rank
            }
        }
        return best
    }

    /// Letters, digits, `_`, and all that is no ASCII.
    @inline(__always)
    static func isOfWord(_ byte: UInt8) -> Bool {
        byte >= 0x80 || byte == UInt8(ascii: "_") || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
            || (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
    }

    @inline(__always)
    static func lowercased(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }
}
