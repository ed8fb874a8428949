import KernelStorage
import LogModelEngine
import TimeSeriesEngine

/// A segment as the store knows it without opening it.
struct SegmentEntry {
    /// Days since 1970.
    let day: Int64
    let number: Int
    /// In the store's memory only: what chunks name.
    let identifier: Int
    let path: String
    let first: Int64
    let last: Int64
    let lineBytes: Int
    let fileBytes: Int
    let entryCount: Int
    let chunkCount: Int
    /// Whether it was packed again after its day.
    let isCold: Bool
    /// The number of the first of those that went into it: of entries of one time, those of the lower rank come first.
    let rank: Int

    func mayHave(_ selection: LogSelection) -> Bool { first < selection.through && last >= selection.from }
}

/// Tables of segments and opened chunks that were asked for lately, up to a number of bytes.
final class SegmentCache {
    private let limitBytes: Int
    private(set) var bytes = 0
    private var clock = 0
    private var segments: [Int: (segment: Segment, used: Int)] = [:]
    private var blocks: [Key: (block: LogBlock, bytes: Int, used: Int)] = [:]

    private struct Key: Hashable {
        let segment: Int
        let chunk: Int
    }

    init(limitBytes: Int) { self.limitBytes = limitBytes }

    func segment(_ entry: SegmentEntry, _ disk: NodeDisk) throws(LogSourceError) -> Segment {
        clock += 1
        if let found = segments[entry.identifier] {
            segments[entry.identifier] = (found.segment, clock)
            return found.segment
        }
        let segment = try Segment(disk, entry.path, identifier: entry.identifier)
        segments[entry.identifier] = (segment, clock)
        bytes += segment.memoryBytes
        makeRoom()
        return segment
    }

    func block(_ segment: Segment, _ index: Int, _ statistics: inout LogStatistics) throws(LogSourceError) -> LogBlock {
        clock += 1
        let key = Key(segment: segment.identifier, chunk: index)
        if let found = blocks[key] {
            blocks[key] = (found.block, found.bytes, clock)
            return found.block
        }
        let block = try segment.read(index, &statistics)
        let size = block.byteCount + 24 * block.count
        blocks[key] = (block, size, clock)
        bytes += size
        makeRoom()
        return block
    }

    func forget(_ identifier: Int) {
        if let found = segments.removeValue(forKey: identifier) { bytes -= found.segment.memoryBytes }
        for key in blocks.keys where key.segment == identifier { bytes -= blocks.removeValue(forKey: key)?.bytes ?? 0 }
    }

    /// Lets go of what was not used for longest, down to half: so that it is rarely looked for.
    private func makeRoom() {
        guard bytes > limitBytes else { return }
        let limit = limitBytes / 2
        for (key, found) in blocks.sorted(by: { $0.value.used < $1.value.used }) where bytes > limit {
            blocks[key] = nil
            bytes -= found.bytes
        }
        for (key, found) in segments.sorted(by: { $0.value.used < $1.value.used }) where bytes > limit {
            segments[key] = nil
            bytes -= found.segment.memoryBytes
        }
    }
}
