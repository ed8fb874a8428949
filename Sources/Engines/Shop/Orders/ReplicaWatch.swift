import KernelStructures

/// Which of several nodes with one database have fallen silent, so that somebody else has to lead their orders on.
///
/// Watchmen who each wind a clock of their own in the hall. Nobody compares the clocks with one another, for they all
/// go wrong; but a hand that has not moved for five rounds, by the watch on one's own wrist, says that its owner does
/// not come any more. So a node's clock that is skewed makes nobody look dead.
///
/// Silence is not death: a node that was frozen comes back and believes that its orders are still its own. That is why
/// taking over is a change of the order's version: whatever the old owner still writes fails, and then it looks.
public struct ReplicaWatch: Sendable {
    /// A node, and how often it has said that it is there.
    public struct Beat: Hashable, Sendable {
        public let name: String
        public let count: Int

        public init(name: String, count: Int) {
            self.name = name
            self.count = count
        }
    }

    /// From one sign of life to the next.
    public static let interval = LabDuration.seconds(2)
    /// Without any.
    public static let patience = LabDuration.seconds(10)
    /// Nodes of one database.
    public static let limit = 1000

    private var seen: [String: (count: Int, since: LabTime)] = [:]

    public init() {}

    /// - Parameters:
    ///   - beats: what the database says of all nodes.
    ///   - now: on the watcher's own clock, which must not jump.
    /// - Returns: those who have been silent for too long, in the order of their names.
    public mutating func look(at beats: [Beat], besides own: String, now: LabTime) -> [Beat] {
        var next: [String: (count: Int, since: LabTime)] = [:]
        var silent: [Beat] = []
        for beat in beats.prefix(Self.limit) where beat.name != own {
            guard let known = seen[beat.name], known.count == beat.count else {
                next[beat.name] = (beat.count, now)
                continue
            }
            next[beat.name] = known
            if now - known.since >= Self.patience { silent.append(beat) }
        }
        seen = next
        return silent.sorted { $0.name < $1.name }
    }
}
