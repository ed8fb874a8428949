extension Raft {
    // MARK: Handing leadership on (thesis §3.10)

    /// Asks the leader, which may be this member, to hand over to a member.
    ///
    /// - Throws: `RaftError.proposalDropped` where no leader is known.
    public func transferLeadership(to peer: Int) throws(RaftError) {
        try receive(RaftMessage(.transfer, from: peer))
    }

    func beginTransfer(to peer: Int) {
        guard let progress = membership[peer], !progress.isLearner, peer != id, peer != transferee else { return }
        transferee = peer
        // It has an election timeout to succeed.
        electionElapsed = 0
        note(.transferring(to: peer))
        if progress.match == log.lastIndex { return sendTimeoutNow() }
        _ = membership.update(peer) { $0.isPaused = false }
        sendAppend(to: peer)
    }

    func sendTimeoutNow() { send(RaftMessage(.timeoutNow, to: transferee)) }

    func giveUpTransfer() {
        note(.transferGivenUp(to: transferee))
        transferee = 0
    }

    /// A follower acts as if it had heard of no leader in this term. It may vote for somebody else then, at once.
    public func forgetLeader() {
        guard role == .follower, leader != 0, !settings.readsByLease else { return }
        leader = 0
        note(.follower(term: term, leader: nil, .forgotten))
    }

    // MARK: Membership

    /// A change of membership is applied: from now on it counts.
    ///
    /// - Returns: who belongs to the group from now on, or nil if it changed nothing, on any member.
    @discardableResult
    public func apply(_ change: ConfigurationChange) -> GroupConfiguration? {
        do throws(RaftError) {
            try membership.apply(change, lastIndex: log.lastIndex)
        } catch {
            note(.changeRefused(error.description))
            return nil
        }
        note(.configuration(configuration))
        guard role == .leader else { return configuration }
        guard let own = membership[id], !own.isLearner else {
            if settings.stepsDownOnRemoval { becomeFollower(term: term, leader: 0, .removed) }
            return configuration
        }
        if commitIfAgreed() {
            broadcastAppend()
        } else {
            // Newcomers need not wait for the next heartbeat.
            for peer in membership.progress where peer.id != id { sendAppend(to: peer.id, evenIfEmpty: false) }
        }
        if transferee != 0, !configuration.isVoter(transferee) { giveUpTransfer() }
        return configuration
    }

    /// A joint configuration that is to be left by itself is left as soon as it is in force.
    func leaveJointIfDue() {
        guard role == .leader, configuration.leavesAutomatically, log.applied >= pendingChangeIndex else { return }
        try? propose(ConfigurationChange())
    }
}
