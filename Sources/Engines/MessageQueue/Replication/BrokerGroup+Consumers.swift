import KernelAMQP
import KernelStructures

/// This member's consumers of replicated queues, and what the group has given them.
extension BrokerGroup {
    func add(_ consumer: BrokerConsumer) {
        lastConsumer += 1
        consumer.groupNumber = lastConsumer
        consumers[lastConsumer] = consumer
        let limit = consumer.prefetchCount > 0 && !consumer.isAutomatic ? consumer.prefetchCount : Self.holdLimit
        desk.add(
            .checkOut(
                queue: consumer.queue.number, consumer: lastConsumer, limit: limit, priority: consumer.priority))
    }

    func remove(_ consumer: BrokerConsumer) {
        guard consumers.removeValue(forKey: consumer.groupNumber) != nil else { return }
        desk.add(.cancel(queue: consumer.queue.number, consumer: consumer.groupNumber))
        while let entry = consumer.inbox.popFirst() { giveBack(entry, consumer.queue, isCounted: false) }
    }

    /// Sends a consumer what the group has given it.
    func flush(_ consumer: BrokerConsumer) {
        while consumer.channel.canDeliver, let entry = consumer.inbox.popFirst() {
            consumer.queue.deliver(entry, to: consumer)
        }
    }

    func assigned(_ number: UInt64, _ key: ConsumerKey, _ entry: QueueEntry) {
        guard key.member == desk.member, key.epoch == desk.epoch else { return }
        guard let consumer = consumers[key.number] else {
            // It went while this was under way.
            return desk.add(
                .giveBack(queue: number, consumer: key.number, sequences: [entry.sequence], isCounted: false))
        }
        consumer.inbox.append(entry)
        flush(consumer)
    }

    /// After a state that came as a whole: what has happened to consumers here in the meantime, without a word of it
    /// having come.
    func reconcile() {
        let open = desk.open
        beginAgain { consumer, key in
            consumer.queue.replica?.consumers.contains { $0.key == key } != true
                && !open.contains {
                    if case .checkOut(_, key.number, _, _) = $0 { true } else { false }
                }
        }
        var known: Set<Holding> = []
        for operation in open {
            switch operation {
            case .settle(let queue, let consumer, let sequences), .discard(let queue, let consumer, let sequences),
                .giveBack(let queue, let consumer, let sequences, _):
                for sequence in sequences { known.insert(Holding(queue: queue, holder: consumer, sequence: sequence)) }
            default: break
            }
        }
        for connection in broker.sortedConnections {
            for channel in connection.sortedChannels {
                let uncommitted = channel.transaction.settlements.flatMap(\.deliveries)
                for one in channel.unacked.all + uncommitted { known.insert(Holding(one.entry, one.queue.number)) }
            }
        }
        for consumer in consumers.values {
            for index in 0..<consumer.inbox.count {
                known.insert(Holding(consumer.inbox[index], consumer.queue.number))
            }
        }
        for queue in state.sortedQueues {
            for one in queue.held.values.sorted(by: { $0.entry.sequence < $1.entry.sequence })
            where one.key.member == desk.member && one.key.epoch == desk.epoch {
                if !known.contains(Holding(one.entry, queue.number)) { assigned(queue.number, one.key, one.entry) }
            }
        }
    }

    private struct Holding: Hashable {
        let queue: UInt64
        let holder: UInt64
        let sequence: UInt64

        init(queue: UInt64, holder: UInt64, sequence: UInt64) {
            self.queue = queue
            self.holder = holder
            self.sequence = sequence
        }

        init(_ entry: QueueEntry, _ queue: UInt64) {
            self.init(queue: queue, holder: entry.holder, sequence: entry.sequence)
        }
    }

    /// The group took this member for dead: what its consumers held has gone to others. They begin again, under new
    /// numbers; what they still acknowledge under the old ones means nothing.
    func beginAgain(_ isForgotten: (BrokerConsumer, ConsumerKey) -> Bool = { _, _ in true }) {
        for (number, consumer) in consumers.sorted(by: { $0.key < $1.key }) {
            let key = ConsumerKey(member: desk.member, epoch: desk.epoch, number: number)
            guard isForgotten(consumer, key) else { continue }
            consumers[number] = nil
            consumer.inbox.removeAll()
            add(consumer)
        }
    }
}
