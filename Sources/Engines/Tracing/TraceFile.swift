import KernelLog
import KernelStorage
import KernelStructures

/// One file of a partition: batches of records, each a length and that many bytes.
final class TraceFile {
    static let suffix = ".traces"

    let path: String
    let day: String
    let number: UInt32
    private let file: any DiskFile
    private(set) var size: Int
    private var batchCount = 0
    private var syncedBytes = 0
    /// Of all its records.
    var spanCount = 0
    /// What its records can be asked for.
    var index: TraceFileIndex
    /// Who called whom in the traces that began here.
    var calls = FileCalls()

    /// Opens it, or makes it.
    ///
    /// - Parameter termLimit: see `TraceFileIndex`.
    init(_ disk: NodeDisk, folder: String, day: String, number: UInt32, termLimit: Int) throws(DiskError) {
        path = "\(folder)/\(padded(Int(number), 6))\(Self.suffix)"
        self.day = day
        self.number = number
        index = TraceFileIndex(termLimit: termLimit)
        file = try disk.open(path, [.write, .create])
        try disk.syncDirectory(folder)
        size = file.size
    }

    var needsSync: Bool { syncedBytes < size }

    /// Writes records as one batch, and says where each of them stands.
    func append(_ records: [[UInt8]]) throws(DiskError) -> [TraceSummary.Place] {
        var batch = LogBatchWriter()
        var places: [TraceSummary.Place] = []
        for record in records {
            batch.append(number: UInt64(record.count))
            let offset = size + batch.bytes.count
            places.append(
                .init(file: number, offset: UInt32(clamping: offset), length: UInt32(clamping: record.count)))
            batch.append(contentsOf: record)
        }
        batch.seal(number: batchCount, syncedBytes: syncedBytes)
        do throws(DiskError) {
            try file.write(batch.bytes, at: size)
        } catch {
            // Half a batch would hide those that come after it.
            try? file.truncate(to: size)
            throw error
        }
        size += batch.bytes.count
        batchCount += 1
        return places
    }

    func sync() throws(DiskError) {
        guard needsSync else { return }
        try file.sync()
        syncedBytes = size
    }

    func read(_ place: TraceSummary.Place) throws(DiskError) -> [UInt8] {
        try file.read(at: Int(place.offset), count: Int(place.length))
    }

    /// All records of sound batches, with their places.
    func contents() throws(DiskError) -> [(place: TraceSummary.Place, bytes: [UInt8])] {
        var ignored: [String] = []
        return try scan(&ignored, cuts: false)
    }

    /// The same when it is opened: what is behind the last sound batch is cut off, and said.
    func recover(_ problems: inout [String]) throws(DiskError) -> [(place: TraceSummary.Place, bytes: [UInt8])] {
        try scan(&problems, cuts: true)
    }

    private func scan(_ problems: inout [String], cuts: Bool) throws(DiskError) -> [(
        place: TraceSummary.Place, bytes: [UInt8]
    )] {
        let bytes = try file.read(at: 0, count: size)
        var batches = LogBatches(bytes, from: 0)
        var found: [(place: TraceSummary.Place, bytes: [UInt8])] = []
        while batches.next({ range in
            guard let records = records(bytes, range) else { return false }
            found += records
            return true
        }) {}
        guard cuts else { return found }
        batchCount = batches.number
        if !batches.isAtEnd {
            let isDamage = batches.witness() != nil
            problems.append(
                "\(path): \(batches.restBytes) bytes at its end \(isDamage ? "are damaged" : "were not written to the end")"
                    + ", and were cut off")
            try file.truncate(to: batches.place)
            size = batches.place
        }
        syncedBytes = size
        return found
    }

    /// Nil where lengths do not fit.
    private func records(_ bytes: [UInt8], _ range: Range<Int>) -> [(place: TraceSummary.Place, bytes: [UInt8])]? {
        var found: [(place: TraceSummary.Place, bytes: [UInt8])] = []
        var place = range.lowerBound
        while place < range.upperBound {
            var length: UInt64 = 0
            var shift: UInt64 = 0
            var byte: UInt8
            repeat {
                guard place < range.upperBound, shift < 35 else { return nil }
                byte = bytes[place]
                length |= UInt64(byte & 0x7F) << shift
                shift += 7
                place += 1
            } while byte >= 0x80
            guard length <= UInt64(range.upperBound - place) else { return nil }
            let end = place + Int(length)
            found.append(
                (
                    .init(file: number, offset: UInt32(clamping: place), length: UInt32(clamping: length)),
                    Array(bytes[place..<end])
                ))
            place = end
        }
        return found
    }

    func close() { file.close() }
}
