import TimeSeriesEngine

/// Samples of one series, packed: Facebook's Gorilla (Pelkonen et al. 2015, §4.1), as Prometheus lays it out
/// (`tsdb/docs/format/chunks.md`).
///
/// ## An everyday picture
///
/// Somebody reads a meter every quarter of an hour and calls out the numbers. After the second one the clerk writes no
/// times any more but "on time", one bit; and of the value only the digits that are others than before.
///
/// ```
/// chunk   = count(2 bytes) time(varint) value(64 bits) delta(uvarint) xor { dod xor }
/// dod     = 0 | 10 + 14 bits | 110 + 17 bits | 1110 + 20 bits | 1111 + 64 bits     ; change of the time's change
/// ```
///
/// `xor` is an `XORWindow`'s.
///
/// Where it is wrong: a value that jumps in all its bits takes 77 of them, more than without packing.
struct XORChunk {
    /// In Prometheus's files.
    static let encoding: UInt8 = 1
    /// Samples of one chunk.
    static let sampleLimit = 65_535

    private var writer = BitWriter([0, 0])
    private(set) var count = 0
    private(set) var firstTime: Int64 = 0
    private(set) var lastTime: Int64 = 0
    private(set) var lastValue: Double = 0
    private var delta: Int64 = 0
    private var window = XORWindow()

    init() {}

    var byteCount: Int { writer.bytes.count }

    /// The chunk as it is stored.
    var bytes: [UInt8] {
        var all = writer.bytes
        all[0] = UInt8(truncatingIfNeeded: count >> 8)
        all[1] = UInt8(truncatingIfNeeded: count)
        return all
    }

    /// Adds a sample. Its time is later than the last one's and within `SampleTime.range`, and there is room for it:
    /// the caller's promise.
    mutating func append(_ time: Int64, _ value: Double) {
        switch count {
        case 0:
            firstTime = time
            writer.append(varint: time)
            writer.append(value.bitPattern, count: 64)
        case 1:
            delta = time - lastTime
            writer.append(varint: UInt64(bitPattern: delta))
            window.append(value, after: lastValue, to: &writer)
        default:
            let newDelta = time - lastTime
            append(change: newDelta - delta)
            delta = newDelta
            window.append(value, after: lastValue, to: &writer)
        }
        lastTime = time
        lastValue = value
        count += 1
    }

    private mutating func append(change: Int64) {
        let bits = UInt64(bitPattern: change)
        switch change {
        case 0: writer.append(0, count: 1)
        case -8191...8192: writer.append(0b10 << 14 | bits & 0x3FFF, count: 16)
        case -65535...65536: writer.append(0b110 << 17 | bits & 0x1FFFF, count: 20)
        case -524_287...524_288: writer.append(0b1110 << 20 | bits & 0xFFFFF, count: 24)
        default:
            writer.append(0b1111, count: 4)
            writer.append(bits, count: 64)
        }
    }
}

extension XORChunk {
    /// Adds the samples of a stored chunk whose times lie in `range` to `column`.
    ///
    /// - Returns: false if the chunk is damaged; what comes before the damage has been added.
    static func decode(_ bytes: UnsafeRawBufferPointer, in range: ClosedRange<Int64>, into column: inout SampleColumn)
        -> Bool
    {
        guard bytes.count >= 2 else { return false }
        let count = Int(bytes[0]) << 8 | Int(bytes[1])
        var reader = BitReader(bytes, fromByte: 2)
        var time: Int64 = 0
        var delta: Int64 = 0
        var value: UInt64 = 0
        var window = XORWindow()
        for index in 0..<count {
            switch index {
            case 0:
                time = reader.signedVarint()
                value = reader.bits(64)
            case 1:
                delta = Int64(bitPattern: reader.varint())
                time = time &+ delta
            default:
                delta = delta &+ change(&reader)
                time = time &+ delta
            }
            if index > 0, !window.read(&value, &reader) { return false }
            if reader.isBeyondEnd { return false }
            if time > range.upperBound { return true }
            if time >= range.lowerBound { column.append(time, Double(bitPattern: value)) }
        }
        return true
    }

    private static func change(_ reader: inout BitReader) -> Int64 {
        var size = 0
        while size < 4, reader.bit() { size += 1 }
        let bits: Int
        switch size {
        case 0: return 0
        case 1: bits = 14
        case 2: bits = 17
        case 3: bits = 20
        default: return Int64(bitPattern: reader.bits(64))
        }
        let value = Int64(reader.bits(bits))
        return value > 1 << (bits - 1) ? value - 1 << bits : value
    }
}
