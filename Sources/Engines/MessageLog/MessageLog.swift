import KernelLog
import KernelStorage
import KernelStructures

/// What a broker must not forget: messages that wait, and how queues, exchanges and users are defined.
///
/// ## The problem
///
/// A queue is written at one end and read at the other, and nothing stays in it for long. A table of messages would
/// write each one twice, once in and once out, at places all over the disk. A log writes in one place only, but it
/// grows for ever: most of it is about messages that have long been taken, and somewhere among them is one that has
/// not. And whoever wants to find that one again must not need memory for all the others.
///
/// ## An everyday picture
///
/// The order pad of a kitchen. Orders are written down one below the other; a dish that is served is a line further
/// down: "table 4 is done". When a pad is full it goes on the spike, and a new one is begun. Pads of which everything
/// is served are thrown away. If one old order keeps a whole pad on the spike, it is copied to the current pad, and the
/// old pad goes. In the morning somebody reads the last summary and the pads since, and the kitchen goes on.
///
/// ## How
///
/// ```
///   00000007.log    "SDLABMQ1" │ batch │ batch …      (`LogBatch`; records as in `LogRecord`)
///   00000007.index  where each message of the segment is: 24 bytes a message (`SegmentIndex`)
///   checkpoint      what was true when a segment began (`LogCheckpoint`)
/// ```
///
/// 1. Calls put records into a buffer; `commit` writes them as one batch and syncs once, whoever they were for. Nothing
///    is promised before that.
/// 2. A segment that is full gets its index, and a new one is begun. In memory stay, for each queue and segment, a
///    *block*: which sequence numbers, how many, and a bit for each message that is settled. Bodies stay on the disk.
/// 3. A checkpoint says what is left of the older segments. Those of which nothing is left go then, wherever they
///    stand: what else was in them is in the checkpoint.
/// 4. If more than half of the log is about messages that are gone, the emptiest segment's last messages are moved to
///    the end (`maintain`), so that one message that nobody takes never keeps the log from shrinking.
/// 5. Opening reads the checkpoint and the segments since. A torn end is cut off; damage to what was promised is
///    refused.
///
/// ## Where it is wrong
///
/// A message of which only one queue of many is left keeps its whole record. What was moved is not shared any more.
public final class MessageLog {
    let disk: NodeDisk
    let directory: String
    public let options: MessageLogOptions
    private let lock: DiskLock
    /// Put into the log with each batch: when it was written.
    public var now = LabTime(nanoseconds: 0)

    var definitionTable: [String: [UInt8]] = [:]
    var queueTable: [UInt64: LoggedQueue] = [:]
    /// By number, the one that is written to last.
    var segments: [LogSegment] = []
    var active: LogSegment { segments[segments.count - 1] }

    var batch = LogBatchWriter()
    var pendingSettles = PendingRun()
    var pendingDeliveries = PendingRun()
    /// What was put last, for another queue that gets the same.
    var lastPut: (message: LoggedMessage, segment: UInt64, offset: Int)?
    var lastPutRecordBytes: UInt32 = 0
    var needsSync = false

    /// Grows with each call that puts something into the log.
    public internal(set) var position: UInt64 = 0
    /// Everything up to here survives a power failure.
    public internal(set) var syncedPosition: UInt64 = 0
    /// Why nothing can be put into it any more. Whether the last commit is there, only opening it again can tell.
    public internal(set) var failure: MessageLogError?

    var pages = PageCache()
    var window = ReadWindow()
    var openSegments: [LogSegment] = []
    var checkpointBytes = 0
    var bytesSinceCheckpoint = 0
    public internal(set) var counters = MessageLogCounters()
    /// What opening found.
    public internal(set) var recovery = MessageLogRecovery()

    init(disk: NodeDisk, directory: String, options: MessageLogOptions, lock: DiskLock) {
        self.disk = disk
        self.directory = directory
        self.options = options
        self.lock = lock
    }

    /// Definitions by their keys, in the keys' order.
    public var definitions: [(key: String, value: [UInt8])] {
        definitionTable.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// What is left of each queue, by number.
    public var queues: [LoggedQueueSummary] {
        queueTable.values.sorted { $0.number < $1.number }.map {
            LoggedQueueSummary(
                queue: $0.number, count: $0.liveCount, bodyBytes: $0.liveBodyBytes, lastSequence: $0.lastSequence)
        }
    }

    /// Says what was synced, so that the next start has nothing to write again, and gives the directory up.
    ///
    /// - Throws: `MessageLogError` if the last commit fails; it is closed all the same.
    public func close() throws(MessageLogError) {
        defer {
            for segment in segments { segment.close() }
            lock.release()
        }
        if failure != nil { return }
        needsSync = needsSync || active.syncedBytes < active.sizeBytes || batch.recordBytes > 0
        try commit()
        try writeMark()
    }

    /// Gives everything up as it is: for one that cannot be opened.
    func abandon() {
        for segment in segments { segment.close() }
        lock.release()
    }
}

/// Sizes.
public struct MessageLogOptions: Sendable {
    /// Bytes after which a new segment is begun.
    public var segmentBytes = 32 << 20
    /// Messages after which a new segment is begun.
    public var segmentMessages = 131_072
    /// Bytes of records after which a batch is written before anybody commits.
    public var batchBytes = 1 << 20
    /// Bytes of a record that are accepted.
    public var recordBytesLimit = 768 << 20
    /// Segments that may be about messages that are gone before the rest of one is moved.
    public var garbageSegments = 4
    public init() {}
}

/// What is left of a queue.
public struct LoggedQueueSummary: Equatable, Sendable {
    public let queue: UInt64
    /// Messages that are not settled.
    public let count: Int
    /// Bytes of their bodies.
    public let bodyBytes: Int
    /// The largest sequence number that it ever had; 0 if none.
    public let lastSequence: UInt64
}

/// Numbers since it was opened.
public struct MessageLogCounters: Equatable, Sendable {
    public var batches = 0
    public var syncs = 0
    public var writtenBytes = 0
    public var movedMessages = 0
    public var checkpoints = 0
    public var removedSegments = 0
    public var indexRebuilds = 0
}

/// What opening found.
public struct MessageLogRecovery: Equatable, Sendable {
    /// Bytes at the end that nobody had been told of.
    public var tornBytes = 0
    public var replayedSegments = 0
    public var replayedRecords = 0
    /// Messages that were in the log for want of memory only, and are gone.
    public var droppedTransient = 0
}
