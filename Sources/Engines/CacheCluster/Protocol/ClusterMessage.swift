import KernelStructures

/// What nodes tell one another on the cluster bus.
///
/// None of it counts on arriving, on arriving once, or on the order in which it arrives: whatever matters is said
/// again. The bus is the lab's own; Redis servers do not speak it.
public struct ClusterMessage: Equatable, Sendable {
    public var sender: ClusterNodeID
    /// The greatest epoch that the sender has heard of.
    public var epoch: Int
    public var content: Content

    public init(sender: ClusterNodeID, epoch: Int, _ content: Content) {
        self.sender = sender
        self.epoch = epoch
        self.content = content
    }

    public enum Content: Equatable, Sendable {
        case heartbeat(Heartbeat)
        /// A majority holds this node for dead.
        case failed(ClusterNodeID)
        /// Records of slots; with a ticket, the sender wants to know that they were noted.
        case slots([SlotMap.Run], ticket: Int)
        case noted(ticket: Int)
        case ballot(Ballot)
        case vote(Vote)
        /// A follower says what it has and wants.
        case follow(Follow)
        /// The stream of a master's writes.
        case stream(StreamPart)
        /// What slots hold, at one moment of the stream.
        case load(SlotLoad)
        /// The stream that was asked for is not there any more; this is the one there is, and its end.
        case restart(stream: UInt64, offset: Int)
        case acknowledge(stream: UInt64, sequence: Int, offset: Int)
        /// A replica of the sender's is to be its successor, by the sender's own will; the other asks for it.
        case requestHandover
        /// Something was published; every node tells its own subscribers.
        case publish(channel: [UInt8], message: [UInt8], isSharded: Bool)
    }
}

/// A sign of life, with what the sender knows of others.
public struct Heartbeat: Equatable, Sendable {
    public enum Kind: UInt8, Sendable {
        case ping, pong
        /// Somebody wants to be known.
        case meet
        /// Somebody wants to be known, and to take its part of the slots.
        case join
    }
    public var kind: Kind
    public var node: NodeDescription
    public var ring: RingSettings
    /// Of the sender's slot map.
    public var digest: UInt64
    /// Slots that are the sender's, and that it has nothing of: it was started anew.
    public var hollow: SlotSet
    public var streamOffset: Int
    /// Keys in the sender's own slots.
    public var keyCount: Int
    /// For each master, the keys that the sender would take over from it, and the place in its stream.
    public var copies: [Copy]
    public var gossip: [Gossip]
    /// The sender's slots that are hot, and what it counted of others'.
    public var hotSlots: [HotSlot] = []
    public var reads: [SlotReads] = []

    public struct Copy: Equatable, Sendable {
        public var master: ClusterNodeID
        public var keyCount: Int
        public var offset: Int
    }

    public struct Gossip: Equatable, Sendable {
        public var node: NodeDescription
        public var isSuspected: Bool
        public var isFailed: Bool
    }
}

/// Somebody wants to own slots whose owner is gone.
public struct Ballot: Equatable, Sendable {
    public var epoch: Int
    /// Asked for by hand (CLUSTER FAILOVER FORCE): votes are given although the owner is there. It hears of it, and its
    /// copies take nothing from it any more, so that no write of which a majority of them was told gets lost.
    public var isForced = false
    /// For each run: whose reign the candidate's copy is from, and how far it goes; `.none` for no copy at all.
    public var claims: [Claim]

    public struct Claim: Equatable, Sendable {
        public var slots: ClosedRange<Int>
        /// What the candidate knows of the slot.
        public var version: SlotVersion
        public var copyReign: SlotVersion
        public var copyOffset: Int
    }
}

/// The answer to a ballot, slot by slot.
public struct Vote: Equatable, Sendable {
    public var epoch: Int
    /// As one of the masters: these may be the candidate's.
    public var granted: SlotSet
    /// As a holder of copies: mine of these is not newer, and takes nothing from the former owner any more.
    public var examined: SlotSet
    /// As a holder of copies, or the owner: I have nothing of these.
    public var empty: SlotSet
}

public struct Follow: Equatable, Sendable {
    /// 0 for a follower that knows none.
    public var stream: UInt64
    public var offset: Int
    /// Counts what follows; acknowledgements belong to one of them.
    public var sequence: Int
    /// Slots that it has, and by which reign.
    public var held: [Held]
    /// Slots that it wants to have from the beginning.
    public var missing: SlotSet
    /// Slots for which it takes nothing from this reign any more: it was asked in an election.
    public var refused: SlotSet
    /// Of those that are missing, what it has of a reign before.
    public var stale: [Stale] = []

    public struct Stale: Equatable, Sendable {
        public var slots: ClosedRange<Int>
        public var reign: SlotVersion
        public var offset: Int
    }

    public struct Held: Equatable, Sendable {
        public var slots: ClosedRange<Int>
        public var reign: SlotVersion
    }
}

public struct StreamPart: Equatable, Sendable {
    public var stream: UInt64
    /// The offset before the first entry, and that of the last one; those between that do not concern the follower are
    /// left out.
    public var from: Int
    public var to: Int
    public var entries: [Entry]

    public struct Entry: Equatable, Sendable {
        public var offset: Int
        public var slot: Int?
        public var commands: [[[UInt8]]]
    }
}

public struct SlotLoad: Equatable, Sendable {
    public var stream: UInt64
    /// Everything up to here is in it.
    public var offset: Int
    public var parts: [Part]

    public struct Part: Equatable, Sendable {
        /// Several only if they are empty.
        public var slots: ClosedRange<Int>
        public var reign: SlotVersion
        /// Where the follower's copy has to be for these commands to continue it; nil: they make it anew.
        public var base: Base?
        public var commands: [[[UInt8]]]
    }

    public struct Base: Equatable, Sendable {
        public var reign: SlotVersion
        public var offset: Int
    }
}
