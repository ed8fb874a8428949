/// What a member cannot do.
public enum RaftError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no leader, or leadership is just being handed on, or too much is waiting already.
    case proposalDropped
    /// An answer from who is no member.
    case unknownPeer(Int)
    case refusedChange(String)
    /// A message wants to change what is agreed on: its sender does not speak Raft, or a disk has lied.
    case contradiction(at: Int)
    /// A message that no member would send.
    case malformed(String)

    public var description: String {
        switch self {
        case .proposalDropped: "the proposal was dropped"
        case .unknownPeer(let id): "\(id) is no member"
        case .refusedChange(let reason): reason
        case .contradiction(let index): "entry \(index) is agreed on, and somebody wants to replace it"
        case .malformed(let what): what
        }
    }
}
