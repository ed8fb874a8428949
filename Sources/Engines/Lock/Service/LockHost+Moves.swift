import KernelStructures
import LockEngine

// What the journal is told, so that `why` and `timeline` can say why a lock is somebody else's.
extension LockHost {
    /// Records each lock that has another holder than before. Only the leader does, and only where somebody reads it:
    /// a member in a process of its own pays one comparison.
    ///
    /// - Parameter byExpiry: what went did so because its lease had run out.
    func noteMoves(_ events: [StoreEvent], byExpiry: Bool) {
        guard node.world.journal.recordsTraffic, member.isLeader else { return }
        for event in events {
            guard let name = LockQueue.name(of: event.keyValue.key) else { continue }
            let now = waiting.queue(name)
            switch event.kind {
            case .put: if event.previous == nil { noteClaim(event.keyValue.key, now) }
            case .delete: if let gone = event.previous { noteEnd(gone, now, byExpiry: byExpiry) }
            }
        }
    }

    private func noteClaim(_ key: Key, _ now: LockQueue) {
        // A key without a lease is no claim, whatever its name looks like.
        guard let claim = now.claims.first(where: { $0.key == key }), claim.lease != 0, now.isGranted(key) else {
            return
        }
        let others = now.holders.filter { $0.key != key }
        record(now.name, from: others, to: now.holders, others.isEmpty ? "it was free" : "they share it")
    }

    private func noteEnd(_ gone: KeyValue, _ now: LockQueue, byExpiry: Bool) {
        let before = now.adding(gone)
        guard gone.lease != 0, before.isGranted(gone.key) else { return }
        let owner = before.claims.first { $0.key == gone.key }?.owner ?? ""
        // After a crash others may have to wait a while longer.
        let isKept = byExpiry && settings.lockDelay > .zero
        record(
            now.name, from: before.holders, to: isKept ? [] : now.holders,
            byExpiry ? "the lease of \(owner) has run out" : "\(owner) has let go")
    }

    private func record(_ name: String, from: [LockQueue.Claim], to: [LockQueue.Claim], _ reason: String) {
        func names(_ claims: [LockQueue.Claim]) -> String {
            claims.isEmpty ? "nobody" : claims.prefix(4).map(\.owner).joined(separator: ", ")
        }
        node.world.journal.record(
            .state(subject: "lock \(name)", from: names(from), to: names(to), reason: reason), node: node.name)
    }
}
