import KernelLog
import KernelStructures

/// Reads a whole segment, record by record.
struct SegmentReader {
    private let bytes: [UInt8]
    private let path: String
    private let number: UInt64
    private var batches: LogBatches
    private(set) var recordCount = 0
    /// Bytes up to which batches with records reach.
    private(set) var recordsEndBytes = 0

    init(_ bytes: [UInt8], path: String, number: UInt64) {
        self.bytes = bytes
        self.path = path
        self.number = number
        batches = LogBatches(bytes, from: LogSegment.magic.count)
    }

    /// Bytes that can be read, and what the batches say was synced of them.
    var soundBytes: Int { min(batches.place, bytes.count) }
    var witnessedBytes: Int { batches.witnessedBytes }
    var batchCount: Int { batches.number }
    var tornBytes: Int { batches.restBytes }

    /// Reads everything that is sound.
    ///
    /// - Parameter take: gets each record with the number of its batch's first byte.
    /// - Throws: `MessageLogError.damaged` if something is wrong that was promised, and what `take` throws.
    mutating func readSound(_ take: (LogRecord, _ offset: Int) throws(MessageLogError) -> Void)
        throws(MessageLogError)
    {
        guard bytes.starts(with: LogSegment.magic) else {
            batches = LogBatches(bytes, from: 0)
            return try refuseIfPromised()
        }
        while let records = nextBatch() {
            for (record, offset) in records { try take(record, offset) }
            if !records.isEmpty { recordsEndBytes = batches.place }
            recordCount += records.count
        }
        try refuseIfPromised()
    }

    /// The same where everything was promised.
    mutating func readAll(_ take: (LogRecord, _ offset: Int) throws(MessageLogError) -> Void)
        throws(MessageLogError)
    {
        try readSound(take)
        if batches.isAtEnd, batches.number > 0 { return }
        throw .damaged(path: path, offsetBytes: batches.place, "a segment follows, so it was synced")
    }

    /// The records of the next batch, with their places; nil where there is no sound one.
    private mutating func nextBatch() -> [(LogRecord, Int)]? {
        var records: [(LogRecord, Int)] = []
        let (bytes, number, isFirst) = (bytes, number, batches.number == 0)
        let isSound = batches.next { range in
            var reader = RecordReader(bytes, from: range.lowerBound)
            while reader.position < range.upperBound {
                let offset = reader.position
                guard let record = try? LogRecord.read(&reader, in: bytes), reader.position <= range.upperBound else {
                    return false
                }
                records.append((record, offset))
            }
            return !isFirst || records.first?.0 == .segment(number)
        }
        return isSound ? records : nil
    }

    private func refuseIfPromised() throws(MessageLogError) {
        if batches.isAtEnd { return }
        if let witness = batches.witness() {
            throw .damaged(path: path, offsetBytes: batches.place, "batch \(witness) behind it says it was synced")
        }
    }

    /// Where the message of a record is, its queue, and how often it was delivered; nil for records of other kinds.
    ///
    /// - Throws: `.damaged` if it shares a record that is none.
    static func entry(of record: LogRecord, in bytes: [UInt8], path: String) throws(MessageLogError)
        -> (entry: LogIndexEntry, queue: UInt64, deliveryCount: Int)?
    {
        switch record {
        case .message(let message):
            let entry = LogIndexEntry(
                sequence: message.sequence, offset: UInt32(clamping: message.whole.lowerBound),
                recordBytes: UInt32(clamping: message.whole.count), bodyBytes: UInt32(clamping: message.body.count),
                flags: message.isDurable ? 0 : LogIndexEntry.transientFlag)
            return (entry, message.queue, message.deliveryCount)
        case .share(let share):
            var reader = RecordReader(bytes, from: share.target)
            guard case .message(let message) = try? LogRecord.read(&reader, in: bytes) else {
                throw .damaged(path: path, offsetBytes: share.target, "no message where one is shared")
            }
            let flags = LogIndexEntry.sharedFlag | (share.isDurable ? 0 : LogIndexEntry.transientFlag)
            let entry = LogIndexEntry(
                sequence: share.sequence, offset: UInt32(clamping: share.target),
                recordBytes: UInt32(clamping: message.whole.count), bodyBytes: UInt32(clamping: message.body.count),
                flags: flags)
            return (entry, share.queue, share.deliveryCount)
        default: return nil
        }
    }
}
