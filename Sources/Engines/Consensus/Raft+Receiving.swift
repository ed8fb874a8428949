extension Raft {
    /// A message from another member, or one of `Ready.Append.replies` to this one.
    ///
    /// - Throws: `RaftError`, for messages that are of no use; nothing has changed then but what a newer term changes.
    public func receive(_ message: RaftMessage) throws(RaftError) {
        if message.kind.isReply, message.from != id, membership.place(of: message.from) == nil {
            throw .unknownPeer(message.from)
        }
        if message.term > term {
            guard noteNewer(message) else { return }
        } else if message.term < term, message.term != 0 {
            return answerOlder(message)
        }
        switch message.kind {
        case .vote, .preVote: answerBallot(message)
        default:
            switch role {
            case .leader: try receiveAsLeader(message)
            case .candidate, .preCandidate: try receiveAsCandidate(message)
            case .follower: try receiveAsFollower(message)
            }
        }
    }

    /// Whoever hears of a newer term follows, in that term (figure 2, "rules for servers").
    ///
    /// - Returns: false if the message is to be ignored.
    private func noteNewer(_ message: RaftMessage) -> Bool {
        switch message.kind {
        case .vote, .preVote:
            let hearsLeader = settings.checksQuorum && leader != 0 && electionElapsed < settings.electionTicks
            if hearsLeader, !message.isTransfer {
                // Somebody who hears of no leader wants to be one, and this member hears of one (thesis §4.2.3).
                note(
                    .ballot(
                        for: message.from, term: message.term, isPreVote: message.kind == .preVote, .leaderIsAlive))
                return false
            }
            if message.kind == .preVote { return true }
            becomeFollower(term: message.term, leader: 0, .higherTerm)
        case .preVoteReply where !message.isRejection:
            // It is for the term that would be.
            break
        case .append, .heartbeat, .snapshot: becomeFollower(term: message.term, leader: message.from, .higherTerm)
        default: becomeFollower(term: message.term, leader: 0, .higherTerm)
        }
        return true
    }

    /// From somebody who has missed a term. Whoever must not be disturbed by elections has to be told in another way
    /// that there is a newer term: by an answer that carries it.
    private func answerOlder(_ message: RaftMessage) {
        switch message.kind {
        case .heartbeat where settings.checksQuorum || settings.usesPreVote,
            .append where settings.checksQuorum || settings.usesPreVote:
            send(RaftMessage(.appendReply, to: message.from))
        case .preVote: send(RaftMessage(.preVoteReply, to: message.from, term: term, isRejection: true))
        default: break
        }
    }

    // MARK: As a follower

    private func receiveAsFollower(_ message: RaftMessage) throws(RaftError) {
        switch message.kind {
        case .propose, .readIndex, .transfer:
            guard leader != 0 else { throw .proposalDropped }
            var forwarded = message
            forwarded.to = leader
            if forwarded.kind == .transfer, forwarded.from == 0 { forwarded.from = id }
            send(forwarded)
        case .append, .heartbeat, .snapshot:
            electionElapsed = 0
            follow(message.from)
            try receiveFromLeader(message)
        case .timeoutNow: campaign(.transfer)
        case .readIndexReply: readAnswers.append(.init(context: message.context, index: message.index))
        default: break
        }
    }

    private func follow(_ newLeader: Int) {
        if leader != newLeader { note(.follower(term: term, leader: newLeader, .leaderHeard)) }
        leader = newLeader
    }

    func receiveFromLeader(_ message: RaftMessage) throws(RaftError) {
        switch message.kind {
        case .append: try take(message)
        case .snapshot: takeSnapshot(message)
        default:
            log.commit(through: message.commit)
            send(RaftMessage(.heartbeatReply, to: message.from, context: message.context))
        }
    }

    /// AppendEntries (figure 2). A refusal says where the logs may agree, so that one round trip a term is enough.
    private func take(_ message: RaftMessage) throws(RaftError) {
        if message.index <= log.committed { try expectAgreement(message) }
        if message.index < log.committed {
            return send(RaftMessage(.appendReply, to: message.from, index: log.committed))
        }
        if let last = try log.append(message.entries, after: message.logPosition) {
            log.commit(through: min(message.commit, last))
            return send(RaftMessage(.appendReply, to: message.from, index: last))
        }
        let hint = log.lastPosition(upTo: min(message.index, log.lastIndex), termAtMost: message.logTerm)
        send(
            RaftMessage(
                .appendReply, to: message.from, index: message.index, logTerm: hint.term, isRejection: true,
                hint: hint.index))
    }

    /// Whoever leads has everything that is agreed on (figure 3, "leader completeness"): one that has something else
    /// there is none of this group's.
    private func expectAgreement(_ message: RaftMessage) throws(RaftError) {
        try expectAgreement(message.logPosition)
        for entry in message.entries where entry.index <= log.committed { try expectAgreement(entry.position) }
    }

    private func expectAgreement(_ position: LogPosition) throws(RaftError) {
        guard position.index <= log.committed, let term = log.term(at: position.index), term != position.term else {
            return
        }
        throw .contradiction(at: position.index)
    }

    private func takeSnapshot(_ message: RaftMessage) {
        guard let snapshot = message.snapshot, restore(snapshot) else {
            return send(RaftMessage(.appendReply, to: message.from, index: log.committed))
        }
        note(.snapshotRestored(index: snapshot.index))
        send(RaftMessage(.appendReply, to: message.from, index: log.lastIndex))
    }

    /// Returns false where the snapshot has nothing to say: it is old, or about others, or the log has its place.
    private func restore(_ new: RaftSnapshot) -> Bool {
        guard new.index > log.committed, role == .follower else { return false }
        guard new.configuration.contains(id) else { return false }
        if log.matches(new.position) {
            log.commit(through: new.index)
            return false
        }
        log.restore(new)
        snapshot = new
        membership.restore(new.configuration, lastIndex: log.lastIndex)
        _ = membership.update(id) { $0.acknowledge($0.next - 1) }
        note(.configuration(new.configuration))
        return true
    }
}
