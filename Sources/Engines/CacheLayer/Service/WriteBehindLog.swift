import CacheLayerEngine
import KernelStorage
import KernelStructures
import KernelWorld

/// The journal of write-behind on a node's disk: one file of records, appended and synced before anybody is told that
/// his write is safe, and begun anew when nothing in it matters any more.
///
/// Those who come in one turn of the loop share one sync. When a sync fails nobody knows what of the file is on the
/// disk, and a second sync that succeeds would prove nothing: the log is broken then, and takes no more writes.
public final class WriteBehindLog {
    private let node: Node
    private let directory: String
    private var file: (any DiskFile)?
    private var size = 0
    private var waiting: [(bytes: [UInt8], completion: (String?) -> Void)] = []
    /// Why it takes no more writes.
    public private(set) var brokenReason: String?
    public private(set) var syncCount = 0

    /// Beyond so many bytes a log without anything that matters is begun anew.
    static let compactionBytes = 64 << 10
    static let limitBytes = 1 << 30

    public init(node: Node, directory: String) {
        self.node = node
        self.directory = directory
    }

    private var path: String { directory + "/writes.log" }

    /// Opens it, and returns what an earlier life had promised and not confirmed. A torn end is cut off.
    public func open() throws(DiskError) -> [WriteBehindRecord] {
        try node.disk.makeDirectory(directory)
        let file = try node.disk.open(path, [.write, .create])
        let bytes = try file.read(at: 0, count: min(file.size, Self.limitBytes))
        let journal = WriteBehindRecord.read(bytes)
        if journal.validByteCount < file.size {
            try file.truncate(to: journal.validByteCount)
            try file.sync()
        }
        try node.disk.syncDirectory(directory)
        // The directory's own name, too.
        try node.disk.syncDirectory(DiskPath.parent(of: directory))
        self.file = file
        size = journal.validByteCount
        return journal.unconfirmed
    }

    /// Appends a record, and calls back once it is durable, or with the reason why it is not.
    public func append(_ record: WriteBehindRecord, _ completion: @escaping (String?) -> Void) {
        if waiting.isEmpty { node.enqueue { [weak self] in self?.commit() } }
        waiting.append((record.encoded, completion))
    }

    /// One write and one sync for all that have come.
    private func commit() {
        let group = waiting
        waiting = []
        let failure = store(group.flatMap(\.bytes))
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

    /// Begins anew where nothing that it holds matters any more.
    public func compact(isEmpty: Bool) {
        guard isEmpty, waiting.isEmpty, size > Self.compactionBytes, brokenReason == nil, let file else { return }
        do throws(DiskError) {
            try file.truncate(to: 0)
            try file.sync()
            size = 0
        } catch {
            brokenReason = "\(error)"
        }
    }

    public func close() {
        file?.close()
        file = nil
    }
}
