import KernelAMQP
import KernelStructures

/// A retry that waits. What a consumer gives back comes again at once, and fails again at once where the reason is
/// that something else is out of order for a while. With the policy (or argument `x-`) `retry-delay` it goes into the
/// queue `NAME.retry`, in which messages live for so long, and whose dead letters go back to where they came from.
/// Everything about it can be looked at: the queue, and `x-death` in the message, which counts how often it was there.
///
/// It comes back behind those that have arrived in the meantime, and its own expiration counts no more. Queues that are
/// replicated by a group give back at once.
extension Broker {
    static let retrySuffix = ".retry"

    /// - Returns: false if it cannot wait there, and has to be given back at once.
    func delay(_ entry: QueueEntry, of queue: BrokerQueue) -> Bool {
        guard let delay = queue.settings.retryDelay, let waiting = retryQueue(of: queue) else { return false }
        waiting.settings.messageTTL = delay
        guard waiting.publish(entry.message) == .accepted else { return false }
        trace.note(.queued, entry.message, at: waiting.name, "for \(delay)", now: now)
        queue.settle(entry)
        return true
    }

    private func retryQueue(of queue: BrokerQueue) -> BrokerQueue? {
        let host = queue.virtualHost
        let name = queue.name + Self.retrySuffix
        if let found = host.queues[name] {
            // Somebody's own queue of that name is none that brings back what it is given.
            let goesBack =
                found.settings.deadLetterExchange == "" && found.settings.deadLetterRoutingKey == queue.name
            return goesBack && found.stream == nil && !found.isReplicated ? found : nil
        }
        guard queue.exclusiveOwner == nil, name.utf8.count <= 255 else { return nil }
        return try? declare(
            QueueWish(
                name: name, isDurable: queue.isDurable,
                arguments: [
                    "x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string(queue.name),
                ]), in: host, by: nil)
    }

    /// How often a message has waited for another try.
    func delayCount(of message: BrokerMessage, in queue: BrokerQueue) -> Int {
        let name = queue.name + Self.retrySuffix
        let death = (message.readProperties.headers?["x-death"]?.array ?? []).compactMap(\.table).first {
            $0["queue"]?.text == name && $0["reason"]?.text == DeadLetter.Reason.expired.rawValue
        }
        return max(0, death?["count"]?.integer ?? 0)
    }
}
