import KernelLog
import KernelStructures

/// What was true when a segment began: definitions, and what is left of the segments before.
///
/// ```
///   "SDLABMC1" │ CRC of the rest (4) │ next segment │ definitions │ queues │ segments
///   segment := number size messages blocks
///   block   := place-in-index queue first last count record-bytes body-bytes transient
///              settled delivered delivered-more
/// ```
///
/// Bits are written as runs: how many to skip, and how many are set.
struct LogCheckpoint {
    var nextSegment: UInt64 = 1
    var definitions: [(key: String, value: [UInt8])] = []
    var queues: [(number: UInt64, lastSequence: UInt64)] = []
    var segments: [LogSegment] = []

    private static let magic = Array("SDLABMC1".utf8)

    func encoded() -> [UInt8] {
        var writer = RecordWriter()
        writer.append(nextSegment)
        writer.append(definitions) { writer, definition in
            writer.append(definition.key)
            writer.append(definition.value)
        }
        writer.append(queues) { writer, queue in
            writer.append(queue.number)
            writer.append(queue.lastSequence)
        }
        writer.append(segments) { writer, segment in
            writer.append(segment.number)
            writer.append(UInt64(segment.sizeBytes))
            writer.append(UInt64(segment.entryCount))
            writer.append(segment.blocks.filter { $0.liveCount > 0 }) { Self.write($1, into: &$0) }
        }
        let sum = writer.bytes.withUnsafeBytes { LogBatch.checksum($0) }
        return Self.magic + (0..<4).map { UInt8(truncatingIfNeeded: sum >> ($0 * 8)) } + writer.bytes
    }

    private static func write(_ block: LogBlock, into writer: inout RecordWriter) {
        let numbers = [
            UInt64(block.firstOrdinal), block.queue, block.firstSequence, block.lastSequence, UInt64(block.count),
            UInt64(block.liveRecordBytes), UInt64(block.liveBodyBytes), UInt64(block.liveTransient),
        ]
        for number in numbers { writer.append(number) }
        write(block.settled, into: &writer)
        write(block.delivered, into: &writer)
        writer.append(block.deliveredMore.sorted { $0.key < $1.key }) { writer, delivery in
            writer.append(UInt64(delivery.key))
            writer.append(UInt64(delivery.value))
        }
    }

    private static func write(_ bits: LogBits, into writer: inout RecordWriter) {
        var place = 0
        writer.append(bits.runs) { writer, run in
            writer.append(UInt64(run.lowerBound - place))
            writer.append(UInt64(run.count))
            place = run.upperBound
        }
    }

    // MARK: Reading

    init() {}

    /// nil where something else was written.
    init?(_ bytes: [UInt8], directory: String) {
        let start = Self.magic.count + 4
        guard bytes.count >= start, bytes.starts(with: Self.magic) else { return nil }
        let isSound = bytes.withUnsafeBytes { bytes in
            LogBatch.checksum(UnsafeRawBufferPointer(rebasing: bytes[start...]))
                == UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: Self.magic.count, as: UInt32.self))
        }
        guard isSound else { return nil }
        var reader = RecordReader(bytes, from: start)
        do throws(RecordReader.Malformed) {
            nextSegment = try reader.unsigned()
            definitions = try reader.elements { reader throws(RecordReader.Malformed) in
                (try reader.text(), try reader.data())
            }
            queues = try reader.elements { reader throws(RecordReader.Malformed) in
                (try reader.unsigned(), try reader.unsigned())
            }
            segments = try reader.elements { reader throws(RecordReader.Malformed) in
                try Self.segment(&reader, directory)
            }
            try reader.expectEnd()
        } catch {
            return nil
        }
    }

    private static func segment(_ reader: inout RecordReader, _ directory: String) throws(RecordReader.Malformed)
        -> LogSegment
    {
        let segment = LogSegment(number: try reader.unsigned(), directory: directory)
        segment.sizeBytes = try number(&reader)
        segment.syncedBytes = segment.sizeBytes
        segment.entryCount = try number(&reader)
        // Each message takes some bytes.
        guard segment.entryCount <= segment.sizeBytes, segment.sizeBytes <= Int(UInt32.max) else {
            throw RecordReader.Malformed(position: reader.position)
        }
        segment.isSealed = true
        segment.blocks = try reader.elements { reader throws(RecordReader.Malformed) in
            try block(&reader, segment)
        }
        segment.liveCount = segment.blocks.reduce(0) { $0 + $1.liveCount }
        segment.liveRecordBytes = segment.blocks.reduce(0) { $0 + $1.liveRecordBytes }
        return segment
    }

    private static func block(_ reader: inout RecordReader, _ segment: LogSegment) throws(RecordReader.Malformed)
        -> LogBlock
    {
        let ordinal = try number(&reader)
        let queue = try reader.unsigned()
        let first = try reader.unsigned()
        let last = try reader.unsigned()
        let count = try number(&reader)
        guard first <= last, count > 0, ordinal <= segment.entryCount, count <= segment.entryCount - ordinal else {
            throw RecordReader.Malformed(position: reader.position)
        }
        let block = LogBlock(queue: queue, segment: segment, sequences: first...last, count: count)
        block.firstOrdinal = ordinal
        block.liveRecordBytes = try number(&reader)
        block.liveBodyBytes = try number(&reader)
        block.liveTransient = try number(&reader)
        block.settled = try bits(&reader, limit: count)
        block.delivered = try bits(&reader, limit: count)
        let more = try reader.elements { reader throws(RecordReader.Malformed) in
            (try number(&reader), try number(&reader))
        }
        for (ordinal, deliveries) in more where ordinal < count && deliveries <= LogRecord.deliveryLimit {
            block.deliveredMore[ordinal] = deliveries
        }
        return block
    }

    private static func bits(_ reader: inout RecordReader, limit: Int) throws(RecordReader.Malformed) -> LogBits {
        var bits = LogBits()
        var place = 0
        let runs = try reader.elements { reader throws(RecordReader.Malformed) in
            (try number(&reader), try number(&reader))
        }
        for (gap, length) in runs {
            guard gap <= limit - place, length <= limit - place - gap else {
                throw RecordReader.Malformed(position: reader.position)
            }
            place += gap
            for index in place..<place + length { bits.insert(index) }
            place += length
        }
        return bits
    }

    /// A size or a count: small enough that sums of them do not overflow.
    private static func number(_ reader: inout RecordReader) throws(RecordReader.Malformed) -> Int {
        let number = try reader.unsigned()
        guard number < 1 << 48 else { throw RecordReader.Malformed(position: reader.position) }
        return Int(number)
    }
}
