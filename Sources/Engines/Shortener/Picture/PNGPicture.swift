import CZlib

/// Writes a picture of black and white points as PNG (W3C PNG, third edition): a signature, a head, the points packed
/// by zlib, an end; each chunk with its CRC-32.
enum PNGPicture {
    private static let signature: [UInt8] = [137, 80, 78, 71, 13, 10, 26, 10]

    /// - Parameter isLight: whether the point is white.
    static func encode(width: Int, height: Int, isLight: (_ x: Int, _ y: Int) -> Bool) -> [UInt8] {
        // A row is a byte that says how it is filtered (not at all), and a bit a point.
        var rows: [UInt8] = []
        rows.reserveCapacity(height * (width / 8 + 2))
        for y in 0..<height {
            rows.append(0)
            for start in stride(from: 0, to: width, by: 8) {
                var byte: UInt8 = 0
                for x in start..<min(start + 8, width) where isLight(x, y) { byte |= 0x80 >> UInt8(x - start) }
                rows.append(byte)
            }
        }
        // One bit a point, grey; the usual compression and filter; not interlaced.
        let head = number(width) + number(height) + [1, 0, 0, 0, 0]
        return signature + chunk("IHDR", head) + chunk("IDAT", packed(rows)) + chunk("IEND", [])
    }

    private static func packed(_ bytes: [UInt8]) -> [UInt8] {
        var count = compressBound(uLong(bytes.count))
        var result = [UInt8](repeating: 0, count: Int(count))
        guard compress2(&result, &count, bytes, uLong(bytes.count), 6) == Z_OK else { return [] }
        return Array(result.prefix(Int(count)))
    }

    private static func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(name.utf8) + data
        return number(data.count) + body + number(Int(crc32(0, body, uInt(body.count))))
    }

    private static func number(_ value: Int) -> [UInt8] {
        let bits = UInt32(truncatingIfNeeded: value)
        return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: bits >> $0) }
    }
}
