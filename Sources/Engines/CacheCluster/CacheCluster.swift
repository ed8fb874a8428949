import KernelStructures

/// Many caches that are one: which node has which part of the keys, and what happens when one of them is gone.
///
/// ## The problem
///
/// One machine's memory is too small, or too dear to lose. So keys are spread over several nodes, and copied. Then
/// everybody must know who has what, without a list that somebody could take with them when they fall over; must agree
/// who is dead, though a dead machine and a slow one look alike; and must never let two nodes both be in charge of one
/// key, because what is written to one of them will be gone.
///
/// ## An everyday picture
///
/// A village post office with 16,384 pigeonholes, and a few clerks who each look after some of them. Each clerk's
/// neighbours keep carbon copies of the letters in those. There is no boss: clerks gossip. When one has not been seen
/// for a while, each says so to the others, and once more than half say it, it is so. Then the neighbour with the best
/// carbon copies asks everybody: "May I have those pigeonholes, for the 7th time this year?" Everybody answers yes once
/// for each pigeonhole and each number; so only one can collect a majority. The clerk who comes back from an hour in
/// the lift still believes they are hers, until somebody tells her the number.
///
/// ## How
///
/// Keys have slots by CRC-16, and slots have owners (Redis cluster specification). `SlotMap` is what a node knows of
/// that; of two records the one with the greater `SlotVersion` holds, so maps become alike by gossip alone, in any
/// order. The art is in who may make a version:
///
/// - *Elections* (`CacheCluster+Election`): a majority of the masters votes for each slot, once an epoch. That makes it
///   unique. And so many holders of copies must say that theirs is not newer that the winner has every write which a
///   majority of the copies had: as in Raft (Ongaro and Ousterhout 2014, section 5.4.1). Whoever says so takes nothing
///   from the former owner any more. Whoever has held the slot, the former owner too, has a say in the next election
///   until those who stay have everything: else two of them in a row would leave one that lacks a write to decide
///   alone.
/// - *The owner itself* (`CacheCluster+Ownership`): it hands slots to whom the ring wants to have them, once that node
///   has all of it; and it alone says which copies count, as the primary of PacificA does (Lin et al. 2008). What it
///   has decided counts once a majority of the masters knows it.
/// - *Hands*: `CLUSTER ADDSLOTS`, `SETSLOT`, `FAILOVER TAKEOVER`.
///
/// Copies (`Following`, `Leading`): a follower says what it has, and the master sends what is missing: what a slot
/// holds at one moment, then the stream of its writes. Nothing depends on a message arriving.
///
/// The ring (`SlotPlacement`) says where a slot *should* be. Each owner looks at that, and hands on what is not its
/// own; nobody plans for others.
///
/// ## Where it is wrong
///
/// Replication is asynchronous: what was acknowledged without WAIT is lost with its master, up to a second's worth.
/// `LostWrites` tells which writes those were, where anybody can know; of a node that died only the lab does
/// (`Remains`). A former master that is cut off answers reads
/// from what it knows until it notices, one node timeout later. With fewer than half of the masters, or of a slot's
/// copies, it stands still rather than guess; `CLUSTER FAILOVER TAKEOVER` guesses, and `CLUSTER FORGET` says that a
/// node will not come back.
public final class CacheCluster {
    public let settings: Settings
    /// What this node says of itself.
    public internal(set) var own: NodeDescription
    public var id: ClusterNodeID { own.id }
    /// The greatest epoch that it has heard of.
    public internal(set) var epoch = 0
    /// What `CLUSTER SET-CONFIG-EPOCH` and ADDSLOTS give to slots that nobody had.
    public internal(set) var ownEpoch = 0
    public internal(set) var map = SlotMap()
    public internal(set) var ring = RingSettings()
    /// The other nodes it knows, by identity.
    public internal(set) var peers: [Peer] = []
    /// Those that were told to be forgotten, and until when they stay so.
    var banned: [(id: ClusterNodeID, until: LabTime)] = []
    let store: any ClusterStore
    var random: SeededRandom
    public internal(set) var now = LabTime(nanoseconds: 0)

    /// Slots that it owns by its map.
    public internal(set) var ownSlots = SlotSet()
    /// Those whose data is here.
    public internal(set) var served = SlotSet()
    /// Those whose present version a majority of the masters knows.
    public internal(set) var committed = SlotSet()
    /// Slots of which the store knows that they are no copies.
    var originals = SlotSet()
    var tickets: [Ticket] = []
    var ticketNumber = 0
    /// Slots that are moving by hand, and where to or from.
    public internal(set) var migrating: [Int: ClusterNodeID] = [:]
    public internal(set) var importing: [Int: ClusterNodeID] = [:]
    public internal(set) var handoff: Handoff?

    /// For each slot, the greatest epoch in which it voted about it.
    var votedEpochs = [UInt32](repeating: 0, count: SlotSet.slotCount)
    var election: Election?
    var electionPausedUntil = LabTime(nanoseconds: 0)
    /// Since when it owns slots of which it has nothing.
    var hollowSince: LabTime?
    /// Own slots that some follower takes nothing for any more, because it was asked in an election.
    var contested = SlotSet()

    // As a master of others' copies.
    let stream: UInt64
    var log: ReplicationLog
    /// For each slot, up to where somebody was told that a majority of its copies has everything.
    var promised = [Int](repeating: 0, count: SlotSet.slotCount)
    var followers: [Follower] = []

    // As a holder of copies.
    var links: [FollowerLink] = []
    /// For each slot, the reign that its copy here is from; 0: there is none.
    var copyReigns = [UInt64](repeating: 0, count: SlotSet.slotCount)
    /// For each slot, how far the copy goes, if its link does not say more.
    var copyOffsets = [Int](repeating: 0, count: SlotSet.slotCount)
    /// For each slot, behind which offset of that stream `followed` has everything, if it is not gone from there.
    var copySince = [Int](repeating: 0, count: SlotSet.slotCount)
    var followed: FollowedLog
    /// For slots that it took over: from where others can go on.
    var successions: [Int: Succession] = [:]
    var formerStream: FormerStream?
    /// For each slot, the epoch below which nothing is taken any more.
    var fences = [UInt32](repeating: 0, count: SlotSet.slotCount)

    var heat: HotSlots
    public internal(set) var lostWrites = LostWrites()
    /// Where slots should be, as far as this node knows; nil without a ring.
    public internal(set) var placement: SlotPlacement?
    var placementIDs: [ClusterNodeID] = []
    /// Slots by owner, for the present map.
    var slotCounts: (changeCount: Int, counts: [ClusterNodeID: Int]) = (-1, [:])

    /// For heartbeats: keys in its own slots, and what it would take over.
    var counted: (keys: Int, copies: [Heartbeat.Copy]) = (0, [])
    /// The map as it is saved.
    var savedMap: (changeCount: Int, bytes: [UInt8]) = (-1, [])

    var effects: [ClusterEffect] = []
    /// Something has changed that is worth keeping, within a second.
    var needsSave = false
    /// A promise was made (a vote, an epoch): to be kept before anybody hears of it.
    var hasPromised = true
    var lastSave: LabTime?
    var needsReview = true
    var lastTick: LabTime?
    var lastHeartbeat: LabTime?
    /// Since when it has been in touch with a majority; nil: it is not.
    var majoritySince: LabTime?
    var wasInMinority = false
    /// Nodes that it wants to be known to, and whose answer is still to come.
    var introductions: [Introduction] = []
    /// Failed nodes whose slots are being taken over, for the log.
    var redistributing: [ClusterNodeID] = []
    public internal(set) var statistics = Statistics()

    public struct Settings: Sendable {
        /// A node that was not heard for so long is suspected.
        public var nodeTimeoutMilliseconds = 2000
        /// How often `tick` is called.
        public var tickMilliseconds = 100
        /// Writes that are kept for followers that were away.
        public var backlogBytes = 1 << 20
        public var seed: UInt64 = 1
        /// Reads in a second that make a slot hot, so that more nodes are asked to have a copy for readers; 0: never.
        public var hotReadsPerSecond = 0
        /// How many more.
        public var hotCopies = 2
        /// The ring that this node would start.
        public var ring = RingSettings()

        public init() {}
        public static let timeoutRange = 200...600_000
        var nodeTimeout: LabDuration { .milliseconds(nodeTimeoutMilliseconds) }
    }

    public struct Statistics: Sendable {
        public var sentMessages = 0
        public var receivedMessages = 0
        public var elections = 0
        public var takenOverSlots = 0
        public var handedOverSlots = 0
        public var loadedSlots = 0
        /// Slots of which a follower was sent only what its copy of the reign before lacked.
        public var continuedSlots = 0
        /// How often a follower began anew, or went on from where it was.
        public var fullResyncs = 0
        public var partialResyncs = 0
    }

    struct Introduction {
        let host: String
        let busPort: Int
        /// It also wants its part of the slots.
        let isJoin: Bool
        let since: LabTime
        var lastTry: LabTime
    }

    /// How long a node that was told to be forgotten stays so (Redis: the same minute).
    static let banTime = LabDuration.seconds(60)
    /// Nodes of one cluster.
    public static let nodeLimit = 1000

    /// - Parameters:
    ///   - own: what it is called; its identity and its life are replaced by what was saved.
    ///   - saved: what `ClusterEffect.save` had in an earlier life; nil for a new node.
    /// - Throws: `RecordReader.Malformed` if that is damaged.
    public init(_ own: NodeDescription, settings: Settings = Settings(), store: any ClusterStore, saved: [UInt8]? = nil)
        throws(RecordReader.Malformed)
    {
        self.own = own
        self.settings = settings
        self.store = store
        ring = settings.ring
        log = ReplicationLog(limitBytes: settings.backlogBytes)
        followed = FollowedLog(limitBytes: settings.backlogBytes)
        heat = HotSlots(threshold: settings.hotReadsPerSecond)
        random = SeededRandom(seed: settings.seed).fork("cluster \(own.id)")
        var streamRandom = random.fork("stream")
        stream = streamRandom.next() | 1
        if let saved { try restore(saved) }
        needsSave = true
    }

    // MARK: What it is asked

    public var isReplica: Bool { own.replicaOf != nil }

    public func peer(_ id: ClusterNodeID) -> Peer? {
        let index = peerIndex(id)
        return index < peers.count && peers[index].id == id ? peers[index] : nil
    }

    /// Where a node stands among `peers`, or would.
    func peerIndex(_ id: ClusterNodeID) -> Int {
        var (low, high) = (0, peers.count)
        while low < high {
            let middle = (low + high) / 2
            if peers[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low
    }

    public func describe(_ id: ClusterNodeID) -> NodeDescription? { id == own.id ? own : peer(id)?.node }

    public func slotCount(of id: ClusterNodeID) -> Int {
        if slotCounts.changeCount != map.changeCount {
            var counts: [ClusterNodeID: Int] = [:]
            for slot in 0..<SlotSet.slotCount { if let owner = map.owner(of: slot) { counts[owner, default: 0] += 1 } }
            slotCounts = (map.changeCount, counts)
        }
        return slotCounts.counts[id] ?? 0
    }

    /// Masters that decide: those with slots, and on a ring all.
    func isVoter(_ node: NodeDescription) -> Bool {
        node.replicaOf == nil && (ring.isActive || slotCount(of: node.id) > 0)
    }

    public var voterCount: Int { peers.reduce(isVoter(own) ? 1 : 0) { isVoter($1.node) ? $0 + 1 : $0 } }
    var voterMajority: Int { voterCount / 2 + 1 }

    /// Whether it is in touch with a majority of the masters, and has been for long enough to know what happened.
    public var isInMajority: Bool {
        if voterCount == 0 { return true }
        guard let majoritySince else { return false }
        return !wasInMinority || now - majoritySince >= .milliseconds(settings.nodeTimeoutMilliseconds / 4)
    }

    /// Slots of its own that it has nothing of.
    public var hollow: SlotSet { ownSlots.subtracting(served) }

    // MARK: What is to be done

    public func takeEffects() -> [ClusterEffect] {
        tellStore()
        var taken = effects
        effects = []
        if isSaveDue {
            needsSave = false
            hasPromised = false
            lastSave = now
            // Before everything else: a vote is said only once it cannot be forgotten.
            taken.insert(.save(composeState()), at: 0)
        }
        return taken
    }

    /// Which slots are its own to look after.
    private func tellStore() {
        var own = served
        for slot in importing.keys { own.insert(slot) }
        guard own != originals else { return }
        own.subtracting(originals).forEach { store.setCopy(slot: $0, false) }
        originals.subtracting(own).forEach { store.setCopy(slot: $0, true) }
        originals = own
    }

    public var hasEffects: Bool { isSaveDue || !effects.isEmpty }

    /// Maps come again from others; promises do not. So a move of many slots does not wait for the disk at each.
    private var isSaveDue: Bool {
        hasPromised || needsSave && lastSave.map { now - $0 >= .seconds(1) } ?? true
    }

    func send(_ content: ClusterMessage.Content, to id: ClusterNodeID) {
        guard id != own.id else { return }
        statistics.sentMessages += 1
        effects.append(.send(ClusterMessage(sender: own.id, epoch: epoch, content), to: id))
    }

    /// Something was published here: every node has subscribers.
    public func publish(_ channel: [UInt8], _ message: [UInt8], isSharded: Bool) {
        broadcast(.publish(channel: channel, message: message, isSharded: isSharded))
    }

    func broadcast(_ content: ClusterMessage.Content) { for peer in peers { send(content, to: peer.id) } }

    func note(_ message: LogMessage, level: LogLevel = .info) { effects.append(.log(message, level)) }

    func heard(epoch other: Int) {
        guard other > epoch else { return }
        epoch = other
        needsSave = true
    }
}

/// What an engine wants done, in this order.
public enum ClusterEffect: Sendable {
    /// To be on the disk before what follows is done.
    case save([UInt8])
    case send(ClusterMessage, to: ClusterNodeID)
    /// To a bus whose node is not known yet.
    case introduce(ClusterMessage, host: String, busPort: Int)
    case log(LogMessage, LogLevel)
    /// Clients that write have to wait, for a moment: see `CacheCluster.handoff`.
    case pauseWrites
    case resumeWrites
    /// These are somebody else's now, or nobody's.
    case lostSlots(SlotSet)
    /// A slot is read so much that others were asked to have a copy; or not any more.
    case heated(HotSlot)
    case cooled(HotSlot)
    /// Subscribers are to hear of this.
    case deliver(channel: [UInt8], message: [UInt8], isSharded: Bool)
}
