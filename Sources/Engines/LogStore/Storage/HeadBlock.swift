import LogModelEngine
import TimeSeriesEngine

/// Some consecutive entries of a stream in memory, in order of arrival: as they came, or packed already.
struct HeadBlock {
    enum Content {
        case plain(LogBlock)
        case packed(PackedChunk)
    }

    var content: Content
    let first: Int64
    let last: Int64
    let entryCount: Int
    let byteCount: Int

    /// - Parameter block: not empty.
    init(_ block: LogBlock) {
        content = .plain(block)
        first = block.timestamps.min() ?? 0
        last = block.timestamps.max() ?? 0
        entryCount = block.count
        byteCount = block.byteCount
    }

    /// Whether it can become a chunk as it is: in rising time, and of one day.
    var isPackable: Bool {
        guard case .plain(let block) = content else { return false }
        return LogStore.day(first) == LogStore.day(last) && block.isSorted
    }

    /// In rising time.
    func sorted() throws(LogSourceError) -> LogBlock {
        switch content {
        case .plain(let block): return block.sorted()
        case .packed(let chunk): return try LogChunkCodec.unpacked(chunk.bytes, labels: chunk.labels)
        }
    }

    /// Whether it may have what a hint asks for.
    func mayHave(_ hint: LogHint) -> Bool {
        switch content {
        case .plain(let block): LogSieve.mayHave(hint, block)
        case .packed(let chunk): chunk.mayHave(hint)
        }
    }
}
