import KernelStorage
import KernelStructures

/// A record of the log as people read it.
public struct MessageLogLine: Equatable, Sendable {
    public let segment: UInt64
    /// Where the record begins in the segment's file.
    public let offsetBytes: Int
    /// When its batch was written.
    public let timestamp: LabTime
    /// publish, settle, deliver, purge, delete-queue, define, undefine.
    public let operation: String
    /// nil for definitions.
    public let queue: UInt64?
    /// The sequence numbers that it is about.
    public let sequences: ClosedRange<UInt64>?
    public let messageID: UInt64?
    /// A message's head, for those who know what is in it.
    public let head: [UInt8]
    /// A message's body, or a definition's value.
    public let payload: [UInt8]
    /// A definition's key, how often something was delivered.
    public let detail: String
}

extension MessageLog {
    /// The numbers of its segments, in their order.
    public var segmentNumbers: [UInt64] { segments.map(\.number) }

    /// What each segment has.
    public struct SegmentSummary: Equatable, Sendable {
        public let number: UInt64
        public let sizeBytes: Int
        public let messages: Int
        public let liveMessages: Int
        public let liveBytes: Int
    }

    public var segmentSummaries: [SegmentSummary] {
        segments.map {
            SegmentSummary(
                number: $0.number, sizeBytes: $0.sizeBytes, messages: $0.entryCount, liveMessages: $0.liveCount,
                liveBytes: $0.liveRecordBytes)
        }
    }

    /// The newest records that are wanted, oldest first.
    ///
    /// - Parameters:
    ///   - limit: so many at most.
    ///   - isWanted: which.
    /// - Throws: `MessageLogError`.
    public func lines(limit: Int, where isWanted: (MessageLogLine) -> Bool = { _ in true }) throws(MessageLogError)
        -> [MessageLogLine]
    {
        try writeBatch()
        var result: [MessageLogLine] = []
        for segment in segments.reversed() where result.count < limit {
            let lines = try Self.lines(of: try contents(segment), segment.number, segment.path).filter(isWanted)
            result = lines.suffix(limit - result.count) + result
        }
        return result
    }

    private static func lines(of bytes: [UInt8], _ number: UInt64, _ path: String) throws(MessageLogError)
        -> [MessageLogLine]
    {
        var lines: [MessageLogLine] = []
        var time = LabTime(nanoseconds: 0)
        var reader = SegmentReader(bytes, path: path, number: number)
        try reader.readSound { (record, offset) throws(MessageLogError) in
            if case .time(let now) = record { time = now }
            if let line = try line(record, number, offset, time, bytes, path) { lines.append(line) }
        }
        return lines
    }

    private static func line(
        _ record: LogRecord, _ segment: UInt64, _ offset: Int, _ time: LabTime, _ bytes: [UInt8], _ path: String
    ) throws(MessageLogError) -> MessageLogLine? {
        func line(
            _ operation: String, queue: UInt64? = nil, _ sequences: ClosedRange<UInt64>? = nil, id: UInt64? = nil,
            head: [UInt8] = [], payload: [UInt8] = [], detail: String = ""
        ) -> MessageLogLine {
            MessageLogLine(
                segment: segment, offsetBytes: offset, timestamp: time, operation: operation, queue: queue,
                sequences: sequences, messageID: id, head: head, payload: payload, detail: detail)
        }
        switch record {
        case .time, .segment: return nil
        case .message(let message):
            return line(
                "publish", queue: message.queue, message.sequence...message.sequence, id: message.id,
                head: Array(bytes[message.head]), payload: Array(bytes[message.body]),
                detail: message.isDurable ? "" : "transient")
        case .share(let share):
            var reader = RecordReader(bytes, from: share.target)
            guard case .message(let message) = try? LogRecord.read(&reader, in: bytes) else {
                throw .damaged(path: path, offsetBytes: share.target, "no message where one is shared")
            }
            return line(
                "publish", queue: share.queue, share.sequence...share.sequence, id: message.id,
                head: Array(bytes[message.head]), payload: Array(bytes[message.body]),
                detail: share.isDurable ? "shared" : "shared, transient")
        case .settled(let queue, let range): return line("settle", queue: queue, range)
        case .delivered(let queue, let range, let count):
            return line("deliver", queue: queue, range, detail: "×\(count)")
        case .purged(let queue, let through, let except):
            let kept = except.isEmpty ? "" : "all but \(except.count)"
            return line("purge", queue: queue, 0...through, detail: kept)
        case .deleted(let queue): return line("delete-queue", queue: queue)
        case .put(let key, let value): return line("define", payload: value, detail: key)
        case .removed(let key): return line("undefine", detail: key)
        }
    }
}
