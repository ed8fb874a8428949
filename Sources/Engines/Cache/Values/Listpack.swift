/// Redis's compact array of short strings and numbers, as it stands in dumps ("Listpack specification", antirez), and
/// the compression of long strings.
enum Listpack {
    /// Its elements; nil if it is none.
    static func elements(_ bytes: [UInt8]) -> [[UInt8]]? {
        guard bytes.count >= 7, bytes[bytes.count - 1] == 0xFF else { return nil }
        let total = Int(bytes[0]) | Int(bytes[1]) << 8 | Int(bytes[2]) << 16 | Int(bytes[3]) << 24
        guard total == bytes.count else { return nil }
        var found: [[UInt8]] = []
        var place = 6
        while place < bytes.count - 1 {
            guard let (element, length) = element(bytes, place) else { return nil }
            found.append(element)
            // Behind each entry stands how long it is, so that it can be read from its end.
            place +=
                length
                + (length < 128 ? 1 : length < 16_384 ? 2 : length < 2_097_152 ? 3 : length < 268_435_456 ? 4 : 5)
        }
        return place == bytes.count - 1 ? found : nil
    }

    /// An entry and how many bytes it takes without what stands behind it.
    private static func element(_ bytes: [UInt8], _ place: Int) -> ([UInt8], Int)? {
        let first = bytes[place]
        if first < 0x80 { return (digits(Int(first)), 1) }
        if first & 0xC0 == 0x80 { return string(bytes, place, head: 1, count: Int(first & 0x3F)) }
        if first & 0xE0 == 0xC0 {
            guard place + 1 < bytes.count else { return nil }
            let raw = Int(first & 0x1F) << 8 | Int(bytes[place + 1])
            return (digits(raw >= 4096 ? raw - 8192 : raw), 2)
        }
        if first & 0xF0 == 0xE0 {
            guard place + 1 < bytes.count else { return nil }
            return string(bytes, place, head: 2, count: Int(first & 0x0F) << 8 | Int(bytes[place + 1]))
        }
        switch first {
        case 0xF0:
            guard let count = number(bytes, place + 1, 4) else { return nil }
            return string(bytes, place, head: 5, count: Int(count))
        case 0xF1: return number(bytes, place + 1, 2).map { (digits(Int(Int16(truncatingIfNeeded: $0))), 3) }
        case 0xF2:
            return number(bytes, place + 1, 3).map { raw in
                (digits(Int(Int32(truncatingIfNeeded: raw << 8) >> 8)), 4)
            }
        case 0xF3: return number(bytes, place + 1, 4).map { (digits(Int(Int32(truncatingIfNeeded: $0))), 5) }
        case 0xF4: return number(bytes, place + 1, 8).map { (digits(Int(Int64(bitPattern: $0))), 9) }
        default: return nil
        }
    }

    private static func number(_ bytes: [UInt8], _ place: Int, _ count: Int) -> UInt64? {
        guard count <= bytes.count - place else { return nil }
        return bytes[place..<place + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func string(_ bytes: [UInt8], _ place: Int, head: Int, count: Int) -> ([UInt8], Int)? {
        guard head + count <= bytes.count - place else { return nil }
        return (Array(bytes[place + head..<place + head + count]), head + count)
    }

    private static func digits(_ number: Int) -> [UInt8] { Array(String(number).utf8) }

    /// LZF: runs of bytes as they are, and copies of what came before. nil if it does not give exactly so many bytes.
    static func unpack(_ data: [UInt8], _ count: Int, limit: Int) -> [UInt8]? {
        // Three bytes stand for 264 at most.
        guard count >= 0, count <= limit, count / 88 <= data.count + 1 else { return nil }
        var output: [UInt8] = []
        var place = 0
        while place < data.count {
            let control = Int(data[place])
            place += 1
            if control < 32 {
                guard control + 1 <= data.count - place else { return nil }
                output += data[place..<place + control + 1]
                place += control + 1
            } else {
                var length = control >> 5
                if length == 7 {
                    guard place < data.count else { return nil }
                    length += Int(data[place])
                    place += 1
                }
                guard place < data.count else { return nil }
                let distance = (control & 0x1F) << 8 | Int(data[place])
                place += 1
                guard distance < output.count, output.count + length + 2 <= count else { return nil }
                let start = output.count - distance - 1
                for index in 0..<length + 2 { output.append(output[start + index]) }
            }
            if output.count > count { return nil }
        }
        return output.count == count ? output : nil
    }
}
