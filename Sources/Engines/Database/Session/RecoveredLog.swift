import KernelStorage

/// What a database's log holds that its file does not: what a start brings back after a kill or a power failure. SQLite
/// takes it up by itself and says nothing of it, so it is counted before that.
public struct RecoveredLog: Equatable, Sendable {
    /// Transactions that wrote and were committed.
    public var commitCount = 0
    /// Bytes of the log from the first of them to the end of the last.
    public var byteCount = 0

    public init() {}

    /// - Parameter path: of the database; its log is beside it.
    /// - Throws: `DiskError` if the log cannot be read. SQLite says then what is to be done about it.
    static func find(_ path: String, on disk: NodeDisk) throws(DiskError) -> RecoveredLog {
        guard (try? disk.attributes(path + "-wal")) != nil, (try? disk.attributes(path)) != nil else {
            return RecoveredLog()
        }
        let log = try disk.open(path + "-wal", [])
        defer { log.close() }
        let file = try disk.open(path, [])
        defer { file.close() }
        guard var scan = try LogScan(log, file) else { return RecoveredLog() }
        try scan.run()
        return scan.missing
    }
}

/// SQLite's write-ahead log as it is on the disk (sqlite.org/fileformat2.html, section 4): a head, then frames of a
/// page each. The last frame of a transaction has the size of the database; a frame counts if it has the head's salts,
/// and its checksum, which goes on from frame to frame, is right. What a failure tore, and what an earlier round of the
/// log has left behind, ends it.
///
/// The file lacks a commit if it has an older page than one of the commit's: that tells what was committed since the
/// last checkpoint from what the log only has still.
private struct LogScan {
    private let log: any DiskFile
    private let file: any DiskFile
    private let pageByteCount: Int
    /// Of the words that are summed up.
    private let isBigEndian: Bool
    private let salts: [UInt8]
    /// The log never began anew, so its first commit is the catalogue of the new database: nobody's.
    private let beginsWithCatalogue: Bool
    private var sums: (UInt32, UInt32) = (0, 0)
    /// Of each page of which the file has an older content, the first commit that it lacks.
    private var lacks: [UInt32: Commit] = [:]
    /// Pages of the database after the last commit.
    private var pageCount: UInt32 = 0
    /// The one that begins where the last one that is complete has ended.
    private var current: Commit

    private struct Commit {
        /// From 0.
        var number = 0
        /// Where it begins in the log.
        var start: Int
    }

    private static let headByteCount = 32
    private static let frameHeadByteCount = 24

    /// Nil if the log has no head.
    init?(_ log: any DiskFile, _ file: any DiskFile) throws(DiskError) {
        let head = try log.read(at: 0, count: Self.headByteCount)
        guard head.count == Self.headByteCount else { return nil }
        let magic = Self.number(head, 0)
        let size = Self.number(head, 8)
        guard magic & ~1 == 0x377F_0682, (512...65_536).contains(size), size & (size - 1) == 0 else { return nil }
        self.log = log
        self.file = file
        isBigEndian = magic & 1 == 1
        pageByteCount = Int(size)
        salts = Array(head[16..<24])
        beginsWithCatalogue = Self.number(head, 12) == 0
        current = Commit(start: Self.headByteCount)
        add(head[..<24])
        guard Self.number(head, 24) == sums.0, Self.number(head, 28) == sums.1 else { return nil }
    }

    mutating func run() throws(DiskError) {
        var offset = Self.headByteCount
        var pages: [(number: UInt32, isSame: Bool)] = []
        let frameByteCount = Self.frameHeadByteCount + pageByteCount
        while true {
            let frame = try log.read(at: offset, count: frameByteCount)
            guard frame.count == frameByteCount, frame[8..<16].elementsEqual(salts) else { return }
            let content = frame[Self.frameHeadByteCount...]
            add(frame[..<8])
            add(content)
            let page = Self.number(frame, 0)
            guard page > 0, Self.number(frame, 16) == sums.0, Self.number(frame, 20) == sums.1 else { return }
            let old = try file.read(at: Int(page - 1) * pageByteCount, count: pageByteCount)
            pages.append((page, content.elementsEqual(old)))
            offset += frameByteCount
            let size = Self.number(frame, 4)
            guard size > 0 else { continue }
            for page in pages {
                if page.isSame { lacks[page.number] = nil } else { lacks[page.number] = lacks[page.number] ?? current }
            }
            pages = []
            pageCount = size
            current = Commit(number: current.number + 1, start: offset)
        }
    }

    var missing: RecoveredLog {
        var result = RecoveredLog()
        let commits = lacks.filter { $0.key <= pageCount }.values
        guard let first = commits.min(by: { $0.number < $1.number }) else { return result }
        result.commitCount = current.number - first.number - (first.number == 0 && beginsWithCatalogue ? 1 : 0)
        if result.commitCount > 0 { result.byteCount = current.start - first.start }
        return result
    }

    private static func number(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }

    private mutating func add(_ bytes: ArraySlice<UInt8>) {
        let isBigEndian = isBigEndian
        var (first, second) = sums
        bytes.withUnsafeBytes { bytes in
            func word(_ offset: Int) -> UInt32 {
                let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                return isBigEndian ? UInt32(bigEndian: word) : UInt32(littleEndian: word)
            }
            for offset in stride(from: 0, to: bytes.count - 7, by: 8) {
                first = first &+ word(offset) &+ second
                second = second &+ word(offset + 4) &+ first
            }
        }
        sums = (first, second)
    }
}
