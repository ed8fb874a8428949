import KernelStructures

/// Another node, as this one knows it.
public final class Peer {
    public internal(set) var node: NodeDescription
    public var id: ClusterNodeID { node.id }
    /// Whether it has ever spoken to this one.
    public internal(set) var isKnown = false
    /// When it was last heard, or when it was first heard of.
    public internal(set) var heardAt: LabTime
    var pingedAt: LabTime?
    /// Not heard for a node timeout: PFAIL.
    public internal(set) var isSuspected = false
    /// A majority suspects it: FAIL; since when.
    public internal(set) var failedAt: LabTime?
    public var isFailed: Bool { failedAt != nil }
    /// Who says that it is not there, and when they last said so.
    var reports: [(from: ClusterNodeID, at: LabTime)] = []
    public internal(set) var digest: UInt64 = 0
    var mapSentAt: LabTime?
    /// Slots that it owns and has nothing of.
    public internal(set) var hollow = SlotSet()
    var hollowSince: LabTime?
    public internal(set) var keyCount = 0
    public internal(set) var streamOffset = 0
    public internal(set) var copies: [Heartbeat.Copy] = []
    /// Its own that are hot, and how often it has read those of others.
    public internal(set) var hotSlots: [HotSlot] = []
    var reads: [SlotReads] = []
    /// Where it is reached if it is at another place than it says; for the host's use.
    public var link: AnyObject?

    init(_ node: NodeDescription, now: LabTime) {
        self.node = node
        heardAt = now
    }
}
