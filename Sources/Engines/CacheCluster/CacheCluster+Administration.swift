import KernelStructures

/// Something could not be done; nothing has changed.
public struct ClusterRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// As the reply has it, without `ERR`.
    public let description: String
    init(_ description: String) { self.description = description }
}

// What hands do: the CLUSTER subcommands that change something.

extension CacheCluster {
    // MARK: Slots

    public func addSlots(_ slots: [Int]) throws(ClusterRefusal) {
        var set = SlotSet()
        for slot in slots {
            if set.contains(slot) { throw ClusterRefusal("Slot \(slot) specified multiple times") }
            if map.owner(of: slot) != nil { throw ClusterRefusal("Slot \(slot) is already busy") }
            set.insert(slot)
        }
        if isReplica { throw ClusterRefusal("A replica owns no slots") }
        for slot in slots { importing[slot] = nil }
        claim(set, isPinned: ring.isActive)
    }

    public func deleteSlots(_ slots: [Int]) throws(ClusterRefusal) {
        var set = SlotSet()
        for slot in slots {
            if set.contains(slot) { throw ClusterRefusal("Slot \(slot) specified multiple times") }
            if map.owner(of: slot) == nil { throw ClusterRefusal("Slot \(slot) is already unassigned") }
            set.insert(slot)
        }
        release(set)
    }

    private func release(_ slots: SlotSet) {
        var runs: [SlotMap.Run] = []
        slots.forEach { slot in
            let version = map.version(of: slot)
            guard let next = version.afterHandoff else { return }
            runs.append(SlotMap.Run(slots: slot...slot, record: SlotMap.Record(owner: nil, version: next)))
        }
        adopt(runs)
        broadcast(.slots(map.runs(slots), ticket: 0))
    }

    public func flushSlots() throws(ClusterRefusal) {
        if keyCount(in: ownSlots) > 0 { throw ClusterRefusal("DB must be empty to perform CLUSTER FLUSHSLOTS.") }
        release(ownSlots)
    }

    public enum SlotState: Equatable, Sendable {
        case migrating(ClusterNodeID), importing(ClusterNodeID), stable, node(ClusterNodeID)
    }

    public func setSlot(_ slot: Int, _ state: SlotState) throws(ClusterRefusal) {
        if isReplica { throw ClusterRefusal("You can use SETSLOT only with masters.") }
        switch state {
        case .migrating(let target):
            guard served.contains(slot) else { throw ClusterRefusal("I'm not the owner of hash slot \(slot)") }
            try checkMaster(target)
            migrating[slot] = target
        case .importing(let source):
            if ownSlots.contains(slot) { throw ClusterRefusal("I'm already the owner of hash slot \(slot)") }
            try checkMaster(source)
            importing[slot] = source
            dropCopy(slot)
        case .stable:
            migrating[slot] = nil
            importing[slot] = nil
        case .node(let owner): try assign(slot, to: owner)
        }
        needsSave = true
    }

    private func checkMaster(_ id: ClusterNodeID) throws(ClusterRefusal) {
        guard let node = describe(id) else { throw ClusterRefusal("I don't know about node \(id)") }
        if id == own.id { throw ClusterRefusal("Target node is myself") }
        if node.replicaOf != nil { throw ClusterRefusal("Target node is not a master") }
    }

    /// What comes in key by key must not be mixed with a copy of what was there.
    private func dropCopy(_ slot: Int) {
        guard copyReigns[slot] != 0 else { return }
        materialize(slot)
        copyReigns[slot] = 0
        store.clear(slot: slot)
        linksChanged()
    }

    private func assign(_ slot: Int, to id: ClusterNodeID) throws(ClusterRefusal) {
        guard let node = describe(id) else { throw ClusterRefusal("Unknown node \(id)") }
        if node.replicaOf != nil { throw ClusterRefusal("Target node is not a master") }
        if ownSlots.contains(slot), id != own.id, store.keyCount(inSlot: slot) > 0 {
            throw ClusterRefusal(
                "Can't assign hashslot \(slot) to a different node while I still hold keys for this hash slot.")
        }
        if map.owner(of: slot) == id {
            if id == own.id { importing[slot] = nil } else { migrating[slot] = nil }
            return
        }
        let old = map.version(of: slot)
        // Both sides of a migration are told, and make the same record of it.
        let version =
            old == .none ? SlotVersion(epoch: max(1, ownEpoch)) : old.afterHandoff ?? SlotVersion(epoch: epoch + 1)
        let record = SlotMap.Record(owner: id, version: version, isPinned: ring.isActive)
        importing[slot] = nil
        migrating[slot] = nil
        if id == own.id {
            publish([(slot, record)])
            if ownSlots.contains(slot) { served.insert(slot) }
        } else {
            adopt([SlotMap.Run(slots: slot...slot, record: record)])
            broadcast(.slots(map.runs(SlotSet([slot])), ticket: 0))
        }
    }

    // MARK: Nodes

    public func forget(_ id: ClusterNodeID) throws(ClusterRefusal) {
        if id == own.id { throw ClusterRefusal("I tried hard but I can't forget myself...") }
        guard peer(id) != nil else { throw ClusterRefusal("Unknown node \(id)") }
        if own.replicaOf == id { throw ClusterRefusal("Can't forget my master!") }
        peers.remove(at: peerIndex(id))
        followers.removeAll { $0.id == id }
        banned.append((id, now + Self.banTime))
        if banned.count > Self.nodeLimit { banned.removeFirst() }
        redistributing.removeAll { $0 == id }
        needsReview = true
        needsSave = true
    }

    public func replicate(_ id: ClusterNodeID) throws(ClusterRefusal) {
        if id == own.id { throw ClusterRefusal("Can't replicate myself") }
        guard let node = describe(id) else { throw ClusterRefusal("Unknown node \(id)") }
        if node.replicaOf != nil { throw ClusterRefusal("I can only replicate a master, not a replica.") }
        if !isReplica, !ownSlots.isEmpty {
            throw ClusterRefusal(
                "To set a master the node must be empty and without assigned slots.")
        }
        becomeReplica(of: id)
    }

    func becomeReplica(of id: ClusterNodeID) {
        guard own.replicaOf != id else { return }
        own.replicaOf = id
        migrating = [:]
        importing = [:]
        needsReview = true
        needsSave = true
        for peer in peers { send(.heartbeat(heartbeat(.ping)), to: peer.id) }
    }

    public enum FailoverMode: Sendable { case handover, force, takeover }

    /// CLUSTER FAILOVER, on a replica.
    public func failOver(_ mode: FailoverMode) throws(ClusterRefusal) {
        guard let master = own.replicaOf else { throw ClusterRefusal("You should send CLUSTER FAILOVER to a replica") }
        let slots = map.slots(of: master)
        switch mode {
        case .handover:
            guard let peer = peer(master), !peer.isSuspected else {
                throw ClusterRefusal("Master is down or failed, please use CLUSTER FAILOVER FORCE")
            }
            send(.requestHandover, to: master)
        case .force: stand(for: slots, isForced: true)
        case .takeover: takeOver(slots)
        }
    }

    /// Without asking anybody: the next epoch is simply taken.
    public func takeOver(_ slots: SlotSet) {
        guard epoch + 1 < SlotVersion.epochLimit else { return }
        epoch += 1
        hasPromised = true
        var runs: [SlotMap.Run] = []
        for slot in slots.slots {
            let old = map[slot]
            materialize(slot)
            let isSameStream = copyReigns[slot] == old.version.reign.bits
            succeed(slot, old, end: copyOffsets[slot])
            runs.append(
                SlotMap.Run(
                    slots: slot...slot,
                    record: SlotMap.Record(
                        owner: own.id, version: SlotVersion(epoch: epoch), copies: heirs(old), isPinned: old.isPinned,
                        takenAt: isSameStream ? copyOffsets[slot] : 0)))
        }
        adopt(runs)
        served.formUnion(slots.intersection(ownSlots))
        if !slots.isEmpty { own.replicaOf = nil }
        broadcast(.slots(map.runs(slots), ticket: 0))
        linksChanged()
    }

    /// - Returns: whether the epoch changed.
    public func bumpEpoch() -> Bool {
        if ownEpoch != 0, ownEpoch == epoch { return false }
        guard epoch + 1 < SlotVersion.epochLimit else { return false }
        epoch += 1
        ownEpoch = epoch
        hasPromised = true
        return true
    }

    public func setConfigEpoch(_ value: Int) throws(ClusterRefusal) {
        guard value > 0, value < SlotVersion.epochLimit else {
            throw ClusterRefusal("Invalid config epoch specified: \(value)")
        }
        if !peers.isEmpty {
            throw ClusterRefusal(
                "The user can assign a config epoch only when the node does not know any other node.")
        }
        if ownEpoch != 0 { throw ClusterRefusal("Node config epoch is already non-zero") }
        ownEpoch = value
        heard(epoch: value)
        hasPromised = true
    }

    /// CLUSTER RESET: forgets slots and nodes; a hard one forgets who it is.
    public func reset(isHard: Bool) throws(ClusterRefusal) {
        if !isReplica, keyCount(in: ownSlots) > 0 {
            throw ClusterRefusal("CLUSTER RESET can't be called with master nodes containing keys")
        }
        for slot in 0..<SlotSet.slotCount where copyReigns[slot] != 0 { store.clear(slot: slot) }
        peers = []
        followers = []
        links = []
        tickets = []
        introductions = []
        migrating = [:]
        importing = [:]
        election = nil
        map = SlotMap()
        ring = settings.ring
        placement = nil
        placementIDs = []
        served = SlotSet()
        committed = SlotSet()
        copyReigns = [UInt64](repeating: 0, count: SlotSet.slotCount)
        copyOffsets = [Int](repeating: 0, count: SlotSet.slotCount)
        copySince = [Int](repeating: 0, count: SlotSet.slotCount)
        promised = [Int](repeating: 0, count: SlotSet.slotCount)
        followed.removeAll()
        successions = [:]
        formerStream = nil
        heat = HotSlots(threshold: settings.hotReadsPerSecond)
        refreshOwnSlots()
        own.replicaOf = nil
        redistributing = []
        if isHard {
            own.id = ClusterNodeID(random: &random)
            own.life = 0
            epoch = 0
            ownEpoch = 0
            votedEpochs = [UInt32](repeating: 0, count: SlotSet.slotCount)
            fences = [UInt32](repeating: 0, count: SlotSet.slotCount)
        }
        majoritySince = now
        wasInMinority = false
        hasPromised = true
        needsReview = true
    }
}
