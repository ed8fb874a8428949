/// Why a proposal or a read was not carried out.
public enum ConsensusFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// It is certain that the command has not been applied, and never will be: ask again.
    case notAccepted(String)
    /// The command may have been applied, or may still be.
    case outcomeUnknown(String)
    /// This member cannot go on: its disk failed, or what is on it is damaged.
    case stopped(String)

    public var description: String {
        switch self {
        case .notAccepted(let reason): reason
        case .outcomeUnknown(let reason): "\(reason): it may have been carried out"
        case .stopped(let reason): "this member has stopped: \(reason)"
        }
    }
}
