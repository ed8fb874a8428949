import KernelStorage
import KernelStructures

/// Where a message of a queue is: 24 bytes of an index.
struct LogIndexEntry: Equatable {
    var sequence: UInt64
    /// Where the message's record begins in the segment, and its bytes.
    var offset: UInt32
    var recordBytes: UInt32
    var bodyBytes: UInt32
    var flags: UInt32

    /// It need not survive a restart.
    static let transientFlag: UInt32 = 1
    /// The record is another queue's.
    static let sharedFlag: UInt32 = 2

    var isTransient: Bool { flags & Self.transientFlag != 0 }
    var isShared: Bool { flags & Self.sharedFlag != 0 }
}

/// Messages of one queue in one segment, in the order of their sequence numbers.
///
/// There is more than one for a queue and a segment only where older messages were moved: their numbers do not ascend
/// together with those of new ones.
final class LogBlock {
    let queue: UInt64
    unowned let segment: LogSegment
    let firstSequence: UInt64
    private(set) var lastSequence: UInt64
    private(set) var count: Int
    /// Where its entries begin in the segment's index, once that is written.
    var firstOrdinal = 0
    /// In memory as long as the segment is written to.
    var entries: [LogIndexEntry] = []
    var settled = LogBits()
    /// Delivered once.
    var delivered = LogBits()
    /// Delivered more than once: how often.
    var deliveredMore: [Int: Int] = [:]
    var liveRecordBytes = 0
    var liveBodyBytes = 0
    /// Messages that are here for want of memory only, and not settled.
    var liveTransient = 0
    /// Where the last one that was looked for stood.
    var hint = 0
    /// Whether its queue knows it. A queue that is deleted forgets it.
    var isListed = false

    init(queue: UInt64, segment: LogSegment, first: LogIndexEntry) {
        self.queue = queue
        self.segment = segment
        firstSequence = first.sequence
        lastSequence = first.sequence
        count = 0
        append(first)
    }

    /// As a checkpoint knows it.
    init(queue: UInt64, segment: LogSegment, sequences: ClosedRange<UInt64>, count: Int) {
        self.queue = queue
        self.segment = segment
        firstSequence = sequences.lowerBound
        lastSequence = sequences.upperBound
        self.count = count
    }

    var liveCount: Int { count - settled.count }

    func append(_ entry: LogIndexEntry) {
        lastSequence = entry.sequence
        count += 1
        entries.append(entry)
        liveRecordBytes += Int(entry.recordBytes)
        liveBodyBytes += Int(entry.bodyBytes)
        if entry.isTransient { liveTransient += 1 }
    }

    func deliveryCount(_ ordinal: Int) -> Int { deliveredMore[ordinal] ?? (delivered.contains(ordinal) ? 1 : 0) }

    func noteDeliveries(_ ordinal: Int, _ count: Int) {
        if count <= 0 { return }
        delivered.insert(ordinal)
        if count > 1 { deliveredMore[ordinal] = count }
    }
}

/// What is left of a queue.
final class LoggedQueue {
    let number: UInt64
    /// By their first sequence number.
    private(set) var blocks: [LogBlock] = []
    var liveCount = 0
    var liveBodyBytes = 0
    var lastSequence: UInt64 = 0

    init(number: UInt64) { self.number = number }

    func add(_ block: LogBlock) {
        block.isListed = true
        if let last = blocks.last, last.firstSequence > block.firstSequence {
            let place = blocks.firstIndex { $0.firstSequence > block.firstSequence } ?? blocks.count
            blocks.insert(block, at: place)
        } else {
            blocks.append(block)
        }
    }

    func remove(_ block: LogBlock) {
        block.isListed = false
        if let place = blocks.firstIndex(where: { $0 === block }) { blocks.remove(at: place) }
    }
}

/// One file of the log.
final class LogSegment {
    let number: UInt64
    let path: String
    let indexPath: String
    var sizeBytes = 0
    var syncedBytes = 0
    var batchCount = 0
    /// Messages that were put into it.
    var entryCount = 0
    var isSealed = false
    /// In the order in which they were begun; that is their order in the index.
    var blocks: [LogBlock] = []
    /// While it is written to.
    var blocksByQueue: [UInt64: [LogBlock]] = [:]
    var liveCount = 0
    var liveRecordBytes = 0
    /// One of its messages cannot be read: it is left where it is.
    var isUnreadable = false
    var file: (any DiskFile)?
    var index: (any DiskFile)?

    init(number: UInt64, directory: String) {
        self.number = number
        path = directory + "/" + Self.name(number, "log")
        indexPath = directory + "/" + Self.name(number, "index")
    }

    static let magic = Array("SDLABMQ1".utf8)

    static func name(_ number: UInt64, _ kind: String) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits + "." + kind
    }

    /// The number of a segment's file; nil for other names.
    static func number(_ name: String, _ kind: String) -> UInt64? {
        guard name.hasSuffix("." + kind) else { return nil }
        let number = UInt64(name.dropLast(kind.count + 1))
        return number.flatMap { $0 > 0 && self.name($0, kind) == name ? $0 : nil }
    }

    /// Puts a message's place into the block that it continues, or a new one. Which block that is depends on what was
    /// put into this segment before and on nothing else, so that an index can be made again.
    @discardableResult
    func add(_ entry: LogIndexEntry, queue: UInt64) -> LogBlock {
        entryCount += 1
        var fitting: LogBlock?
        if let blocks = blocksByQueue[queue] {
            for block in blocks where block.lastSequence < entry.sequence {
                if block.lastSequence >= fitting?.lastSequence ?? 0 { fitting = block }
            }
        }
        if let fitting {
            fitting.append(entry)
            return fitting
        }
        let block = LogBlock(queue: queue, segment: self, first: entry)
        blocks.append(block)
        blocksByQueue[queue, default: []].append(block)
        return block
    }

    func close() {
        file?.close()
        file = nil
        index?.close()
        index = nil
    }
}
