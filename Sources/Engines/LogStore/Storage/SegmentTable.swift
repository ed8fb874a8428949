import KernelStructures
import TimeSeriesEngine

/// What a segment has, and where: see `SegmentWriter`.
struct SegmentTable {
    struct Row: Equatable {
        let stream: Int
        let first: Int64
        let last: Int64
        let entryCount: Int
        let byteCount: Int
        let offset: Int
        let length: Int
    }

    /// By labels.
    let streams: [Labels]
    /// By stream, then as they were added.
    let rows: [Row]
    /// The rows of each stream.
    let ranges: [Range<Int>]
    let replaced: [Int]
    /// Offset and length of the index of words, and of that of trigrams.
    let sections: [(offset: Int, length: Int)]

    static func encoded(
        _ streams: [(labels: Labels, chunks: [Int])], _ rows: [Row], replaced: [Int], sections: [(Int, Int)]
    ) -> [UInt8] {
        var writer = RecordWriter()
        writer.append(replaced) { $0.append($1) }
        writer.append(sections) { writer, section in
            writer.append(section.0)
            writer.append(section.1)
        }
        writer.append(streams) { writer, stream in
            writer.append(stream.labels.bytes)
            writer.append(stream.chunks) { writer, index in
                let row = rows[index]
                writer.append(row.first)
                writer.append(row.last &- row.first)
                writer.append(row.entryCount)
                writer.append(row.byteCount)
                writer.append(row.offset)
                writer.append(row.length)
            }
        }
        return writer.bytes
    }

    /// - Parameter fileBytes: nothing lies beyond.
    /// - Returns: nil if it is no table of such a file.
    init?(_ bytes: [UInt8], fileBytes: Int) {
        var reader = RecordReader(bytes)
        var streams: [Labels] = []
        var rows: [Row] = []
        var ranges: [Range<Int>] = []
        do throws(RecordReader.Malformed) {
            replaced = try reader.elements { reader throws(RecordReader.Malformed) in try reader.integer() }
            sections = try reader.elements { reader throws(RecordReader.Malformed) in
                (try reader.integer(), try reader.integer())
            }
            let count = try reader.unsigned()
            guard count <= UInt64(reader.remaining) else { return nil }
            for stream in 0..<Int(count) {
                streams.append(Labels(packed: try reader.data()))
                let start = rows.count
                let own = try reader.elements { reader throws(RecordReader.Malformed) -> Row in
                    let first = try reader.signed()
                    let last = first &+ (try reader.signed())
                    return Row(
                        stream: stream, first: first, last: last, entryCount: try reader.integer(),
                        byteCount: try reader.integer(), offset: try reader.integer(), length: try reader.integer())
                }
                rows += own
                ranges.append(start..<rows.count)
            }
            try reader.expectEnd()
        } catch {
            return nil
        }
        func isWithin(_ offset: Int, _ length: Int) -> Bool {
            offset >= 0 && length >= 0 && offset <= fileBytes && length <= fileBytes - offset
        }
        guard sections.count == 2, sections.allSatisfy({ isWithin($0.offset, $0.length) }),
            rows.allSatisfy({
                isWithin($0.offset, $0.length) && $0.first <= $0.last && $0.entryCount > 0 && $0.byteCount >= 0
                    && $0.entryCount <= 1 << 32 && $0.byteCount <= 1 << 32
            })
        else { return nil }
        self.streams = streams
        self.rows = rows
        self.ranges = ranges
    }

    /// Bytes that it takes in memory, nearly.
    var memoryBytes: Int {
        rows.count * MemoryLayout<Row>.stride + streams.reduce(0) { $0 + $1.bytes.count + 64 } + 256
    }
}
