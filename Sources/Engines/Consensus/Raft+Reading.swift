/// Where a read may be answered: once everything up to `index` is applied.
public struct ReadAnswer: Equatable, Sendable {
    /// What `readIndex` was called with.
    public let context: Int
    public let index: Int
}

/// Reads that wait for a majority to say who leads.
struct ReadQueue: Sendable {
    struct Request: Sendable {
        let sequence: Int
        let index: Int
        let from: Int
        let context: Int
    }

    /// In order of arrival.
    var requests: [Request] = []
    /// Came before this leader had an entry of its own term agreed on: until then it may not know all that is.
    var waiting: [RaftMessage] = []
    /// The last round that each member has answered.
    var answered: [Int: Int] = [:]
    private(set) var newest = 0

    /// At a time; what is more is dropped, and asked again by whoever wants it.
    static let limit = 10_000

    mutating func add(_ index: Int, _ message: RaftMessage) {
        newest += 1
        requests.append(Request(sequence: newest, index: index, from: message.from, context: message.context))
    }

    /// Those that a majority has answered.
    mutating func take(through sequence: Int) -> [Request] {
        let done = requests.firstIndex { $0.sequence > sequence } ?? requests.count
        defer { requests.removeFirst(done) }
        return Array(requests[..<done])
    }
}

extension Raft {
    // MARK: Reads without an entry (thesis §6.4)

    /// Asks for how far the log must be applied before a read is answered; the answer is in a later `Ready`, or never
    /// comes.
    ///
    /// - Parameter context: positive; unlike any other that this member waits for.
    /// - Throws: `RaftError.proposalDropped` where no leader is known.
    public func readIndex(_ context: Int) throws(RaftError) {
        try receive(RaftMessage(.readIndex, from: id, context: context))
    }

    private var hasCommittedInTerm: Bool { log.term(at: log.committed) == term }

    func askWhetherLeader(_ message: RaftMessage) {
        guard reads.requests.count + reads.waiting.count < ReadQueue.limit else { return }
        // Also one that is alone: what it had acknowledged before it was started again is in its log, and agreed on
        // only with the first entry of its new term, which a slow disk may take a while to store.
        guard hasCommittedInTerm else { return reads.waiting.append(message) }
        if isOnlyVoter { return answerRead(from: message.from, message.context, index: log.committed) }
        if settings.readsByLease {
            return answerRead(from: message.from, message.context, index: log.committed)
        }
        reads.add(log.committed, message)
        reads.answered[id] = reads.newest
        broadcastHeartbeat()
    }

    func noteReadAcknowledgement(_ message: RaftMessage) {
        reads.answered[message.from] = max(reads.answered[message.from] ?? 0, min(message.context, reads.newest))
        releaseReads()
    }

    private func releaseReads() {
        let agreed = Quorum.agreed(configuration) { reads.answered[$0] ?? 0 }
        for request in reads.take(through: agreed) {
            answerRead(from: request.from, request.context, index: request.index)
        }
    }

    func releaseWaitingReads() {
        guard !reads.waiting.isEmpty, hasCommittedInTerm else { return }
        let waiting = reads.waiting
        reads.waiting = []
        for message in waiting { askWhetherLeader(message) }
    }

    private func answerRead(from asker: Int, _ context: Int, index: Int) {
        if asker == id {
            readAnswers.append(.init(context: context, index: index))
        } else {
            send(RaftMessage(.readIndexReply, to: asker, index: index, context: context))
        }
    }
}
