import KernelAMQP
import KernelStructures

/// What a channel has done since its last commit: messages and acknowledgements that nobody has seen yet.
struct Transaction {
    /// Each with the queues that the exchange named when it came: bindings that change until the commit do not matter.
    private(set) var messages: [(message: IncomingMessage, exchange: Exchange, queues: [String])] = []
    private(set) var settlements: [(deliveries: [UnackedDelivery], how: Settlement)] = []
    /// Of its messages: they count as the broker's memory.
    private(set) var bytes = 0

    enum Settlement { case acknowledge, reject, requeue }

    /// Messages and acknowledgements that one may hold.
    private static let countLimit = 100_000

    mutating func add(
        _ message: IncomingMessage, to exchange: Exchange, _ queues: [String], limit: BrokerSettings
    ) throws(AMQPFailure) {
        let count = message.body.count + message.properties.count
        guard messages.count < Self.countLimit, bytes + count <= limit.messageSizeLimit else {
            throw AMQPFailure(.resourceError, "a transaction of more than \(messages.count) messages")
        }
        bytes += count
        messages.append((message, exchange, queues))
    }

    mutating func add(_ deliveries: [UnackedDelivery], _ how: Settlement) throws(AMQPFailure) {
        guard settlements.count < Self.countLimit else {
            throw AMQPFailure(.resourceError, "a transaction of more than \(settlements.count) acknowledgements")
        }
        settlements.append((deliveries, how))
    }
}

extension BrokerChannel {
    func receiveMode(_ method: AMQPMethod) throws(AMQPFailure) {
        switch method {
        case .confirmSelect(let noWait):
            if mode == .transaction {
                throw AMQPFailure(.preconditionFailed, "cannot switch from tx to confirm mode")
            }
            mode = .confirm
            if !noWait { send(.confirmSelectOk) }
        case .txSelect:
            if mode == .confirm { throw AMQPFailure(.preconditionFailed, "cannot switch from confirm to tx mode") }
            mode = .transaction
            send(.txSelectOk)
        case .txCommit: try commit()
        case .txRollback:
            try checkTransactional()
            let dropped = takeTransaction()
            unacked.restore(dropped.settlements.flatMap(\.deliveries))
            send(.txRollbackOk)
        default: throw AMQPFailure(.commandInvalid, "unimplemented method")
        }
    }

    private func checkTransactional() throws(AMQPFailure) {
        if mode != .transaction { throw AMQPFailure(.preconditionFailed, "channel is not transactional") }
    }

    /// Carries everything out, and answers when it is safe.
    private func commit() throws(AMQPFailure) {
        try checkTransactional()
        let work = takeTransaction()
        let host = try virtualHost()
        for (message, exchange, queues) in work.messages {
            publish(message, to: exchange, in: host, queues: queues.compactMap { host.queues[$0] })
        }
        for (deliveries, how) in work.settlements {
            switch how {
            case .acknowledge:
                for delivery in deliveries { acknowledge(delivery) }
                wakeQueues(of: deliveries)
            case .reject: reject(deliveries, false)
            case .requeue: reject(deliveries, true)
            }
        }
        connection.addGroupBarrier()
        sendWhenStored(.txCommitOk)
    }
}
