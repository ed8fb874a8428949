import KernelAMQP
import KernelStructures

/// What a channel has done since its last commit: messages and acknowledgements that nobody has seen yet.
struct Transaction {
    private(set) var messages: [IncomingMessage] = []
    private(set) var settlements: [(deliveries: [UnackedDelivery], how: Settlement)] = []
    private var bytes = 0

    enum Settlement { case acknowledge, reject, requeue }

    /// Messages and acknowledgements that one may hold.
    private static let countLimit = 100_000

    mutating func add(_ message: IncomingMessage, limit: BrokerSettings) throws(AMQPFailure) {
        bytes += message.body.count + message.properties.count
        guard messages.count < Self.countLimit, bytes <= limit.messageSizeLimit else {
            throw AMQPFailure(.resourceError, "a transaction of more than \(messages.count) messages")
        }
        messages.append(message)
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
            let dropped = transaction
            transaction = Transaction()
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
        let work = transaction
        transaction = Transaction()
        let host = try virtualHost()
        for message in work.messages {
            // An exchange that has gone since then takes its messages along.
            if let exchange = host.exchanges[message.exchange] { publish(message, to: exchange, in: host) }
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
