import KernelAMQP
import KernelStructures

/// What the members of a group have in common: definitions, and the messages of replicated queues.
///
/// ## How
///
/// ```
///  client ─▶ its member ─▶ batch ─▶ the group's log ─▶ every member's GroupState ─▶ events ─▶ its broker
/// ```
///
/// A state machine: the same batches in the same order make the same state on each member. Whatever happens to a
/// replicated queue is an operation in a batch, the handing out of messages included: the state, not a member, decides
/// which consumer gets the next one. So the member to which that consumer is connected learns it from its own copy, and
/// sends what it finds there; no message goes a second time between members.
///
/// A member has one batch under way at a time, and sends it again until it has seen it here. So what one client
/// publishes stays in order, whoever leads, and a batch that comes twice is carried out once.
///
/// ## Where it is wrong
///
/// All replicated queues share one log, and all their messages are in the memory of each member.
public final class GroupState {
    /// As a broker's store keeps them.
    var definitions: [String: [UInt8]] = [:]
    var queues: [UInt64: ReplicatedQueue] = [:]
    var byKey: [String: UInt64] = [:]
    var policies: [String: [String: BrokerPolicy]] = [:]
    var sessions: [Int: Session] = [:]
    var lastQueue: UInt64 = 0
    var events: [GroupEvent] = []
    let memory: MemoryMeter

    /// How far a member has got.
    struct Session: Equatable {
        var epoch: UInt64
        var number: UInt64
        /// What came of its last batch.
        var results: [Int]
    }

    /// Above all numbers that a broker gives its own queues.
    static let firstNumber: UInt64 = 1 << 62

    init(memory: MemoryMeter) { self.memory = memory }

    public var sortedQueues: [ReplicatedQueue] { queues.values.sorted { $0.number < $1.number } }
    func queue(_ key: String) -> ReplicatedQueue? { byKey[key].flatMap { queues[$0] } }
    /// When something of any queue is over.
    var nextDeadline: LabTime { queues.values.reduce(.distantFuture) { min($0, $1.nextDeadline) } }

    func takeEvents() -> [GroupEvent] {
        defer { events = [] }
        return events
    }

    // MARK: Batches

    func apply(_ command: [UInt8]) {
        guard let batch = GroupBatch(command) else { return }
        if batch.number > 0 {
            if let session = sessions[batch.member] {
                guard batch.epoch >= session.epoch else { return }
                if batch.epoch == session.epoch, batch.number <= session.number { return }
                if batch.epoch > session.epoch { lose(batch.member, through: session.epoch) }
            }
        }
        let results = batch.operations.map { perform($0, batch) }
        guard batch.number > 0 else { return }
        sessions[batch.member] = Session(epoch: batch.epoch, number: batch.number, results: results)
        events.append(.answered(member: batch.member, epoch: batch.epoch, number: batch.number, results: results))
    }

    /// - Returns: what whoever asked is told; negative: it was refused.
    private func perform(_ operation: GroupOperation, _ batch: GroupBatch) -> Int {
        func key(_ consumer: UInt64) -> ConsumerKey {
            ConsumerKey(member: batch.member, epoch: batch.epoch, number: consumer)
        }
        switch operation {
        case .hello: return 0
        case .put(let key, let value): return put(key, value, batch.now)
        case .remove(let key): return remove(key)
        case .enqueue(let targets, let message): return enqueue(message, targets, batch.now)
        case .checkOut(let queue, let consumer, let limit, let priority):
            return checkOut(queue, key(consumer), limit, priority, batch.now)
        case .cancel(let queue, let consumer):
            guard let queue = queues[queue] else { return 0 }
            queue.consumers.removeAll { $0.key == key(consumer) }
            queue.lastUsedAt = batch.now
            assign(queue)
            return 1
        case .take(let queue, let consumer, let count):
            return take(queue, key(consumer), count, batch.now)
        case .settle(let queue, let consumer, let sequences):
            return release(queue, key(consumer), sequences) { queue, _ in events.append(.left(queue.number)) }
        case .giveBack(let queue, let consumer, let sequences, let isCounted):
            return release(queue, key(consumer), sequences) { giveBack($1, to: $0, isCounted: isCounted) }
        case .discard(let queue, let consumer, let sequences):
            return release(queue, key(consumer), sequences) { die($1, $0, .rejected) }
        case .purge(let queue):
            guard let queue = queues[queue] else { return 0 }
            defer { queue.ready.removeAll() }
            return queue.ready.count
        case .use(let queue):
            queues[queue]?.lastUsedAt = batch.now
            return 0
        case .bury(let queue, let sequence, let targets, let message):
            return bury(queue, sequence, targets, message, batch.now)
        case .lost(let member, let epoch):
            lose(member, through: epoch)
            return 0
        case .clock(let time):
            expire(time)
            return 0
        }
    }

    // MARK: Messages

    /// - Returns: how many queues refused it.
    private func enqueue(_ stored: StoredMessage, _ targets: [UInt64], _ time: LabTime) -> Int {
        var refused = 0
        let message = BrokerMessage(stored, memory: memory)
        for number in targets {
            guard let queue = queues[number] else { continue }
            if queue.isFull {
                refused += 1
                continue
            }
            queue.ready.append(
                QueueEntry(
                    sequence: queue.nextSequence, message: message, expiresAt: queue.expiry(of: message, at: time),
                    isStored: false))
            queue.nextSequence += 1
            events.append(.arrived(queue.number, message))
            assign(queue)
            dropSurplus(queue)
        }
        return refused
    }

    func dropSurplus(_ queue: ReplicatedQueue) {
        while queue.isOverfull, let entry = queue.ready.popFirst() { die(entry, queue, .maxLength) }
    }

    /// Hands out what waits, as long as somebody can take it.
    private func assign(_ queue: ReplicatedQueue) {
        while !queue.ready.isEmpty, let index = queue.nextConsumer(), var entry = queue.ready.popFirst() {
            queue.turns += 1
            queue.consumers[index].heldCount += 1
            queue.consumers[index].lastTurn = queue.turns
            let key = queue.consumers[index].key
            entry.holder = key.number
            queue.held[entry.sequence] = .init(entry: entry, key: key)
            events.append(.assigned(queue.number, key, entry))
        }
    }

    private func checkOut(_ number: UInt64, _ key: ConsumerKey, _ limit: Int, _ priority: Int, _ time: LabTime) -> Int {
        guard let queue = queues[number], !queue.consumers.contains(where: { $0.key == key }) else { return -1 }
        queue.consumers.append(.init(key: key, limit: max(1, limit), priority: priority, lastTurn: queue.turns))
        queue.lastUsedAt = time
        assign(queue)
        return 1
    }

    /// - Returns: the taker's number; 0 if there was nothing.
    private func take(_ number: UInt64, _ key: ConsumerKey, _ count: Int, _ time: LabTime) -> Int {
        guard let queue = queues[number] else { return -1 }
        queue.lastUsedAt = time
        var taken = 0
        var bytes = 0
        while taken < count, bytes < Self.takeLimitBytes, var entry = queue.ready.popFirst() {
            entry.holder = key.number
            queue.held[entry.sequence] = .init(entry: entry, key: key)
            taken += 1
            bytes += entry.message.byteCount
        }
        return taken == 0 ? 0 : Int(clamping: key.number)
    }

    /// Bytes of bodies that are taken at a time, and one message more.
    private static let takeLimitBytes = 64 << 20

    private func release(
        _ number: UInt64, _ key: ConsumerKey, _ sequences: [UInt64], _ use: (ReplicatedQueue, QueueEntry) -> Void
    ) -> Int {
        guard let queue = queues[number] else { return 0 }
        var count = 0
        for sequence in sequences {
            guard let entry = queue.release(sequence, from: key) else { continue }
            count += 1
            use(queue, entry)
        }
        dropSurplus(queue)
        assign(queue)
        return count
    }

    private func giveBack(_ entry: QueueEntry, to queue: ReplicatedQueue, isCounted: Bool) {
        var entry = entry
        entry.holder = 0
        // Whoever had it may have been sent it, for all that the group knows.
        entry.isRedelivered = true
        if isCounted {
            entry.returnCount += 1
            if let limit = queue.settings.deliveryLimit, entry.returnCount > limit {
                return die(entry, queue, .deliveryLimit)
            }
        }
        queue.ready.giveBack(entry)
        events.append(.returned(queue.number))
    }

    private func die(_ entry: QueueEntry, _ queue: ReplicatedQueue, _ reason: DeadLetter.Reason) {
        let isKept = queue.settings.deadLetterExchange != nil
        if isKept { queue.dead.append(.init(entry: entry, reason: reason)) }
        events.append(.died(queue.number, entry, reason, isKept: isKept))
        events.append(.left(queue.number))
    }

    /// - Returns: 1 if it was still to be buried.
    private func bury(
        _ number: UInt64, _ sequence: UInt64, _ targets: [UInt64], _ message: StoredMessage, _ time: LabTime
    ) -> Int {
        guard let queue = queues[number],
            let place = queue.dead.firstIndex(where: { $0.entry.sequence == sequence })
        else { return 0 }
        queue.dead.remove(at: place)
        if !targets.isEmpty { _ = enqueue(message, targets, time) }
        return 1
    }

    // MARK: Members and time

    /// A member's consumers are gone, and what they held goes back to its place.
    private func lose(_ member: Int, through epoch: UInt64) {
        func isGone(_ key: ConsumerKey) -> Bool { key.member == member && key.epoch <= epoch }
        for queue in sortedQueues {
            queue.consumers.removeAll { isGone($0.key) }
            for sequence in queue.held.filter({ isGone($0.value.key) }).keys.sorted() {
                guard let one = queue.held.removeValue(forKey: sequence) else { continue }
                giveBack(one.entry, to: queue, isCounted: true)
            }
            dropSurplus(queue)
            assign(queue)
        }
        events.append(.lost(member: member, epoch: epoch))
    }

    private func expire(_ time: LabTime) {
        for queue in sortedQueues {
            while let entry = queue.ready.popExpired(time) { die(entry, queue, .expired) }
            if let expires = queue.settings.expires, queue.consumers.isEmpty, queue.lastUsedAt + expires <= time {
                _ = remove(queue.key)
            }
        }
    }
}

/// What a broker hears of its group's state.
enum GroupEvent {
    case defined(key: String, value: [UInt8])
    case undefined(key: String)
    case arrived(UInt64, BrokerMessage)
    case assigned(UInt64, ConsumerKey, QueueEntry)
    case left(UInt64)
    /// One waits again in that queue.
    case returned(UInt64)
    /// - isKept: it waits for being sent to the dead letters.
    case died(UInt64, QueueEntry, DeadLetter.Reason, isKept: Bool)
    case lost(member: Int, epoch: UInt64)
    case answered(member: Int, epoch: UInt64, number: UInt64, results: [Int])
}
