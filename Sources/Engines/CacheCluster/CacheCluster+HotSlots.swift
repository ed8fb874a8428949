import KernelStructures

// Copies for readers: of slots that are read very much (`HotSlots`), on nodes that would not have any.
//
// They are soft: no map names them and no election counts them. The owner says with its heartbeats which nodes are to
// have them, those follow as long as they hear it, and everybody else knows from the same heartbeats whom else to ask.

extension CacheCluster {
    /// Nodes that may be asked to copy one hot slot.
    public static let hotCopyRange = 1...8
    /// Slots whose reads a node tells, of all owners.
    static let toldReadsLimit = 256

    // MARK: Counting

    /// Somebody has read a key of a slot here.
    @inline(__always) public func countRead(_ slot: Int) { if heat.isOn { heat.count(slot) } }

    /// Hot slots of this node, and of all others by what they last said.
    public var hotSlots: [(owner: ClusterNodeID, hot: HotSlot)] {
        var all: [(owner: ClusterNodeID, hot: HotSlot)] = []
        for hot in heat.hot { all.append((own.id, hot)) }
        for peer in peers {
            for hot in peer.hotSlots where map.owner(of: hot.slot) == peer.id { all.append((peer.id, hot)) }
        }
        return all.sorted { $0.hot.slot < $1.hot.slot }
    }

    /// Whom a client may ask for keys of a slot besides its owner, because it is hot: those with copies that count, and
    /// those that were asked to have one for readers. Empty for a slot that is not hot.
    public func readers(of slot: Int) -> [ClusterNodeID] {
        let owner = map.owner(of: slot)
        let hot = owner == own.id ? heat.hot : owner.flatMap(peer)?.hotSlots ?? []
        guard let one = hot.first(where: { $0.slot == slot }) else { return [] }
        let counting = map.copies(of: slot).filter { $0 != owner && !one.readers.contains($0) }
        return (counting + one.readers).filter { $0 == own.id || peer($0)?.isSuspected == false }
    }

    /// What this node tells of its reads: of slots that are hot at somebody else.
    var toldReads: [SlotReads] {
        guard heat.isOn else { return [] }
        let hot = peers.flatMap { $0.hotSlots.map(\.slot) }
        return heat.rates.keys.filter { hot.contains($0) && !served.contains($0) }.sorted()
            .prefix(Self.toldReadsLimit).map { SlotReads(slot: $0, perSecond: heat.rates[$0] ?? 0) }
    }

    private func totalReads(_ slot: Int, here rates: [Int: Int]) -> Int {
        peers.reduce(rates[slot] ?? 0) { sum, peer in
            peer.isSuspected ? sum : sum + (peer.reads.first { $0.slot == slot }?.perSecond ?? 0)
        }
    }

    // MARK: Deciding

    func tickHotSlots() {
        guard heat.isOn, heat.closeSecond(now: now) else { return }
        let (before, rates) = (heat.hot, heat.rates)
        let (heated, cooled) = heat.judge(
            served, total: { totalReads($0, here: rates) },
            mayBeHot: { store.keyCount(inSlot: $0) <= HotSlots.keyLimit })
        for index in heat.hot.indices { chooseReaders(index) }
        for one in heat.hot where heated.contains(one.slot) { effects.append(.heated(one)) }
        for slot in cooled {
            if let one = before.first(where: { $0.slot == slot }) { effects.append(.cooled(one)) }
        }
        // Others hear of it at once, not with the next round.
        let isNews = before.map(\.slot) != heat.hot.map(\.slot) || before.map(\.readers) != heat.hot.map(\.readers)
        if isNews { for peer in peers { send(.heartbeat(heartbeat(.ping)), to: peer.id) } }
    }

    /// Keeps those who are there, and fills up with whoever has the fewest already.
    private func chooseReaders(_ index: Int) {
        let slot = heat.hot[index].slot
        let copies = map.copies(of: slot)
        func mayRead(_ id: ClusterNodeID) -> Bool {
            guard let peer = peer(id), peer.isKnown, !peer.isSuspected, !peer.isFailed else { return false }
            return !copies.contains(id) && peer.node.replicaOf != own.id
        }
        var readers = heat.hot[index].readers.filter(mayRead)
        while readers.count < settings.hotCopies {
            let others = peers.map(\.id).filter { mayRead($0) && !readers.contains($0) }
            func load(_ id: ClusterNodeID) -> Int { heat.hot.count { $0.readers.contains(id) } }
            guard
                let next = others.min(by: {
                    (load($0), mixed($0.hash64 ^ UInt64(slot))) < (load($1), mixed($1.hash64 ^ UInt64(slot)))
                })
            else { break }
            readers.append(next)
        }
        heat.hot[index].readers = readers
    }

    // MARK: Being a reader

    /// Slots of a master that this node is to copy for readers.
    func hotSlotsToCopy(of peer: Peer) -> [Int] {
        peer.hotSlots.filter { $0.readers.contains(own.id) && map.owner(of: $0.slot) == peer.id }.map(\.slot)
    }

    /// Whether a copy may answer: any that counts, as ever, and one for readers only while it is known to be no older
    /// than a node timeout.
    func mayAnswer(fromCopyOf slot: Int) -> Bool {
        guard let link = links.first(where: { $0.held.contains(slot) }) else { return false }
        if own.replicaOf == link.master || map.copies(of: slot).contains(own.id) { return true }
        return link.age(now: now).map { $0 <= settings.nodeTimeout } ?? false
    }

    /// How old what a copy of a slot says may be; nil where that is not known, or there is no copy.
    public func copyAge(of slot: Int) -> LabDuration? {
        links.first { $0.held.contains(slot) }.flatMap { $0.age(now: now) }
    }

    /// The master says how far its stream is: a copy that is there already is as new as this.
    func heardStreamOffset(_ offset: Int, of master: ClusterNodeID) {
        guard let index = links.firstIndex(where: { $0.master == master }) else { return }
        if links[index].target == nil { links[index].target = (offset, now) }
        links[index].noteProgress()
    }
}

extension FollowerLink {
    /// Whether the place that the master spoke of is reached; then the next word of it counts.
    mutating func noteProgress() {
        guard let target, offset >= target.offset else { return }
        freshAt = target.at
        self.target = nil
    }

    func age(now: LabTime) -> LabDuration? { freshAt.map { now - $0 } }
}
