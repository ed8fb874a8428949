/// Who belongs to the group, how far each of them is, and how that changes (Raft §6; thesis chapter 4).
///
/// Each change works on a copy: one that is refused has changed nothing.
public struct Membership: Equatable, Sendable {
    public private(set) var configuration = GroupConfiguration()
    /// Of every member, in the order of their numbers.
    public private(set) var progress: [PeerProgress] = []
    var inflightLimit: Int
    var inflightLimitBytes: Int

    public init(inflightLimit: Int = .max, inflightLimitBytes: Int = .max) {
        self.inflightLimit = inflightLimit
        self.inflightLimitBytes = inflightLimitBytes
    }

    func place(of id: Int) -> Int? { progress.firstIndex { $0.id == id } }

    public subscript(_ id: Int) -> PeerProgress? { place(of: id).map { progress[$0] } }

    /// Changes a member's progress; does nothing, and returns nil, where there is no such member.
    mutating func update<Result>(_ id: Int, _ body: (inout PeerProgress) -> Result) -> Result? {
        place(of: id).map { body(&progress[$0]) }
    }

    mutating func updateAll(_ body: (inout PeerProgress) -> Void) {
        for place in progress.indices { body(&progress[place]) }
    }

    // MARK: Changing

    /// - Parameter lastIndex: where the leader's log ends; a new member is tried there first.
    /// - Throws: `RaftError.refusedChange` with the reason.
    public mutating func apply(_ change: ConfigurationChange, lastIndex: Int) throws(RaftError) {
        if change.leavesJoint {
            try leaveJoint()
        } else if change.isJoint {
            try enterJoint(
                change.steps, leavesAutomatically: change.transition != .explicit, lastIndex: lastIndex)
        } else {
            try simple(change.steps, lastIndex: lastIndex)
        }
    }

    /// Changes one voter at most, at once.
    public mutating func simple(_ steps: [ConfigurationChange.Step], lastIndex: Int) throws(RaftError) {
        if configuration.isJoint { throw .refusedChange("can't apply simple config change in joint config") }
        var new = self
        try new.take(steps, lastIndex)
        let changed = Set(configuration.voters).symmetricDifference(new.configuration.voters)
        if changed.count > 1 {
            throw .refusedChange("more than one voter changed without entering joint config")
        }
        self = new
    }

    public mutating func enterJoint(
        _ steps: [ConfigurationChange.Step], leavesAutomatically: Bool, lastIndex: Int
    ) throws(RaftError) {
        if configuration.isJoint { throw .refusedChange("config is already joint") }
        if configuration.voters.isEmpty { throw .refusedChange("can't make a zero-voter config joint") }
        var new = self
        new.configuration.outgoing = configuration.voters
        try new.take(steps, lastIndex)
        new.configuration.leavesAutomatically = leavesAutomatically
        self = new
    }

    public mutating func leaveJoint() throws(RaftError) {
        guard configuration.isJoint else { throw .refusedChange("can't leave a non-joint config") }
        for id in configuration.nextLearners {
            configuration.learners.insert(inOrder: id)
            _ = update(id) { $0.isLearner = true }
        }
        configuration.nextLearners = []
        configuration.outgoing = []
        configuration.leavesAutomatically = false
        progress.removeAll { !configuration.contains($0.id) }
    }

    private mutating func take(_ steps: [ConfigurationChange.Step], _ lastIndex: Int) throws(RaftError) {
        // 0 is nobody.
        for step in steps where step.id != 0 {
            switch step.kind {
            case .addVoter: makeVoter(step.id, lastIndex)
            case .addLearner: makeLearner(step.id, lastIndex)
            case .remove: remove(step.id)
            case .update: break
            }
        }
        if configuration.voters.isEmpty { throw .refusedChange("removed all voters") }
    }

    private mutating func makeVoter(_ id: Int, _ lastIndex: Int) {
        addIfNew(id, lastIndex)
        _ = update(id) { $0.isLearner = false }
        configuration.learners.remove(id)
        configuration.nextLearners.remove(id)
        configuration.voters.insert(inOrder: id)
    }

    /// One that still votes in the outgoing half becomes a learner when that is left.
    private mutating func makeLearner(_ id: Int, _ lastIndex: Int) {
        addIfNew(id, lastIndex)
        configuration.voters.remove(id)
        if configuration.outgoing.contains(id) {
            configuration.nextLearners.insert(inOrder: id)
        } else {
            configuration.learners.insert(inOrder: id)
            _ = update(id) { $0.isLearner = true }
        }
    }

    private mutating func remove(_ id: Int) {
        configuration.voters.remove(id)
        configuration.learners.remove(id)
        configuration.nextLearners.remove(id)
        if !configuration.outgoing.contains(id) { progress.removeAll { $0.id == id } }
    }

    private mutating func addIfNew(_ id: Int, _ lastIndex: Int) {
        guard place(of: id) == nil else { return }
        var new = fresh(id, next: max(lastIndex, 1))
        // It cannot have been heard yet; without this, the next look for a quorum might miss it.
        new.isActive = true
        progress.insert(new, at: progress.firstIndex { $0.id > id } ?? progress.count)
    }

    private func fresh(_ id: Int, next: Int) -> PeerProgress {
        PeerProgress(
            id: id, next: next,
            inflight: InflightWindow(limit: inflightLimit, limitBytes: inflightLimitBytes))
    }

    // MARK: Taking over

    /// Everybody starts from `lastIndex`, as far as a new leader knows; `id` is itself.
    mutating func reset(_ id: Int, lastIndex: Int) {
        for place in progress.indices {
            let old = progress[place]
            var new = fresh(old.id, next: lastIndex + 1)
            new.isLearner = old.isLearner
            if old.id == id { new.match = lastIndex }
            progress[place] = new
        }
    }

    /// As a snapshot has it.
    mutating func restore(_ configuration: GroupConfiguration, lastIndex: Int) {
        self.configuration = configuration
        progress = configuration.members.map { id in
            var new = fresh(id, next: max(lastIndex, 1))
            new.isLearner = configuration.learners.contains(id) && !configuration.isVoter(id)
            new.isActive = true
            return new
        }
    }

    // MARK: Majorities

    /// The last entry that a majority of voters, of each half, has on disk.
    func agreedIndex(_ id: Int) -> Int {
        Quorum.agreed(configuration) { self[$0]?.match ?? 0 }
    }

    /// Whether enough voters have been heard of late.
    var isQuorumActive: Bool {
        Quorum.outcome(configuration) { self[$0]?.isActive ?? false } == .won
    }
}
