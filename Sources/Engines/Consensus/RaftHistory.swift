import KernelStructures

/// What a member lived through of late, and what follows from it.
public struct RaftHistory: Sendable {
    public struct Moment: Equatable, Sendable {
        public let time: LabTime
        public let event: RaftEvent
    }

    /// Oldest first.
    public private(set) var moments: [Moment] = []
    /// More are forgotten, the oldest first.
    public static let limit = 256

    public init() {}

    public mutating func add(_ event: RaftEvent, at time: LabTime) {
        if moments.count == Self.limit { moments.removeFirst(Self.limit / 4) }
        moments.append(Moment(time: time, event: event))
    }

    /// Why somebody leads, as far as one member knows.
    public struct Reason: Equatable, Sendable {
        public let leader: Int
        public let term: Int
        /// When this member heard of it, or was elected.
        public let since: LabTime
        /// Whose votes made it; empty where this member only heard of it.
        public let voters: [Int]
        /// Why it wanted to; nil where this member was not the one.
        public let campaign: RaftEvent.CampaignReason?
        /// Whether this member voted for it; nil where it was not asked, or is the leader itself.
        public let ballot: RaftEvent.BallotAnswer?
        /// Why the one before stopped, where this member was it.
        public let predecessorStopped: RaftEvent.FollowReason?
    }

    /// - Parameter id: whose history this is.
    /// - Returns: nil where it knows of no leader.
    public func reason(_ id: Int) -> Reason? {
        var found: (place: Int, leader: Int, term: Int, voters: [Int])?
        for (place, moment) in moments.enumerated() {
            switch moment.event {
            case .elected(let term, let voters): found = (place, id, term, voters)
            case .follower(let term, let leader?, _) where found.map { ($0.term, $0.leader) != (term, leader) } ?? true:
                found = (place, leader, term, [])
            case .follower(_, nil, _): found = nil
            default: break
            }
        }
        guard let found else { return nil }
        var campaign: RaftEvent.CampaignReason?
        var ballot: RaftEvent.BallotAnswer?
        var stopped: RaftEvent.FollowReason?
        for moment in moments[...found.place] {
            switch moment.event {
            case .campaign(found.term, let reason, isPreVote: false): campaign = reason
            case .ballot(found.leader, found.term, isPreVote: false, let answer): ballot = answer
            case .follower(let term, nil, .noQuorum) where term < found.term: stopped = .noQuorum
            case .follower(let term, nil, .removed) where term < found.term: stopped = .removed
            case .elected(let term, _) where term < found.term: stopped = nil
            default: break
            }
        }
        return Reason(
            leader: found.leader, term: found.term, since: moments[found.place].time, voters: found.voters,
            campaign: campaign, ballot: ballot, predecessorStopped: stopped)
    }
}
