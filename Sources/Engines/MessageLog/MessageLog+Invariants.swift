import KernelStructures

extension MessageLog {
    /// What is wrong with what it believes, for tests; empty if nothing is. Reads every index.
    ///
    /// - Throws: `MessageLogError` if something cannot be read.
    public func violations() throws(MessageLogError) -> [String] {
        var wrong: [String] = []
        var queueCounts: [UInt64: Int] = [:]
        var queueBytes: [UInt64: Int] = [:]
        for segment in segments {
            var live = (count: 0, bytes: 0)
            for block in segment.blocks where block.liveCount > 0 {
                let (recordBytes, bodyBytes) = try sums(of: block, &wrong)
                if recordBytes != block.liveRecordBytes || bodyBytes != block.liveBodyBytes {
                    wrong.append("segment \(segment.number), queue \(block.queue): bytes")
                }
                live.count += block.liveCount
                live.bytes += recordBytes
                queueCounts[block.queue, default: 0] += block.liveCount
                queueBytes[block.queue, default: 0] += bodyBytes
            }
            if live.count != segment.liveCount || live.bytes != segment.liveRecordBytes {
                wrong.append("segment \(segment.number): \(live) counted")
            }
        }
        for summary in queues {
            let counted = (queueCounts[summary.queue] ?? 0, queueBytes[summary.queue] ?? 0)
            if counted != (summary.count, summary.bodyBytes) { wrong.append("\(summary): \(counted) counted") }
        }
        return wrong
    }

    private func sums(of block: LogBlock, _ wrong: inout [String]) throws(MessageLogError) -> (Int, Int) {
        var recordBytes = 0
        var bodyBytes = 0
        var previous: UInt64 = 0
        for ordinal in 0..<block.count {
            let entry = try entry(block, ordinal)
            if entry.sequence <= previous { wrong.append("queue \(block.queue): \(entry.sequence) after \(previous)") }
            previous = entry.sequence
            if block.settled.contains(ordinal) { continue }
            recordBytes += Int(entry.recordBytes)
            bodyBytes += Int(entry.bodyBytes)
        }
        if previous != block.lastSequence { wrong.append("queue \(block.queue): the last is \(previous)") }
        return (recordBytes, bodyBytes)
    }
}
