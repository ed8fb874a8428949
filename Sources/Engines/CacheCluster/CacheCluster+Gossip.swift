import KernelStructures

// Signs of life, and who is dead.

extension CacheCluster {
    private var heartbeatInterval: LabDuration { .milliseconds(max(20, settings.nodeTimeoutMilliseconds / 4)) }

    // MARK: Time

    /// To be called every `tickMilliseconds`.
    public func tick(now: LabTime) {
        self.now = max(now, self.now)
        forgiveOwnSleep()
        if let last = lastHeartbeat, self.now - last < heartbeatInterval {} else { sendHeartbeats() }
        introduceAgain()
        judge()
        watchMajority()
        tickHotSlots()
        tickFollowers()
        tickLinks()
        if needsReview { review() }
        proceedHandoff()
        resendTickets()
        considerElection()
        noteRedistribution()
    }

    /// If this node stood still, others are not to blame for its not having heard them.
    private func forgiveOwnSleep() {
        if let last = lastTick, now - last > .milliseconds(settings.nodeTimeoutMilliseconds / 2) {
            for peer in peers { peer.heardAt = now }
            majoritySince = nil
            wasInMinority = true
        }
        lastTick = now
    }

    // MARK: Signs of life

    private func sendHeartbeats() {
        lastHeartbeat = now
        banned.removeAll { $0.until <= now }
        guard !peers.isEmpty else { return }
        counted = (keyCount(in: served), describeCopies())
        for peer in peers {
            peer.pingedAt = now
            send(.heartbeat(heartbeat(.ping, chosenGossip(for: peer.id))), to: peer.id)
        }
    }

    /// Counts are those of the last round.
    func heartbeat(_ kind: Heartbeat.Kind, _ gossip: [Heartbeat.Gossip] = []) -> Heartbeat {
        Heartbeat(
            kind: kind, node: own, ring: ring, digest: map.digest, hollow: hollow, streamOffset: log.end,
            keyCount: counted.keys, copies: counted.copies, gossip: gossip, hotSlots: heat.hot, reads: toldReads)
    }

    /// All that are suspected, and a few of the others; everybody in a small cluster.
    private func chosenGossip(for id: ClusterNodeID) -> [Heartbeat.Gossip] {
        let others = peers.filter { $0.id != id && $0.isKnown }
        let wanted = max(10, others.count / 10)
        guard others.count > wanted else { return others.map(gossip) }
        let start = random.below(others.count)
        let few = (0..<wanted).map { others[(start + $0) % others.count] }
        return others.filter { peer in peer.isSuspected || few.contains { $0 === peer } }.map(gossip)
    }

    private func gossip(_ peer: Peer) -> Heartbeat.Gossip {
        Heartbeat.Gossip(node: peer.node, isSuspected: peer.isSuspected, isFailed: peer.isFailed)
    }

    public func keyCount(in slots: SlotSet) -> Int {
        var count = 0
        slots.forEach { count += store.keyCount(inSlot: $0) }
        return count
    }

    /// What it would take over from each master: the slots whose first living copy it is.
    private func describeCopies() -> [Heartbeat.Copy] {
        links.filter { $0.stream != 0 }.map { link in
            var count = 0
            link.held.forEach { slot in
                if isFirstCopy(slot) { count += store.keyCount(inSlot: slot) }
            }
            return Heartbeat.Copy(master: link.master, keyCount: count, offset: link.offset)
        }
    }

    private func isFirstCopy(_ slot: Int) -> Bool {
        map.copies(of: slot).first { $0 == own.id || peer($0)?.isFailed == false } == own.id
    }

    // MARK: Messages

    /// A message has come on the bus.
    public func receive(_ message: ClusterMessage, now: LabTime) {
        self.now = max(now, self.now)
        guard message.sender != own.id else { return }
        statistics.receivedMessages += 1
        if case .heartbeat(let heartbeat) = message.content {
            guard heartbeat.node.id == message.sender else { return }
            heard(epoch: message.epoch)
            return receive(heartbeat)
        }
        guard let peer = peer(message.sender) else { return }
        heard(epoch: message.epoch)
        heard(peer)
        switch message.content {
        case .heartbeat: break
        case .failed(let id): if let failed = self.peer(id) { markFailed(failed) }
        case .slots(let runs, let ticket): receive(runs, ticket: ticket, from: peer)
        case .noted(let ticket): noted(ticket, by: peer)
        case .ballot(let ballot): receive(ballot, from: peer)
        case .vote(let vote): receive(vote, from: peer)
        case .follow(let follow): receive(follow, from: peer)
        case .stream(let part): receive(part, from: peer)
        case .load(let load): receive(load, from: peer)
        case .restart(let stream, let offset): restart(stream, offset, from: peer)
        case .acknowledge(let stream, let sequence, let offset):
            acknowledged(stream, sequence, offset, by: peer)
        case .requestHandover: handOverTo(peer)
        case .publish(let channel, let message, let isSharded):
            effects.append(.deliver(channel: channel, message: message, isSharded: isSharded))
        }
    }

    private func heard(_ peer: Peer) {
        peer.heardAt = now
        if peer.isSuspected {
            peer.isSuspected = false
            needsReview = true
        }
        // One that was held for dead and has slots is believed again only when there was time to take them from it
        // (Redis: FAIL_UNDO_TIME).
        guard let failedAt = peer.failedAt else { return }
        if slotCount(of: peer.id) == 0 || now - failedAt > settings.nodeTimeout * 2 {
            peer.failedAt = nil
            peer.reports = []
            redistributing.removeAll { $0 == peer.id }
            needsReview = true
        }
    }

    private func receive(_ heartbeat: Heartbeat) {
        let node = heartbeat.node
        if banned.contains(where: { $0.id == node.id && $0.until > now }), heartbeat.kind != .meet { return }
        let isIntroduction = heartbeat.kind == .meet || heartbeat.kind == .join
        let known = peer(node.id)
        if known == nil, !isIntroduction {
            // Only those are believed that somebody known has spoken of, or that answer an introduction.
            guard heartbeat.kind == .pong, awaitsAnswer(from: node) else { return }
        }
        guard let peer = known ?? add(node) else { return }
        if peer.node != node {
            if peer.node.life > node.life { return }
            peer.node = node
            needsReview = true
            needsSave = true
        }
        heard(peer)
        peer.isKnown = true
        if peer.hollow != heartbeat.hollow { needsReview = true }
        peer.hollow = heartbeat.hollow
        peer.hollowSince = peer.hollow.isEmpty ? nil : peer.hollowSince ?? now
        peer.keyCount = heartbeat.keyCount
        peer.streamOffset = heartbeat.streamOffset
        peer.copies = heartbeat.copies
        peer.digest = heartbeat.digest
        if peer.hotSlots.map(\.slot) != heartbeat.hotSlots.map(\.slot)
            || peer.hotSlots.map(\.readers) != heartbeat.hotSlots.map(\.readers)
        {
            needsReview = true
        }
        peer.hotSlots = heartbeat.hotSlots
        peer.reads = heartbeat.reads
        heardStreamOffset(heartbeat.streamOffset, of: peer.id)
        if heartbeat.ring.isNewer(than: ring) { adopt(heartbeat.ring) }
        for gossip in heartbeat.gossip { heard(gossip, from: peer) }
        if heartbeat.kind == .join { welcome() }
        if heartbeat.kind != .pong {
            let all = isIntroduction ? peers.filter { $0.id != node.id && $0.isKnown }.map(gossip) : []
            let gossip = isIntroduction ? all : chosenGossip(for: node.id)
            send(.heartbeat(self.heartbeat(.pong, gossip)), to: node.id)
        } else {
            peer.pingedAt = nil
            answered(by: node)
        }
        compareMaps(peer)
    }

    /// If maps differ, ours is sent; theirs comes when they notice.
    private func compareMaps(_ peer: Peer) {
        guard peer.digest != map.digest else { return }
        if let at = peer.mapSentAt, now - at < heartbeatInterval * 2 { return }
        peer.mapSentAt = now
        let runs = map.runs()
        if !runs.isEmpty { send(.slots(runs, ticket: 0), to: peer.id) }
    }

    @discardableResult
    func add(_ node: NodeDescription) -> Peer? {
        guard node.id != own.id, peers.count < Self.nodeLimit - 1 else { return nil }
        let peer = Peer(node, now: now)
        peers.insert(peer, at: peerIndex(node.id))
        needsReview = true
        needsSave = true
        return peer
    }

    private func heard(_ gossip: Heartbeat.Gossip, from reporter: Peer) {
        if gossip.node.id == own.id { return }
        if banned.contains(where: { $0.id == gossip.node.id && $0.until > now }) { return }
        guard let peer = peer(gossip.node.id) else {
            if !gossip.isFailed, let new = add(gossip.node) {
                send(.heartbeat(heartbeat(.meet)), to: new.id)
            }
            return
        }
        if gossip.node.life > peer.node.life {
            peer.node = gossip.node
            needsReview = true
        }
        peer.reports.removeAll { $0.from == reporter.id || now - $0.at > settings.nodeTimeout * 2 }
        if gossip.isSuspected || gossip.isFailed { peer.reports.append((reporter.id, now)) }
    }

    // MARK: Dead or alive

    private func judge() {
        for peer in peers {
            if !peer.isSuspected, now - peer.heardAt > settings.nodeTimeout {
                peer.isSuspected = true
                needsReview = true
            }
            guard peer.isSuspected, !peer.isFailed else { continue }
            peer.reports.removeAll { now - $0.at > settings.nodeTimeout * 2 }
            let others = peer.reports.reduce(0) { count, report in
                report.from != own.id && self.peer(report.from).map { isVoter($0.node) } == true ? count + 1 : count
            }
            if others + (isVoter(own) ? 1 : 0) >= voterMajority {
                markFailed(peer)
                broadcast(.failed(peer.id))
            }
        }
    }

    func markFailed(_ peer: Peer) {
        guard !peer.isFailed,
            peer.isSuspected || now - peer.heardAt > .milliseconds(settings.nodeTimeoutMilliseconds / 2)
        else { return }
        peer.isSuspected = true
        peer.failedAt = now
        needsReview = true
        if slotCount(of: peer.id) > 0, !redistributing.contains(peer.id) {
            redistributing.append(peer.id)
            if isSpokesman { noteUnreachable(peer) }
        }
    }

    private func watchMajority() {
        let reachable = peers.reduce(isVoter(own) ? 1 : 0) { count, peer in
            isVoter(peer.node) && !peer.isSuspected && !peer.isFailed ? count + 1 : count
        }
        if voterCount == 0 || reachable >= voterMajority {
            if majoritySince == nil { majoritySince = now }
            if wasInMinority, isInMajority { wasInMinority = false }
        } else if majoritySince != nil {
            majoritySince = nil
            wasInMinority = true
        }
    }
}
