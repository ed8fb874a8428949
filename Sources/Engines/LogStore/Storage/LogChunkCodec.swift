import KernelCompression
import KernelStructures
import LogModelEngine
import TimeSeriesEngine

/// Entries of one stream, packed.
///
/// ```
///   chunk   = zstd of: unit count metadata-flag times lines metadata
///   unit    = 1 byte: times are multiples of 10^unit nanoseconds
///   times   = the first, then differences (folded)
///   lines   = columns: see `LineColumnWriter`
/// ```
///
/// Columns pack better than rows, because neighbours in a column resemble each other. zstd's own checksum tells whether
/// what was read is what was written.
enum LogChunkCodec {
    /// More is no chunk: what a damaged or forged one might claim.
    static let limitBytes = 256 << 20

    /// - Parameter terms: becomes what can be looked for in the lines.
    /// - Throws: `CompressionError`.
    static func packed(_ block: LogBlock, _ compressor: Compressor, _ terms: ChunkTerms) throws -> [UInt8] {
        var sink = ColumnSink(compressor)
        let unit = unit(of: block.timestamps)
        sink.append(byte: UInt8(unit.power))
        sink.append(block.count)
        sink.append(byte: block.hasMetadata ? 1 : 0)
        var times = RecordWriter()
        var previous: Int64 = 0
        for time in block.timestamps {
            let scaled = time / unit.size
            // The first may be as far from 0 as there is room for; differences wrap around, and so back.
            times.append(scaled &- previous)
            previous = scaled
        }
        try sink.append(column: times.bytes)
        return try block.withText { text, ends in
            terms.begin(text)
            var writer = LineColumnWriter(text, terms, sink)
            let lines = ends.indices.map { ($0 == 0 ? 0 : ends[$0 - 1])..<ends[$0] }
            try writer.write(lines, times: block.timestamps)
            if block.hasMetadata {
                var tail = RecordWriter()
                for index in 0..<block.count {
                    let metadata = block.metadata(index)
                    tail.append(metadata.bytes)
                    metadata.forEachBytes { terms.addMetadata($0, $1) }
                }
                try writer.sink.append(column: tail.bytes)
            }
            return try writer.sink.finish()
        }
    }

    /// - Throws: `LogSourceError.damaged`.
    static func unpacked(_ bytes: [UInt8], labels: Labels) throws(LogSourceError) -> LogBlock {
        let plain: [UInt8]
        do throws(CompressionError) {
            plain = try CompressionFormat.zstd.decompress(bytes, limitBytes: limitBytes)
        } catch {
            throw .damaged("a chunk of \(labels): \(error)")
        }
        guard let block = plain.withUnsafeBytes({ read($0, labels) }) else {
            throw .damaged("a chunk of \(labels): its columns do not fit")
        }
        return block
    }

    private static func read(_ bytes: UnsafeRawBufferPointer, _ labels: Labels) -> LogBlock? {
        var reader = RawRecordReader(bytes)
        guard let power = reader.byte(), power <= 9, let count = reader.number(), count <= reader.remaining,
            let flag = reader.byte(), flag <= 1
        else { return nil }
        let unit = powers[Int(power)]
        var timestamps: [Int64] = []
        timestamps.reserveCapacity(count)
        var previous: Int64 = 0
        for _ in 0..<count {
            guard let difference = reader.signed() else { return nil }
            previous = previous &+ difference
            let (time, overflow) = previous.multipliedReportingOverflow(by: unit)
            if overflow { return nil }
            timestamps.append(time)
        }
        var columns = LineColumnReader(reader, limitBytes: limitBytes)
        guard let lines = columns.lines(timestamps) else { return nil }
        reader = columns.rest
        var metadata: [Labels] = []
        if flag == 1 {
            metadata.reserveCapacity(count)
            for _ in 0..<count {
                guard let packed = reader.data() else { return nil }
                metadata.append(Labels(packed: Array(packed)))
            }
        }
        guard reader.isAtEnd else { return nil }
        return LogBlock(
            labels: labels, timestamps: timestamps, ends: lines.ends, text: lines.bytes, metadata: metadata)
    }

    private static let powers: [Int64] = (0...9).map { power in (0..<power).reduce(1) { size, _ in size * 10 } }

    /// The largest of 1, 1,000, 1,000,000 and 1,000,000,000 of which all are multiples.
    private static func unit(of times: [Int64]) -> (power: Int, size: Int64) {
        var power = 9
        for time in times {
            while power > 0, time % powers[power] != 0 { power -= 3 }
            if power == 0 { break }
        }
        return (power, powers[power])
    }
}
