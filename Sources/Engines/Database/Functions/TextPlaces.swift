/// Places in texts of UTF-8, counted in code points. Only the first byte of each is looked at.
enum TextPlaces {
    /// A part of a text.
    ///
    /// - Parameter start: code points before it.
    static func part(of bytes: UnsafeRawBufferPointer, from start: Int, count: Int) -> String {
        let begin = skip(start, in: bytes, from: 0)
        let end = skip(count, in: bytes, from: begin)
        return String(decoding: bytes[begin..<end], as: UTF8.self)
    }

    private static func skip(_ count: Int, in bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        // There are no more code points than bytes.
        if count >= bytes.count - start { return bytes.count }
        var (index, left) = (start, count)
        while left > 0, index < bytes.count {
            let byte = bytes[index]
            index += byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
            left -= 1
        }
        return min(index, bytes.count)
    }

    /// Where a text stands in another for the first time, from 1; 0 if it does not. By Knuth, Morris and Pratt (1977):
    /// no byte of the whole is looked at again, however much of the part had fitted.
    static func position(of part: [UInt8], in whole: [UInt8]) -> Int64 {
        guard !part.isEmpty else { return 1 }
        guard part.count <= whole.count else { return 0 }
        let borders = borders(of: part)
        var matched = 0
        for (index, byte) in whole.enumerated() {
            while matched > 0, part[matched] != byte { matched = borders[matched - 1] }
            if part[matched] == byte { matched += 1 }
            if matched == part.count {
                return 1 + Int64(whole[..<(index + 1 - matched)].count { $0 & 0xC0 != 0x80 })
            }
        }
        return 0
    }

    /// For each beginning of a text, the length of the longest proper beginning of it that is its end as well.
    private static func borders(of part: [UInt8]) -> [Int] {
        var borders = [Int](repeating: 0, count: part.count)
        var matched = 0
        for index in 1..<part.count {
            while matched > 0, part[matched] != part[index] { matched = borders[matched - 1] }
            if part[matched] == part[index] { matched += 1 }
            borders[index] = matched
        }
        return borders
    }
}
