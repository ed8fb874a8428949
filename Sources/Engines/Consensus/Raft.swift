import KernelStructures

/// Several machines that act as one: Raft, as Diego Ongaro's thesis has it.
///
/// ## The problem
///
/// One machine that knows something is lost when it dies. Several that know it may disagree: each hears of things in
/// another order, some hear nothing for a while, and nobody can tell a dead machine from a slow one. Two that both
/// believe to be in charge give the same lock to two clients.
///
/// ## An everyday picture
///
/// A committee that keeps minutes. One member takes the chair, writes each resolution into the minutes and reads it
/// out; once more than half have it in their own copy, it holds, whoever may fall ill. If the chair is not heard for a
/// while, somebody asks for votes with a new, higher number of session. Each votes once a session, and only for
/// somebody whose minutes are at least as complete as one's own. Since any two majorities share a member, whoever is
/// elected has every resolution that holds. A former chair that comes back from the corridor hears the higher number,
/// and sits down.
///
/// ## How
///
/// A value that takes events (`tick`, `receive`, `propose` …) and collects what is to be done; `takeReady` hands that
/// over. It knows no clock, socket or disk.
///
/// ```
///   receive ─▶┐                 ┌─▶ messages to send now
///   tick    ─▶│  Raft, its log  │─▶ entries, term and vote to write; and what may be said once they are on the disk
///   propose ─▶┘                 └─▶ entries to apply
/// ```
///
/// *Nothing is said before it is on the disk that depends on the disk* (figure 2): votes and acknowledgements are in
/// `Ready.Append.replies`. The leader's own appends to others are not among them: its own copy is one of many, and it
/// counts itself only when its disk has it (§10.2.1 of the thesis). So the writes of a whole group run at the same
/// time.
///
/// A majority is counted for entries of the leader's own term only; older ones are agreed on along with one (figure 8).
/// So a leader begins with an empty entry. Reads that go through no log ask a majority whether this is still the leader
/// (§6.4). A member that was cut off asks on trial before it disturbs others with a new term (PreVote, §9.6), and a
/// leader that hears from no majority stops (CheckQuorum, §6.2).
///
/// ## Where it is wrong
///
/// It trusts its members: one that lies breaks it. It needs a majority, and stands still without one. And it is as slow
/// as the fastest majority's disks.
public final class Raft {
    public let settings: Settings
    public var id: Int { settings.id }

    public internal(set) var term: Int
    /// Whom it voted for in this term; 0 for nobody.
    public internal(set) var vote: Int
    /// Who leads in this term, as far as it knows; 0 for nobody.
    public internal(set) var leader = 0
    public internal(set) var role = Role.follower
    public internal(set) var log: RaftLog
    public internal(set) var membership: Membership
    /// What others can be given who need entries that are not held any more.
    public var snapshot: RaftSnapshot?
    /// In an election, who has answered what; in the order of answers.
    public internal(set) var votes: [(id: Int, isGranted: Bool)] = []
    var campaignReason = RaftEvent.CampaignReason.timeout
    /// Whom leadership is being handed to; 0 for nobody.
    public internal(set) var transferee = 0

    var random: SeededRandom
    var electionElapsed = 0
    var heartbeatElapsed = 0
    /// Ticks without a leader after which this member wants to be one. Drawn anew each time (§9.3 of the thesis).
    public var electionTimeoutTicks = 0
    /// A change of membership that may not be applied yet stands here, or before; another one has to wait.
    var pendingChangeIndex = 0
    var uncommittedBytes = 0
    var reads = ReadQueue()

    var messages: [RaftMessage] = []
    /// What may be said once everything up to now is on the disk.
    var replies: [RaftMessage] = []
    var readAnswers: [ReadAnswer] = []
    var events: [RaftEvent] = []
    var lastRole: (leader: Int, role: Role)
    var lastHardState: HardState

    public enum Role: String, Sendable { case follower, preCandidate, candidate, leader }

    public struct Settings: Sendable {
        /// Positive, and unlike any other member's, ever.
        public var id: Int
        /// The shortest time without a leader before an election.
        public var electionTicks = 10
        public var heartbeatTicks = 1
        /// A leader that hears from no majority for an election timeout stops; members that hear from a leader do not
        /// vote.
        public var checksQuorum = true
        public var usesPreVote = true
        /// What is agreed on is applied even before this member has it on its own disk. Only for hosts that write
        /// before they apply.
        public var appliesUnstable = false
        /// A leader answers reads without asking anybody. Wrong where clocks go at different speeds.
        public var readsByLease = false
        /// A leader that is removed stops at once.
        public var stepsDownOnRemoval = false
        /// Of entries in one message; one alone may be larger.
        public var messageLimitBytes = Int.max
        /// Messages on their way to one member.
        public var inflightLimit = Int.max
        public var inflightLimitBytes = Int.max
        /// Proposals that are not agreed on; more are dropped.
        public var uncommittedLimitBytes = Int.max
        /// What is handed out to be applied at a time.
        public var applyingLimitBytes = Int.max
        /// Of chance.
        public var seed: UInt64 = 1

        public init(id: Int) { self.id = id }
    }

    /// - Parameters:
    ///   - snapshot: what the log begins with, or nil for a member that knows nothing.
    ///   - base: the last entry that `entries` does not have; the snapshot's position, or before it.
    ///   - entries: those on the disk.
    ///   - applied: up to here the state machine has it already.
    public init(
        _ settings: Settings, snapshot: RaftSnapshot? = nil, base: LogPosition? = nil, entries: [RaftEntry] = [],
        hardState: HardState = HardState(), applied: Int? = nil
    ) {
        self.settings = settings
        self.snapshot = snapshot
        let base = base ?? snapshot?.position ?? .start
        log = RaftLog(
            base: base, entries: entries, applied: applied ?? snapshot?.index ?? base.index,
            applyingLimitBytes: settings.applyingLimitBytes)
        membership = Membership(
            inflightLimit: settings.inflightLimit, inflightLimitBytes: settings.inflightLimitBytes)
        term = hardState.term
        vote = hardState.vote
        random = SeededRandom(seed: settings.seed).fork("raft \(settings.id)")
        lastRole = (0, .follower)
        log.commit(through: hardState.commit)
        lastHardState = HardState(term: term, vote: vote, commit: log.committed)
        if let snapshot { membership.restore(snapshot.configuration, lastIndex: log.lastIndex) }
        becomeFollower(term: term, leader: 0, .start)
    }

    var hardState: HardState { HardState(term: term, vote: vote, commit: log.committed) }
    public var configuration: GroupConfiguration { membership.configuration }
    var isOnlyVoter: Bool { configuration.voters == [id] && !configuration.isJoint }
    /// Whether it may be elected.
    var isPromotable: Bool {
        guard let own = membership[id] else { return false }
        return !own.isLearner && log.pendingSnapshot == nil
    }

    func note(_ event: RaftEvent) { if events.count < Self.eventLimit { events.append(event) } }
    /// Between two calls of `takeReady`.
    private static let eventLimit = 1000

    // MARK: Time

    /// One unit of time has passed on this member's clock.
    public func tick() {
        electionElapsed += 1
        if role == .leader { return tickLeader() }
        if isPromotable, electionElapsed >= electionTimeoutTicks {
            electionElapsed = 0
            campaign(.timeout)
        }
    }

    private func tickLeader() {
        heartbeatElapsed += 1
        if electionElapsed >= settings.electionTicks {
            electionElapsed = 0
            if settings.checksQuorum { checkQuorum() }
            if role == .leader, transferee != 0 { giveUpTransfer() }
        }
        guard role == .leader, heartbeatElapsed >= settings.heartbeatTicks else { return }
        heartbeatElapsed = 0
        broadcastHeartbeat()
    }

    // MARK: Sending

    /// Sends in this member's name, in its term unless the message says another one.
    func send(_ message: RaftMessage) {
        var message = message
        if message.from == 0 { message.from = id }
        if message.term == 0, message.kind != .propose, message.kind != .readIndex { message.term = term }
        switch message.kind {
        case .appendReply, .voteReply, .preVoteReply: replies.append(message)
        default: messages.append(message)
        }
    }

    // MARK: Roles

    /// Everything begins anew that belongs to a term or to a role.
    func reset(term newTerm: Int) {
        if newTerm != term {
            term = newTerm
            vote = 0
        }
        leader = 0
        electionElapsed = 0
        heartbeatElapsed = 0
        electionTimeoutTicks = settings.electionTicks + random.below(max(1, settings.electionTicks))
        transferee = 0
        votes = []
        membership.reset(id, lastIndex: log.lastIndex)
        pendingChangeIndex = 0
        uncommittedBytes = 0
        reads = ReadQueue()
    }

    func becomeFollower(term: Int, leader: Int, _ reason: RaftEvent.FollowReason) {
        reset(term: term)
        self.leader = leader
        role = .follower
        note(.follower(term: term, leader: leader == 0 ? nil : leader, reason))
    }
}
