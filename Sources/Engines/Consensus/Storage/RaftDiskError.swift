import KernelStorage

/// Why a member's disk is of no use.
public enum RaftDiskError: Error, Equatable, Sendable, CustomStringConvertible {
    case disk(DiskError)
    /// What was promised to be there is not readable. A member that forgets what it said must not take part.
    case damaged(path: String, offsetBytes: Int, String)

    public var description: String {
        switch self {
        case .disk(let error): error.description
        case .damaged(let path, let offset, let what):
            """
            \(path) is damaged at byte \(offset): \(what); remove this member from the group, and add a new one under \
            a number of its own. Alone: put its directory back from a copy
            """
        }
    }
}
