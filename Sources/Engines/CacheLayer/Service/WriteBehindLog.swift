import CacheLayerEngine
import KernelStorage
import KernelStructures
import KernelWorld

/// The journal of write-behind on a node's disk: one file of records, appended and synced before anybody is told that
/// his write is safe, and written anew with what still matters once most of it does not.
///
/// Those who come in one turn of the loop share one sync. When a sync fails nobody knows what of the file is on the
/// disk, and a second sync that succeeds would prove nothing: the log is broken then, and takes no more writes.
public final class WriteBehindLog {
    private let node: Node
    private let directory: String
    private var file: (any DiskFile)?
    private var size = 0
    private var journal = WriteBehindJournal()
    private var waiting: [(record: WriteBehindRecord, completion: (String?) -> Void)] = []
    /// Why it takes no more writes.
    public private(set) var brokenReason: String?
    public private(set) var syncCount = 0
    public private(set) var rewriteCount = 0
    /// Beyond so many bytes it is looked at whether it should be written anew; doubles where much still matters.
    private var rewriteAt: Int
    private let rewriteBytes: Int

    static let limitBytes = 1 << 30

    public init(node: Node, directory: String, rewriteBytes: Int = 256 << 10) {
        self.node = node
        self.directory = directory
        self.rewriteBytes = max(1, rewriteBytes)
        rewriteAt = self.rewriteBytes
    }

    private var path: String { directory + "/writes.log" }

    /// Opens it, and returns what an earlier life had promised and not confirmed. A torn end is cut off.
    public func open() throws(DiskError) -> [WriteBehindRecord] {
        try node.disk.makeDirectory(directory)
        let file = try node.disk.open(path, [.write, .create])
        let bytes = try file.read(at: 0, count: min(file.size, Self.limitBytes))
        let read = WriteBehindRecord.read(bytes)
        // Synced in any case: what is there may have been left in the system's memory by a life that was killed.
        if read.validByteCount < file.size { try file.truncate(to: read.validByteCount) }
        try file.sync()
        try node.disk.syncDirectory(directory)
        // The directory's own name, too.
        try node.disk.syncDirectory(DiskPath.parent(of: directory))
        self.file = file
        journal = read.journal
        size = read.validByteCount
        return journal.unconfirmed
    }

    /// Appends a record, and calls back once it is durable, or with the reason why it is not.
    public func append(_ record: WriteBehindRecord, _ completion: @escaping (String?) -> Void) {
        if waiting.isEmpty { node.enqueue { [weak self] in self?.commit() } }
        waiting.append((record, completion))
    }

    /// One write and one sync for all that have come.
    private func commit() {
        let group = waiting
        waiting = []
        let failure = store(group.flatMap(\.record.encoded))
        if failure == nil {
            for one in group { journal.apply(one.record) }
            rewriteIfWorth()
        }
        node.afterDisk { for one in group { one.completion(failure) } }
    }

    private func store(_ bytes: [UInt8]) -> String? {
        if let brokenReason { return brokenReason }
        guard let file else { return "the journal is not open" }
        guard bytes.count <= Self.limitBytes - size else { return "the journal is full" }
        do throws(DiskError) {
            try file.write(bytes, at: size)
        } catch {
            // A piece of it may be there.
            if (try? file.truncate(to: size)) == nil { brokenReason = "\(error)" }
            return "\(error)"
        }
        do throws(DiskError) {
            try file.sync()
        } catch {
            brokenReason = "\(error)"
            return "\(error)"
        }
        syncCount += 1
        size += bytes.count
        return nil
    }

    private func rewriteIfWorth() {
        guard size > rewriteAt else { return }
        let bytes = journal.unconfirmed.flatMap(\.encoded)
        rewriteAt = max(rewriteBytes, bytes.count * 2)
        guard size > rewriteAt else { return }
        do throws(DiskError) {
            try rewrite(bytes)
            rewriteCount += 1
        } catch {
            // Which of the two files has the name now is not sure.
            brokenReason = "\(error)"
        }
    }

    /// Writes a second file, and gives it the first one's name once it is safe.
    private func rewrite(_ bytes: [UInt8]) throws(DiskError) {
        let next = directory + "/writes.new"
        let second = try node.disk.open(next, [.write, .create, .truncate])
        try second.write(bytes, at: 0)
        try second.sync()
        try node.disk.rename(next, to: path)
        try node.disk.syncDirectory(directory)
        file?.close()
        file = second
        size = bytes.count
    }

    public func close() {
        file?.close()
        file = nil
    }
}
