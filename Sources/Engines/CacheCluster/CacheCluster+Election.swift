import KernelStructures

/// An election in which this node stands.
struct Election {
    let epoch: Int
    let slots: SlotSet
    /// For each slot, how far the candidate's copy goes; those without a copy are missing.
    let offsets: [Int: Int]
    let since: LabTime
    var votes: [(from: ClusterNodeID, vote: Vote)] = []
    /// Those that are won already.
    var won = SlotSet()
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
        if let hollowSince { hollow.forEach { if isTurn(for: $0, since: hollowSince) { slots.insert($0) } } }
        // A follower was fenced off for an election that nobody won.
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
                if votes {
                    votedEpochs[slot] = UInt32(ballot.epoch)
                    vote.granted.insert(slot)
                }
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
        let counts = record.copies.contains(own.id)
        if reign == .none {
            if counts || record.owner == own.id { vote.empty.insert(slot) }
            return
        }
        guard counts || candidate == own.id else { return }
        let isOlder = (reign, offset) <= (claim.copyReign, claim.copyOffset)
        guard isOlder else { return }
        materialize(slot)
        fences[slot] = max(fences[slot], UInt32(epoch))
        vote.examined.insert(slot)
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
        election.slots.subtracting(election.won).forEach { slot in
            let granted = voters.reduce(0) { $1.vote.granted.contains(slot) ? $0 + 1 : $0 }
            guard granted >= majority, hasBestCopy(slot, election) else { return }
            let old = map[slot]
            guard old.version.epoch < election.epoch else { return }
            let isSameStream = copyReigns[slot] == old.version.reign.bits
            let record = SlotMap.Record(
                owner: own.id, version: SlotVersion(epoch: election.epoch),
                copies: old.copies.filter { $0 != own.id }, isPinned: old.isPinned,
                takenAt: old.owner == own.id ? old.takenAt : isSameStream ? election.offsets[slot] ?? 0 : 0)
            won.append(SlotMap.Run(slots: slot...slot, record: record))
        }
        if !won.isEmpty { take(won) }
        if self.election?.won == election.slots { self.election = nil }
    }

    /// Whether so many holders of copies said that theirs are not newer that none can have what this one lacks.
    private func hasBestCopy(_ slot: Int, _ election: Election) -> Bool {
        let record = map[slot]
        let needed = record.examinedForElection
        if needed == 0 { return true }
        if election.offsets[slot] != nil {
            let examined = election.votes.reduce(0) { count, vote in
                vote.vote.examined.contains(slot) && record.copies.contains(vote.from) ? count + 1 : count
            }
            return examined >= needed
        }
        // With nothing at all: only if nobody has anything.
        return record.copies.allSatisfy { id in
            election.votes.contains { $0.from == id && $0.vote.empty.contains(slot) }
        }
    }

    private func take(_ runs: [SlotMap.Run]) {
        let slots = SlotSet(runs.lazy.flatMap { $0.slots })
        for run in runs {
            for slot in run.slots {
                materialize(slot)
                succeed(slot, map[slot], end: run.record.takenAt ?? 0)
            }
        }
        adopt(runs)
        let mine = slots.intersection(ownSlots)
        mine.subtracting(served).forEach { if copyReigns[$0] == 0 { store.clear(slot: $0) } }
        served.formUnion(mine)
        // The votes made it known to a majority.
        committed.formUnion(mine)
        election?.won.formUnion(slots)
        statistics.takenOverSlots += mine.count
        if !mine.isEmpty { own.replicaOf = nil }
        broadcast(.slots(map.runs(mine), ticket: 0))
        linksChanged()
        note("Took over \(mine.count) slots in epoch \(election?.epoch ?? epoch)", level: .debug)
        noteRedistribution()
    }
}
