import KernelStructures
import KernelWorld
import ShopEngine
import ShopKitService

/// Says that this node is there, and leads on the orders of nodes that have not said so for a while.
final class OrderTakeover {
    private let host: ShopHost
    private let store: OrderStore
    private let runner: SagaRunner
    private var watch = ReplicaWatch()
    private(set) var takenCount = 0

    init(_ host: ShopHost, _ store: OrderStore, _ runner: SagaRunner) {
        self.host = host
        self.store = store
        self.runner = runner
    }

    /// Once, and then for as long as the node lives.
    func start() {
        store.beat { [weak self] result in
            guard let self else { return }
            // A database that does not answer says nothing about anybody's silence.
            if case .success(let beats) = result {
                let silent = watch.look(at: beats, besides: host.node.name, now: host.node.world.now)
                takeOver(silent[...])
            }
            host.node.after(ReplicaWatch.interval) { [weak self] in self?.start() }
        }
    }

    private func takeOver(_ silent: ArraySlice<ReplicaWatch.Beat>) {
        guard let next = silent.first else { return }
        store.unfinished(of: next.name) { [weak self] result in
            guard let self, case .success(let orders) = result else { return }
            if orders.isEmpty { return store.forget(next) { [weak self] in self?.takeOver(silent.dropFirst()) } }
            claim(orders[...], of: next.name) { [weak self] in self?.takeOver(silent.dropFirst()) }
        }
    }

    private func claim(_ orders: ArraySlice<Order>, of owner: String, _ done: @escaping () -> Void) {
        guard let order = orders.first else { return done() }
        store.claim(order, of: owner) { [weak self] claimed in
            guard let self else { return }
            if let claimed {
                takenCount += 1
                host.runtime.log("Leading order \(id: order.id) on, which was \(id: owner)'s")
                runner.run(claimed)
            }
            claim(orders.dropFirst(), of: owner, done)
        }
    }
}
