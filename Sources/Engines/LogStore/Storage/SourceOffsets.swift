import KernelLog
import KernelStorage
import KernelStructures

/// A file that an agent reads: what stays the same when it gets another name.
public struct LogFileSource: Hashable, Sendable {
    /// The agent's own identifier, which it keeps beside its cursors.
    public let agent: String
    public let inode: UInt64
    /// How often the file has been emptied under its reader: bytes of the same place are others then.
    public let generation: Int

    public init(agent: String, inode: UInt64, generation: Int) {
        self.agent = agent
        self.inode = inode
        self.generation = generation
    }
}

/// How far each file has been taken in, so that what an agent sends again is recognized.
///
/// They stand in the log of what they belong to, one write with the lines themselves. When that log is removed they are
/// written to a file before it, which replaces the last one.
struct SourceOffsets {
    private struct State {
        var offset: Int
        /// Nanoseconds since 1970.
        var time: Int64
    }

    private var states: [LogFileSource: State] = [:]

    /// More files are not remembered: those that have been quiet longest are forgotten.
    private static let limit = 100_000
    /// Files that have been quiet for so long are forgotten. Nanoseconds.
    private static let idleNanoseconds: Int64 = 30 * 86_400_000_000_000
    private static let format: UInt8 = 1

    var count: Int { states.count }
    func offset(of source: LogFileSource) -> Int? { states[source]?.offset }

    mutating func note(_ source: LogFileSource, offset: Int, now: Int64) {
        if states[source] == nil, states.count >= Self.limit { forgetOldest(now) }
        let known = states[source]?.offset ?? 0
        states[source] = State(offset: max(known, offset), time: now)
    }

    private mutating func forgetOldest(_ now: Int64) {
        states = states.filter { now &- $0.value.time < Self.idleNanoseconds }
        guard states.count >= Self.limit else { return }
        for (source, _) in sorted.prefix(Self.limit / 10) { states[source] = nil }
    }

    /// Those that have been quiet longest first; all that decides is in the file's identity.
    private var sorted: [(key: LogFileSource, value: State)] {
        states.sorted {
            ($0.value.time, $0.key.agent, $0.key.inode, $0.key.generation)
                < ($1.value.time, $1.key.agent, $1.key.inode, $1.key.generation)
        }
    }

    // MARK: On the disk

    private static func path(_ directory: String) -> String { directory + "/sources" }

    func save(_ disk: NodeDisk, _ directory: String) throws(DiskError) {
        var writer = RecordWriter()
        writer.append(byte: Self.format)
        writer.append(sorted) { writer, entry in
            writer.append(entry.key.agent)
            writer.append(entry.key.inode)
            writer.append(entry.key.generation)
            writer.append(entry.value.offset)
            writer.append(entry.value.time)
        }
        let batch = LogBatch.encoded(writer.bytes, number: 0, syncedBytes: 0)
        try disk.replace(Self.path(directory), batch).close()
    }

    /// - Returns: false if what is there cannot be read.
    mutating func load(_ disk: NodeDisk, _ directory: String) throws(DiskError) -> Bool {
        guard (try? disk.attributes(Self.path(directory))) != nil else { return true }
        let bytes = try disk.contents(of: Self.path(directory))
        var batches = LogBatches(bytes, from: 0)
        var found: [LogFileSource: State]?
        _ = batches.next { range in
            found = Self.read(Array(bytes[range]))
            return found != nil
        }
        guard let found else { return false }
        states = found
        return true
    }

    private static func read(_ bytes: [UInt8]) -> [LogFileSource: State]? {
        var reader = RecordReader(bytes)
        do throws(RecordReader.Malformed) {
            guard try reader.byte() == format else { return nil }
            let entries = try reader.elements { reader throws(RecordReader.Malformed) -> (LogFileSource, State) in
                let agent = try reader.text()
                let inode = try reader.unsigned()
                let generation = try reader.integer()
                let offset = try reader.integer()
                return (
                    LogFileSource(agent: agent, inode: inode, generation: generation),
                    State(offset: max(0, offset), time: try reader.signed())
                )
            }
            return Dictionary(entries) { $1 }
        } catch {
            return nil
        }
    }
}
