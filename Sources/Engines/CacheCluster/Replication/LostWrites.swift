import KernelStructures

/// Writes that were acknowledged and are gone: the ledger of what asynchronous replication has cost.
///
/// A master that was cut off, and comes back to find its slots with somebody else, still has the writes which its
/// successor never saw. It lists them here before it forgets them. Of a master that died nobody can know which writes
/// those were; Redis does not list either.
public struct LostWrites: Sendable {
    public struct Write: Equatable, Sendable {
        /// When it was carried out, and acknowledged.
        public let at: LabTime
        public let slot: Int
        /// Its place in the stream, and where the successor's copy ended.
        public let offset: Int
        public let successorOffset: Int
        /// `SET user:1`: no values.
        public let command: String
        public let successor: ClusterNodeID?
        public let epoch: Int
    }

    /// The latest ones, oldest first.
    public private(set) var writes: [Write] = []
    public private(set) var count = 0
    /// Whether there were more, which the backlog had forgotten.
    public private(set) var isIncomplete = false

    public static let limit = 1000
    private static let commandLimitBytes = 80

    public init() {}

    /// What its log has of those slots behind the place where each successor's copy ended.
    mutating func add(from log: ReplicationLog, _ takenOver: [Int: SlotMap.Record]) {
        guard let first = takenOver.values.compactMap(\.takenAt).min(), first < log.end else { return }
        if first < log.start { isIncomplete = true }
        for offset in max(first, log.start) + 1...log.end {
            let entry = log[offset]
            guard let slot = entry.slot, let record = takenOver[slot], let takenAt = record.takenAt, offset > takenAt
            else { continue }
            for command in entry.commands { add(command, entry, offset, slot, record) }
        }
    }

    private mutating func add(
        _ command: [[UInt8]], _ entry: ReplicationLog.Entry, _ offset: Int, _ slot: Int, _ record: SlotMap.Record
    ) {
        count += 1
        let text = command.prefix(2).map { String(decoding: $0.prefix(Self.commandLimitBytes), as: UTF8.self) }
        writes.append(
            Write(
                at: entry.at, slot: slot, offset: offset, successorOffset: record.takenAt ?? 0,
                command: text.joined(separator: " "), successor: record.owner, epoch: record.version.epoch))
        if writes.count > Self.limit { writes.removeFirst(writes.count - Self.limit) }
    }
}
