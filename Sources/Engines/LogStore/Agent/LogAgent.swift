import KernelLog
import KernelStorage
import KernelStructures

/// Follows files, and hands what is written to them to a collector.
///
/// ## The problem
///
/// An application writes lines to a file, and must never wait because somebody wants to read them. Files get other
/// names at midnight, or are emptied under the reader; the collector is away for an hour; the machine loses power.
/// After all of it every line should be in the collector's store, once, and where that is not so somebody should be
/// able to say how many are missing, and why.
///
/// ## An everyday picture
///
/// A messenger who fetches the post from many letter boxes. He knows the boxes by their bodies, not by the names on
/// them, because tenants change the names. He notes how far he has emptied each, but only what the office has given him
/// a receipt for. If the office is closed he fills his cellar; if that is full he leaves the letters in the boxes. And
/// he keeps a book with two columns that must agree: what he has taken out, and what has become of it.
///
/// ## How
///
/// ```
/// files ─▶ lines ─▶ batches ─▶ memory ─▶ sent ─▶ acknowledged: the cursor moves
///                                └─ full, and the collector takes nothing: ─▶ spool on the disk ─┘
///                                                                              └─ full: wait, or drop and count
/// ```
///
/// What waits is one queue: first what is in the spool, then what is in memory; when memory is full all of it goes into
/// the spool. But while the collector acknowledges what it is sent there will be room in a moment, and the files
/// themselves are where the rest waits: a copy in the spool would cost more than all else the agent does. So each
/// file's lines leave in their order, and the collector needs one number a file to know what it has. A cursor is the
/// place in its file of the first line that exists nowhere else. Whatever is sent twice after a crash is recognized by
/// it.
///
/// ## Where it is wrong
///
/// Between a copy and the emptying of a file (`copytruncate`) lines may be written that nobody can see any more; they
/// are suspected, not counted: the more so, the further the agent is behind. A file that is removed is read to its end
/// only while the agent runs.
public final class LogAgent {
    public let settings: AgentSettings
    let disk: NodeDisk
    let directory: String
    let patterns: [PathPattern]
    private var lock: DiskLock?
    var cursors = AgentCursors()
    var files: [TailedFile] = []
    /// From the last life, of files that have not been found yet.
    var resumed: [AgentCursors.Cursor] = []
    var isFirstScan = true
    var queue: [Item] = []
    var spool: AgentSpool
    var memoryBytes = 0
    /// The numbers of the items at the queue's front, which are on their way.
    var sent: [Int] = []
    var nextNumber = 1
    /// What the collector does not take now, by the generation of its file.
    var holds: [Int: Hold] = [:]
    /// The time of the last scan, and of the one before the last acknowledgement on this connection.
    var scanTime = LabTime(nanoseconds: 0)
    var lastProgress: LabTime?
    /// By the node's clock, at the last scan. Nanoseconds since 1970.
    var readTime: Int64 = 0
    /// Of the line that was read last.
    var lastReadTime: Int64 = 0
    /// What is in memory did not fit into the spool, and nothing was taken from there since.
    var isSpoolFull = false
    /// Reading stands still because memory is full, and the collector is about to make room.
    var isHeldBack = false
    var isDirty = false
    /// New files have a generation that is not durable yet: nothing of them may leave.
    var mustSave = false
    var counted = LossLedger()

    public internal(set) var rejections: [String: Int] = [:]
    /// What went wrong lately, each once.
    public internal(set) var problems: [String] = []

    struct Item {
        let generation: Int
        let path: String
        let from: Int
        let lines: Int
        let fileBytes: Int
        /// Nil where it is in the spool only.
        var batch: AgentBatch?
        var entry: AgentSpool.Entry?
        /// Whether it was sent once: then the collector may have it, whatever it has said.
        var wasSent = false
    }

    /// Whoever this agent is to its collectors.
    public var identity: String { cursors.agent }

    /// Opens what the last life has left, or begins anew.
    ///
    /// - Parameters:
    ///   - directory: where cursors and spool are.
    ///   - identity: its name if it has none yet: no two agents may have the same.
    /// - Throws: `DiskError`, `LogAgentStartError`.
    public init(
        _ settings: AgentSettings, disk: NodeDisk, directory: String, identity: @autoclosure () -> String
    ) throws {
        self.settings = settings
        self.disk = disk
        self.directory = directory
        patterns = settings.patterns.map { PathPattern($0) }
        spool = AgentSpool(directory + "/spool")
        try disk.makeDurableDirectory(directory)
        // Two with one name would be one to the collector: what one of them sends it would take for the other's.
        do throws(DiskError) {
            lock = try disk.lock(directory + "/lock")
        } catch {
            if case .busy = error { throw LogAgentStartError.busy(directory) }
            throw error
        }
        if let found = try AgentCursors.load(disk, cursorPath) {
            cursors = found
            resumed = found.files
            isFirstScan = false
        } else {
            cursors.agent = identity()
            try cursors.save(disk, cursorPath)
        }
        let (found, damaged) = try spool.open(disk)
        for (entry, batch) in found {
            counted.recovered.add(batch.lines, batch.fileBytes)
            queue.append(Item(batch, entry))
        }
        if damaged > 0 {
            counted.suspectedLosses += damaged
            note("\(damaged) batches of the spool could not be read")
        }
    }

    func unlock() { lock?.release() }

    var cursorPath: String { directory + "/cursors.json" }

    func note(_ problem: String) {
        if problems.contains(problem) { return }
        problems.append(problem)
        if problems.count > 100 { problems.removeFirst() }
    }

    // MARK: What it knows

    public var ledger: LossLedger {
        var ledger = counted
        for item in queue { ledger.waiting.add(item.lines, item.fileBytes) }
        return ledger
    }

    /// Whether reading, which had to wait for room, can go on: a scan now finds something to do.
    public var canGoOn: Bool { isHeldBack && memoryBytes <= settings.memoryBytes / 2 }
    /// Whether something is on its way that is not acknowledged.
    public var hasUnanswered: Bool { !sent.isEmpty }
    /// Lines that wait for the collector.
    public var backlog: Int { queue.reduce(0) { $0 + $1.lines } }
    public var spooledBytes: Int { spool.byteCount }
    /// The files that are followed, in the order in which they were found.
    public var paths: [String] { files.map(\.path) }
    /// Bytes that are in the files and not read yet.
    public var unreadBytes: Int { files.reduce(0) { $0 + $1.unreadBytes } }
}

/// Why an agent cannot begin.
public enum LogAgentStartError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Another one has its cursors and its spool there.
    case busy(String)
    /// The file with the cursors is none.
    case damaged(String, problem: String)

    public var description: String {
        switch self {
        case .busy(let directory):
            "\(directory): another agent that runs has its cursors there; give this one a directory of its own "
                + "(--state) or another name (--name)"
        case .damaged(let path, let problem):
            "\(path): \(problem); put a copy in its place, or remove it: then files are read from their ends, or, with "
                + "--from-start, once more"
        }
    }
}
