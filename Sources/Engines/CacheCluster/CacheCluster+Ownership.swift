import KernelStructures

// What an owner decides alone: which copies count, and to whom it hands slots.

/// Versions that a majority of the masters is to know.
struct Ticket {
    let number: Int
    var slots: SlotSet
    var notedBy: [ClusterNodeID] = []
    let since: LabTime
    var sentAt: LabTime

    init(number: Int, slots: SlotSet, now: LabTime) {
        self.number = number
        self.slots = slots
        since = now
        sentAt = now
    }
}

/// Slots on their way to their next owner: nothing is written to them until it has everything.
public struct Handoff {
    public let target: ClusterNodeID
    public let slots: SlotSet
    public let since: LabTime
    let offset: Int
    /// The owner then becomes the target's replica: a manual failover.
    let isAbdication: Bool
}

extension CacheCluster {
    // MARK: Records

    /// Takes over what is newer, and does what follows from it.
    ///
    /// - Returns: the slots whose records changed.
    @discardableResult
    func adopt(_ runs: [SlotMap.Run]) -> SlotSet {
        var changed = SlotSet()
        var lost = SlotSet()
        var takenOver: [Int: SlotMap.Record] = [:]
        var successor: ClusterNodeID?
        var former: ClusterNodeID?
        for run in runs {
            for slot in run.slots {
                let old = map[slot]
                guard map.merge(run.record, into: slot) else { continue }
                changed.insert(slot)
                if run.record.version.epoch > epoch { heard(epoch: run.record.version.epoch) }
                if old.owner == own.id, run.record.owner != own.id {
                    if run.record.takenAt != nil, served.contains(slot) { takenOver[slot] = run.record }
                    lose(slot, old)
                    lost.insert(slot)
                } else if run.record.owner == own.id, old.owner != own.id {
                    gain(slot, old, run.record)
                }
                if old.owner != run.record.owner, let owner = old.owner {
                    if owner == own.replicaOf || owner == own.id { (former, successor) = (owner, run.record.owner) }
                }
            }
        }
        guard !changed.isEmpty else { return changed }
        needsSave = true
        needsReview = true
        committed.subtract(changed)
        for index in tickets.indices { tickets[index].slots.subtract(changed) }
        noteChange(of: changed)
        refreshOwnSlots()
        if !takenOver.isEmpty { lostWrites.add(from: log, of: own.id, takenOver) }
        if !lost.isEmpty { effects.append(.lostSlots(lost)) }
        if let former, let successor, former != successor { followSuccessor(of: former, successor, hasLost: lost) }
        return changed
    }

    /// In a cluster without a ring, whoever loses all slots to somebody becomes its replica, and so do its replicas.
    private func followSuccessor(of former: ClusterNodeID, _ successor: ClusterNodeID, hasLost lost: SlotSet) {
        guard !ring.isActive, slotCount(of: former) == 0, successor != own.id else { return }
        guard former != own.id || own.replicaOf == nil && lost.slots.contains(where: map.wasTakenOver) else { return }
        becomeReplica(of: successor)
    }

    private func lose(_ slot: Int, _ old: SlotMap.Record) {
        migrating[slot] = nil
        successions[slot] = nil
        guard served.contains(slot) else { return }
        served.remove(slot)
        // What it has is a copy now, as good as the former reign was.
        copyReigns[slot] = old.version.reign.bits
        copyOffsets[slot] = log.end
        beginHistory(of: slot, at: log.end)
    }

    private func gain(_ slot: Int, _ old: SlotMap.Record, _ new: SlotMap.Record) {
        importing[slot] = nil
        // Handed over: the former owner made sure that all of it is here.
        guard new.takenAt == nil, old.version > .none, copyReigns[slot] == old.version.reign.bits,
            new.version.epoch == old.version.epoch, new.version.handoff == old.version.handoff + 1
        else { return }
        materialize(slot)
        succeed(slot, old, end: copyOffsets[slot])
        served.insert(slot)
        own.replicaOf = nil
    }

    /// An election is about one record: who was examined, and whose word counts, goes by that.
    private func noteChange(of slots: SlotSet) {
        guard election != nil else { return }
        election?.slots.subtract(slots)
        if election?.slots.isEmpty == true { election = nil }
    }

    func refreshOwnSlots() {
        ownSlots = map.slots(of: own.id)
        served.formIntersection(ownSlots)
        committed.formIntersection(ownSlots)
    }

    /// Makes a new version of some of its own slots known, and has it noted.
    func publish(_ changes: [(slot: Int, record: SlotMap.Record)]) {
        var slots = SlotSet()
        for (slot, record) in changes where map.merge(record, into: slot) { slots.insert(slot) }
        guard !slots.isEmpty else { return }
        needsSave = true
        needsReview = true
        for index in tickets.indices { tickets[index].slots.subtract(slots) }
        noteChange(of: slots)
        committed.subtract(slots)
        refreshOwnSlots()
        ticketNumber += 1
        tickets.append(Ticket(number: ticketNumber, slots: slots, now: now))
        hasPromised = true
        broadcast(.slots(map.runs(slots), ticket: ticketNumber))
        countTickets()
    }

    /// Slots that nobody had, or that it is given by hand, with what lies here.
    func claim(_ slots: SlotSet, isPinned: Bool) {
        var changes: [(slot: Int, record: SlotMap.Record)] = []
        let base = max(ownEpoch, 1)
        slots.forEach { slot in
            let old = map.version(of: slot)
            let version =
                old.epoch < base ? SlotVersion(epoch: base) : old.afterHandoff ?? SlotVersion(epoch: old.epoch + 1)
            changes.append((slot, SlotMap.Record(owner: own.id, version: version, isPinned: isPinned)))
        }
        heard(epoch: changes.map(\.record.version.epoch).max() ?? 0)
        publish(changes)
        served.formUnion(slots.intersection(ownSlots))
    }

    // MARK: Tickets

    func receive(_ runs: [SlotMap.Run], ticket: Int, from peer: Peer) {
        adopt(runs)
        guard ticket > 0 else { return }
        // Not where it has voted for somebody later: the candidate will have counted on the older account.
        let holds = runs.allSatisfy { run in
            run.slots.allSatisfy {
                map.version(of: $0) >= run.record.version && Int(votedEpochs[$0]) <= run.record.version.epoch
            }
        }
        guard holds else { return }
        // It is counted upon that this one knows it, after a restart, too.
        if savedMap.changeCount != map.changeCount { hasPromised = true }
        send(.noted(ticket: ticket), to: peer.id)
    }

    func noted(_ number: Int, by peer: Peer) {
        guard let index = tickets.firstIndex(where: { $0.number == number }),
            !tickets[index].notedBy.contains(peer.id)
        else { return }
        tickets[index].notedBy.append(peer.id)
        countTickets()
    }

    private func countTickets() {
        let majority = voterMajority
        for ticket in tickets {
            let noted = ticket.notedBy.reduce(isVoter(own) ? 1 : 0) { count, id in
                peer(id).map { isVoter($0.node) } == true ? count + 1 : count
            }
            if noted >= majority {
                committed.formUnion(ticket.slots.intersection(ownSlots))
                needsReview = true
            }
        }
        tickets.removeAll { ticket in
            ticket.slots.isEmpty || ticket.slots.subtracting(committed).isEmpty
        }
    }

    func resendTickets() {
        countTickets()
        for index in tickets.indices where now - tickets[index].sentAt >= .milliseconds(300) {
            tickets[index].sentAt = now
            let runs = map.runs(tickets[index].slots)
            for peer in peers where !tickets[index].notedBy.contains(peer.id) && !peer.isFailed {
                send(.slots(runs, ticket: tickets[index].number), to: peer.id)
            }
        }
    }

    // MARK: Which copies count

    /// Where a slot's copies should be: with those that come next on the ring, and with this node's replicas.
    func desiredCopies(of slot: Int) -> [ClusterNodeID] {
        var desired: [ClusterNodeID] = []
        if ring.isActive, let placement {
            for index in placement[slot] {
                let id = placementIDs[index]
                if id != own.id, desired.count < ring.replicas { desired.append(id) }
            }
        }
        for peer in peers where peer.node.replicaOf == own.id && !peer.isFailed && !desired.contains(peer.id) {
            desired.append(peer.id)
        }
        return Array(desired.prefix(SlotMap.copyLimit))
    }

    /// Has those copies count that should and that are complete. A new set holds only if each of its members has
    /// everything that a majority of the old set had: then whoever is elected from either has it.
    func reviewCopies() {
        var changes: [(slot: Int, record: SlotMap.Record)] = []
        served.forEach { slot in
            var record = map[slot]
            let desired = desiredCopies(of: slot)
            if record.copies == desired { return }
            let floor = max(promised[slot], agreedOffset(slot, record))
            var set = desired.filter { isCurrent($0, slot, floor) }
            for old in record.copies where set.count < desired.count && !set.contains(old) {
                if peer(old)?.isFailed == false, isCurrent(old, slot, floor) { set.append(old) }
            }
            if set == record.copies { return }
            // Members that are only slow stay until there is somebody in their place; and the last ones even when they
            // are gone. They may have what nobody else has when this node is gone, too.
            let areGone = record.copies.allSatisfy { set.contains($0) || peer($0)?.isFailed != false }
            guard set == desired || areGone || set.count >= record.copies.count, !set.isEmpty || !isToBeCopied else {
                return
            }
            guard let version = record.version.afterChangeOfCopies else { return }
            record.version = version
            record.copies = set
            changes.append((slot, record))
        }
        if !changes.isEmpty { publish(changes) }
    }

    private var isToBeCopied: Bool {
        ring.isActive && ring.replicas > 0 || peers.contains { $0.node.replicaOf == own.id }
    }

    /// Up to where the owner and a majority of a slot's copies may have had everything.
    private func agreedOffset(_ slot: Int, _ record: SlotMap.Record) -> Int {
        guard record.majority > 1 else { return 0 }
        let offsets = record.copies.map { id in follower(id).map { $0.held.contains(slot) ? $0.acknowledged : 0 } ?? 0 }
        return offsets.sorted(by: >)[record.majority - 2]
    }

    private func isCurrent(_ id: ClusterNodeID, _ slot: Int, _ floor: Int) -> Bool {
        guard let follower = follower(id) else { return false }
        return follower.held.contains(slot) && follower.acknowledged >= floor
    }

    /// What was handed to it has to become known, too, before it can promise anything.
    func makeKnown() {
        var unknown = served.subtracting(committed)
        for ticket in tickets { unknown.subtract(ticket.slots) }
        guard !unknown.isEmpty else { return }
        ticketNumber += 1
        tickets.append(Ticket(number: ticketNumber, slots: unknown, now: now))
        hasPromised = true
        broadcast(.slots(map.runs(unknown), ticket: ticketNumber))
        countTickets()
    }

    // MARK: Handing over

    /// Begins to hand on what belongs to somebody else, to one node at a time.
    func reviewHandoffs() {
        guard handoff == nil, ring.isActive, let placement, own.replicaOf == nil else { return }
        var byTarget: [(target: ClusterNodeID, slots: SlotSet)] = []
        served.intersection(committed).forEach { slot in
            guard let index = placement.owner(of: slot), placementIDs[index] != own.id, !map.isPinned(slot),
                migrating[slot] == nil
            else { return }
            let target = placementIDs[index]
            guard peer(target)?.isSuspected == false, follower(target)?.held.contains(slot) == true else { return }
            if let place = byTarget.firstIndex(where: { $0.target == target }) {
                byTarget[place].slots.insert(slot)
            } else {
                byTarget.append((target, SlotSet([slot])))
            }
        }
        guard let next = byTarget.min(by: { $0.target < $1.target }) else { return }
        begin(Handoff(target: next.target, slots: next.slots, since: now, offset: log.end, isAbdication: false))
    }

    /// A replica of this node asks to take its place: CLUSTER FAILOVER.
    func handOverTo(_ peer: Peer) {
        guard handoff == nil, peer.node.replicaOf == own.id, !served.isEmpty else { return }
        begin(Handoff(target: peer.id, slots: served, since: now, offset: log.end, isAbdication: true))
    }

    private func begin(_ handoff: Handoff) {
        self.handoff = handoff
        effects.append(.pauseWrites)
        proceedHandoff()
    }

    func proceedHandoff() {
        guard let handoff else { return }
        let slots = handoff.slots.intersection(served)
        let isOver = now - handoff.since > .milliseconds(1000) || slots.isEmpty
        guard let follower = follower(handoff.target), !isOver else { return endHandoff() }
        guard follower.acknowledged >= log.end, slots.subtracting(follower.held).isEmpty else { return }
        var changes: [(slot: Int, record: SlotMap.Record)] = []
        slots.forEach { slot in
            let old = map[slot]
            guard let version = old.version.afterHandoff else { return }
            let copies = [own.id] + old.copies.filter { $0 != handoff.target && $0 != own.id }
            changes.append(
                (
                    slot,
                    SlotMap.Record(
                        owner: handoff.target, version: version, copies: Array(copies.prefix(SlotMap.copyLimit)),
                        isPinned: old.isPinned)
                ))
        }
        statistics.handedOverSlots += changes.count
        adopt(changes.map { SlotMap.Run(slots: $0.slot...$0.slot, record: $0.record) })
        broadcast(.slots(map.runs(slots), ticket: 0))
        if handoff.isAbdication { becomeReplica(of: handoff.target) }
        endHandoff()
    }

    private func endHandoff() {
        handoff = nil
        needsReview = true
        effects.append(.resumeWrites)
    }
}
