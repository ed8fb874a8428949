import KernelStorage
import KernelStructures
import TimeSeriesEngine

/// The head as a clean stop has left it, so that the next start need not read its log.
///
/// The log stays as it is: this is a copy of what it says, which counts only while the log ends where it did. After a
/// crash, or where somebody else has written to the log, it is passed over; so it can be wrong in no way that matters.
///
/// ```
/// snapshot  = magic(8) segment(8) bytes(8) reference(8) times(8 8 8) symbols exemplars series postings crc(4)
/// symbols   = bytes(8) text count(4) { end(4) }
/// exemplars = count(4) { length(4) labels length(4) labels value(8) time(8) }
/// series    = count(8) { reference(8) count(4) { number(4) } count(4) { first(8) last(8) 1(1) length(4) chunk }
///             count(4) { time(8) value(8) } count(4) { from(8) through(8) }
///             count(4) { first(8) last(8) encoding(1) length(4) chunk } }     ; floats, late, deleted, histograms
/// postings  = pairs(4) count(4) { name(4) count(4) { value(4) count(4) { number(4) } } }
/// ```
///
/// Every number is little-endian. Chunks that were growing are finished ones here.
enum HeadSnapshot {
    static let name = "head.snapshot"
    private static let magic: UInt64 = 0x3130_4441_4548_4453

    /// Bytes of a file that is read.
    private static let limitBytes = 16 << 30

    // MARK: Writing

    /// Writes it, durably.
    ///
    /// - Parameter log: the last segment, and its bytes.
    static func write(
        _ head: Head, _ exemplars: [Exemplar], log: (segment: Int, bytes: Int), to files: StoreFiles
    ) throws(DiskError) {
        var out = SnapshotWriter()
        out.append(magic)
        out.append(UInt64(log.segment))
        out.append(UInt64(log.bytes))
        out.append(head.lastReference)
        for time in [head.minimumValidTime, head.firstTime ?? .max, head.lastTime ?? .min] { out.append(time) }
        head.symbols.write(to: &out)
        out.append(UInt32(exemplars.count))
        for exemplar in exemplars {
            out.append(exemplar.series.bytes)
            out.append(exemplar.labels.bytes)
            out.append(exemplar.value.bitPattern)
            out.append(exemplar.timestamp)
        }
        out.append(UInt64(head.series.count))
        for series in head.series { series.write(to: &out) }
        head.postings.write(to: &out)
        out.append(WAL.checksum(out.bytes))
        let place = "\(files.directory)/\(name)"
        let file = try files.disk.open(place + ".tmp", [.write, .create, .truncate])
        defer { file.close() }
        try file.write(out.bytes, at: 0)
        try file.sync()
        try files.disk.rename(place + ".tmp", to: place)
        try files.disk.syncDirectory(files.directory)
    }

    /// Removes it, if there is one: it takes half as much room as the log.
    static func remove(_ files: StoreFiles) throws(DiskError) {
        guard try files.disk.list(files.directory).contains(name) else { return }
        try files.disk.remove("\(files.directory)/\(name)")
    }

    // MARK: Reading

    struct Content {
        var lastReference: UInt64 = 0
        var minimumValidTime = Int64.min
        var firstTime: Int64?
        var lastTime: Int64?
        var symbols = SymbolTable()
        var series: [MemorySeries] = []
        var postings = Postings()
        var exemplars: [Exemplar] = []
    }

    /// Nil where there is none, or none that fits the log.
    static func read(_ files: StoreFiles, log: (segment: Int, bytes: Int)) -> Content? {
        let place = "\(files.directory)/\(name)"
        guard let file = try? files.disk.open(place, []) else { return nil }
        defer { file.close() }
        guard file.size <= limitBytes, let head = try? file.read(at: 0, count: 24), head.count == 24 else { return nil }
        let fits = head.withUnsafeBytes { raw in
            var reader = SnapshotReader(raw)
            return reader.number(UInt64.self) == magic && reader.number(UInt64.self) == UInt64(log.segment)
                && reader.number(UInt64.self) == UInt64(log.bytes)
        }
        guard fits, let bytes = try? file.read(at: 0, count: file.size), bytes.count > 28 else { return nil }
        return bytes.withUnsafeBytes { raw in
            let body = UnsafeRawBufferPointer(rebasing: raw.dropLast(4))
            let sum = UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: raw.count - 4, as: UInt32.self))
            guard WAL.checksum(body) == sum else { return nil }
            var reader = SnapshotReader(UnsafeRawBufferPointer(rebasing: body.dropFirst(24)))
            return content(&reader)
        }
    }

    private static func content(_ reader: inout SnapshotReader) -> Content? {
        var content = Content()
        content.lastReference = reader.number()
        content.minimumValidTime = reader.number()
        let (first, last) = (reader.number(Int64.self), reader.number(Int64.self))
        if first <= last { (content.firstTime, content.lastTime) = (first, last) }
        guard let symbols = SymbolTable(&reader) else { return nil }
        content.symbols = symbols
        for _ in 0..<reader.count(UInt32.self) {
            let series = Labels(packed: reader.bytes())
            let labels = Labels(packed: reader.bytes())
            let value = Double(bitPattern: reader.number())
            content.exemplars.append(
                Exemplar(series: series, labels: labels, value: value, timestamp: reader.number()))
        }
        let count = reader.count(UInt64.self)
        content.series.reserveCapacity(count)
        for _ in 0..<count {
            guard let series = MemorySeries(&reader, symbolCount: symbols.count) else { return nil }
            content.series.append(series)
        }
        guard let postings = Postings(&reader, seriesCount: count) else { return nil }
        content.postings = postings
        return reader.isBroken ? nil : content
    }
}

extension WAL {
    static func checksum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { checksum($0) } }
}

/// Numbers and pieces of bytes, one behind the other.
struct SnapshotWriter {
    private(set) var bytes: [UInt8] = []

    @inline(__always)
    mutating func append(_ number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Behind their length.
    mutating func append(_ piece: [UInt8]) {
        append(UInt32(piece.count))
        bytes.append(contentsOf: piece)
    }

    mutating func append(raw piece: [UInt8]) { bytes.append(contentsOf: piece) }
}

/// Reads what a `SnapshotWriter` has written. Beyond the end it gives zeros, and says so.
struct SnapshotReader {
    private let all: UnsafeRawBufferPointer
    private var position = 0
    private(set) var isBroken = false

    init(_ all: UnsafeRawBufferPointer) { self.all = all }

    @inline(__always)
    mutating func number<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type = T.self) -> T {
        let size = MemoryLayout<T>.size
        guard size <= all.count - position else {
            isBroken = true
            return 0
        }
        defer { position += size }
        return T(littleEndian: all.loadUnaligned(fromByteOffset: position, as: T.self))
    }

    /// How many elements follow: never more than there are bytes.
    @inline(__always)
    mutating func count<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) -> Int {
        let count = Int(clamping: number(type))
        guard count <= all.count - position else {
            isBroken = true
            return 0
        }
        return count
    }

    mutating func bytes() -> [UInt8] { raw(count(UInt32.self)) }

    mutating func raw(_ count: Int) -> [UInt8] {
        guard count <= all.count - position else {
            isBroken = true
            return []
        }
        defer { position += count }
        return [UInt8](UnsafeRawBufferPointer(rebasing: all[position..<position + count]))
    }
}
