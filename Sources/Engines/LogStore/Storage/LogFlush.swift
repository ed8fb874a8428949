import KernelCompression
import KernelStorage
import KernelStructures
import LogModelEngine
import TimeSeriesEngine

/// A head that is being packed, a chunk at a time, into a segment of each day that it has entries of.
final class LogFlush {
    let head: LogHead
    private let disk: NodeDisk
    private let directory: String
    private let settings: LogStoreSettings
    /// Places in the head, by their labels.
    private var waiting: [Int]
    /// What is to be added next, the next one last.
    private var blocks: [(day: Int64, content: HeadBlock.Content)] = []
    private(set) var writers: [(day: Int64, writer: SegmentWriter)] = []
    private var finished = 0

    init(_ head: LogHead, _ disk: NodeDisk, _ directory: String, _ settings: LogStoreSettings) {
        self.head = head
        self.disk = disk
        self.directory = directory
        self.settings = settings
        waiting = head.streams.indices.sorted { head.streams[$1].labels < head.streams[$0].labels }
    }

    /// Does a bounded piece of it.
    ///
    /// - Returns: whether that was all.
    func step() throws -> Bool {
        if let (day, content) = blocks.popLast() {
            switch content {
            case .plain(let block): try writer(day).add(block)
            case .packed(let chunk): try writer(day).add(chunk)
            }
        } else if let place = waiting.popLast() {
            blocks = try chunks(of: head.streams[place].blocks).reversed()
        } else if finished < writers.count {
            try writers[finished].writer.finish(rank: head.number)
            finished += 1
        } else {
            return true
        }
        return false
    }

    /// What is packed stays so, unless something of it came too late.
    private func chunks(of blocks: [HeadBlock]) throws(LogSourceError) -> [(day: Int64, content: HeadBlock.Content)] {
        let isInOrder =
            zip(blocks, blocks.dropFirst()).allSatisfy { $0.last <= $1.first }
            && blocks.allSatisfy { block in
                if case .plain(let lines) = block.content { return lines.isSorted }
                return true
            }
        var chunks: [(day: Int64, content: HeadBlock.Content)] = []
        var plain: [LogBlock] = []
        func cut() {
            chunks += LogBlock.cut(plain, chunkBytes: settings.chunkBytes).map { ($0.day, .plain($0.block)) }
            plain = []
        }
        for block in blocks {
            switch block.content {
            case .packed where isInOrder:
                cut()
                chunks.append((LogStore.day(block.first), block.content))
            case .packed(let chunk): plain.append(try LogChunkCodec.unpacked(chunk.bytes, labels: chunk.labels))
            case .plain(let lines): plain.append(lines)
            }
        }
        cut()
        return chunks
    }

    func abandon() { for (_, writer) in writers[finished...] { writer.abandon() } }

    private func writer(_ day: Int64) throws -> SegmentWriter {
        if let found = writers.first(where: { $0.day == day }) { return found.writer }
        let path = LogStore.segmentPath(directory, day, head.number)
        let writer = try SegmentWriter(disk, path, level: settings.warmLevel)
        writers.append((day, writer))
        return writer
    }
}

extension LogBlock {
    /// The entries of a stream's blocks in rising time, cut by days and at about `chunkBytes`. Entries of one time stay
    /// in the order of the blocks.
    static func cut(_ blocks: [LogBlock], chunkBytes: Int) -> [(day: Int64, block: LogBlock)] {
        var result: [(day: Int64, block: LogBlock)] = []
        for block in inOrder(blocks) {
            guard let first = block.timestamps.first, let last = block.timestamps.last else { continue }
            let isOneDay = LogStore.day(first) == LogStore.day(last)
            if isOneDay, block.byteCount >= chunkBytes / 2 {
                result.append((LogStore.day(first), block))
                continue
            }
            for index in 0..<block.count {
                let day = LogStore.day(block.timestamps[index])
                let isFull =
                    (result.last?.block.byteCount ?? 0) >= chunkBytes
                    || (result.last?.block.count ?? 0) >= LogHead.blockEntryLimit
                if result.last?.day != day || isFull { result.append((day, LogBlock(labels: block.labels))) }
                result[result.count - 1].block.append(index, of: block)
            }
        }
        return result
    }

    /// As they are, where each is sorted and none overlaps the next; otherwise put into order as one.
    private static func inOrder(_ blocks: [LogBlock]) -> [LogBlock] {
        let isInOrder =
            blocks.allSatisfy(\.isSorted)
            && zip(blocks, blocks.dropFirst()).allSatisfy {
                ($0.timestamps.last ?? .min) <= ($1.timestamps.first ?? .max)
            }
        if isInOrder { return blocks }
        guard let labels = blocks.first?.labels else { return [] }
        var all = LogBlock(labels: labels)
        for block in blocks { for index in 0..<block.count { all.append(index, of: block) } }
        return [all.sorted()]
    }
}
