import KernelLog
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
    /// Bytes of it that are written.
    private var size: Int
    private var isUnsynced = false
    /// Nobody else may count, or throw away, what is here.
    private let lock: DiskLock
    /// How many clicks of this life the disk has not taken: bytes that stand there already, because a disk that is full
    /// has no room for others.
    private let losses: any DiskFile
    /// Those that an earlier life has written down, until `setLost`.
    public private(set) var earlierLosses = 0
    /// Records that are not written yet.
    private var gathered: [UInt8] = []
    /// How many they are.
    public private(set) var gatheredCount = 0

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
    /// - Throws: `DiskError`; `busy` if somebody else has the directory.
    public init(disk: NodeDisk, directory: String) throws(DiskError) {
        self.disk = disk
        self.directory = directory
        if (try? disk.attributes(directory)) == nil {
            try disk.makeDirectory(directory)
            // Or the power takes the directory with all that was synced in it.
            try disk.syncDirectory(DiskPath.parent(of: directory))
        }
        lock = try disk.lock("\(directory)/lock")
        losses = try disk.open("\(directory)/lost", [.write, .create])
        earlierLosses = Self.count(try losses.read(at: 0, count: 8))
        if losses.size < 8 { try losses.write([UInt8](repeating: 0, count: 8), at: 0) }
        let last = try Self.segments(disk, directory).last
        if let last { try Self.giveRoomBack("\(directory)/\(Self.name(last))", disk) }
        segment = (last ?? 0) + 1
        size = 0
        file = try disk.open("\(directory)/\(Self.name(segment))", [.write, .create, .truncate])
        try disk.syncDirectory(directory)
        file.reserve(Self.roomBytes)
    }

    /// What is kept for a segment: what it is to have, and a last round of clicks.
    private static let roomBytes = (1 << 20) + (256 << 10)

    /// A life that was killed has left the room behind its last click that it had kept for more: zeros, where no record
    /// begins.
    private static func giveRoomBack(_ path: String, _ disk: NodeDisk) throws(DiskError) {
        let old = try disk.open(path, [.write])
        defer { old.close() }
        let size = old.size
        guard (frameBytes...2 * roomBytes).contains(size),
            try old.read(at: size - frameBytes, count: frameBytes).allSatisfy({ $0 == 0 })
        else { return }
        let bytes = try old.read(at: 0, count: size)
        var end = 0
        while bytes.count - end >= frameBytes, number(bytes, end) > 0 {
            let next = end + frameBytes + Int(number(bytes, end))
            guard next <= bytes.count else { return }
            end = next
        }
        guard bytes[end...].allSatisfy({ $0 == 0 }) else { return }
        try old.truncate(to: end)
    }

    /// Up to where clicks are written.
    public var end: ClickPosition { ClickPosition(segment: segment, offset: size) }

    /// Goes on in a segment of a higher number than that: a directory that was put in the place of a lost one must not
    /// give positions that the database has counted already.
    ///
    /// - Throws: `DiskError`.
    public func goOn(behind number: Int) throws(DiskError) {
        try write()
        if segment <= number { try rotate(to: number + 1) }
    }

    /// Puts a click in the line for the next `write`: one call of the system serves all that came in the same moment.
    public func gather(_ click: Click) {
        let begin = gathered.count
        var record = RecordWriter(continuing: gathered)
        gathered = []
        for _ in 0..<Self.frameBytes { record.append(byte: 0) }
        click.encode(into: &record)
        gathered = record.bytes
        let length = gathered.count - begin - Self.frameBytes
        guard length <= Self.recordLimitBytes else { return gathered.removeLast(gathered.count - begin) }
        let sum = gathered.withUnsafeBytes {
            LogBatch.checksum(UnsafeRawBufferPointer(rebasing: $0[(begin + Self.frameBytes)...]))
        }
        for place in 0..<4 {
            gathered[begin + place] = UInt8(truncatingIfNeeded: length >> (8 * place))
            gathered[begin + 4 + place] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * place))
        }
        gatheredCount += 1
    }

    /// Writes down what was gathered. It survives the process from now on, and the power from the next `sync`.
    ///
    /// - Throws: `DiskError`; nothing of it counts then, and it is forgotten.
    public func write() throws(DiskError) {
        if gathered.isEmpty { return }
        defer {
            gathered.removeAll(keepingCapacity: true)
            gatheredCount = 0
        }
        if size >= segmentByteCount { try rotate(to: segment + 1) }
        do throws(DiskError) {
            try file.write(gathered, at: size)
        } catch {
            // Half a record must not stand before the next one.
            try? file.truncate(to: size)
            throw error
        }
        size += gathered.count
        isUnsynced = true
    }

    /// Writes a click down at once.
    ///
    /// - Throws: `DiskError`; nothing of it counts then.
    public func append(_ click: Click) throws(DiskError) {
        gather(click)
        try write()
    }

    /// - Throws: `DiskError`: what was written since the last sync may be lost with the power.
    public func sync() throws(DiskError) {
        guard isUnsynced else { return }
        try file.sync()
        isUnsynced = false
    }

    private func rotate(to number: Int) throws(DiskError) {
        let next = try disk.open("\(directory)/\(Self.name(number))", [.write, .create, .truncate])
        do throws(DiskError) {
            try file.truncate(to: size)
            try file.sync()
            try disk.syncDirectory(directory)
        } catch {
            next.close()
            throw error
        }
        file.close()
        file = next
        file.reserve(Self.roomBytes)
        segment = number
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

    // MARK: What the disk has not taken

    /// Writes down how many clicks of this life are lost, for the life that comes after a kill.
    ///
    /// - Throws: `DiskError`: then nobody will know.
    public func setLost(_ count: Int) throws(DiskError) {
        try losses.write((0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) }, at: 0)
        earlierLosses = 0
    }

    private static func count(_ bytes: [UInt8]) -> Int {
        guard bytes.count == 8, bytes[7] == 0 else { return 0 }
        return bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    public func close() {
        file.close()
        losses.close()
        abandon()
    }

    /// The process is over: others may have the directory.
    public func abandon() { lock.release() }

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
            let begin = place + frameBytes
            let end = begin + length
            guard length <= recordLimitBytes, end <= bytes.count else { break }
            guard checksum(bytes, begin..<end) == number(bytes, place + 4), let click = click(bytes, begin..<end) else {
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

    private static func checksum(_ bytes: [UInt8], _ range: Range<Int>) -> UInt32 {
        bytes.withUnsafeBytes { LogBatch.checksum(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    private static func click(_ bytes: [UInt8], _ range: Range<Int>) -> Click? {
        var reader = RecordReader(bytes, in: range)
        return try? Click(reading: &reader)
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
