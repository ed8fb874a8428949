import KernelLog
import KernelOTLP
import KernelStorage
import KernelStructures
import KernelTelemetry

/// Traces on a disk, in partitions by day, with a summary of each in memory.
///
/// ## How
///
/// ```
/// DIR/2023-12-20/000001.traces    batches (LogBatch) of records: length (LEB128), then an OTLP body of one trace's
///                                 spans
/// ```
///
/// What comes together is appended as one batch. The day is that of the arrival: a partition is over when its day is,
/// whatever the spans say, and goes as a whole when it is too old. Each file has an index in memory (`TraceFileIndex`);
/// looking for traces goes through the files, the newest first, until there are enough, and reads what may match. Who
/// talks to whom is kept in sums of each file (`CallBook`).
///
/// Opening reads everything once, to make summaries and indices. A batch that was being written when the power went is
/// cut off.
///
/// ## Where it is wrong
///
/// The disk has what was synced: `sync` is called once a second, so a crash costs up to a second of spans, as it does
/// any collector. Files are not compressed. And every trace costs memory, some 220 bytes, and eight for each thing that
/// can be asked of its spans, at most half of their bytes: beyond `spanLimit` the oldest file goes.
public final class TraceStore {
    public struct Settings: Equatable, Sendable {
        /// Days of arrival that are kept, today's included.
        public var days = 7
        /// Bytes of all files.
        public var bytes = 1 << 30
        public var spanLimit = 2_000_000
        /// Bytes at which a file is full.
        public var fileBytes = 8 << 20

        public init() {}
    }

    public let settings: Settings
    let disk: NodeDisk
    let directory: String
    private let lock: DiskLock
    /// Oldest first; the last is written to.
    var files: [TraceFile] = []
    private var lastFileNumber: UInt32 = 0
    var summaries: [TraceID: TraceSummary] = [:]
    private(set) var symbols = TraceSymbols()
    var callBook = CallBook()
    public private(set) var spanCount = 0
    /// What opening found wrong and did without.
    public private(set) var problems: [String] = []
    public private(set) var droppedFileCount = 0
    /// How often something should have gone and could not.
    public private(set) var failedDropCount = 0
    /// Files from somewhere else are left alone.
    private static let fileNumberLimit: UInt32 = 1 << 30

    /// - Throws: `DiskError`, `.busy` where another process has the directory.
    public init(_ disk: NodeDisk, directory: String, settings: Settings = Settings(), now: LabTime) throws(DiskError) {
        self.disk = disk
        self.directory = directory
        self.settings = settings
        try disk.makeDurableDirectory(directory)
        lock = try disk.lock("\(directory)/lock")
        try load()
        try dropWhatIsTooMuch(now)
    }

    public var traceCount: Int { summaries.count }
    public var byteCount: Int { files.reduce(0) { $0 + $1.size } }
    public var partitions: [String] { files.map(\.day).reduce(into: []) { if $0.last != $1 { $0.append($1) } } }

    // MARK: Writing

    /// Appends spans. They can be found at once, and are durable after the next `sync`.
    ///
    /// - Throws: `DiskError`; then none of them is kept, or only the first traces of more than an eighth of what there
    ///   may be at all. Whoever sends all of them again does no harm: what is there twice counts once.
    public func add(_ spans: [TracedSpan], now: LabTime) throws(DiskError) {
        var rest = Self.records(spans)[...]
        while !rest.isEmpty {
            let file = try current(now)
            var records: [Record] = []
            var bodies: [[UInt8]] = []
            var bytes = 0
            var count = 0
            repeat {
                let record = rest.removeFirst()
                bodies.append(OTLPTraces(record.groups).protobuf())
                records.append(record)
                bytes += bodies[bodies.count - 1].count
                count += record.groups.reduce(0) { $0 + $1.spans.count }
            } while !rest.isEmpty && count < fileSpanLimit && bytes < fileBytes
            let places = try file.append(bodies)
            for (record, place) in zip(records, places) { remember(record, at: place, in: file) }
            if isFull(file) { try file.sync() }
            // What is too much can go later as well: the spans are kept.
            do throws(DiskError) { try dropWhatIsTooMuch(now) } catch { failedDropCount += 1 }
        }
    }

    /// What goes, goes by files: so none has more than an eighth of what may be there, but for the end of its last
    /// trace.
    private var fileSpanLimit: Int { max(1, settings.spanLimit / 8) }
    private var fileBytes: Int { max(1, min(settings.fileBytes, settings.bytes / 8)) }
    private func isFull(_ file: TraceFile) -> Bool { file.size >= fileBytes || file.spanCount >= fileSpanLimit }

    public func sync() throws(DiskError) { try files.last?.sync() }
    public var needsSync: Bool { files.last?.needsSync ?? false }

    public func close() throws(DiskError) {
        try sync()
        for file in files { file.close() }
        files = []
        lock.release()
    }

    struct Record {
        let id: TraceID
        var groups: [OTLPTraces.Group]
    }

    /// Spans of one trace together, in the order of their coming.
    private static func records(_ spans: [TracedSpan]) -> [Record] {
        var places: [TraceID: Int] = [:]
        var records: [Record] = []
        for span in spans {
            let id = span.span.traceID
            let place = places[id] ?? records.count
            if place == records.count {
                places[id] = place
                records.append(Record(id: id, groups: []))
            }
            if let last = records[place].groups.last, last.resource == span.resource, last.scope == span.scope {
                records[place].groups[records[place].groups.count - 1].spans.append(span.span)
            } else {
                records[place].groups.append(
                    .init(resource: span.resource, scope: span.scope, spans: [span.span]))
            }
        }
        return records
    }

    private func remember(_ record: Record, at place: TraceSummary.Place, in file: TraceFile) {
        let known = summaries.removeValue(forKey: record.id)
        var summary = known ?? TraceSummary(record.id)
        for group in record.groups {
            let service = symbols.number(of: group.resource.serviceName)
            for span in group.spans {
                symbols.count(.init(name: span.name, kind: span.kind), of: service, by: 1)
                summary.start = min(summary.start, span.start)
                summary.last = max(summary.last, span.start)
            }
            summary.spanCount += group.spans.count
            spanCount += group.spans.count
            file.spanCount += group.spans.count
        }
        file.index.add(record.id, record.groups) { symbols.known($0.serviceName) }
        summary.places.append(place)
        summaries[record.id] = summary
        noteCalls(record.id, record.groups, isNew: known == nil)
    }

    /// Things that can be asked of a file's spans: at eight bytes each, half of its own.
    private var termLimit: Int { max(4096, settings.fileBytes / 16) }

    private func current(_ now: LabTime) throws(DiskError) -> TraceFile {
        let day = Self.day(now)
        if let last = files.last, last.day == day, !isFull(last) { return last }
        try files.last?.sync()
        files.last?.index.sortTail()
        let folder = "\(directory)/\(day)"
        try disk.makeDurableDirectory(folder)
        let file = try TraceFile(
            disk, folder: folder, day: day, number: lastFileNumber + 1, termLimit: termLimit)
        lastFileNumber += 1
        files.append(file)
        return file
    }

    static func day(_ time: LabTime) -> String {
        let civil = CivilTime(time)
        return "\(padded(civil.year, 4))-\(padded(civil.month, 2))-\(padded(civil.day, 2))"
    }

    // MARK: Retention

    private func dropWhatIsTooMuch(_ now: LabTime) throws(DiskError) {
        let oldest = Self.day(now - LabDuration.seconds(86_400 * (max(1, settings.days) - 1)))
        while let first = files.first, files.count > 1 || first.day < oldest,
            first.day < oldest || byteCount > settings.bytes || spanCount > settings.spanLimit
        {
            try drop(first)
        }
    }

    private func drop(_ file: TraceFile) throws(DiskError) {
        let records = try file.contents()
        files.removeFirst()
        droppedFileCount += 1
        for (place, bytes) in records {
            guard let traces = try? OTLPTraces(protobuf: bytes) else { continue }
            forget(traces, at: place)
        }
        file.close()
        try disk.remove(file.path)
        if !files.contains(where: { $0.day == file.day }) { try? disk.remove("\(directory)/\(file.day)") }
    }

    private func forget(_ traces: OTLPTraces, at place: TraceSummary.Place) {
        let spans = traces.groups.tracedSpans
        for span in spans {
            let service = symbols.number(of: span.service)
            symbols.count(.init(name: span.span.name, kind: span.span.kind), of: service, by: -1)
        }
        spanCount -= spans.count
        guard let id = spans.first?.span.traceID, var summary = summaries[id] else { return }
        takeOut(&summary)
        summary.places.removeAll { $0 == place }
        summary.spanCount -= spans.count
        summaries[id] = summary.places.isEmpty ? nil : summary
        loseCalls(id)
    }

    // MARK: Opening

    private func load() throws(DiskError) {
        for day in try disk.list(directory) where Self.isDay(day) {
            let folder = "\(directory)/\(day)"
            for name in try disk.list(folder) {
                guard name.hasSuffix(TraceFile.suffix), let number = UInt32(name.dropLast(TraceFile.suffix.count)),
                    number < Self.fileNumberLimit
                else { continue }
                let file = try TraceFile(disk, folder: folder, day: day, number: number, termLimit: termLimit)
                files.append(file)
                lastFileNumber = max(lastFileNumber, number)
            }
        }
        files.sort { $0.number < $1.number }
        for file in files {
            for (place, bytes) in try file.recover(&problems) {
                guard let traces = try? OTLPTraces(protobuf: bytes),
                    let id = traces.groups.first?.spans.first?.traceID
                else {
                    problems.append("\(file.path): a record that is no trace")
                    continue
                }
                remember(Record(id: id, groups: traces.groups), at: place, in: file)
            }
            file.index.sortTail()
        }
    }

    private static func isDay(_ name: String) -> Bool {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        return parts.map(\.utf8.count) == [4, 2, 2] && parts.allSatisfy { $0.allSatisfy(\.isNumber) }
    }
}
