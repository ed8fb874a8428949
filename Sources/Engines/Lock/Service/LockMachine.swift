import ConsensusService
import KernelStructures
import KernelWorld
import LockEngine

/// The replicated state as the group applies to it, and what hears of its changes on this node.
final class LockMachine: ReplicatedStateMachine {
    var store = LockStore()
    /// Called after each command that changed something, with whether a lease's running out was the reason.
    var onEvents: (([StoreEvent], _ byExpiry: Bool) -> Void)?
    /// The state was replaced as a whole.
    var onRestore: (() -> Void)?
    private unowned let node: Node

    init(node: Node) { self.node = node }

    func apply(_ index: Int, _ command: [UInt8]) -> [UInt8] {
        guard let command = try? StoreCommand(command) else {
            return LockStore.Outcome.refused(.malformedCommand).bytes
        }
        let (outcome, events) = store.apply(command, now: node.world.now)
        if !events.isEmpty {
            var byExpiry = false
            if case .revokeLease(_, let isExpired) = command { byExpiry = isExpired }
            onEvents?(events, byExpiry)
        }
        return outcome.bytes
    }

    func snapshot() -> [UInt8] { store.snapshot }

    func restore(_ snapshot: [UInt8]) throws {
        let isCounting = store.leases.isCounting
        store = try LockStore(snapshot: snapshot)
        if isCounting { store.startCounting(now: node.world.now) }
        onRestore?()
    }
}
