/// Who belongs to a group, and whose word counts.
///
/// While membership changes by more than one voter, two configurations count at once (Raft §6, "joint consensus"): what
/// is decided needs a majority of `voters` and one of `outgoing`. All lists are in order.
public struct GroupConfiguration: Equatable, Hashable, Sendable {
    public var voters: [Int]
    /// The voters before the change that is under way; empty where none is.
    public var outgoing: [Int]
    /// They get the log, and have no vote.
    public var learners: [Int]
    /// Voters of the old configuration that become learners once that is left.
    public var nextLearners: [Int]
    /// Whether the leader leaves the joint configuration by itself as soon as it is in force.
    public var leavesAutomatically: Bool

    public init(
        voters: [Int] = [], outgoing: [Int] = [], learners: [Int] = [], nextLearners: [Int] = [],
        leavesAutomatically: Bool = false
    ) {
        self.voters = voters
        self.outgoing = outgoing
        self.learners = learners
        self.nextLearners = nextLearners
        self.leavesAutomatically = leavesAutomatically
    }

    public var isJoint: Bool { !outgoing.isEmpty }
    /// Everybody whose vote counts in either half.
    public var allVoters: [Int] { outgoing.reduce(into: voters) { $0.insert(inOrder: $1) } }
    /// Everybody who gets the log.
    public var members: [Int] { (learners + nextLearners).reduce(into: allVoters) { $0.insert(inOrder: $1) } }
    public func isVoter(_ id: Int) -> Bool { voters.contains(id) || outgoing.contains(id) }
    public func contains(_ id: Int) -> Bool { isVoter(id) || learners.contains(id) }
}

extension GroupConfiguration: CustomStringConvertible {
    public var description: String {
        func list(_ ids: [Int]) -> String { "(" + ids.map(String.init).joined(separator: " ") + ")" }
        var text = "voters=" + list(voters)
        if isJoint { text += "&&" + list(outgoing) }
        if !learners.isEmpty { text += " learners=" + list(learners) }
        if !nextLearners.isEmpty { text += " learners_next=" + list(nextLearners) }
        if leavesAutomatically { text += " autoleave" }
        return text
    }
}

extension [Int] {
    /// Puts a number where it belongs, unless it is there.
    mutating func insert(inOrder id: Int) {
        let place = firstIndex { $0 >= id } ?? count
        if place == count || self[place] != id { insert(id, at: place) }
    }

    mutating func remove(_ id: Int) { removeAll { $0 == id } }
}
