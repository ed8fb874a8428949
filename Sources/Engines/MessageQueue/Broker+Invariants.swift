/// What is true of a broker between two things that happen, for tests.
extension Broker {
    /// What is not true that should be, in words; empty: all is well.
    public func violations() -> [String] {
        var found: [String] = []
        var unacked: [UInt64: Int] = [:]
        for connection in sortedConnections {
            for channel in connection.sortedChannels {
                let all = channel.unacked.all
                if all.count != channel.unackedCount { found.append("\(channel.name): count of unacknowledged") }
                if zip(all, all.dropFirst()).contains(where: { $0.tag >= $1.tag }) {
                    found.append("\(channel.name): numbers of deliveries do not ascend")
                }
                let uncommitted = channel.transaction.settlements.flatMap(\.deliveries)
                for delivery in all + uncommitted { unacked[delivery.queue.number, default: 0] += 1 }
                let shared = (all + uncommitted).filter { $0.consumer != nil }.count
                if shared != channel.sharedUnackedCount { found.append("\(channel.name): shared count") }
            }
        }
        for host in sortedVirtualHosts {
            for queue in host.sortedQueues { found += violations(of: queue, unacked: unacked[queue.number] ?? 0) }
        }
        if !pendingDeadLetters.isEmpty { found.append("dead letters lie about") }
        return found
    }

    private func violations(of queue: BrokerQueue, unacked: Int) -> [String] {
        var found: [String] = []
        if queue.unackedCount != unacked {
            found.append("\(queue.name): \(queue.unackedCount) unacked, not \(unacked)")
        }
        let inMemory = queue.ready.peek(.max)
        if inMemory.count != queue.ready.countInMemory { found.append("\(queue.name): count in memory") }
        if !queue.ready.hasPriorities,
            zip(inMemory, inMemory.dropFirst()).contains(where: { $0.sequence >= $1.sequence })
        {
            found.append("\(queue.name): out of order")
        }
        let bytes = inMemory.reduce(0) { $0 + $1.message.byteCount }
        if bytes != queue.ready.bytesInMemory { found.append("\(queue.name): bytes in memory") }
        if queue.line.count + queue.aside.count != queue.consumers.count { found.append("\(queue.name): the line") }
        if let limit = queue.settings.maxLength, queue.settings.overflow == .dropHead, queue.readyCount > limit {
            found.append("\(queue.name): longer than it may be")
        }
        // Whatever waits has nobody who could take it.
        if queue.readyCount > 0, !queue.isReplicated, !queue.settings.isSingleActiveConsumer,
            queue.consumers.contains(where: \.canTake)
        {
            found.append("\(queue.name): messages wait although somebody could take them")
        }
        return found
    }
}
