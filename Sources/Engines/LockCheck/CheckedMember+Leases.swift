import ConsensusEngine
import KernelStructures
import LockEngine

extension CheckedMember {
    // MARK: Leases

    var labTime: LabTime { clock.reading(world.now) }

    func countLeases(_ raft: Raft) {
        if raft.role == .leader, !store.leases.isCounting {
            store.startCounting(now: labTime)
        } else if raft.role != .leader, store.leases.isCounting {
            store.stopCounting()
        }
    }

    /// Proposes the ends of leases that have run out, by its own clock.
    func endLeases() {
        guard raft != nil else { return }
        let now = labTime
        var ended = store.takeExpiredLeases(now: now)
        if world.now >= endsAgainAt, !store.leases.expired.isEmpty {
            ended = store.leases.expired
            endsAgainAt = world.now + Self.endRetryMicroseconds
        }
        for lease in ended { proposeOwn(.revokeLease(id: lease, isExpired: true)) }
    }

    func compactIfDue() {
        guard isLeader, !isCompacting else { return }
        let revision = store.store.revision
        guard revision - max(1, store.store.compactedRevision) > 2 * world.plan.keptRevisions else { return }
        isCompacting = true
        proposeOwn(.compact(revision - world.plan.keptRevisions))
    }

    func proposeOwn(_ command: StoreCommand) {
        lastProposal += 1
        let header = ProposalSessions.Header(
            member: CheckedWorld.clientLimit + id, life: life, number: lastProposal,
            lowestOpen: max(1, lastProposal - 20))
        propose(RaftEntry(data: ProposalSessions.entry(header, .command, command.bytes)))
    }

    // MARK: Renewing

    /// What the owner of a lease asks now and then; only the member that counts can say something.
    ///
    /// - Parameter reply: `isRenewed` is false for a lease that is over, or where this member cannot tell; then `hint`
    ///   is whom to ask, 0 for anybody.
    func renew(_ lease: Int64, _ reply: @escaping (_ isRenewed: Bool, _ hint: Int?) -> Void) {
        whenRunning { member in
            guard let raft = member.raft, raft.role == .leader else {
                return reply(false, member.raft?.leader ?? 0)
            }
            member.lastContext += 1
            member.renewals[member.lastContext] = { isLeader in
                let isRenewed = isLeader && member.store.renewLease(lease, now: member.labTime)
                // What has run out here may not be over: this member may have slept while another one led.
                let isUnsure = !isRenewed && (!isLeader || member.store.leases[lease] != nil)
                reply(isRenewed, isUnsure ? 0 : nil)
            }
            try? raft.readIndex(member.lastContext)
            member.pump()
        }
    }
}
