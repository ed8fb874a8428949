import KernelStructures

// Becoming a cluster: introductions, the first key, and what is said about it.

extension CacheCluster {
    /// Begins.
    ///
    /// - Parameter join: a node of the cluster that it is to be part of.
    public func start(now: LabTime, join: (host: String, busPort: Int)? = nil) {
        self.now = now
        lastTick = now
        if peers.isEmpty { majoritySince = now }
        for peer in peers { peer.heardAt = now }
        refreshOwnSlots()
        if let join { introduce(to: join.host, busPort: join.busPort, isJoin: true) }
        if join == nil { note("Node \(own.name) started, ring: [\(memberNames)]") }
    }

    /// Names of the masters that are there, in order.
    public var memberNames: String { members.map { $0.name }.joined(separator: ", ") }

    /// The masters that are not held for dead, by name: the ring's members where there is one.
    public var members: [NodeDescription] {
        let all = [own] + peers.filter { !$0.isFailed && ($0.isKnown || ring.isActive) }.map(\.node)
        return all.filter { $0.replicaOf == nil }.sorted { ($0.name, $0.id) < ($1.name, $1.id) }
    }

    /// Of all who could say something only the first does.
    var isSpokesman: Bool { members.first?.id == own.id }

    // MARK: Introductions

    /// CLUSTER MEET, and `--join`.
    public func introduce(to host: String, busPort: Int, isJoin: Bool = false) {
        introductions.removeAll { $0.host == host && $0.busPort == busPort }
        guard introductions.count < 100 else { return }
        introductions.append(
            Introduction(host: host, busPort: busPort, isJoin: isJoin, since: now, lastTry: now))
        introduce(introductions[introductions.count - 1])
    }

    private func introduce(_ introduction: Introduction) {
        let heartbeat = heartbeat(introduction.isJoin ? .join : .meet)
        let message = ClusterMessage(sender: own.id, epoch: epoch, .heartbeat(heartbeat))
        effects.append(.introduce(message, host: introduction.host, busPort: introduction.busPort))
    }

    /// A meeting that is never answered is given up; whoever is to join waits for as long as it takes.
    func introduceAgain() {
        introductions.removeAll { !$0.isJoin && now - $0.since > settings.nodeTimeout * 10 }
        for index in introductions.indices where now - introductions[index].lastTry >= .milliseconds(200) {
            introductions[index].lastTry = now
            introduce(introductions[index])
        }
    }

    /// Names may stand for addresses that the host has looked up: the port has to do.
    func awaitsAnswer(from node: NodeDescription) -> Bool { introductions.contains { $0.busPort == node.busPort } }

    func answered(by node: NodeDescription) {
        guard let index = introductions.firstIndex(where: { $0.busPort == node.busPort }) else { return }
        let introduction = introductions.remove(at: index)
        if introduction.isJoin { note("Node \(own.name) joined, ring: [\(memberNames)]") }
    }

    // MARK: The ring begins

    /// Somebody wants a part of the slots. If nobody has any yet, they are this node's, which hands them on.
    func welcome() { startRingIfEmpty() }

    /// The first key of a node that is alone, or the first joiner. A cluster whose slots somebody placed has no ring.
    ///
    /// - Returns: whether there is a ring now.
    @discardableResult
    public func startRingIfEmpty() -> Bool {
        guard !ring.isActive, own.replicaOf == nil, !map.hasOwners else { return ring.isActive }
        activateRing()
        claim(.all, isPinned: false)
        return true
    }

    /// A lone node with keys to store begins a ring of one; one that knows others waits for somebody to place slots.
    public func startRingForFirstKey() -> Bool {
        guard peers.isEmpty, introductions.isEmpty else { return false }
        return startRingIfEmpty()
    }

    /// From here on slots go where the ring wants them.
    public func activateRing(_ change: (inout RingSettings) -> Void = { _ in }) {
        var changed = ring
        change(&changed)
        changed.isActive = true
        changed.revision = ring.revision + 1
        adopt(changed)
        for peer in peers { send(.heartbeat(heartbeat(.ping)), to: peer.id) }
    }

    func adopt(_ settings: RingSettings) {
        ring = settings
        placement = nil
        needsReview = true
        needsSave = true
        if settings.isActive { unpin() }
    }

    /// Whoever turns to the ring means all slots, those too that were placed by hand before.
    private func unpin() {
        var changes: [(slot: Int, record: SlotMap.Record)] = []
        served.forEach { slot in
            var record = map[slot]
            guard record.isPinned, let version = record.version.afterChangeOfCopies else { return }
            record.isPinned = false
            record.version = version
            changes.append((slot, record))
        }
        if !changes.isEmpty { publish(changes) }
    }

    // MARK: What is said of failures

    func noteUnreachable(_ peer: Peer) {
        let keys = peers.reduce(links.reduce(0) { $0 + ($1.master == peer.id ? keysToTake(over: $1) : 0) }) {
            sum, other in
            other.isFailed ? sum : sum + (other.copies.first { $0.master == peer.id }?.keyCount ?? 0)
        }
        note("Node \(peer.node.name) unreachable, redistributing \(keys) keys...")
    }

    private func keysToTake(over link: FollowerLink) -> Int {
        var count = 0
        link.held.forEach { slot in
            let first = map.copies(of: slot).first { $0 == own.id || peer($0)?.isFailed == false }
            if first == own.id { count += store.keyCount(inSlot: slot) }
        }
        return count
    }

    /// Everything that failed nodes had is somebody else's.
    func noteRedistribution() {
        let done = redistributing.filter { slotCount(of: $0) == 0 }
        guard !done.isEmpty else { return }
        redistributing.removeAll { done.contains($0) }
        if isSpokesman { note("Redistribution complete, ring: [\(memberNames)]") }
    }
}
