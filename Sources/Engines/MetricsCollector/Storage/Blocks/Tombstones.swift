import KernelStructures

/// What was deleted from a block whose chunks nobody rewrites: times by series.
///
/// ```
/// file = 0130BA30(4) 1(1) { series(uvarint) from(varint) through(varint) } crc(4)     ; crc of the entries
/// ```
struct Tombstones: Equatable {
    private(set) var ranges: [UInt64: [ClosedRange<Int64>]] = [:]
    private static let magic: UInt32 = 0x0130_BA30

    var count: Int { ranges.values.reduce(0) { $0 + $1.count } }

    mutating func add(_ series: UInt64, _ range: ClosedRange<Int64>) {
        var merged = range
        var kept: [ClosedRange<Int64>] = []
        for present in ranges[series] ?? [] {
            if present.overlaps(merged) {
                merged = min(present.lowerBound, merged.lowerBound)...max(present.upperBound, merged.upperBound)
            } else {
                kept.append(present)
            }
        }
        ranges[series] = (kept + [merged]).sorted { $0.lowerBound < $1.lowerBound }
    }

    subscript(series: UInt64) -> [ClosedRange<Int64>] { ranges[series] ?? [] }

    var fileBytes: [UInt8] {
        var body = RecordWriter()
        for (series, list) in ranges.sorted(by: { $0.key < $1.key }) {
            for range in list {
                body.append(series)
                body.append(range.lowerBound)
                body.append(range.upperBound)
            }
        }
        var bytes: [UInt8] = []
        bytes.appendBigEndian(Self.magic)
        bytes.append(1)
        bytes += body.bytes
        bytes.appendBigEndian(body.bytes.withUnsafeBytes { WAL.checksum($0) })
        return bytes
    }

    init() {}

    /// Nil for what is no such file.
    init?(fileBytes bytes: [UInt8]) {
        guard bytes.count >= 9, bytes[4] == 1 else { return nil }
        var reader = RecordReader(Array(bytes[5..<bytes.count - 4]))
        let sum = bytes.suffix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let magic = bytes.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard magic == Self.magic, bytes[5..<bytes.count - 4].withUnsafeBytes({ WAL.checksum($0) }) == sum else {
            return nil
        }
        do {
            while !reader.isAtEnd {
                let series = try reader.unsigned()
                let from = try reader.signed()
                let through = try reader.signed()
                guard from <= through else { return nil }
                add(series, from...through)
            }
        } catch {
            return nil
        }
    }
}
