import KernelStructures

/// What calls change in memory; opening does the same with what the log says.
extension MessageLog {
    func takeQueue(_ number: UInt64) -> LoggedQueue {
        if let queue = queueTable[number] { return queue }
        let queue = LoggedQueue(number: number)
        queueTable[number] = queue
        return queue
    }

    func add(_ entry: LogIndexEntry, to queue: LoggedQueue, deliveryCount: Int) {
        let block = active.add(entry, queue: queue.number)
        if !block.isListed { queue.add(block) }
        block.noteDeliveries(block.count - 1, deliveryCount)
        active.liveCount += 1
        active.liveRecordBytes += Int(entry.recordBytes)
        queue.liveCount += 1
        queue.liveBodyBytes += Int(entry.bodyBytes)
        queue.lastSequence = max(queue.lastSequence, entry.sequence)
    }

    func settleIfThere(_ queue: LoggedQueue, _ sequence: UInt64) throws(MessageLogError) {
        if let found = try locate(queue, sequence) { settle(found, of: queue) }
    }

    func settle(_ found: Cursor, of queue: LoggedQueue) {
        let (block, entry) = (found.block, found.entry)
        guard block.settled.insert(found.ordinal) else { return }
        block.deliveredMore[found.ordinal] = nil
        let (recordBytes, bodyBytes) = (Int(entry.recordBytes), Int(entry.bodyBytes))
        block.liveRecordBytes -= recordBytes
        block.liveBodyBytes -= bodyBytes
        block.segment.liveCount -= 1
        block.segment.liveRecordBytes -= recordBytes
        queue.liveCount -= 1
        queue.liveBodyBytes -= bodyBytes
        if entry.isTransient { block.liveTransient -= 1 }
        dropIfDead(block, of: queue)
    }

    /// Everything with these numbers, except some.
    func settle(_ queue: LoggedQueue, _ range: ClosedRange<UInt64>, except: [UInt64]) throws(MessageLogError) {
        for block in queue.blocks where block.liveCount > 0 {
            guard block.firstSequence <= range.upperBound, block.lastSequence >= range.lowerBound else { continue }
            let isWhole = range.contains(block.firstSequence) && range.contains(block.lastSequence)
            if isWhole, !Self.contains(except, from: block.firstSequence, through: block.lastSequence) {
                settleAll(block, of: queue)
                continue
            }
            var next = try cursor(block, from: lowerBound(block, range.lowerBound))
            while let found = next, found.entry.sequence <= range.upperBound {
                if !Self.contains(except, from: found.entry.sequence, through: found.entry.sequence) {
                    settle(found, of: queue)
                }
                next = try cursor(block, from: found.ordinal + 1)
            }
        }
    }

    /// Whether one of some ascending numbers is in a range.
    private static func contains(_ numbers: [UInt64], from first: UInt64, through last: UInt64) -> Bool {
        var low = 0
        var high = numbers.count
        while low < high {
            let middle = (low + high) / 2
            if numbers[middle] < first { low = middle + 1 } else { high = middle }
        }
        return low < numbers.count && numbers[low] <= last
    }

    private func settleAll(_ block: LogBlock, of queue: LoggedQueue) {
        block.segment.liveCount -= block.liveCount
        block.segment.liveRecordBytes -= block.liveRecordBytes
        queue.liveCount -= block.liveCount
        queue.liveBodyBytes -= block.liveBodyBytes
        for ordinal in 0..<block.count { block.settled.insert(ordinal) }
        block.liveRecordBytes = 0
        block.liveBodyBytes = 0
        block.liveTransient = 0
        block.deliveredMore = [:]
        dropIfDead(block, of: queue)
    }

    /// A block of the active segment stays: it may be continued.
    private func dropIfDead(_ block: LogBlock, of queue: LoggedQueue) {
        if block.liveCount == 0, block.segment.isSealed { queue.remove(block) }
    }

    func drop(queue number: UInt64) {
        guard let queue = queueTable.removeValue(forKey: number) else { return }
        for block in queue.blocks {
            block.isListed = false
            if block.liveCount > 0 { settleAll(block, of: queue) }
        }
    }

    func noteDelivered(_ queue: LoggedQueue, _ range: ClosedRange<UInt64>, count: Int) throws(MessageLogError) {
        for block in queue.blocks where block.liveCount > 0 {
            guard block.firstSequence <= range.upperBound, block.lastSequence >= range.lowerBound else { continue }
            var next = try cursor(block, from: lowerBound(block, range.lowerBound))
            while let found = next, found.entry.sequence <= range.upperBound {
                found.block.noteDeliveries(found.ordinal, count)
                next = try cursor(block, from: found.ordinal + 1)
            }
        }
    }
}
