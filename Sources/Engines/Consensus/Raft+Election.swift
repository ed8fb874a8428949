extension Raft {
    /// Asks for votes now. Does nothing on who may not be elected.
    public func campaign() { campaign(.requested) }

    func campaign(_ reason: RaftEvent.CampaignReason) {
        guard role != .leader, isPromotable, !hasUnappliedChange else { return }
        // The leader wants it: nobody has to be asked on trial.
        let isTrial = settings.usesPreVote && reason != .transfer
        askForVotes(reason, isTrial: isTrial)
    }

    /// Who belongs to the group may be about to change.
    private var hasUnappliedChange: Bool {
        log.entries(from: log.applied + 1, through: log.committed, limitBytes: .max).contains {
            $0.kind == .configuration
        }
    }

    private func askForVotes(_ reason: RaftEvent.CampaignReason, isTrial: Bool) {
        if isTrial {
            votes = []
            leader = 0
            role = .preCandidate
        } else {
            reset(term: term + 1)
            vote = id
            role = .candidate
        }
        campaignReason = reason
        let wanted = isTrial ? term + 1 : term
        note(.campaign(term: wanted, reason, isPreVote: isTrial))
        let last = log.last
        for other in configuration.allVoters {
            if other == id {
                // One's own vote, too, counts only once it is on the disk.
                send(RaftMessage(isTrial ? .preVoteReply : .voteReply, to: id, term: wanted))
            } else {
                send(
                    RaftMessage(
                        isTrial ? .preVote : .vote, to: other, term: wanted, index: last.index, logTerm: last.term,
                        isTransfer: reason == .transfer))
            }
        }
    }

    /// RequestVote (figure 2).
    func answerBallot(_ message: RaftMessage) {
        let isTrial = message.kind == .preVote
        let isFree =
            vote == message.from || vote == 0 && leader == 0 || isTrial && message.term > term
        let answer: RaftEvent.BallotAnswer =
            !isFree ? .alreadyVoted : log.isUpToDate(message.logPosition) ? .granted : .behind
        note(.ballot(for: message.from, term: message.term, isPreVote: isTrial, answer))
        // Learners answer as well: this member may be a voter, and not have heard of it.
        let kind: RaftMessage.Kind = isTrial ? .preVoteReply : .voteReply
        guard answer == .granted else {
            return send(RaftMessage(kind, to: message.from, term: term, isRejection: true))
        }
        send(RaftMessage(kind, to: message.from, term: message.term))
        if isTrial { return }
        electionElapsed = 0
        vote = message.from
    }

    // MARK: As a candidate

    func receiveAsCandidate(_ message: RaftMessage) throws(RaftError) {
        switch message.kind {
        case .propose, .readIndex: throw .proposalDropped
        case .append, .heartbeat, .snapshot:
            becomeFollower(term: message.term, leader: message.from, .leaderHeard)
            try receiveFromLeader(message)
        case .voteReply where role == .candidate, .preVoteReply where role == .preCandidate: count(message)
        default: break
        }
    }

    private func count(_ message: RaftMessage) {
        let isTrial = role == .preCandidate
        if !votes.contains(where: { $0.id == message.from }) { votes.append((message.from, !message.isRejection)) }
        note(
            .voteHeard(
                from: message.from, term: message.term, isPreVote: isTrial, isGranted: !message.isRejection))
        let outcome = Quorum.outcome(configuration) { id in votes.first { $0.id == id }?.isGranted }
        switch outcome {
        case .won where isTrial: askForVotes(campaignReason, isTrial: false)
        case .won:
            becomeLeader()
            broadcastAppend()
        case .lost: becomeFollower(term: term, leader: 0, .electionLost)
        case .pending: break
        }
    }

    private func becomeLeader() {
        let voters = votes.filter(\.isGranted).map(\.id).sorted()
        reset(term: term)
        leader = id
        role = .leader
        _ = membership.update(id) { own in
            own.becomeReplicate()
            own.isActive = true
        }
        // One change of membership may be in the log without being agreed on: none is taken before that is known.
        pendingChangeIndex = log.lastIndex
        note(.elected(term: term, voters: voters))
        _ = append([RaftEntry()])
    }
}
