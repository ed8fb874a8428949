import ConsensusEngine
import KernelStructures

extension ConsensusMember {
    public struct Settings: Sendable {
        /// This member's number, positive, and never given to another one.
        public var id: Int
        /// Where each member of the first configuration listens, itself included. One alone is a group, too.
        public var peers: [Int: HostPort]
        /// Where its log is on the node's disk.
        public var directory: String
        /// Members of different groups that meet by mistake refuse one another.
        public var group = "group"
        /// Between two signs of life of a leader.
        public var heartbeatMilliseconds = 100
        /// A member that hears nothing for so long wants to be leader; up to twice as long, by lot.
        public var electionMilliseconds = 1000
        /// Applied entries after which the log is replaced by a snapshot.
        public var snapshotEntries = 10_000
        /// Bytes of applied commands after which it is, too; where the last snapshot was larger, as many as that had.
        public var snapshotBytes = 64 << 20
        /// Entries before a snapshot that are kept for members that are a little behind.
        public var trailingEntries = 2_000
        /// Bytes of a snapshot that another member sends.
        public var snapshotLimitBytes = 1 << 30
        /// A proposal or read that takes longer fails.
        public var timeoutMilliseconds = 5000
        /// Proposals and reads that wait here; more are refused.
        public var pendingLimit = 10_000
        /// The leader answers reads by itself. Wrong where clocks go at different speeds.
        public var readsByLease = false
        /// Starts with nothing, to be added to a group that exists; `peers` says where that is.
        public var joins = false

        public init(id: Int, peers: [Int: HostPort], directory: String) {
            self.id = id
            self.peers = peers
            self.directory = directory
        }

        /// Two ticks make a heartbeat.
        static let heartbeatTicks = 2
        var tick: LabDuration { LabDuration(nanoseconds: heartbeat.nanoseconds / Int64(Self.heartbeatTicks)) }
        private var heartbeat: LabDuration { .milliseconds(max(1, heartbeatMilliseconds)) }
        var electionTicks: Int {
            max(2 * Self.heartbeatTicks, Self.heartbeatTicks * electionMilliseconds / max(1, heartbeatMilliseconds))
        }
        var timeout: LabDuration { .milliseconds(max(1, timeoutMilliseconds)) }

        func raft(seed: UInt64) -> Raft.Settings {
            var raft = Raft.Settings(id: id)
            raft.electionTicks = electionTicks
            raft.heartbeatTicks = Self.heartbeatTicks
            raft.stepsDownOnRemoval = true
            raft.readsByLease = readsByLease
            raft.messageLimitBytes = 1 << 20
            raft.inflightLimit = 256
            raft.inflightLimitBytes = 16 << 20
            raft.uncommittedLimitBytes = 64 << 20
            raft.applyingLimitBytes = 16 << 20
            raft.seed = seed
            return raft
        }
    }
}
