/// Why a proposal or a read was not carried out.
public enum ConsensusFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// It is certain that the command has not been applied, and never will be: ask again.
    case notAccepted(String)
    /// The command may have been applied, or may still be.
    case outcomeUnknown(String)
    /// It is certain that this change of membership is not made, and asking again would not help.
    case refusedChange(MembershipRefusal)
    /// This member cannot go on: its disk failed, or what is on it is damaged.
    case stopped(String)

    public var description: String {
        switch self {
        case .notAccepted(let reason): reason
        case .refusedChange(let refusal): refusal.description
        case .outcomeUnknown(let reason): "\(reason): it may have been carried out"
        case .stopped(let reason): "this member has stopped: \(reason)"
        }
    }
}

/// Why a change of membership is not made, in etcd's words: clients tell errors apart by their text.
public enum MembershipRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    case unknownMember
    case alreadyVotes
    /// It has not got nearly all that the leader has: as a voter it would count, and could not help.
    case notInSync
    case cannotLead

    public var description: String {
        switch self {
        case .unknownMember: "member not found"
        case .alreadyVotes: "can only promote a learner member"
        case .notInSync: "can only promote a learner member which is in sync with leader"
        case .cannotLead: "bad leader transferee"
        }
    }
}
