import KernelStorage
import KernelStructures

extension MessageLog {
    /// Messages of a queue that are not settled, from behind `after` on, in their order, until there are `count` of
    /// them or their bodies have `bytes` bytes; one at least, if there is any.
    ///
    /// - Throws: `MessageLogError`.
    public func load(queue number: UInt64, after: UInt64, count: Int, bytes: Int) throws(MessageLogError)
        -> [LoggedEntry]
    {
        guard let queue = queueTable[number], count > 0, after < .max else { return [] }
        var result: [LoggedEntry] = []
        var loadedBytes = 0
        var waiting = queue.blocks.filter { $0.lastSequence > after && $0.liveCount > 0 }[...]
        var cursors: [Cursor] = []
        while result.count < count, loadedBytes < bytes || result.isEmpty {
            // A block takes part once its first message could be the next one.
            while let block = waiting.first, cursors.allSatisfy({ $0.entry.sequence > block.firstSequence }) {
                waiting.removeFirst()
                if let cursor = try cursor(block, after: after) { cursors.append(cursor) }
            }
            guard let next = cursors.indices.min(by: { cursors[$0].entry.sequence < cursors[$1].entry.sequence })
            else { break }
            let cursor = cursors[next]
            let entry = try loaded(cursor)
            loadedBytes += entry.message.body.count
            result.append(entry)
            if let further = try self.cursor(cursor.block, from: cursor.ordinal + 1) {
                cursors[next] = further
            } else {
                cursors.remove(at: next)
            }
        }
        return result
    }

    struct Cursor {
        let block: LogBlock
        let ordinal: Int
        let entry: LogIndexEntry
    }

    private func cursor(_ block: LogBlock, after: UInt64) throws(MessageLogError) -> Cursor? {
        if block.firstSequence > after { return try cursor(block, from: 0) }
        return try cursor(block, from: lowerBound(block, after + 1))
    }

    /// The first message that is not settled.
    func cursor(_ block: LogBlock, from ordinal: Int) throws(MessageLogError) -> Cursor? {
        let ordinal = block.settled.firstGap(from: ordinal)
        guard ordinal < block.count else { return nil }
        return Cursor(block: block, ordinal: ordinal, entry: try entry(block, ordinal))
    }

    func loaded(_ cursor: Cursor) throws(MessageLogError) -> LoggedEntry {
        let segment = cursor.block.segment
        let start = Int(cursor.entry.offset)
        let bytes = try record(segment, start..<start + Int(cursor.entry.recordBytes))
        guard let (record, message) = LogRecord.message(of: bytes),
            cursor.entry.isShared || record.queue == cursor.block.queue && record.sequence == cursor.entry.sequence
        else { throw .damaged(path: segment.path, offsetBytes: start, "the checksum of a message does not fit") }
        return LoggedEntry(
            sequence: cursor.entry.sequence, deliveryCount: cursor.block.deliveryCount(cursor.ordinal),
            message: message)
    }

    // MARK: Bytes

    private func record(_ segment: LogSegment, _ range: Range<Int>) throws(MessageLogError) -> [UInt8] {
        if let bytes = window.record(segment.number, range) { return bytes }
        if range.upperBound > segment.sizeBytes, segment === active { try writeBatch() }
        let file = try openFile(segment)
        let wanted = max(range.count, min(ReadWindow.readBytes, segment.sizeBytes - range.lowerBound))
        let bytes = try MessageLogError.tried { () throws(DiskError) in
            try file.read(at: range.lowerBound, count: wanted)
        }
        guard bytes.count >= range.count else {
            throw .damaged(path: segment.path, offsetBytes: range.lowerBound, "the file ends before the message does")
        }
        window = ReadWindow(segment: segment.number, offset: range.lowerBound, bytes: bytes)
        return bytes.count == range.count ? bytes : Array(bytes[..<range.count])
    }

    /// At most this many segments are open to be read.
    private static let openLimit = 16

    private func openFile(_ segment: LogSegment) throws(MessageLogError) -> any DiskFile {
        if let file = segment.file { return file }
        let file = try MessageLogError.tried { () throws(DiskError) in try disk.open(segment.path, []) }
        segment.file = file
        noteOpen(segment)
        return file
    }

    private func noteOpen(_ segment: LogSegment) {
        if openSegments.contains(where: { $0 === segment }) { return }
        if openSegments.count >= Self.openLimit { openSegments.removeFirst().close() }
        openSegments.append(segment)
    }

    // MARK: Index

    /// Where a message of a block is. `ordinal` is one of the block's.
    func entry(_ block: LogBlock, _ ordinal: Int) throws(MessageLogError) -> LogIndexEntry {
        let segment = block.segment
        if !segment.isSealed { return block.entries[ordinal] }
        let place = block.firstOrdinal + ordinal
        let page = try page(segment, place / SegmentIndex.entriesAPage)
        let entry = page[place % SegmentIndex.entriesAPage]
        // What it says is used as a place in the file.
        guard Int(entry.offset) + Int(entry.recordBytes) <= segment.sizeBytes else {
            throw .damaged(path: segment.indexPath, offsetBytes: place, "a message beyond the segment's end")
        }
        return entry
    }

    private func page(_ segment: LogSegment, _ number: Int) throws(MessageLogError) -> [LogIndexEntry] {
        let key = PageCache.Key(segment: segment.number, page: number)
        if let page = pages[key] { return page }
        for isRebuilt in [false, true] {
            if isRebuilt { try rebuildIndex(of: segment) }
            if let page = try readPage(segment, number) {
                pages.put(page, key)
                return page
            }
        }
        throw .damaged(path: segment.indexPath, offsetBytes: number * SegmentIndex.pageBytes, "it cannot be made again")
    }

    private func readPage(_ segment: LogSegment, _ number: Int) throws(MessageLogError) -> [LogIndexEntry]? {
        if segment.index == nil {
            do throws(DiskError) {
                segment.index = try disk.open(segment.indexPath, [])
            } catch .notFound {
                return nil
            } catch {
                throw .disk(error)
            }
            noteOpen(segment)
        }
        guard let index = segment.index else { return nil }
        let bytes = try MessageLogError.tried { () throws(DiskError) in
            try index.read(at: number * SegmentIndex.pageBytes, count: SegmentIndex.pageBytes)
        }
        return SegmentIndex.page(bytes)
    }

    // MARK: Finding

    /// The first ordinal whose sequence number is not below `sequence`.
    func lowerBound(_ block: LogBlock, _ sequence: UInt64) throws(MessageLogError) -> Int {
        var low = 0
        var high = block.count
        // Whoever looks for one looks for its neighbour next.
        for guess in [block.hint, block.hint + 1] where guess < block.count {
            let found = try entry(block, guess).sequence
            if found == sequence {
                block.hint = guess
                return guess
            }
            if found < sequence { low = max(low, guess + 1) } else { high = min(high, guess) }
        }
        while low < high {
            let middle = (low + high) / 2
            if try entry(block, middle).sequence < sequence { low = middle + 1 } else { high = middle }
        }
        block.hint = min(low, max(0, block.count - 1))
        return low
    }

    /// Where a message is that is not settled; nil if there is none of that number.
    func locate(_ queue: LoggedQueue, _ sequence: UInt64) throws(MessageLogError) -> Cursor? {
        guard let last = queue.blocks.last else { return nil }
        if let found = try locate(last, sequence) { return found }
        for block in queue.blocks where block !== last {
            if block.firstSequence > sequence { break }
            if let found = try locate(block, sequence) { return found }
        }
        return nil
    }

    private func locate(_ block: LogBlock, _ sequence: UInt64) throws(MessageLogError) -> Cursor? {
        guard block.firstSequence <= sequence, sequence <= block.lastSequence, block.liveCount > 0 else { return nil }
        let ordinal = try lowerBound(block, sequence)
        guard ordinal < block.count, !block.settled.contains(ordinal) else { return nil }
        let entry = try entry(block, ordinal)
        return entry.sequence == sequence ? Cursor(block: block, ordinal: ordinal, entry: entry) : nil
    }
}
