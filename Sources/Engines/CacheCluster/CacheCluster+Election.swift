import KernelStructures

/// An election in which this node stands.
struct Election {
    let epoch: Int
    /// Those that are still open: neither won, nor changed by anybody since it stood.
    var slots: SlotSet
    /// For each slot, how far the candidate's copy goes; those without a copy are missing.
    let offsets: [Int: Int]
    let since: LabTime
    var votes: [(from: ClusterNodeID, vote: Vote)] = []
}

// Who takes over from whoever is gone.

extension CacheCluster {
    // MARK: Standing

    /// Stands for the slots of owners that are gone, when it is this node's turn.
    func considerElection() {
        if let election {
            if now - election.since < settings.nodeTimeout { return }
            endElection()
        }
        hollowSince = hollow.isEmpty ? nil : hollowSince ?? now
        guard now >= electionPausedUntil, majoritySince != nil else { return }
        var slots = SlotSet()
        for peer in peers {
            guard let since = peer.failedAt ?? peer.hollowSince, slotCount(of: peer.id) > 0 else { continue }
            let theirs = map.slots(of: peer.id)
            let gone = peer.isFailed ? theirs : theirs.intersection(peer.hollow)
            gone.forEach { if isTurn(for: $0, since: since) { slots.insert($0) } }
        }
        for one in banned where one.until > now && peer(one.id) == nil && slotCount(of: one.id) > 0 {
            map.slots(of: one.id).forEach { if isTurn(for: $0, since: one.until - Self.banTime) { slots.insert($0) } }
        }
        if let hollowSince { hollow.forEach { if isTurn(for: $0, since: hollowSince) { slots.insert($0) } } }
        // A follower was fenced off, or a voter has promised not to note anything older, for an election that nobody
        // won.
        for ticket in tickets where now - ticket.since > settings.nodeTimeout { contested.formUnion(ticket.slots) }
        slots.formUnion(contested.intersection(served))
        contested = SlotSet()
        if !slots.isEmpty { stand(for: slots) }
    }

    /// The first copy stands at once, the second a while later, and so on. Where there is no copy at all, the first on
    /// the ring does when everybody had time to come forward, or the owner itself that has lost everything.
    private func isTurn(for slot: Int, since start: LabTime) -> Bool {
        let record = map[slot]
        let patience = LabDuration.milliseconds(settings.nodeTimeoutMilliseconds / 2)
        if let rank = record.copies.firstIndex(of: own.id), copyReigns[slot] != 0 {
            let ahead = record.copies[..<rank].filter { peer($0)?.isFailed == false }.count + replicasAhead(record)
            return now - start >= patience * ahead
        }
        let isNext: Bool
        if record.owner == own.id {
            isNext = true
        } else if ring.isActive, let placement, own.replicaOf == nil {
            isNext = placement.owner(of: slot).map { placementIDs[$0] } == own.id
        } else {
            isNext = false
        }
        return isNext && (record.copies.isEmpty || now - start >= settings.nodeTimeout)
    }

    /// Replicas of the same master that have more of its stream, by what they last said.
    private func replicasAhead(_ record: SlotMap.Record) -> Int {
        guard let owner = record.owner, let own = links.first(where: { $0.master == owner }), !ring.isActive else {
            return 0
        }
        return record.copies.filter { id in
            peer(id)?.copies.first { $0.master == owner }.map { $0.offset > own.offset } ?? false
        }.count
    }

    /// - Parameter isForced: by hand, although the owner may be there.
    func stand(for slots: SlotSet, isForced: Bool = false) {
        guard epoch + 1 < SlotVersion.epochLimit else { return }
        epoch += 1
        statistics.elections += 1
        var claims: [Ballot.Claim] = []
        var offsets: [Int: Int] = [:]
        slots.forEach { slot in
            let (reign, offset) = copy(of: slot)
            if reign != .none { offsets[slot] = offset }
            let claim = Ballot.Claim(
                slots: slot...slot, version: map.version(of: slot), copyReign: reign, copyOffset: offset)
            if let last = claims.last, last.slots.upperBound == slot - 1, last.version == claim.version,
                last.copyReign == reign, last.copyOffset == offset
            {
                claims[claims.count - 1].slots = last.slots.lowerBound...slot
            } else {
                claims.append(claim)
            }
        }
        let ballot = Ballot(epoch: epoch, isForced: isForced, claims: claims)
        election = Election(epoch: epoch, slots: slots, offsets: offsets, since: now)
        let vote = assess(ballot, from: own.id)
        hasPromised = true
        broadcast(.ballot(ballot))
        election?.votes.append((own.id, vote))
        count()
    }

    private func endElection() {
        election = nil
        let pause = settings.nodeTimeoutMilliseconds / 4
        electionPausedUntil = now + .milliseconds(pause + random.below(max(1, pause)))
    }

    // MARK: Voting

    func receive(_ ballot: Ballot, from peer: Peer) {
        guard ballot.epoch <= epoch else { return }
        let vote = assess(ballot, from: peer.id)
        hasPromised = true
        send(.vote(vote), to: peer.id)
    }

    /// Answers slot by slot, and keeps what it promises with that.
    private func assess(_ ballot: Ballot, from candidate: ClusterNodeID) -> Vote {
        var vote = Vote(epoch: ballot.epoch, granted: SlotSet(), examined: SlotSet(), empty: SlotSet())
        let votes = isVoter(own)
        for claim in ballot.claims {
            for slot in claim.slots {
                let record = map[slot]
                // Somebody who knows less than this node cannot have a majority's consent.
                guard record.version <= claim.version, ballot.epoch > record.version.epoch,
                    ballot.epoch > Int(votedEpochs[slot]),
                    isOwnerGone(record, slot, candidate) || ballot.isForced && isReplica(candidate, of: record.owner)
                else { continue }
                votedEpochs[slot] = UInt32(ballot.epoch)
                if votes { vote.granted.insert(slot) }
                examine(slot, record, claim, ballot.epoch, candidate, &vote)
            }
        }
        if !vote.examined.isEmpty { linksChanged() }
        return vote
    }

    private func examine(
        _ slot: Int, _ record: SlotMap.Record, _ claim: Ballot.Claim, _ epoch: Int, _ candidate: ClusterNodeID,
        _ vote: inout Vote
    ) {
        let (reign, offset) = copy(of: slot)
        let counts = record.copies.contains(own.id) || record.owner == own.id
        guard counts || candidate == own.id && reign != .none else { return }
        let isOlder = (reign, offset) <= (claim.copyReign, claim.copyOffset)
        guard isOlder else { return }
        materialize(slot)
        fences[slot] = max(fences[slot], UInt32(epoch))
        if reign == .none { vote.empty.insert(slot) } else { vote.examined.insert(slot) }
    }

    private func isOwnerGone(_ record: SlotMap.Record, _ slot: Int, _ candidate: ClusterNodeID) -> Bool {
        guard let owner = record.owner else { return false }
        if owner == own.id { return candidate == own.id || !served.contains(slot) }
        guard let peer = peer(owner) else { return true }
        return peer.isFailed || peer.hollow.contains(slot) || owner == candidate
    }

    private func isReplica(_ id: ClusterNodeID, of owner: ClusterNodeID?) -> Bool {
        owner != nil && describe(id)?.replicaOf == owner
    }

    // MARK: Counting

    func receive(_ vote: Vote, from peer: Peer) {
        guard let election, vote.epoch == election.epoch, !election.votes.contains(where: { $0.from == peer.id }) else {
            return
        }
        self.election?.votes.append((peer.id, vote))
        count()
    }

    private func count() {
        guard let election else { return }
        let voters = election.votes.filter { vote in describe(vote.from).map(isVoter) == true }
        let majority = voterMajority
        var won: [SlotMap.Run] = []
        election.slots.forEach { slot in
            let granted = voters.reduce(0) { $1.vote.granted.contains(slot) ? $0 + 1 : $0 }
            guard granted >= majority, hasBestCopy(slot, election) else { return }
            let old = map[slot]
            guard old.version.epoch < election.epoch else { return }
            let isSameStream = copyReigns[slot] == old.version.reign.bits
            let record = SlotMap.Record(
                owner: own.id, version: SlotVersion(epoch: election.epoch), copies: heirs(old),
                isPinned: old.isPinned,
                takenAt: old.owner == own.id ? old.takenAt : isSameStream ? election.offsets[slot] ?? 0 : 0)
            won.append(SlotMap.Run(slots: slot...slot, record: record))
        }
        if !won.isEmpty { take(won) }
    }

    /// Whether so many holders of copies said that theirs are not newer that none can have what this one lacks; or all
    /// have said so, be it because they have nothing. A candidate with nothing needs the latter.
    private func hasBestCopy(_ slot: Int, _ election: Election) -> Bool {
        // Its own: nothing can be newer, and the votes say that nobody else has it.
        if served.contains(slot) { return true }
        let record = map[slot]
        if wasNeverCopied(record) { return true }
        var (examined, isUnanimous) = (0, true)
        for id in record.copies + (record.owner.map { [$0] } ?? []) where !isForgotten(id) {
            let vote = election.votes.first { $0.from == id }?.vote
            if vote?.examined.contains(slot) == true {
                if id != record.owner { examined += 1 }
            } else if vote?.empty.contains(slot) != true {
                isUnanimous = false
            }
        }
        if isUnanimous { return true }
        return election.offsets[slot] != nil && !record.copies.isEmpty && examined >= record.examinedForElection
    }

    /// No majority of copies can have been promised anything: there were none yet, or there are to be none.
    private func wasNeverCopied(_ record: SlotMap.Record) -> Bool {
        guard record.copies.isEmpty else { return false }
        return ring.isActive && ring.replicas == 0 || record.version.handoff == 0 && record.takenAt == nil
    }

    /// Hands say that it will not come back, nor anything that it had: CLUSTER FORGET.
    private func isForgotten(_ id: ClusterNodeID) -> Bool {
        banned.contains { $0.id == id && $0.until > now } && peer(id) == nil
    }

    /// Which copies count when this node takes a slot over: those that did, and the former owner's. Nobody is left out
    /// before those who stay are known to have everything (`reviewCopies`). A slot of three with one of them away would
    /// else be one of two of which one is behind, and the next election would need only that one's word.
    func heirs(_ old: SlotMap.Record) -> [ClusterNodeID] {
        var heirs = old.copies
        if let owner = old.owner, !heirs.contains(owner) { heirs.append(owner) }
        return Array(heirs.filter { $0 != own.id && !isForgotten($0) }.prefix(SlotMap.copyLimit))
    }

    private func take(_ runs: [SlotMap.Run]) {
        let epoch = election?.epoch ?? epoch
        let slots = SlotSet(runs.lazy.flatMap { $0.slots })
        var known = SlotSet()
        for run in runs {
            for slot in run.slots {
                let old = map[slot]
                if old.owner == own.id || old.copies.contains(own.id) { known.insert(slot) }
                materialize(slot)
                succeed(slot, map[slot], end: run.record.takenAt ?? 0)
            }
        }
        adopt(runs)
        let mine = slots.intersection(ownSlots)
        mine.subtracting(served).forEach { if copyReigns[$0] == 0 { store.clear(slot: $0) } }
        served.formUnion(mine)
        // Whoever goes by the record before needs the word of as many of the same nodes, one of which knows better by
        // then. Where there is one more of them now, a majority has to note it first.
        committed.formUnion(mine.intersection(known))
        statistics.takenOverSlots += mine.count
        if !mine.isEmpty { own.replicaOf = nil }
        broadcast(.slots(map.runs(mine), ticket: 0))
        linksChanged()
        note("Took over \(mine.count) slots in epoch \(epoch)", level: .debug)
        noteRedistribution()
    }
}
