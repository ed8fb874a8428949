import ConsensusEngine
import KernelStructures

/// What a world is made of: drawn from its seed before anything happens.
struct WorldPlan {
    let voters: [Int]
    /// Applied entries between two snapshots.
    let snapshotEntries: Int
    /// Revisions that a store may look back; older ones are compacted away.
    let keptRevisions: Int64
    /// Until then things go wrong. Microseconds.
    let troubleMicroseconds: Int
    /// Most leaders are in trouble as soon as they are elected: what a new leader must not do yet is done by few who
    /// live long.
    let isNervous: Bool
    var settings = Raft.Settings(id: 0)

    /// Whether a group that can talk will agree on something. Where nobody asks around before an election, a member
    /// that has been removed, and does not know it, may disturb the others for ever (thesis §4.2.3); where a leader
    /// that is removed goes on, its host has to stop it, and here nobody does.
    var promisesProgress: Bool { settings.usesPreVote && settings.stepsDownOnRemoval }

    init(_ random: inout SeededRandom) {
        isNervous = random.chance(0.5)
        let count = random.chance(isNervous ? 0.2 : 0.5) ? 3 : random.chance(0.3) ? 4 : 5
        voters = Array(1...count)
        snapshotEntries = 5 + random.below(60)
        keptRevisions = Int64(10 + random.below(100))
        troubleMicroseconds = 4_000_000 + random.below(8_000_000)
        settings.electionTicks = isNervous ? 4 : 10
        settings.heartbeatTicks = 2
        settings.usesPreVote = random.chance(0.7)
        settings.checksQuorum = random.chance(0.7)
        settings.stepsDownOnRemoval = random.chance(0.7)
        settings.messageLimitBytes = random.chance(isNervous ? 0.2 : 0.5) ? .max : isNervous ? 1 : 400
        settings.inflightLimit = random.chance(0.3) ? 1 : 1 + random.below(16)
        settings.applyingLimitBytes = random.chance(0.3) ? 300 : .max
    }
}
