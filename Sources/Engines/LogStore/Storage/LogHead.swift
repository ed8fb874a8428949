import KernelLog
import KernelStorage
import KernelStructures
import LogModelEngine
import TimeSeriesEngine

/// What has come and is not packed yet: open blocks in memory, one a stream, and the log that would bring them back.
///
/// ```
///   log    = batch…                          ; see `LogBatch`; one a commit
///   record = 1 stream length labels          ; a stream's number in this log
///          | 2 stream time length line length metadata
///          | 3 length agent, inode generation offset time
/// ```
///
/// Numbers are LEB128, times are folded first (ZigZag).
final class LogHead {
    let number: Int
    let startTime: Int64
    /// Whether it was read from its log: then nobody remembers its entries one by one.
    let isRecovered: Bool
    private(set) var streams: [Stream] = []
    private(set) var byteCount = 0
    private(set) var entryCount = 0

    /// By the registry's numbers.
    private var places: [Int: Int] = [:]
    private var writer = LogBatchWriter()
    private var file: (any DiskFile)?
    private var fileBytes = 0
    private var batchCount = 0

    struct Stream {
        let labels: Labels
        /// Full ones, in order of arrival.
        var sealed: [HeadBlock] = []
        var open: LogBlock
        var first = Int64.max
        var last = Int64.min
        /// Of entries that came where equal ones are to be recognized.
        var hashes: Set<Int> = []

        init(_ labels: Labels) {
            self.labels = labels
            open = LogBlock(labels: labels)
        }

        var blocks: [HeadBlock] { open.isEmpty ? sealed : sealed + [HeadBlock(open)] }
    }

    /// Full blocks that are not packed yet, by stream and place in it.
    private var unpacked: [(stream: Int, block: Int)] = []

    init(number: Int, startTime: Int64, isRecovered: Bool = false) {
        self.isRecovered = isRecovered
        self.number = number
        self.startTime = startTime
    }

    var isEmpty: Bool { entryCount == 0 }
    var needsCommit: Bool { writer.recordBytes > 0 }

    /// What an entry costs beside its line.
    private static let entryOverheadBytes = 24

    func append(
        _ stream: Int, _ labels: Labels, _ timestamp: Int64, _ line: UnsafeRawBufferPointer, _ metadata: Labels,
        chunkBytes: Int
    ) {
        let place = place(of: stream, labels)
        writer.append(2)
        writer.append(number: UInt64(place))
        writer.append(number: UInt64(bitPattern: (timestamp << 1) ^ (timestamp >> 63)))
        writer.append(number: UInt64(line.count))
        writer.append(contentsOf: line)
        writer.append(number: UInt64(metadata.bytes.count))
        if !metadata.isEmpty { writer.append(contentsOf: metadata.bytes) }
        put(place, timestamp, line, metadata, chunkBytes: chunkBytes)
    }

    private func place(of stream: Int, _ labels: Labels) -> Int {
        if let place = places[stream] { return place }
        let place = streams.count
        places[stream] = place
        streams.append(Stream(labels))
        writer.append(1)
        writer.append(number: UInt64(place))
        writer.append(number: UInt64(labels.bytes.count))
        writer.append(contentsOf: labels.bytes)
        return place
    }

    private func put(
        _ place: Int, _ timestamp: Int64, _ line: UnsafeRawBufferPointer, _ metadata: Labels, chunkBytes: Int
    ) {
        streams[place].open.append(timestamp, line, metadata: metadata)
        if timestamp < streams[place].first { streams[place].first = timestamp }
        if timestamp > streams[place].last { streams[place].last = timestamp }
        let bytes = line.count + metadata.bytes.count
        byteCount += bytes + Self.entryOverheadBytes
        entryCount += 1
        if streams[place].open.byteCount >= chunkBytes || streams[place].open.count >= Self.blockEntryLimit {
            let full = HeadBlock(streams[place].open)
            if full.isPackable { unpacked.append((place, streams[place].sealed.count)) }
            streams[place].sealed.append(full)
            streams[place].open = LogBlock(labels: streams[place].labels)
        }
    }

    /// Packs a full block before its time, so that queries find what is in memory by its index, and packing is not all
    /// at once.
    ///
    /// - Returns: false if there is none.
    func packNext(_ packer: ChunkPacker) throws -> Bool {
        guard let (stream, number) = unpacked.popLast() else { return false }
        guard case .plain(let block) = streams[stream].sealed[number].content else { return true }
        streams[stream].sealed[number].content = .packed(try packer.pack(block))
        return true
    }

    /// Entries of a block, however short they are.
    static let blockEntryLimit = 65_536

    func append(_ source: LogFileSource, offset: Int, now: Int64) {
        writer.append(3)
        let agent = Array(source.agent.utf8)
        writer.append(number: UInt64(agent.count))
        writer.append(contentsOf: agent)
        writer.append(number: source.inode)
        writer.append(number: UInt64(clamping: source.generation))
        writer.append(number: UInt64(clamping: offset))
        writer.append(number: UInt64(bitPattern: (now << 1) ^ (now >> 63)))
    }

    // MARK: Entries that are there already

    private static func hash(_ timestamp: Int64, _ line: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(timestamp)
        hasher.combine(bytes: line)
        return hasher.finalize()
    }

    /// Whether an entry has come here that was `remember`ed.
    func has(_ stream: Int, _ timestamp: Int64, _ line: UnsafeRawBufferPointer) -> Bool {
        guard let place = places[stream] else { return false }
        let hashes = streams[place].hashes
        return !hashes.isEmpty && hashes.contains(Self.hash(timestamp, line))
    }

    /// Whether it has such an entry, by looking at all of that time.
    func has(_ labels: Labels, _ timestamp: Int64, _ line: UnsafeRawBufferPointer) -> Bool {
        guard let stream = streams.first(where: { $0.labels == labels }) else { return false }
        return stream.blocks.contains { block in
            guard block.first <= timestamp, timestamp <= block.last, let entries = try? block.sorted() else {
                return false
            }
            return entries.has(timestamp, line)
        }
    }

    /// The entry that was just appended to a stream will be recognized.
    func remember(_ stream: Int, _ timestamp: Int64, _ line: UnsafeRawBufferPointer) {
        guard let place = places[stream] else { return }
        streams[place].hashes.insert(Self.hash(timestamp, line))
    }

    // MARK: The log

    static func path(_ number: Int, _ directory: String) -> String { "\(directory)/\(padded(number, 8)).wal" }

    /// See `LogStore.commit`.
    func commit(_ disk: NodeDisk, _ directory: String) throws(DiskError) {
        if writer.recordBytes == 0 { return }
        if file == nil {
            file = try disk.open(Self.path(number, directory), [.write, .create])
            try disk.syncDirectory(directory)
        }
        guard let file else { return }
        writer.seal(number: batchCount, syncedBytes: fileBytes)
        try file.write(writer.bytes, at: fileBytes)
        try file.sync()
        fileBytes += writer.bytes.count
        batchCount += 1
        writer.clear()
    }

    func closeFile() {
        file?.close()
        file = nil
    }

    /// Puts back what a log's records say.
    ///
    /// - Parameter source: gets nil for a file whose numbers are beyond all that can be counted with: what was durable
    ///   must not keep all others from being read.
    /// - Returns: false if they are no such records.
    func replay(
        _ records: UnsafeRawBufferPointer, chunkBytes: Int,
        source: ((file: LogFileSource, offset: Int, time: Int64)?) -> Void
    ) -> Bool {
        var reader = RawRecordReader(records)
        while !reader.isAtEnd {
            guard let kind = reader.byte() else { return false }
            switch kind {
            case 1:
                guard let place = reader.number(), place == streams.count, let bytes = reader.data() else {
                    return false
                }
                streams.append(Stream(Labels(packed: Array(bytes))))
            case 2:
                guard let place = reader.number(), place < streams.count, let time = reader.signed(),
                    let line = reader.data(), let metadata = reader.data()
                else { return false }
                put(place, time, line, Labels(packed: Array(metadata)), chunkBytes: chunkBytes)
            case 3:
                guard let agent = reader.data(), let inode = reader.unsigned(), let generation = reader.unsigned(),
                    let offset = reader.unsigned(), let time = reader.signed()
                else { return false }
                guard max(generation, offset) < RawRecordReader.numberLimit else {
                    source(nil)
                    continue
                }
                let file = LogFileSource(
                    agent: String(decoding: agent, as: UTF8.self), inode: inode, generation: Int(generation))
                source((file, Int(offset), time))
            default: return false
            }
        }
        return true
    }
}
