import KernelStructures

// What commands and views show.

extension CacheCluster {
    /// `ok`, or `fail` if slots have no owner that serves them, or no majority is in reach.
    public var isWhole: Bool { isInMajority && unservedSlots.isEmpty }

    /// Slots that nobody serves, as far as this node knows.
    public var unservedSlots: SlotSet {
        var unserved = map.slots(of: nil).union(hollow)
        for peer in peers where slotCount(of: peer.id) > 0 {
            if peer.isFailed { unserved.formUnion(map.slots(of: peer.id)) }
            if !peer.hollow.isEmpty { unserved.formUnion(peer.hollow.intersection(map.slots(of: peer.id))) }
        }
        return unserved
    }

    public struct NodeView: Sendable {
        public let node: NodeDescription
        public let isSelf: Bool
        public let isSuspected: Bool
        public let isFailed: Bool
        public let isConnected: Bool
        public let slots: SlotSet
        /// Slots of others that it holds copies of, where this node knows: its own.
        public let copiedSlots: Int
        public let keyCount: Int
        public let configEpoch: Int
        public let streamOffset: Int
        public let heardAt: LabTime?
        public let pingedAt: LabTime?
        /// Of this node's followers: how far behind its stream.
        public let lag: Int?
    }

    /// This node and all others, by name.
    public var nodeViews: [NodeView] {
        ([view(of: own, peer: nil)] + peers.map { view(of: $0.node, peer: $0) }).sorted {
            ($0.node.name, $0.node.id) < ($1.node.name, $1.node.id)
        }
    }

    private func view(of node: NodeDescription, peer: Peer?) -> NodeView {
        let slots = map.slots(of: node.id)
        return NodeView(
            node: node, isSelf: peer == nil, isSuspected: peer?.isSuspected ?? false,
            isFailed: peer?.isFailed ?? false, isConnected: peer.map { !$0.isSuspected && $0.isKnown } ?? true,
            slots: slots, copiedSlots: peer == nil ? copiedSlots.count : 0,
            keyCount: peer?.keyCount ?? keyCount(in: served), configEpoch: configEpoch(of: node, slots),
            streamOffset: peer?.streamOffset ?? log.end, heardAt: peer?.heardAt, pingedAt: peer?.pingedAt,
            lag: follower(node.id).map { log.end - $0.acknowledged })
    }

    private func configEpoch(of node: NodeDescription, _ slots: SlotSet) -> Int {
        var greatest = node.id == own.id ? ownEpoch : 0
        slots.forEach { greatest = max(greatest, map.version(of: $0).epoch) }
        if greatest == 0, let master = node.replicaOf {
            map.slots(of: master).forEach { greatest = max(greatest, map.version(of: $0).epoch) }
        }
        return greatest
    }

    public var ownConfigEpoch: Int { configEpoch(of: own, ownSlots) }

    /// How many others say that a node is not there.
    public func failureReportCount(_ id: ClusterNodeID) -> Int? {
        peer(id).map { $0.reports.filter { now - $0.at <= settings.nodeTimeout * 2 }.count }
    }

    /// For a slot: who serves it, whether it was taken over from a copy, and where its copies are.
    public struct SlotView: Sendable {
        public let owner: NodeDescription?
        public let version: SlotVersion
        public let copies: [NodeDescription]
        public let wasTakenOver: Bool
        public let isPinned: Bool
    }

    public func view(ofSlot slot: Int) -> SlotView {
        let record = map[slot]
        return SlotView(
            owner: record.owner.flatMap(describe), version: record.version, copies: record.copies.compactMap(describe),
            wasTakenOver: record.takenAt != nil, isPinned: record.isPinned)
    }

    /// Neighbouring slots of one owner with the same copies.
    public var slotRanges: [(slots: ClosedRange<Int>, owner: ClusterNodeID, copies: [ClusterNodeID])] {
        var ranges: [(slots: ClosedRange<Int>, owner: ClusterNodeID, copies: [ClusterNodeID])] = []
        for slot in 0..<SlotSet.slotCount {
            guard let owner = map.owner(of: slot) else { continue }
            let copies = map.copies(of: slot)
            if let last = ranges.last, last.slots.upperBound == slot - 1, last.owner == owner, last.copies == copies {
                ranges[ranges.count - 1].slots = last.slots.lowerBound...slot
            } else {
                ranges.append((slot...slot, owner, copies))
            }
        }
        return ranges
    }
}
