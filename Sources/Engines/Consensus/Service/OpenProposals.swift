import ConsensusEngine
import KernelStructures
import KernelWorld

/// What a proposer is told.
public struct ConsensusAnswer: Equatable, Sendable {
    /// The command's place in the log.
    public let index: Int
    /// What the machine's `apply` returned.
    public let bytes: [UInt8]

    public init(index: Int, bytes: [UInt8]) {
        self.index = index
        self.bytes = bytes
    }
}

/// A change of who belongs to a group.
public enum MembershipChange: Equatable, Sendable {
    case add(Int, HostPort, voting: Bool)
    /// Makes a learner a voter.
    case promote(Int)
    case remove(Int)
    /// The step that makes a voter a learner.
    case demote(Int)
}

/// Proposals of this member whose results have not come.
struct OpenProposals {
    typealias Completion = (Result<ConsensusAnswer, ConsensusFailure>) -> Void

    struct Proposal {
        let matter: ProposalSessions.Matter
        let content: [UInt8]
        let steps: [ConfigurationChange.Step]
        let deadline: LabTime
        /// The only term in which it may be put into the log, by this member; nil: any, by whoever leads.
        var onlyTerm: Int?
        let completion: Completion
        /// When it was handed to the engine the last time; nil: it is to be.
        var sentAt: LabTime?
        /// How many times it was.
        var sendCount = 0
        var wasSent: Bool { sendCount > 0 }
        /// The term in which this member put it into its own log, the last time.
        var ownTerm: Int?
    }

    /// By number, which grows.
    private var open: [Int: Proposal] = [:]
    private var lastNumber = 0
    private(set) var lowestOpen = 1
    /// Proposals of one term only.
    private var boundCount = 0

    var count: Int { open.count }

    mutating func add(_ proposal: Proposal) {
        lastNumber += 1
        open[lastNumber] = proposal
        if proposal.onlyTerm != nil { boundCount += 1 }
    }

    /// Its result has come. The caller tells its proposer, who may propose again at once.
    mutating func take(_ number: Int) -> Proposal? {
        let proposal = open.removeValue(forKey: number)
        if proposal?.onlyTerm != nil { boundCount -= 1 }
        while lowestOpen <= lastNumber, open[lowestOpen] == nil { lowestOpen += 1 }
        return proposal
    }

    private var numbers: [Int] { lowestOpen > lastNumber ? [] : (lowestOpen...lastNumber).filter { open[$0] != nil } }

    /// Those that are to be sent now, oldest first; the caller says which were.
    var unsent: [(number: Int, proposal: Proposal)] {
        numbers.compactMap { number in open[number].flatMap { $0.sentAt == nil ? (number, $0) : nil } }
    }

    /// - Parameter ownTerm: in which this member leads; nil: another one does.
    mutating func sent(_ number: Int, at time: LabTime, ownTerm: Int?) {
        open[number]?.sentAt = time
        open[number]?.sendCount += 1
        open[number]?.ownTerm = ownTerm
    }

    /// What was sent may be lost.
    mutating func sendAgain() { for number in numbers { open[number]?.sentAt = nil } }

    /// The same for what has had no answer for long: after `patience`, twice that, four times that …, for whoever is
    /// slow gets slower with each copy of it. What this member has in its own log, and leads still, is not lost.
    mutating func sendAgain(after patience: LabDuration, now: LabTime, ownTerm: Int?) {
        for number in numbers {
            guard let proposal = open[number], let sent = proposal.sentAt else { continue }
            if ownTerm != nil, proposal.ownTerm == ownTerm { continue }
            let pause = LabDuration(nanoseconds: patience.nanoseconds << Int64(min(6, max(0, proposal.sendCount - 1))))
            if sent + pause < now { open[number]?.sentAt = nil }
        }
    }

    /// Those of another term than this.
    ///
    /// - Parameter term: in which this member leads; nil if it does not.
    mutating func takeOutdated(_ term: Int?) -> [Proposal] {
        guard boundCount > 0 else { return [] }
        return numbers.filter { open[$0]?.onlyTerm.map { $0 != term } ?? false }.compactMap { take($0) }
    }

    /// Those whose time is up.
    mutating func takeExpired(_ now: LabTime) -> [Proposal] {
        numbers.filter { open[$0]!.deadline <= now }.compactMap { take($0) }
    }

    mutating func takeAll() -> [Proposal] { numbers.compactMap { take($0) } }
}

extension ConsensusMember {
    // MARK: Proposing

    /// Has the group carry out a command, whoever leads it.
    ///
    /// - Parameter completion: called once, never before this call returns: with what `apply` returned here, and its
    ///   place in the log.
    public func propose(
        _ command: [UInt8], _ completion: @escaping (Result<ConsensusAnswer, ConsensusFailure>) -> Void
    ) {
        add(.command, command, [], completion)
    }

    /// Has the group carry out a command that only a leader may come to, such as the end of a lease whose time it has
    /// counted. The next leader may know better, so it is never handed on: it comes into the log in the present term,
    /// or not at all.
    ///
    /// - Parameter completion: as in `propose`; `notAccepted` where this member does not lead.
    public func proposeAsLeader(
        _ command: [UInt8], _ completion: @escaping (Result<ConsensusAnswer, ConsensusFailure>) -> Void
    ) {
        guard isLeader else { return node.enqueue { completion(.failure(.notAccepted(Self.leadsNoMore))) } }
        add(.command, command, [], onlyTerm: term, completion)
    }

    private static let leadsNoMore = "this member does not lead"

    /// Changes who belongs to the group. Several voters at once change through a joint configuration.
    public func change(_ change: MembershipChange, _ completion: @escaping (Result<Void, ConsensusFailure>) -> Void) {
        var content: [UInt8] = []
        let step: ConfigurationChange.Step
        switch change {
        case .add(let id, let address, let voting):
            step = .init(voting ? .addVoter : .addLearner, id)
            content = Array(address.description.utf8)
        case .promote(let id): step = .init(.addVoter, id)
        case .demote(let id): step = .init(.addLearner, id)
        case .remove(let id): step = .init(.remove, id)
        }
        guard step.id > 0 else {
            return node.enqueue { completion(.failure(.notAccepted("a member's number is positive"))) }
        }
        if let refusal = refusal(of: change) {
            return node.enqueue { completion(.failure(.refusedChange(refusal))) }
        }
        add(.membership, content, [step]) { result in
            switch result {
            case .success(let answer) where answer.bytes == [1]: completion(.success(()))
            case .success:
                completion(.failure(.notAccepted("another change is under way, or nothing would be left of the group")))
            case .failure(let failure): completion(.failure(failure))
            }
        }
    }

    /// What speaks against a change as far as this member knows; only the one that leads knows how far a learner is.
    private func refusal(of change: MembershipChange) -> MembershipRefusal? {
        guard isRunning else { return nil }
        switch change {
        case .add: return nil
        case .remove(let id), .demote(let id): return configuration.contains(id) ? nil : .unknownMember
        case .promote(let id):
            guard configuration.contains(id) else { return .unknownMember }
            if configuration.isVoter(id) { return .alreadyVotes }
            return !isLeader || isInSync(id) ? nil : .notInSync
        }
    }

    /// Percent of the leader's log that a learner has to have before it may vote, as in etcd.
    private static let syncPercent = 90

    private func isInSync(_ learner: Int) -> Bool {
        guard let match = raft.membership[learner]?.match, isConnected(to: learner) else { return false }
        return match * 100 >= raft.log.lastIndex * Self.syncPercent
    }

    /// Asks the leader to hand over. It may not come to that.
    ///
    /// - Throws: `MembershipRefusal.cannotLead` for one that has no vote.
    public func transferLeadership(to id: Int) throws(MembershipRefusal) {
        guard configuration.isVoter(id) else { throw .cannotLead }
        try? raft?.transferLeadership(to: id)
        schedulePump()
    }

    func add(
        _ matter: ProposalSessions.Matter, _ content: [UInt8], _ steps: [ConfigurationChange.Step],
        onlyTerm: Int? = nil, _ completion: @escaping OpenProposals.Completion
    ) {
        if let reason = reasonToRefuse(content) { return node.enqueue { completion(.failure(reason)) } }
        proposals.add(
            .init(
                matter: matter, content: content, steps: steps, deadline: node.world.now + settings.timeout,
                onlyTerm: onlyTerm, completion: completion))
        schedulePump()
    }

    /// Bytes of a command.
    public static let commandLimitBytes = 8 << 20

    private func reasonToRefuse(_ content: [UInt8]) -> ConsensusFailure? {
        switch phase {
        case .running: if isDeparted { return .stopped(Self.departure(of: settings.id)) }
        case .failed(let reason): return .stopped(reason)
        default: return .stopped("it does not run")
        }
        if content.count > Self.commandLimitBytes { return .notAccepted("a command is too long") }
        return proposals.count < settings.pendingLimit ? nil : .notAccepted("too many proposals wait already")
    }

    /// Hands the engine what is new, in one piece.
    func submitProposals() {
        for proposal in proposals.takeOutdated(isLeader ? term : nil) {
            // What this member had put into its log may be in the next leader's as well.
            proposal.completion(
                .failure(
                    proposal.wasSent ? .outcomeUnknown(Self.leadsNoMore) : .notAccepted(Self.leadsNoMore)))
        }
        let unsent = proposals.unsent
        guard !unsent.isEmpty, raft.leader != 0 else { return }
        var batch: [RaftEntry] = []
        var batchBytes = 0
        var numbers: [Int] = []
        func submit() {
            guard !batch.isEmpty, (try? raft.propose(batch)) != nil else { return }
            for number in numbers { proposals.sent(number, at: node.world.now, ownTerm: isLeader ? term : nil) }
        }
        for (number, proposal) in unsent {
            let header = ProposalSessions.Header(
                member: settings.id, life: life, number: number, lowestOpen: proposals.lowestOpen)
            let bytes = ProposalSessions.entry(header, proposal.matter, proposal.content)
            if batchBytes > 0, batchBytes + bytes.count > Self.batchBytes {
                submit()
                batch = []
                numbers = []
                batchBytes = 0
            }
            batch.append(
                proposal.matter == .command
                    ? RaftEntry(data: bytes)
                    : RaftEntry(
                        kind: .configuration, data: ConfigurationChange(proposal.steps, context: bytes).encoded))
            batchBytes += bytes.count
            numbers.append(number)
        }
        submit()
    }

    /// Bytes of proposals in one message.
    private static let batchBytes = 1 << 20

    func expireProposals() {
        if proposals.count == 0 { return }
        for proposal in proposals.takeExpired(node.world.now) {
            let time = settings.timeout
            proposal.completion(
                .failure(
                    proposal.wasSent
                        ? .outcomeUnknown("no result came within \(time)")
                        : .notAccepted("there was no leader for \(time)")))
        }
        // A message may be lost without anybody's noticing.
        proposals.sendAgain(
            after: .milliseconds(settings.electionMilliseconds), now: node.world.now, ownTerm: isLeader ? term : nil)
    }

    func failEverything(_ failure: ConsensusFailure) {
        for proposal in proposals.takeAll() {
            proposal.completion(.failure(proposal.wasSent ? .outcomeUnknown(failure.description) : failure))
        }
        for completion in reads.takeAll() { completion(.failure(failure)) }
    }
}
