/// Something that must be written by one at a time, and looks at fencing tokens itself.
///
/// ## The problem
///
/// A holder can be paused between asking whether it still has the lock and writing: by a garbage collector, a full
/// disk, a suspended machine. When it wakes, somebody else has the lock, and it writes all the same. No lock service
/// can see that; only what is written to can (Kleppmann, *How to do distributed locking*, 2016).
///
/// ## How
///
/// Each write brings the token under which it is made. A token lower than the highest seen belongs to somebody who has
/// lost the lock since, and is refused. The same token may write again and again.
///
/// With `isFencing` off it believes everybody, as most databases do, and counts the writes that it should not have
/// taken.
public struct FencedResource: Equatable, Sendable {
    /// 0 before the first.
    public private(set) var lastToken: Int64 = 0
    public private(set) var acceptedCount = 0
    public private(set) var refusedCount = 0
    /// Writes of stale holders that were taken because nobody looked.
    public private(set) var corruptedCount = 0
    public var isFencing: Bool
    /// What was written last.
    public private(set) var value = ""

    /// - Parameter lastToken: the highest seen so far.
    public init(isFencing: Bool = true, lastToken: Int64 = 0) {
        self.isFencing = isFencing
        self.lastToken = lastToken
    }

    public enum Verdict: Equatable, Sendable {
        case accepted(token: Int64, lastSeen: Int64)
        case refused(token: Int64, lastSeen: Int64)
        /// Taken although it is stale.
        case corrupted(token: Int64, lastSeen: Int64)
    }

    public mutating func write(_ value: String, token: Int64) -> Verdict {
        let seen = lastToken
        guard token < seen else {
            lastToken = token
            self.value = value
            acceptedCount += 1
            // The documented line compares with the token before it; the first has none, and is its own.
            return .accepted(token: token, lastSeen: seen == 0 ? token : seen)
        }
        guard isFencing else {
            self.value = value
            corruptedCount += 1
            return .corrupted(token: token, lastSeen: seen)
        }
        refusedCount += 1
        return .refused(token: token, lastSeen: seen)
    }
}
