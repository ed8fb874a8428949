/// A member as a view shows it.
public struct RaftStatus: Equatable, Sendable {
    public var id: Int
    public var role: Raft.Role
    public var term: Int
    /// 0 for nobody.
    public var vote: Int
    /// 0 for nobody that it knows of.
    public var leader: Int
    public var configuration: GroupConfiguration
    /// The first entry that is held, and the last; the last one that is on the disk, agreed on, applied.
    public var firstIndex: Int
    public var lastIndex: Int
    public var stableIndex: Int
    public var committedIndex: Int
    public var appliedIndex: Int
    public var snapshotIndex: Int
    /// The newest entries, oldest first.
    public var entries: [Entry]
    /// Of the others, if this member leads.
    public var peers: [Peer]
    /// While it is a candidate: who has answered what.
    public var votes: [Vote]

    public struct Entry: Equatable, Sendable {
        public let position: LogPosition
        public let kind: RaftEntry.Kind
        public let byteCount: Int
    }

    public struct Peer: Equatable, Sendable {
        public let id: Int
        public let mode: PeerProgress.Mode
        public let match: Int
        public let next: Int
        public let inflight: Int
        public let isPaused: Bool
        public let isActive: Bool
        public let isLearner: Bool
    }

    public struct Vote: Equatable, Sendable {
        public let from: Int
        public let isGranted: Bool
    }
}

extension Raft {
    /// - Parameter entryLimit: of the newest entries.
    public func status(entryLimit: Int = 16) -> RaftStatus {
        let newest = log.entries(from: max(log.firstIndex, log.lastIndex - max(0, entryLimit) + 1))
        return RaftStatus(
            id: id, role: role, term: term, vote: vote, leader: leader, configuration: configuration,
            firstIndex: log.firstIndex, lastIndex: log.lastIndex, stableIndex: log.firstUnstable - 1,
            committedIndex: log.committed, appliedIndex: log.applied, snapshotIndex: snapshot?.index ?? 0,
            entries: newest.map { .init(position: $0.position, kind: $0.kind, byteCount: $0.data.count) },
            peers: role != .leader
                ? []
                : membership.progress.filter { $0.id != id }.map {
                    .init(
                        id: $0.id, mode: $0.mode, match: $0.match, next: $0.next, inflight: $0.inflightCount,
                        isPaused: $0.isSendingPaused, isActive: $0.isActive, isLearner: $0.isLearner)
                },
            votes: votes.map { .init(from: $0.id, isGranted: $0.isGranted) })
    }
}
