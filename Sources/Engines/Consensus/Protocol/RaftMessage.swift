/// What members say to one another. Which fields mean something depends on the kind; the others are 0 or empty.
public struct RaftMessage: Equatable, Sendable {
    public var kind: Kind
    public var from: Int
    public var to: Int
    /// The sender's; for a vote that is only asked for on trial, the term it would be for. 0: it belongs to no term.
    public var term: Int
    /// The entry before `entries`, or the last one of a candidate's log, or what an answer is about.
    public var index: Int
    public var logTerm: Int
    /// What the leader knows to be agreed on, as far as the receiver can know it.
    public var commit: Int
    public var entries: [RaftEntry]
    public var snapshot: RaftSnapshot?
    public var isRejection: Bool
    /// Where the logs may still agree, in a refused append.
    public var hint: Int
    /// Which read this is about; 0 for none.
    public var context: Int
    /// The vote is asked for because the leader wishes it: whoever hears of a leader still is to answer, too.
    public var isTransfer: Bool

    /// Raft's own names are in the comments.
    public enum Kind: UInt8, CaseIterable, Sendable {
        /// Entries for the leader to append.
        case propose = 1
        /// AppendEntries.
        case append
        case appendReply
        /// RequestVote.
        case vote
        case voteReply
        /// The same on trial, without a new term (thesis §9.6).
        case preVote
        case preVoteReply
        /// InstallSnapshot.
        case snapshot
        /// AppendEntries without entries.
        case heartbeat
        case heartbeatReply
        /// Hand leadership to the sender (thesis §3.10).
        case transfer
        /// Begin an election at once.
        case timeoutNow
        /// Where does a read have to wait for (thesis §6.4)?
        case readIndex
        case readIndexReply

        /// Answers come from members only.
        var isReply: Bool {
            switch self {
            case .appendReply, .voteReply, .preVoteReply, .heartbeatReply, .readIndexReply: true
            default: false
            }
        }
    }

    public init(
        _ kind: Kind, from: Int = 0, to: Int = 0, term: Int = 0, index: Int = 0, logTerm: Int = 0, commit: Int = 0,
        entries: [RaftEntry] = [], snapshot: RaftSnapshot? = nil, isRejection: Bool = false, hint: Int = 0,
        context: Int = 0, isTransfer: Bool = false
    ) {
        self.kind = kind
        self.from = from
        self.to = to
        self.term = term
        self.index = index
        self.logTerm = logTerm
        self.commit = commit
        self.entries = entries
        self.snapshot = snapshot
        self.isRejection = isRejection
        self.hint = hint
        self.context = context
        self.isTransfer = isTransfer
    }

    var logPosition: LogPosition { .init(index: index, term: logTerm) }
}
