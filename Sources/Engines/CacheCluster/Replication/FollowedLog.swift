import KernelStructures

/// The latest writes that this node was sent as a follower: what another copy of the same slots may still lack when
/// this node has taken their owner's place.
///
/// Redis's replicas keep a backlog of what their master sends for the same reason (PSYNC2): after a failover the others
/// go on where they were, instead of loading everything again. Here a write is told from others by the reign of its
/// slot, because each slot's copy is from one owner's stream without a break.
struct FollowedLog {
    struct Entry {
        let slot: Int
        let reign: SlotVersion
        /// In the stream of the slot's owner.
        let offset: Int
        let commands: [[[UInt8]]]

        var byteCount: Int { commands.reduce(48) { $0 + $1.reduce(24) { $0 + $1.count + 16 } } }
    }

    private(set) var entries = RingQueue<Entry>()
    private(set) var byteCount = 0
    let limitBytes: Int

    init(limitBytes: Int) { self.limitBytes = limitBytes }

    mutating func append(_ entry: Entry) {
        entries.append(entry)
        byteCount += entry.byteCount
    }

    /// What has to go to make room: its slot's history begins behind it from now on.
    mutating func popExcess() -> Entry? {
        guard byteCount > limitBytes, let first = entries.popFirst() else { return nil }
        byteCount -= first.byteCount
        return first
    }

    mutating func removeAll() {
        entries.removeAll()
        byteCount = 0
    }
}

/// How this node came by a slot: whose place it took, and where that one's stream ended for it. A copy that is from the
/// same reign, and not older than `since`, can go on from here.
struct Succession {
    let reign: SlotVersion
    /// What of that reign's stream `FollowedLog` has: everything behind `since`, up to `end`.
    var since: Int
    let end: Int
    /// Where this node's own stream stood at that moment: its writes to the slot come behind it.
    let ownStart: Int
}

/// What a copy lacks, and where it has to be for that.
struct Continuation {
    let base: SlotLoad.Base
    var commands: [[[UInt8]]] = []
}

/// What of the past is shown, in Redis's words: `master_replid2` and `second_repl_offset`.
struct FormerStream: Equatable {
    let replicationID: String
    let end: Int
}
