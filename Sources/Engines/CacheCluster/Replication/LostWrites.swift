import KernelStructures

/// Writes that were acknowledged and are gone: the ledger of what asynchronous replication has cost.
///
/// A master that was cut off, and comes back to find its slots with somebody else, still has the writes which its
/// successor never saw. It lists them here before it forgets them. A master that died took them along: no node can say
/// which they were, and Redis lists neither kind. Within one lab the World can: see `Remains`.
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
        /// Whose write it was.
        public let master: ClusterNodeID?
        public let reason: Reason
    }

    /// What became of the master that had acknowledged a write.
    public enum Reason: String, Sendable {
        /// It was cut off, came back, and listed the write itself.
        case cutOff = "cut-off"
        /// It died before the write was copied. No node knows that: the lab has kept what the dead one's memory held.
        case died
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
    mutating func add(
        from log: ReplicationLog, of master: ClusterNodeID? = nil, _ takenOver: [Int: SlotMap.Record],
        because reason: Reason = .cutOff
    ) {
        guard let first = takenOver.values.compactMap(\.takenAt).min(), first < log.end else { return }
        if first < log.start { isIncomplete = true }
        for offset in max(first, log.start) + 1...log.end {
            let entry = log[offset]
            guard let slot = entry.slot, let record = takenOver[slot], let takenAt = record.takenAt, offset > takenAt
            else { continue }
            for command in entry.commands { add(command, entry, offset, slot, record, master, reason) }
        }
    }

    private mutating func add(
        _ command: [[UInt8]], _ entry: ReplicationLog.Entry, _ offset: Int, _ slot: Int, _ record: SlotMap.Record,
        _ master: ClusterNodeID?, _ reason: Reason
    ) {
        count += 1
        let text = command.prefix(2).map { String(decoding: $0.prefix(Self.commandLimitBytes), as: UTF8.self) }
        writes.append(
            Write(
                at: entry.at, slot: slot, offset: offset, successorOffset: record.takenAt ?? 0,
                command: text.joined(separator: " "), successor: record.owner, epoch: record.version.epoch,
                master: master, reason: reason))
        if writes.count > Self.limit { writes.removeFirst(writes.count - Self.limit) }
    }
}
