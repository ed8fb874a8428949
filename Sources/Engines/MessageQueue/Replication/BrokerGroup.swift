import KernelAMQP
import KernelStructures

/// A broker's part in a group of brokers with replicated queues: their common state, what this one has to ask for, and
/// who of its clients waits for what.
public final class BrokerGroup {
    public let state: GroupState
    public let desk: GroupDesk
    unowned let broker: Broker
    /// Local consumers of replicated queues, by the number under which the group knows them.
    var consumers: [UInt64: BrokerConsumer] = [:]
    var lastConsumer: UInt64 = 0
    /// Dead letters that this broker has already asked to be moved.
    private var burying: Set<Burial> = []
    /// Channels that have published what the group has not agreed on yet.
    var confirming: [BrokerChannel] = []
    /// Connections that publish faster than the group agrees.
    var crowded: [BrokerConnection] = []
    /// What came of the thing that a method, which is being carried out again, had to wait for.
    private var agreement: Int?
    private(set) var awaited: GroupOperation?
    /// Whether a method is being carried out again.
    private(set) var isRepeating = false
    /// Whether this member has had all that the group had agreed on when it started. A client that was told before that
    /// there is a queue may not hear that there is none, so nothing is read of clients until then.
    public private(set) var isCurrent = false
    private let clock: GroupClock
    /// The host is told of each definition.
    public var onDefinition: (_ key: String, _ value: AMQPTable?) -> Void = { _, _ in }
    /// Whether this member leads the group, which looks after time and dead letters.
    public private(set) var isLeader = false
    /// What only a leader may say, for the group's log.
    private var words: [GroupOperation] = []
    /// As management shows them.
    public var view = View()

    public struct View: Sendable, Equatable {
        /// The node that leads; nil: nobody knows.
        public var leader: String?
        public var members: [String] = []
        /// Those that are heard of.
        public var online: [String] = []
        /// On the leader: who of the others lacks how many entries of its log; those that lack none are left out.
        public var behind: [String: Int] = [:]
        public init() {}
    }

    private struct Burial: Hashable {
        let queue: UInt64
        let sequence: UInt64
    }

    /// Messages that a consumer without a limit may hold; RabbitMQ bounds them, too.
    static let holdLimit = 2000

    init(_ broker: Broker, member: Int) {
        self.broker = broker
        state = GroupState(memory: broker.memory)
        desk = GroupDesk(member: member, epoch: 0)
        clock = GroupClock()
        clock.group = self
    }

    public func begin(epoch: UInt64) { desk.begin(epoch) }

    /// This member has what the group had agreed on when it started.
    public func becomeCurrent(now: LabTime) {
        guard !isCurrent else { return }
        isCurrent = true
        broker.now = now
        for connection in broker.sortedConnections { connection.makeRoom() }
    }

    // MARK: The group's log

    /// The group has agreed on a command.
    public func apply(_ command: [UInt8], now: LabTime) {
        broker.now = now
        state.apply(command)
        handleEvents()
    }

    public var snapshot: [UInt8] { state.snapshot }

    /// The state is replaced as a whole.
    ///
    /// - Throws: if the bytes are no snapshot.
    public func restore(_ snapshot: [UInt8], now: LabTime) throws {
        broker.now = now
        try state.restore(snapshot)
        handleEvents()
        if let session = state.sessions[desk.member] {
            desk.answered(epoch: session.epoch, number: session.number, results: session.results)
        }
        afterAnswers()
        reconcile()
        broker.settle()
    }

    /// Whether there is a leader's word to be said.
    public var hasWords: Bool { !words.isEmpty }

    /// The leader's word, as a command that is good in this term only.
    public func takeWords(now: LabTime) -> [UInt8]? {
        guard !words.isEmpty else { return nil }
        defer { words = [] }
        return GroupBatch(member: desk.member, epoch: desk.epoch, number: 0, now: now, operations: words).encoded
    }

    public func lead(_ isLeader: Bool, now: LabTime) {
        guard isLeader != self.isLeader else { return }
        broker.now = now
        self.isLeader = isLeader
        words = []
        burying = []
        guard isLeader else { return }
        for queue in state.sortedQueues {
            for one in queue.dead { bury(queue.number, one.entry, one.reason) }
        }
        scheduleClock()
    }

    /// The leader has not heard of a member for too long.
    public func suspect(member: Int) {
        guard isLeader, let epoch = state.sessions[member]?.epoch else { return }
        let isConcerned = state.queues.values.contains { queue in
            queue.consumers.contains { $0.key.member == member }
                || queue.held.values.contains { $0.key.member == member }
        }
        if isConcerned { say(.lost(member: member, epoch: epoch)) }
    }

    private func say(_ word: GroupOperation) { if !words.contains(word) { words.append(word) } }

    fileprivate func clockRings() {
        guard isLeader else { return }
        if state.nextDeadline <= broker.now { say(.clock(broker.now)) }
        scheduleClock()
    }

    private func scheduleClock() {
        guard isLeader else { return }
        let next = state.nextDeadline
        // A word that is lost is said again.
        if next != .distantFuture { broker.schedule(clock, at: max(next, broker.now + .milliseconds(50))) }
    }

    // MARK: Waiting for the group

    /// What the group makes of an operation: at once if that is known, which it is when a method is carried out for the
    /// second time.
    ///
    /// - Throws: what ends the method. Whoever carried it out looks at `takeAwaited`, waits, and carries it out again.
    func agreed(_ operation: GroupOperation) throws(AMQPFailure) -> Int {
        if let agreement {
            self.agreement = nil
            return agreement
        }
        awaited = operation
        throw Self.noMajority
    }

    static let noMajority = AMQPFailure(
        .internalError,
        "no majority of the group's members has agreed in time; it may still be carried out: look whether enough of "
            + "them run, and reach one another")

    public func takeAwaited() -> GroupAgreement? {
        defer { awaited = nil }
        return awaited.map { GroupAgreement(operation: $0) }
    }

    /// Something that has to be agreed on before whoever wants it can go on.
    public struct GroupAgreement {
        let operation: GroupOperation
    }

    public func ask(_ agreement: GroupAgreement, _ then: @escaping (Int) -> Void) {
        desk.add(agreement.operation, then: then)
    }

    /// Whoever waited is gone: what was taken for him goes back.
    public func abandon(_ agreement: GroupAgreement, _ result: Int) {
        guard case .take(let number, let consumer, _) = agreement.operation, result > 0 else { return }
        let key = ConsumerKey(member: desk.member, epoch: desk.epoch, number: consumer)
        let sequences = state.queues[number]?.held(by: key).map(\.sequence) ?? []
        desk.add(.giveBack(queue: number, consumer: consumer, sequences: sequences, isCounted: false))
    }

    /// Carries something out again, with what came of what it had to wait for.
    public func repeating<Wrong: Error>(_ result: Int, _ action: () throws(Wrong) -> Void) throws(Wrong) {
        agreement = result
        isRepeating = true
        defer {
            agreement = nil
            isRepeating = false
        }
        try action()
    }

    /// What came of the thing that was waited for, where that is all that is left to be known.
    func takeAgreement() -> Int? {
        defer { agreement = nil }
        return agreement
    }

    // MARK: Definitions that are not the broker's

    public func knows(_ key: String) -> Bool { state.definitions[key] != nil }
    /// Tells all members, without waiting for them.
    public func share(_ key: String, _ table: AMQPTable) { desk.add(.put(key: key, value: table.encoded)) }
    public func unshare(_ key: String) { desk.add(.remove(key: key)) }

    // MARK: Messages

    func enqueue(_ message: BrokerMessage, _ queues: [UInt64], then: ((Int) -> Void)? = nil) {
        desk.add(.enqueue(queues: queues, message.stored(expiresAt: nil)), then: then)
    }

    func settle(_ entry: QueueEntry, _ queue: BrokerQueue) {
        desk.add(.settle(queue: queue.number, consumer: entry.holder, sequences: [entry.sequence]))
    }

    func giveBack(_ entry: QueueEntry, _ queue: BrokerQueue, isCounted: Bool = true) {
        desk.add(
            .giveBack(
                queue: queue.number, consumer: entry.holder, sequences: [entry.sequence], isCounted: isCounted))
    }

    func discard(_ entry: QueueEntry, _ queue: BrokerQueue) {
        desk.add(.discard(queue: queue.number, consumer: entry.holder, sequences: [entry.sequence]))
    }

    /// A number for somebody who takes messages once.
    func nextTaker() -> UInt64 {
        lastConsumer += 1
        return lastConsumer
    }

    /// What somebody has taken.
    func taken(_ consumer: UInt64, from queue: BrokerQueue) -> [QueueEntry] {
        queue.replica?.held(by: ConsumerKey(member: desk.member, epoch: desk.epoch, number: consumer)) ?? []
    }

    // MARK: What happens in the state

    private func handleEvents() {
        for event in state.takeEvents() { handle(event) }
        afterAnswers()
        scheduleClock()
        broker.settle()
    }

    private func handle(_ event: GroupEvent) {
        switch event {
        case .defined(let key, let value):
            guard let table = try? AMQPTable(encoded: value) else { return }
            broker.mirror(key, table)
            onDefinition(key, table)
        case .undefined(let key):
            broker.unmirror(key)
            onDefinition(key, nil)
        case .arrived(let number, let message): broker.replicatedQueue(number)?.noteArrival(message)
        case .left(let number):
            let queue = broker.replicatedQueue(number)
            queue?.departures.count(broker.now)
            queue?.noteEmptiness()
        case .returned(let number): broker.replicatedQueue(number)?.noteEmptiness()
        case .assigned(let number, let key, let entry):
            broker.replicatedQueue(number)?.noteEmptiness()
            assigned(number, key, entry)
        case .died(let number, let entry, let reason, let isKept):
            if !isKept {
                if let queue = broker.replicatedQueue(number) {
                    broker.trace.note(
                        reason.withoutExchange, entry.message, at: queue.name, reason.rawValue, now: broker.now)
                }
            } else if isLeader {
                bury(number, entry, reason)
            }
        case .lost(let member, let epoch):
            if member == desk.member, epoch == desk.epoch { beginAgain() }
        case .answered(let member, let epoch, let number, let results):
            if member == desk.member { desk.answered(epoch: epoch, number: number, results: results) }
        }
    }

    /// Confirms that are due, and publishers that may go on.
    private func afterAnswers() {
        let waiting = confirming
        confirming.removeAll(keepingCapacity: true)
        for channel in waiting {
            channel.isGroupNoted = false
            channel.releaseConfirms()
        }
        broker.releaseGroupBarriers()
        guard !crowded.isEmpty, desk.hasRoom else { return }
        let all = crowded
        crowded = []
        for connection in all { connection.makeRoom() }
    }

    // MARK: Dead letters

    /// Asks the group to move a dead letter to where its queue's dead letters go. Queues that are not replicated get
    /// theirs here, once the group has agreed that it is this member which moves it.
    private func bury(_ number: UInt64, _ entry: QueueEntry, _ reason: DeadLetter.Reason) {
        guard let queue = broker.replicatedQueue(number),
            burying.insert(Burial(queue: number, sequence: entry.sequence)).inserted
        else { return }
        if reason == .deliveryLimit { queue.noteRetryLimit(entry) }
        let letter = DeadLetter(message: entry.message, reason: reason, queue: queue, entry: entry)
        let (copy, targets) = broker.destinations(of: letter)
        let replicated = targets.filter { $0.replica != nil }.map(\.number)
        let local = targets.filter { $0.replica == nil }
        desk.add(
            .bury(
                queue: number, sequence: entry.sequence, targets: replicated,
                (copy ?? entry.message).stored(expiresAt: nil))
        ) { [unowned self] result in
            burying.remove(Burial(queue: number, sequence: entry.sequence))
            guard result > 0, let copy else { return }
            for queue in local where !queue.isDeleted { _ = queue.publish(copy) }
        }
    }
}

/// Rings when something of a replicated queue is over.
private final class GroupClock: BrokerTimed {
    weak var group: BrokerGroup?
    var deadline = LabTime.distantFuture
    func ring() { group?.clockRings() }
}
