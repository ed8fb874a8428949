extension Raft {
    func receiveAsLeader(_ message: RaftMessage) throws(RaftError) {
        switch message.kind {
        case .propose: try accept(message.entries)
        case .readIndex: askWhetherLeader(message)
        case .appendReply: noteAnswer(message)
        case .heartbeatReply: noteHeartbeatAnswer(message)
        case .transfer: beginTransfer(to: message.from)
        default: break
        }
    }

    // MARK: Proposals

    /// Has entries appended, by the leader if this member knows one.
    ///
    /// - Throws: `RaftError.proposalDropped`.
    public func propose(_ entries: [RaftEntry]) throws(RaftError) {
        try receive(RaftMessage(.propose, from: id, entries: entries))
    }

    /// - Throws: `RaftError.proposalDropped`.
    public func propose(_ data: [UInt8]) throws(RaftError) { try propose([RaftEntry(data: data)]) }

    /// - Throws: `RaftError.proposalDropped`. A change that is not possible now is replaced by nothing.
    public func propose(_ change: ConfigurationChange) throws(RaftError) {
        try propose([RaftEntry(kind: .configuration, data: change.encoded)])
    }

    private func accept(_ entries: [RaftEntry]) throws(RaftError) {
        guard !entries.isEmpty else { throw .malformed("a proposal without entries") }
        // It was removed from the group, or is about to be leader no more.
        guard membership.place(of: id) != nil, transferee == 0 else { throw .proposalDropped }
        var entries = entries
        for place in entries.indices where entries[place].kind == .configuration {
            if let reason = reasonToRefuse(entries[place]) {
                note(.changeRefused(reason))
                // What the host has to say about it stays: so its proposer hears of it.
                let change = ConfigurationChange(encoded: entries[place].data)
                entries[place] = RaftEntry(data: change?.context ?? [])
            } else {
                pendingChangeIndex = log.lastIndex + place + 1
            }
        }
        guard append(entries) else { throw .proposalDropped }
        broadcastAppend()
    }

    /// One change at a time (thesis §4.1), and only what can be carried out.
    private func reasonToRefuse(_ entry: RaftEntry) -> String? {
        guard let change = ConfigurationChange(encoded: entry.data) else { return "a change that cannot be read" }
        if pendingChangeIndex > log.applied {
            return "possible unapplied conf change at index \(pendingChangeIndex) (applied to \(log.applied))"
        }
        if configuration.isJoint, !change.steps.isEmpty { return "must transition out of joint config first" }
        if !configuration.isJoint, change.steps.isEmpty { return "not in joint state; refusing empty conf change" }
        var trial = membership
        do throws(RaftError) {
            try trial.apply(change, lastIndex: log.lastIndex)
            return nil
        } catch {
            return error.description
        }
    }

    /// Appends in this term. Returns false where too much is not agreed on already.
    func append(_ new: [RaftEntry]) -> Bool {
        var new = new
        var bytes = 0
        for place in new.indices {
            new[place].term = term
            new[place].index = log.lastIndex + 1 + place
            bytes += new[place].data.count
        }
        // What is empty, or alone, is always taken: a leader must be able to begin, and a group to leave a joint state.
        if bytes > 0, uncommittedBytes > 0, uncommittedBytes + bytes > settings.uncommittedLimitBytes { return false }
        uncommittedBytes += bytes
        log.append(new)
        // The leader counts itself, like anybody else, once it is on its disk.
        send(RaftMessage(.appendReply, to: id, index: log.lastIndex))
        return true
    }

    // MARK: Sending entries

    func broadcastAppend() { for peer in membership.progress where peer.id != id { _ = sendAppend(to: peer.id) } }

    /// Sends what comes next to a member, if it may be sent anything.
    ///
    /// - Parameter evenIfEmpty: without entries, too, for the sake of the commit index.
    @discardableResult
    func sendAppend(to peer: Int, evenIfEmpty: Bool = true) -> Bool {
        guard let progress = membership[peer], !progress.isSendingPaused else { return false }
        let previous = progress.next - 1
        guard let previousTerm = log.term(at: previous) else { return sendSnapshot(to: peer) }
        // A full window lets empty ones pass: if all in it were lost, one of these finds out.
        let isFull = progress.mode == .replicate && progress.isWindowFull
        let entries = isFull ? [] : log.entries(from: progress.next, limitBytes: settings.messageLimitBytes)
        if entries.isEmpty, !evenIfEmpty { return false }
        send(
            RaftMessage(
                .append, to: peer, index: previous, logTerm: previousTerm, commit: log.committed, entries: entries))
        let bytes = entries.reduce(0) { $0 + $1.data.count }
        _ = membership.update(peer) { $0.sent(entries.count, bytes: bytes, commit: log.committed) }
        return true
    }

    private func sendSnapshot(to peer: Int) -> Bool {
        guard membership[peer]?.isActive == true else { return false }
        // One from before it was a member would tell it that it is none.
        guard let snapshot, snapshot.index >= log.base.index, snapshot.configuration.contains(peer) else {
            note(.snapshotWanted(by: peer))
            return false
        }
        _ = membership.update(peer) { $0.becomeSnapshot(snapshot.index) }
        note(.snapshotSent(to: peer, index: snapshot.index))
        send(RaftMessage(.snapshot, to: peer, snapshot: snapshot))
        return true
    }

    func broadcastHeartbeat(read: Int? = nil) {
        let context = read ?? reads.newest
        for peer in membership.progress where peer.id != id {
            // A member is told of nothing that it may not have.
            let commit = min(peer.match, log.committed)
            send(RaftMessage(.heartbeat, to: peer.id, commit: commit, context: context))
            _ = membership.update(peer.id) { $0.sentHeartbeat(commit: commit) }
        }
    }

    // MARK: Answers

    private func noteAnswer(_ message: RaftMessage) {
        guard message.index <= log.lastIndex else { return }
        _ = membership.update(message.from) { $0.isActive = true }
        if message.isRejection { noteRejection(message) } else { noteAcknowledgement(message) }
    }

    private func noteRejection(_ message: RaftMessage) {
        // The member's log has terms that this one never had: what of this log is not newer than its hint?
        let hint =
            message.logTerm > 0
            ? log.lastPosition(upTo: min(message.hint, log.lastIndex), termAtMost: message.logTerm).index : message.hint
        let isNews = membership.update(message.from) { peer in
            guard peer.reject(message.index, hint: hint) else { return false }
            if peer.mode == .replicate { peer.becomeProbe() }
            return true
        }
        if isNews == true { sendAppend(to: message.from) }
    }

    private func noteAcknowledgement(_ message: RaftMessage) {
        let first = log.firstIndex
        let isNews = membership.update(message.from) { peer in
            guard peer.acknowledge(message.index) || peer.match == message.index && peer.mode == .probe else {
                return false
            }
            switch peer.mode {
            case .probe: peer.becomeReplicate()
            case .snapshot where peer.match + 1 >= first:
                // However it got there, the log has what it needs next.
                peer.becomeProbe()
                peer.becomeReplicate()
            case .snapshot: break
            case .replicate: peer.inflight.free(through: message.index)
            }
            return true
        }
        guard isNews == true else { return }
        if commitIfAgreed() {
            releaseWaitingReads()
            broadcastAppend()
        } else if message.from != id, membership[message.from]?.wouldLearn(log.committed) == true {
            sendAppend(to: message.from)
        }
        if message.from == id { return }
        while sendAppend(to: message.from, evenIfEmpty: false) {}
        if message.from == transferee, membership[message.from]?.match == log.lastIndex { sendTimeoutNow() }
    }

    /// What a majority has on disk is agreed on, if it is of this term (§5.4.2, figure 8).
    func commitIfAgreed() -> Bool {
        let index = membership.agreedIndex(id)
        guard index > log.committed, log.term(at: index) == term else { return false }
        log.commit(through: index)
        return true
    }

    private func noteHeartbeatAnswer(_ message: RaftMessage) {
        let isBehind = membership.update(message.from) { peer in
            peer.isActive = true
            peer.isPaused = false
            return peer.match < log.lastIndex || peer.mode == .probe
        }
        if isBehind == true { sendAppend(to: message.from) }
        if message.context > 0 { noteReadAcknowledgement(message) }
    }

    func checkQuorum() {
        guard membership.isQuorumActive else { return becomeFollower(term: term, leader: 0, .noQuorum) }
        membership.updateAll { peer in if peer.id != id { peer.isActive = false } }
    }

    // MARK: What the host saw

    /// A message to that member was lost: what followed it is not assumed to arrive.
    public func reportUnreachable(_ peer: Int) {
        guard role == .leader else { return }
        _ = membership.update(peer) { if $0.mode == .replicate { $0.becomeProbe() } }
    }

    /// A snapshot has gone to that member, or did not get there.
    public func reportSnapshot(_ peer: Int, isDelivered: Bool) {
        guard role == .leader else { return }
        _ = membership.update(peer) { peer in
            guard peer.mode == .snapshot else { return }
            if !isDelivered { peer.pendingSnapshot = 0 }
            peer.becomeProbe()
            // Its own answer comes first, or a heartbeat's.
            peer.isPaused = true
        }
    }
}
