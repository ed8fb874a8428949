import KernelLog
import KernelStructures

/// One record of the log.
///
/// ```
///   record := 0 time
///           | 1 flags queue sequence deliveries id time head body CRC (4 bytes, of the record up to here)
///           | 2 flags queue sequence deliveries distance      the message whose record begins so many bytes before
///           | 3 queue first span                              settled: acknowledged, expired, dropped, moved on
///           | 4 queue first span count                        delivered for the count-th time
///           | 5 queue through exceptions                      settled up to there
///           | 6 queue                                         deleted
///           | 7 key value | 8 key                             a definition, and its end
///           | 9 number                                        the first record of a segment
/// ```
///
/// Numbers take seven bits a byte (`RecordReader`), head, body, keys and values stand behind their length. A message
/// has a checksum of its own, because it is read alone.
enum LogRecord: Equatable {
    case time(LabTime)
    case message(Message)
    case share(Share)
    case settled(queue: UInt64, ClosedRange<UInt64>)
    case delivered(queue: UInt64, ClosedRange<UInt64>, count: Int)
    case purged(queue: UInt64, through: UInt64, except: [UInt64])
    case deleted(queue: UInt64)
    case put(String, [UInt8])
    case removed(String)
    case segment(UInt64)

    /// Where a message of a queue is.
    struct Message: Equatable {
        var isDurable: Bool
        var queue: UInt64
        var sequence: UInt64
        var deliveryCount: Int
        var id: UInt64
        var time: LabTime
        /// Places in the bytes that were read.
        var head: Range<Int>
        var body: Range<Int>
        var whole: Range<Int>
    }

    struct Share: Equatable {
        var isDurable: Bool
        var queue: UInt64
        var sequence: UInt64
        var deliveryCount: Int
        /// Where the record of the message begins.
        var target: Int
    }

    static let isDurableFlag: UInt8 = 1
    /// A message is never delivered more often, as far as the log is concerned.
    static let deliveryLimit = 1 << 30

    // MARK: Reading

    /// Takes the next record, whose bytes stand in `bytes` from `reader.position` on.
    static func read(_ reader: inout RecordReader, in bytes: [UInt8]) throws(RecordReader.Malformed) -> LogRecord {
        let start = reader.position
        switch try reader.byte() {
        case 0: return .time(LabTime(nanoseconds: try reader.signed()))
        case 1: return .message(try message(&reader, in: bytes, from: start))
        case 2: return .share(try share(&reader, from: start))
        case 3: return .settled(queue: try reader.unsigned(), try range(&reader))
        case 4:
            let queue = try reader.unsigned()
            return .delivered(queue: queue, try range(&reader), count: try deliveries(&reader))
        case 5:
            return .purged(
                queue: try reader.unsigned(), through: try reader.unsigned(),
                except: try reader.elements { reader throws(RecordReader.Malformed) in try reader.unsigned() })
        case 6: return .deleted(queue: try reader.unsigned())
        case 7: return .put(try reader.text(), try reader.data())
        case 8: return .removed(try reader.text())
        case 9: return .segment(try reader.unsigned())
        default: throw RecordReader.Malformed(position: start)
        }
    }

    private static func message(_ reader: inout RecordReader, in bytes: [UInt8], from start: Int)
        throws(RecordReader.Malformed) -> Message
    {
        let flags = try reader.byte()
        let queue = try reader.unsigned()
        let sequence = try reader.unsigned()
        let count = try deliveries(&reader)
        let id = try reader.unsigned()
        let time = LabTime(nanoseconds: try reader.signed())
        let head = try skipped(&reader, in: bytes)
        let body = try skipped(&reader, in: bytes)
        let end = reader.position
        guard reader.remaining >= 4 else { throw RecordReader.Malformed(position: end) }
        reader = RecordReader(bytes, from: end + 4)
        return Message(
            isDurable: flags & isDurableFlag != 0, queue: queue, sequence: sequence, deliveryCount: count, id: id,
            time: time, head: head, body: body, whole: start..<end + 4)
    }

    private static func share(_ reader: inout RecordReader, from start: Int) throws(RecordReader.Malformed) -> Share {
        let flags = try reader.byte()
        let queue = try reader.unsigned()
        let sequence = try reader.unsigned()
        let count = try deliveries(&reader)
        let distance = try reader.unsigned()
        guard distance > 0, distance <= UInt64(start) else { throw RecordReader.Malformed(position: start) }
        return Share(
            isDurable: flags & isDurableFlag != 0, queue: queue, sequence: sequence, deliveryCount: count,
            target: start - Int(distance))
    }

    private static func skipped(_ reader: inout RecordReader, in bytes: [UInt8]) throws(RecordReader.Malformed)
        -> Range<Int>
    {
        let length = try reader.unsigned()
        let start = reader.position
        guard length <= UInt64(reader.remaining) else { throw RecordReader.Malformed(position: start) }
        let range = start..<start + Int(length)
        reader = RecordReader(bytes, from: range.upperBound)
        return range
    }

    private static func deliveries(_ reader: inout RecordReader) throws(RecordReader.Malformed) -> Int {
        let count = try reader.unsigned()
        guard count <= UInt64(deliveryLimit) else { throw RecordReader.Malformed(position: reader.position) }
        return Int(count)
    }

    private static func range(_ reader: inout RecordReader) throws(RecordReader.Malformed) -> ClosedRange<UInt64> {
        let first = try reader.unsigned()
        let (last, overflow) = first.addingReportingOverflow(try reader.unsigned())
        guard !overflow else { throw RecordReader.Malformed(position: reader.position) }
        return first...last
    }

    /// The message whose record is `bytes`, alone; nil if it is not what was written.
    static func message(of bytes: [UInt8]) -> (record: Message, message: LoggedMessage)? {
        var reader = RecordReader(bytes)
        guard case .message(let record) = try? read(&reader, in: bytes), reader.isAtEnd else { return nil }
        let end = record.whole.upperBound - 4
        let isSound = bytes.withUnsafeBytes { bytes in
            LogBatch.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
                == UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: end, as: UInt32.self))
        }
        guard isSound else { return nil }
        let message = LoggedMessage(
            id: record.id, time: record.time, head: Array(bytes[record.head]), body: Array(bytes[record.body]))
        return (record, message)
    }
}

// MARK: - Writing

extension LogBatchWriter {
    mutating func append(signed number: Int64) { append(number: UInt64(bitPattern: (number << 1) ^ (number >> 63))) }

    mutating func append(data: [UInt8]) {
        append(number: UInt64(data.count))
        append(contentsOf: data)
    }

    mutating func put(time: LabTime) {
        append(0)
        append(signed: time.nanoseconds)
    }

    private mutating func put(
        _ kind: UInt8, isDurable: Bool, queue: UInt64, sequence: UInt64, deliveryCount: Int
    ) {
        append(kind)
        append(isDurable ? LogRecord.isDurableFlag : 0)
        append(number: queue)
        append(number: sequence)
        append(number: UInt64(clamping: min(deliveryCount, LogRecord.deliveryLimit)))
    }

    /// Returns the record's bytes.
    mutating func put(
        _ message: LoggedMessage, queue: UInt64, sequence: UInt64, isDurable: Bool, deliveryCount: Int
    ) -> Int {
        let start = recordBytes
        put(1, isDurable: isDurable, queue: queue, sequence: sequence, deliveryCount: deliveryCount)
        append(number: message.id)
        append(signed: message.time.nanoseconds)
        append(data: message.head)
        append(data: message.body)
        append(word: checksum(from: start))
        return recordBytes - start
    }

    mutating func putShare(
        queue: UInt64, sequence: UInt64, isDurable: Bool, deliveryCount: Int, distance: Int
    ) {
        put(2, isDurable: isDurable, queue: queue, sequence: sequence, deliveryCount: deliveryCount)
        append(number: UInt64(clamping: distance))
    }

    mutating func putSettled(_ run: PendingRun) {
        append(3)
        append(number: run.queue)
        append(number: run.first)
        append(number: run.last - run.first)
    }

    mutating func putDelivered(_ run: PendingRun, count: Int) {
        append(4)
        append(number: run.queue)
        append(number: run.first)
        append(number: run.last - run.first)
        append(number: UInt64(clamping: min(count, LogRecord.deliveryLimit)))
    }

    mutating func putPurged(queue: UInt64, through: UInt64, except: [UInt64]) {
        append(5)
        append(number: queue)
        append(number: through)
        append(number: UInt64(except.count))
        for sequence in except { append(number: sequence) }
    }

    mutating func putDeleted(queue: UInt64) {
        append(6)
        append(number: queue)
    }

    mutating func putDefinition(_ key: String, _ value: [UInt8]?) {
        append(value == nil ? 8 : 7)
        append(data: Array(key.utf8))
        if let value { append(data: value) }
    }

    mutating func put(segment number: UInt64) {
        append(9)
        append(number: number)
    }
}
