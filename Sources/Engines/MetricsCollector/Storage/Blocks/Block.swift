import KernelStorage
import KernelStructures
import TimeSeriesEngine

/// A block on the disk: two hours or more of all series, which does not change any more but for its tombstones.
final class Block {
    let meta: BlockMeta
    let path: String
    private let disk: NodeDisk
    private let index: IndexReader
    private var files: [any DiskFile] = []
    private(set) var tombstones = Tombstones()
    /// Of all its files.
    private(set) var byteCount = 0
    /// Deleted: it is no part of any further query.
    var isGone = false

    /// Files of chunks.
    private static let fileLimit = 100_000

    /// - Throws: `QueryableError.damaged`.
    init(_ disk: NodeDisk, _ path: String) throws(QueryableError) {
        self.disk = disk
        self.path = path
        meta = try Self.meta(disk, path)
        index = try IndexReader(disk, "\(path)/index")
        do throws(DiskError) {
            let names = try disk.list("\(path)/chunks").filter { Int($0) != nil }.prefix(Self.fileLimit)
            for name in names {
                let file = try disk.open("\(path)/chunks/\(name)", [])
                files.append(file)
                byteCount += file.size
            }
            for name in ["index", "meta.json", "tombstones"] {
                byteCount += (try? disk.attributes("\(path)/\(name)").size) ?? 0
            }
        } catch {
            throw .damaged("\(error)")
        }
        try readTombstones()
    }

    deinit { for file in files { file.close() } }

    private static func meta(_ disk: NodeDisk, _ path: String) throws(QueryableError) -> BlockMeta {
        do {
            return try BlockMeta(parsing: try disk.contents(of: "\(path)/meta.json", limit: 16 << 20))
        } catch {
            throw .damaged("\(path)/meta.json: \(error)")
        }
    }

    private func readTombstones() throws(QueryableError) {
        // A block without deletions need not have the file.
        guard let bytes = try? disk.contents(of: "\(path)/tombstones", limit: 1 << 30) else { return }
        guard let read = Tombstones(fileBytes: bytes) else { throw .damaged("\(path)/tombstones: it is no such file") }
        tombstones = read
    }

    /// A chunk's kind and bytes.
    func chunk(_ reference: UInt64) throws(QueryableError) -> (encoding: UInt8, bytes: [UInt8]) {
        let number = Int(reference >> 32)
        let offset = Int(reference & 0xFFFF_FFFF)
        guard number < files.count else { throw .damaged("\(path): there is no file of chunks \(number + 1)") }
        let file = files[number]
        do throws(DiskError) {
            var head = BlockReader(try file.read(at: offset, count: 6))
            let length = Int(clamping: head.varint())
            guard !head.isBeyondEnd, length <= file.size - offset else {
                throw DiskError.failed(path, operation: "read: a chunk is cut off")
            }
            let body = try file.read(at: offset + head.position, count: length + 5)
            let sum = body.suffix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            guard body.count == length + 5, body.dropLast(4).withUnsafeBytes({ WAL.checksum($0) }) == sum else {
                throw DiskError.failed(path, operation: "read: a chunk's checksum does not fit")
            }
            return (body[0], Array(body[1..<1 + length]))
        } catch {
            throw .damaged("\(error)")
        }
    }

    /// The numbers of the series that satisfy all conditions.
    func numbers(_ matchers: [LabelMatcher]) throws(QueryableError) -> [UInt32] { try index.select(matchers) }

    func series(_ number: UInt32) throws(QueryableError) -> IndexReader.Series { try index.series(number) }

    func deleted(_ number: UInt32) -> [ClosedRange<Int64>] { tombstones[UInt64(number)] }

    /// Marks samples as deleted, durably.
    ///
    /// - Throws: `DiskError`.
    func delete(_ numbers: [UInt32], _ range: ClosedRange<Int64>) throws(DiskError) {
        for number in numbers { tombstones.add(UInt64(number), range) }
        let place = "\(path)/tombstones.tmp"
        let file = try disk.open(place, [.write, .create, .truncate])
        defer { file.close() }
        try file.write(tombstones.fileBytes, at: 0)
        try file.sync()
        try disk.rename(place, to: "\(path)/tombstones")
        try disk.syncDirectory(path)
    }

    /// Samples of a series in a time, without what was deleted.
    func read(
        _ series: IndexReader.Series, _ deleted: [ClosedRange<Int64>], _ range: ClosedRange<Int64>,
        into column: inout SampleColumn
    ) throws(QueryableError) {
        let first = column.count
        for chunk in series.chunks where chunk.maxTime >= range.lowerBound && chunk.minTime <= range.upperBound {
            let (encoding, bytes) = try self.chunk(chunk.reference)
            column.chunksRead += 1
            column.bytesRead += bytes.count
            let isWhole = bytes.withUnsafeBytes {
                switch encoding {
                case XORChunk.encoding: XORChunk.decode($0, in: range, into: &column)
                case HistogramChunk.wholeEncoding, HistogramChunk.floatEncoding:
                    HistogramChunk.decode($0, encoding: encoding, in: range, into: &column)
                default: false
                }
            }
            if !isWhole { throw .damaged("\(path): chunk \(chunk.reference) of the kind \(encoding)") }
        }
        // Chunks of late samples may overlap.
        column.sort(from: first)
        for range in deleted { column.remove(range, from: first) }
    }
}

extension Block: Queryable {
    func select(_ matchers: [LabelMatcher], _ selection: Selection) throws(QueryableError) -> [SelectedSeries] {
        let range = selection.from...max(selection.from, selection.through)
        guard !isGone, meta.minTime <= range.upperBound, meta.maxTime > range.lowerBound else { return [] }
        var found: [SelectedSeries] = []
        for number in try numbers(matchers) {
            let series = try series(number)
            guard series.chunks.contains(where: { $0.maxTime >= range.lowerBound && $0.minTime <= range.upperBound })
            else { continue }
            if found.count >= selection.seriesLimit { throw .tooManySeries(limit: selection.seriesLimit) }
            found.append(
                SelectedSeries(
                    labels: series.labels,
                    source: Source(block: self, series: series, deleted: deleted(number), range: range)))
        }
        // An index of ours and of Prometheus's is in the order of labels.
        return found
    }

    private struct Source: SampleSource {
        let block: Block
        let series: IndexReader.Series
        let deleted: [ClosedRange<Int64>]
        let range: ClosedRange<Int64>

        func read(into column: inout SampleColumn) throws(QueryableError) {
            try block.read(series, deleted, range, into: &column)
        }
    }
}
