import KernelStructures

/// This node's half of a master's replication.
struct FollowerLink {
    let master: ClusterNodeID
    /// Of the master's stream; 0 while it is not known.
    var stream: UInt64 = 0
    var offset = 0
    var sequence = 1
    /// Slots of the master that are to be here.
    var wanted = SlotSet()
    /// Those that are complete.
    var held = SlotSet()
    /// Those whose copy has a gap behind where it ends, and has to be made anew.
    var broken = SlotSet()
    /// What it last asked for, and refused.
    var asked = SlotSet()
    var refused = SlotSet()
    var askedAt: LabTime?
    /// A place in the stream that the master was at, and when it said so; and when it named the last one that is here.
    var target: (offset: Int, at: LabTime)?
    var freshAt: LabTime?
}

// The follower's half of replication.

extension CacheCluster {
    // MARK: What is here

    /// Of a slot that it serves: all of it. Of others: the copy, and how far it goes.
    func copy(of slot: Int) -> (reign: SlotVersion, offset: Int) {
        if served.contains(slot) { return (map.version(of: slot).reign, log.end) }
        let reign = SlotVersion(bits: copyReigns[slot])
        return reign == .none ? (.none, 0) : (reign, position(of: slot))
    }

    /// How far its copy of a slot goes in the stream that it is from.
    private func position(of slot: Int) -> Int {
        for link in links where link.held.contains(slot) { return max(copyOffsets[slot], link.offset) }
        return copyOffsets[slot]
    }

    /// Writes down how far a copy goes, because its link will not say it any more.
    func materialize(_ slot: Int) {
        if copyReigns[slot] != 0 { copyOffsets[slot] = position(of: slot) }
    }

    /// Whether a slot's copy is complete.
    public func holdsCopy(of slot: Int) -> Bool { links.contains { $0.held.contains(slot) } }
    /// Slots that are here as copies, whatever they are worth.
    public func isCopy(_ slot: Int) -> Bool { !served.contains(slot) && importing[slot] == nil }
    public var copiedSlots: SlotSet { links.reduce(SlotSet()) { $0.union($1.held) } }
    public func copiedSlots(of master: ClusterNodeID) -> SlotSet {
        links.first { $0.master == master }?.held ?? SlotSet()
    }
    /// Where it is in a master's stream; nil if it follows none of it.
    public func followedOffset(of master: ClusterNodeID) -> Int? {
        links.first { $0.master == master && $0.stream != 0 }?.offset
    }

    // MARK: What it wants

    /// Slots that are to be copied here, by owner.
    func reviewLinks() {
        var wanted: [(master: ClusterNodeID, slots: SlotSet)] = []
        func add(_ slot: Int, _ owner: ClusterNodeID) {
            if let place = wanted.firstIndex(where: { $0.master == owner }) {
                wanted[place].slots.insert(slot)
            } else {
                wanted.append((owner, SlotSet([slot])))
            }
        }
        let ownIndex = placementIDs.firstIndex(of: own.id)
        for slot in 0..<SlotSet.slotCount {
            guard let owner = map.owner(of: slot), owner != own.id, peer(owner) != nil else { continue }
            if owner == own.replicaOf || map.copies(of: slot).contains(own.id) {
                add(slot, owner)
            } else if ring.isActive, own.replicaOf == nil, let placement, let ownIndex,
                placement.places(slot, on: ownIndex, owner: placementIDs.firstIndex(of: owner), ring.replicas)
            {
                add(slot, owner)
            }
        }
        for peer in peers { for slot in hotSlotsToCopy(of: peer) { add(slot, peer.id) } }
        for index in links.indices where !wanted.contains(where: { $0.master == links[index].master }) {
            release(index)
        }
        links.removeAll { link in !wanted.contains { $0.master == link.master } }
        for (master, slots) in wanted {
            if let index = links.firstIndex(where: { $0.master == master }) {
                links[index].wanted = slots
            } else {
                var link = FollowerLink(master: master)
                link.wanted = slots
                links.append(link)
            }
        }
        links.sort { $0.master < $1.master }
        linksChanged()
        forgetUnwanted()
    }

    private func release(_ index: Int) {
        for slot in links[index].held.slots { materialize(slot) }
        links[index].held = SlotSet()
    }

    /// What lies in slots that are neither its own nor to be copied here.
    private func forgetUnwanted() {
        var kept = ownSlots
        for link in links { kept.formUnion(link.wanted) }
        for slot in 0..<SlotSet.slotCount
        where copyReigns[slot] != 0 && !kept.contains(slot) && map.owner(of: slot) != nil {
            guard !map.copies(of: slot).contains(own.id), importing[slot] == nil else { continue }
            copyReigns[slot] = 0
            copyOffsets[slot] = 0
            store.clear(slot: slot)
        }
    }

    /// Works out anew what each link has, and tells its master if that has changed.
    func linksChanged() {
        for index in links.indices {
            let held = links[index].wanted.filter { slot in
                copyReigns[slot] != 0 && copyReigns[slot] == map.version(of: slot).reign.bits
                    && map.owner(of: slot) == links[index].master && !isFenced(slot)
                    && !links[index].broken.contains(slot) && !served.contains(slot)
            }
            guard held != links[index].held || links[index].askedAt == nil else { continue }
            for slot in links[index].held.subtracting(held).slots { materialize(slot) }
            links[index].held = held
            links[index].sequence += 1
            ask(index)
        }
    }

    private func isFenced(_ slot: Int) -> Bool { Int(fences[slot]) > map.version(of: slot).epoch }

    private func ask(_ index: Int) {
        links[index].askedAt = now
        let refused = links[index].wanted.filter(isFenced)
        let missing = links[index].wanted.subtracting(links[index].held).subtracting(refused)
        let asked = links[index].stream == 0 ? SlotSet() : missing
        // Of two accounts the later one holds. An older one that comes after it would have the master leave slots out
        // of the stream that are held here by then.
        if asked != links[index].asked || refused != links[index].refused { links[index].sequence += 1 }
        links[index].asked = asked
        links[index].refused = refused
        let link = links[index]
        var held: [Follow.Held] = []
        link.held.forEach { slot in
            let reign = map.version(of: slot).reign
            if let last = held.last, last.slots.upperBound == slot - 1, last.reign == reign {
                held[held.count - 1].slots = last.slots.lowerBound...slot
            } else {
                held.append(Follow.Held(slots: slot...slot, reign: reign))
            }
        }
        send(
            .follow(
                Follow(
                    stream: link.stream, offset: link.offset, sequence: link.sequence, held: held,
                    missing: asked, refused: refused, stale: staleCopies(asked))), to: link.master)
    }

    /// Says again what it has and wants, and hears so whether the master is still the same.
    func tickLinks() {
        for index in links.indices {
            let isComplete = links[index].held == links[index].wanted
            let pause = isComplete ? settings.nodeTimeoutMilliseconds / 2 : 300
            if let at = links[index].askedAt, now - at < .milliseconds(pause) { continue }
            ask(index)
        }
    }

    // MARK: What the master sends

    func restart(_ stream: UInt64, _ offset: Int, from peer: Peer) {
        guard let index = links.firstIndex(where: { $0.master == peer.id }), stream != 0 else { return }
        if links[index].stream == stream, offset <= links[index].offset { return }
        release(index)
        links[index].broken = links[index].wanted.filter { copyReigns[$0] == map.version(of: $0).reign.bits }
        links[index].stream = stream
        links[index].offset = offset
        links[index].target = nil
        links[index].freshAt = nil
        links[index].sequence += 1
        ask(index)
    }

    func receive(_ load: SlotLoad, from peer: Peer) {
        guard let index = links.firstIndex(where: { $0.master == peer.id }), links[index].stream == load.stream,
            load.offset >= links[index].offset
        else { return }
        for part in load.parts {
            for slot in part.slots {
                guard links[index].wanted.contains(slot), !links[index].held.contains(slot), !isFenced(slot),
                    map.version(of: slot).reign == part.reign, map.owner(of: slot) == peer.id
                else { continue }
                if let base = part.base {
                    guard copy(of: slot) == (base.reign, base.offset) else { continue }
                } else {
                    store.clear(slot: slot)
                }
                for command in part.commands { store.apply(command) }
                copyReigns[slot] = part.reign.bits
                copyOffsets[slot] = load.offset
                beginHistory(of: slot, at: load.offset)
                links[index].broken.remove(slot)
            }
        }
        linksChanged()
    }

    func receive(_ part: StreamPart, from peer: Peer) {
        guard let index = links.firstIndex(where: { $0.master == peer.id }), links[index].stream == part.stream else {
            return
        }
        let offset = links[index].offset
        // A part is missing, or this one was here before: it hears where to go on.
        guard part.from <= offset, part.to > offset else { return acknowledge(index) }
        for entry in part.entries where entry.offset > offset {
            guard let slot = entry.slot else {
                for slot in links[index].held.slots where copyOffsets[slot] < entry.offset {
                    store.clear(slot: slot)
                    beginHistory(of: slot, at: entry.offset)
                }
                continue
            }
            guard links[index].held.contains(slot), copyOffsets[slot] < entry.offset else { continue }
            for command in entry.commands { store.apply(command) }
            remember(slot, entry.offset, entry.commands)
        }
        links[index].offset = part.to
        links[index].noteProgress()
        acknowledge(index)
    }

    private func acknowledge(_ index: Int) {
        let link = links[index]
        send(.acknowledge(stream: link.stream, sequence: link.sequence, offset: link.offset), to: link.master)
    }
}
