import ConsensusEngine
import KernelStructures
import KernelWorld

/// Reads of this member that wait: for a round of the leader's, and then for this member to have applied enough.
struct OpenReads {
    typealias Completion = (Result<Void, ConsensusFailure>) -> Void
    typealias Waiter = (deadline: LabTime, completion: Completion)

    /// Not asked for yet.
    private var new: [Waiter] = []
    /// By the number of the round that they wait for.
    private var asked: [Int: [Waiter]] = [:]
    /// By the place in the log that must be applied; in that order.
    private var known: [(index: Int, waiters: [Waiter])] = []
    private var lastRound = 0

    private(set) var count = 0
    var hasNew: Bool { !new.isEmpty }

    mutating func add(_ waiter: Waiter) {
        count += 1
        new.append(waiter)
    }

    /// All that are new wait for one round.
    mutating func beginRound() -> Int {
        lastRound += 1
        asked[lastRound] = new
        new = []
        return lastRound
    }

    /// No answer will come: they are new again.
    mutating func askAgain() {
        for (_, waiters) in asked.sorted(by: { $0.key < $1.key }) { new += waiters }
        asked = [:]
    }

    mutating func answered(_ answer: ReadAnswer) {
        guard let waiters = asked.removeValue(forKey: answer.context) else { return }
        let place = known.firstIndex { $0.index > answer.index } ?? known.count
        known.insert((answer.index, waiters), at: place)
    }

    mutating func takeReady(_ applied: Int) -> [Completion] {
        let end = known.firstIndex { $0.index > applied } ?? known.count
        let ready = known[..<end].flatMap(\.waiters)
        known.removeFirst(end)
        count -= ready.count
        return ready.map(\.completion)
    }

    mutating func takeExpired(_ now: LabTime) -> [Completion] {
        var expired: [Completion] = []
        func sift(_ waiters: inout [Waiter]) {
            expired += waiters.filter { $0.deadline <= now }.map(\.completion)
            waiters.removeAll { $0.deadline <= now }
        }
        for place in known.indices { sift(&known[place].waiters) }
        for round in asked.keys.sorted() { sift(&asked[round]!) }
        sift(&new)
        known.removeAll(where: \.waiters.isEmpty)
        asked = asked.filter { !$0.value.isEmpty }
        count -= expired.count
        return expired
    }

    mutating func takeAll() -> [Completion] { takeExpired(.distantFuture) }
}

extension ConsensusMember {
    // MARK: Reading

    /// Waits until this member has applied everything that was agreed on anywhere before this call: what the machine
    /// says then is linearizable.
    ///
    /// - Parameter completion: called once, never before this call returns.
    public func read(_ completion: @escaping (Result<Void, ConsensusFailure>) -> Void) {
        guard case .running = phase else {
            return node.enqueue { completion(.failure(.stopped("it does not run"))) }
        }
        if isDeparted {
            let reason = Self.departure(of: settings.id)
            return node.enqueue { completion(.failure(.stopped(reason))) }
        }
        guard reads.count < settings.pendingLimit else {
            return node.enqueue { completion(.failure(.notAccepted("too many reads wait already"))) }
        }
        reads.add((node.world.now + settings.timeout, completion))
        schedulePump()
    }

    func askReads() {
        guard reads.hasNew, raft.leader != 0 else { return }
        let round = reads.beginRound()
        do throws(RaftError) { try raft.readIndex(round) } catch { reads.askAgain() }
    }

    func finishReads() { for completion in reads.takeReady(raft.log.applied) { completion(.success(())) } }

    func expireReads() {
        if reads.count == 0 { return }
        for completion in reads.takeExpired(node.world.now) {
            completion(.failure(.notAccepted("no majority said who leads within \(settings.timeout)")))
        }
        // A round may be lost without anybody's noticing.
        if node.world.now - lastReadRetry >= .milliseconds(settings.electionMilliseconds) {
            lastReadRetry = node.world.now
            reads.askAgain()
        }
    }
}
