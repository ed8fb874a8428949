/// What a member lived through, for its log and for whoever asks why.
public enum RaftEvent: Equatable, Sendable {
    /// It wants to be leader in `term`; on trial first, where `isPreVote`.
    case campaign(term: Int, CampaignReason, isPreVote: Bool)
    /// It was asked for its vote.
    case ballot(for: Int, term: Int, isPreVote: Bool, BallotAnswer)
    /// It was told of a vote.
    case voteHeard(from: Int, term: Int, isPreVote: Bool, isGranted: Bool)
    /// It leads, by these votes.
    case elected(term: Int, voters: [Int])
    /// It follows somebody, or nobody that it knows of.
    case follower(term: Int, leader: Int?, FollowReason)
    case configuration(GroupConfiguration)
    /// A change of membership was replaced by nothing.
    case changeRefused(String)
    case snapshotSent(to: Int, index: Int)
    case snapshotRestored(index: Int)
    case transferring(to: Int)
    case transferGivenUp(to: Int)
    /// A member needs a snapshot, and there is none: the host is to make one.
    case snapshotWanted(by: Int)

    public enum CampaignReason: String, Sendable {
        case timeout = "it had heard of no leader for longer than its election timeout"
        case requested = "somebody asked it to"
        case transfer = "the leader handed over to it"
    }

    public enum BallotAnswer: String, Sendable {
        case granted
        case alreadyVoted = "it had voted for another, or follows a leader"
        case behind = "the candidate's log lacks entries that this one has"
        case leaderIsAlive = "it had heard from a leader a moment before"
    }

    public enum FollowReason: String, Sendable {
        case start = "it was started"
        case higherTerm = "it heard of a newer term"
        case leaderHeard = "it heard from the leader of its term"
        case electionLost = "the election was lost"
        case noQuorum = "it had not heard from a majority for an election timeout"
        case removed = "it was removed from the group"
        case forgotten = "it was told to forget its leader"
    }
}
