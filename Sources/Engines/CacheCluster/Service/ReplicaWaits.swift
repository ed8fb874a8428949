import CacheClusterEngine
import KernelHosting
import KernelStructures
import KernelWorld

/// Clients in WAIT: until so many copies have what they wrote, or their time is over.
final class ReplicaWaits {
    private struct Wait {
        let connection: RESPServerConnection
        let slots: [Int]
        let offset: Int
        let count: Int
        let timer: TimerID?
    }

    private var waits: [Wait] = []
    var count: Int { waits.count }
    /// Clients that may wait at a time.
    static let limit = 100_000

    /// Answers at once if it can be, or else later.
    func begin(
        _ connection: RESPServerConnection, _ state: ClusterClientState, count: Int, timeoutMilliseconds: Int,
        _ cluster: CacheCluster
    ) {
        let slots = state.slots.slots
        let there = slots.isEmpty ? cluster.followerIDs.count : cluster.copyCount(of: slots, upTo: state.offset)
        guard there < count, waits.count < Self.limit, connection.transaction == nil else {
            return connection.reply.integer(there)
        }
        connection.suspend()
        let node = connection.stream.node
        // 0 is for ever.
        let timer =
            timeoutMilliseconds == 0
            ? nil : node.after(.milliseconds(timeoutMilliseconds)) { [weak self] in self?.end(connection, cluster) }
        waits.append(Wait(connection: connection, slots: slots, offset: state.offset, count: count, timer: timer))
    }

    private func end(_ connection: RESPServerConnection, _ cluster: CacheCluster) {
        guard let index = waits.firstIndex(where: { $0.connection === connection }) else { return }
        answer(waits.remove(at: index), cluster)
    }

    private func answer(_ wait: Wait, _ cluster: CacheCluster) {
        wait.connection.stream.node.cancel(wait.timer)
        wait.connection.reply.integer(cluster.copyCount(of: wait.slots, upTo: wait.offset))
        wait.connection.resume()
    }

    /// Somebody may have enough now; those that have gone do not wait any more.
    func review(_ cluster: CacheCluster) {
        guard !waits.isEmpty else { return }
        let done = waits.filter {
            $0.connection.stream.isClosed || cluster.copyCount(of: $0.slots, upTo: $0.offset) >= $0.count
        }
        waits.removeAll { wait in done.contains { $0.connection === wait.connection } }
        for wait in done { answer(wait, cluster) }
    }

    func finishAll(_ cluster: CacheCluster) {
        let all = waits
        waits = []
        for wait in all { answer(wait, cluster) }
    }
}
