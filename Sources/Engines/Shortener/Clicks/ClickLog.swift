import KernelStorage
import KernelStructures

/// Clicks on their way into the database: a file to which each is appended before its visitor is sent on.
///
/// ## The problem
///
/// A redirect must not wait for a database, and no click may be lost. A queue in memory forgets when the process dies;
/// a database row a click is what makes redirects slow.
///
/// ## An everyday picture
///
/// The turnstile at the zoo clicks its counter on, and nobody waits at the gate for the bookkeeper. She comes round
/// once a second, reads the counter, enters the difference, and *in the same line* notes the reading up to which she
/// has entered. If she faints between two pages, the next one sees from that line where to begin, and no visitor is
/// entered twice.
///
/// ## How
///
/// Records (length, CRC-32C, bytes) are appended in segments; the database's own transaction says up to where it has
/// counted (`ClickPosition`). After a crash what lies behind that position is counted again from the file: exactly
/// once. A kill of the process loses nothing, since the file is the kernel's by then; power that fails loses what came
/// after the last sync, a second's worth, and what was cut off in the midst of a record is told.
///
/// ## Where it is wrong
///
/// A record that power has damaged in the middle ends what can be read of its segment, and is told as damage: what lies
/// behind it is not counted.
public final class ClickLog {
    private let disk: NodeDisk
    private let directory: String
    private var file: any DiskFile
    private var segment: Int
    private var size: Int
    private var isUnsynced = false

    /// Bytes of a segment before another is begun.
    public var segmentByteCount = 1 << 20
    static let recordLimitBytes = 4096
    static let frameBytes = 8

    /// What was read back, and where to go on.
    public struct Reading: Equatable, Sendable {
        public var clicks: [Click] = []
        /// Where each of them ends in the segment of `end`.
        public var ends: [Int] = []
        public var end: ClickPosition
        /// Bytes at the end of a segment that are no whole record: a crash in the midst of a write.
        public var tornBytes = 0
        /// Segments that end early because a record in them has a wrong checksum.
        public var damagedSegments = 0
    }

    /// Goes on in a new segment behind all that are there.
    ///
    /// - Throws: `DiskError`.
    public init(disk: NodeDisk, directory: String) throws(DiskError) {
        self.disk = disk
        self.directory = directory
        if (try? disk.attributes(directory)) == nil {
            try disk.makeDirectory(directory)
            // Or the power takes the directory with all that was synced in it.
            try disk.syncDirectory(DiskPath.parent(of: directory))
        }
        segment = (try Self.segments(disk, directory).last ?? 0) + 1
        size = 0
        file = try disk.open("\(directory)/\(Self.name(segment))", [.write, .create, .truncate])
        try disk.syncDirectory(directory)
    }

    /// Where the next click will stand.
    public var end: ClickPosition { ClickPosition(segment: segment, offset: size) }

    /// Writes a click down. It survives the process from now on, and the power from the next `sync`.
    ///
    /// - Throws: `DiskError`; nothing of it counts then.
    public func append(_ click: Click) throws(DiskError) {
        let payload = click.encoded
        guard payload.count <= Self.recordLimitBytes else { return }
        if size >= segmentByteCount { try rotate() }
        var record: [UInt8] = []
        record.reserveCapacity(payload.count + Self.frameBytes)
        Self.append(UInt32(payload.count), to: &record)
        Self.append(CRC32C.of(payload), to: &record)
        record += payload
        do throws(DiskError) {
            try file.write(record, at: size)
        } catch {
            // Half a record must not stand before the next one.
            try? file.truncate(to: size)
            throw error
        }
        size += record.count
        isUnsynced = true
    }

    /// - Throws: `DiskError`: what was appended since the last sync may be lost with the power.
    public func sync() throws(DiskError) {
        guard isUnsynced else { return }
        try file.sync()
        isUnsynced = false
    }

    private func rotate() throws(DiskError) {
        let next = try disk.open("\(directory)/\(Self.name(segment + 1))", [.write, .create, .truncate])
        do throws(DiskError) {
            try file.sync()
            try disk.syncDirectory(directory)
        } catch {
            next.close()
            throw error
        }
        file.close()
        file = next
        segment += 1
        size = 0
    }

    /// What was appended behind a position, at most about `limit` bytes of it.
    ///
    /// - Throws: `DiskError`.
    public func read(from position: ClickPosition, limit: Int = 1 << 20) throws(DiskError) -> Reading {
        var reading = Reading(end: position)
        for number in try Self.segments(disk, directory) where number >= position.segment {
            if number > reading.end.segment { reading.end = ClickPosition(segment: number, offset: 0) }
            let isLast = number == segment
            let whole = isLast ? size : try disk.attributes("\(directory)/\(Self.name(number))").size
            let count = min(limit, max(0, whole - reading.end.offset))
            let bytes = try bytes(of: number, at: reading.end.offset, count: count)
            let isWhole = reading.end.offset + count >= whole
            reading.end.offset += Self.take(bytes, endsSegment: isWhole && !isLast, into: &reading)
            if !isWhole || !reading.clicks.isEmpty { break }
        }
        return reading
    }

    /// All up to here is counted, and that is durable: segments before it can go.
    public func discard(before position: ClickPosition) throws(DiskError) {
        for number in try Self.segments(disk, directory) where number < position.segment && number < segment {
            try disk.remove("\(directory)/\(Self.name(number))")
        }
    }

    // MARK: What has been handed on

    /// Up to where clicks were handed on to somebody who keeps them; nil if that was never said.
    public func handedOn() -> ClickPosition? {
        guard let mark = try? disk.open("\(directory)/\(Self.mark)", []) else { return nil }
        defer { mark.close() }
        guard let bytes = try? mark.read(at: 0, count: min(64, mark.size)) else { return nil }
        var reader = RecordReader(bytes)
        guard let segment = try? reader.integer(), let offset = try? reader.integer(), segment >= 0, offset >= 0 else {
            return nil
        }
        return ClickPosition(segment: segment, offset: offset)
    }

    /// - Throws: `DiskError`; it may then be handed on again.
    public func setHandedOn(_ position: ClickPosition) throws(DiskError) {
        var writer = RecordWriter()
        writer.append(position.segment)
        writer.append(position.offset)
        let mark = try disk.open("\(directory)/\(Self.mark)", [.write, .create, .truncate])
        defer { mark.close() }
        try mark.write(writer.bytes, at: 0)
        try mark.sync()
        try disk.syncDirectory(directory)
    }

    private static let mark = "handed-on"

    public func close() { file.close() }

    // MARK: Files

    static func name(_ segment: Int) -> String { "clicks-\(padded(segment, 8)).log" }

    private static func segments(_ disk: NodeDisk, _ directory: String) throws(DiskError) -> [Int] {
        try disk.list(directory).compactMap { name in
            guard name.hasPrefix("clicks-"), name.hasSuffix(".log") else { return nil }
            return Int(name.dropFirst(7).dropLast(4)).flatMap { $0 >= 0 ? $0 : nil }
        }.sorted()
    }

    private func bytes(of number: Int, at offset: Int, count: Int) throws(DiskError) -> [UInt8] {
        if number == segment { return try file.read(at: offset, count: count) }
        let old = try disk.open("\(directory)/\(Self.name(number))", [])
        defer { old.close() }
        return try old.read(at: offset, count: count)
    }

    /// - Returns: bytes that have been dealt with.
    private static func take(_ bytes: [UInt8], endsSegment: Bool, into reading: inout Reading) -> Int {
        var place = 0
        while bytes.count - place >= frameBytes {
            let length = Int(number(bytes, place))
            let end = place + frameBytes + length
            guard length <= recordLimitBytes, end <= bytes.count else { break }
            let payload = Array(bytes[(place + frameBytes)..<end])
            guard CRC32C.of(payload) == number(bytes, place + 4), let click = try? Click(encoded: payload) else {
                if end < bytes.count { reading.damagedSegments += 1 }
                break
            }
            reading.clicks.append(click)
            place = end
            reading.ends.append(reading.end.offset + end)
        }
        guard endsSegment else { return place }
        reading.tornBytes += bytes.count - place
        return bytes.count
    }

    private static func append(_ number: UInt32, to bytes: inout [UInt8]) {
        for shift in [0, 8, 16, 24] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    private static func number(_ bytes: [UInt8], _ place: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[place + $1]) << UInt32(8 * $1) }
    }
}

/// How far the clicks have been counted: a segment of the log, and bytes within it.
public struct ClickPosition: Hashable, Comparable, Sendable {
    public var segment = 0
    public var offset = 0

    public init(segment: Int = 0, offset: Int = 0) {
        self.segment = segment
        self.offset = offset
    }

    public static func < (a: Self, b: Self) -> Bool { (a.segment, a.offset) < (b.segment, b.offset) }
}
