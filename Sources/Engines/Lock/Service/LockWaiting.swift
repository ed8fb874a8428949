import KernelHosting
import KernelStructures
import KernelWorld
import LockEngine

/// Clients of this member that wait for a lock.
///
/// Nobody polls: a claim that goes wakes those, and only those, that it kept out. Before a waiter is told that it has
/// the lock, the member makes sure that it knows all that was agreed on so far, and that the waiter's own claim is
/// still there: its lease may have run out while it waited.
final class LockWaiting {
    private unowned let host: LockHost
    private var waiters: [String: [Waiter]] = [:]
    private var nextID = 1
    private(set) var count = 0
    /// Locks whose holder vanished, until when they are given to nobody.
    private var delays: [String: LabTime] = [:]

    private struct Waiter {
        let id: Int
        let key: Key
        let token: Int64
        /// The claim is there because of it: when it leaves, the claim goes, unless another one waits for the same.
        var isNew: Bool
        /// It may have the lock, which is being made sure of.
        var isBeingConfirmed = false
        let completion: (Result<LockQueue.Claim, GatewayError>) -> Void
    }

    init(_ host: LockHost) { self.host = host }

    func queue(_ name: String) -> LockQueue {
        LockQueue(name: name, host.machine.store.store.values(in: KeyRange(prefix: LockQueue.prefix(name))))
    }

    /// Calls back when the claim is let in, or is gone.
    ///
    /// - Returns: what `cancel` wants to know; nil if it was called back at once.
    func wait(
        _ name: String, _ key: Key, token: Int64, isNew: Bool,
        _ completion: @escaping (Result<LockQueue.Claim, GatewayError>) -> Void
    ) -> Int? {
        let queue = queue(name)
        if delay(of: name) == nil, let claim = queue.claims.first(where: { $0.key == key }), queue.isGranted(key) {
            completion(.success(claim))
            return nil
        }
        let waiter = Waiter(id: nextID, key: key, token: token, isNew: isNew, completion: completion)
        nextID += 1
        waiters[name, default: []].append(waiter)
        count += 1
        return waiter.id
    }

    /// - Returns: whether its claim is to go with it. It stays if it was there before, or if somebody else waits for
    ///   the same one, who answers for it from now on.
    func cancel(_ id: Int, _ name: String) -> Bool {
        guard let waiter = remove(id, name), waiter.isNew else { return false }
        guard let heir = waiters[name]?.firstIndex(where: { $0.key == waiter.key && $0.token == waiter.token }) else {
            return true
        }
        waiters[name]?[heir].isNew = true
        return false
    }

    /// Whether anybody here waits for that claim.
    func contains(_ name: String, _ key: Key, _ token: Int64) -> Bool {
        waiters[name]?.contains { $0.key == key && $0.token == token } ?? false
    }

    private func remove(_ id: Int, _ name: String) -> Waiter? {
        guard let index = waiters[name]?.firstIndex(where: { $0.id == id }) else { return nil }
        let waiter = waiters[name]?.remove(at: index)
        if waiters[name]?.isEmpty == true { waiters[name] = nil }
        count -= 1
        return waiter
    }

    // MARK: What happens

    func note(_ events: [StoreEvent], byExpiry: Bool) {
        var names: Set<String> = []
        for event in events where event.kind == .delete {
            guard let name = LockQueue.name(of: event.keyValue.key) else { continue }
            if waiters[name] != nil { names.insert(name) }
            if byExpiry, host.settings.lockDelay > .zero { postpone(name) }
        }
        for name in names.sorted() { check(name) }
    }

    func noteRestore() { for name in waiters.keys.sorted() { check(name) } }

    private func postpone(_ name: String) {
        let node = host.node
        delays[name] = node.world.now + host.settings.lockDelay
        node.after(host.settings.lockDelay) { [weak self] in
            guard let self, delay(of: name) == nil else { return }
            delays[name] = nil
            check(name)
        }
    }

    private func delay(of name: String) -> LabTime? {
        delays[name].flatMap { $0 > host.node.world.now ? $0 : nil }
    }

    private func check(_ name: String) {
        let queue = queue(name)
        for waiter in waiters[name] ?? [] {
            guard queue.claims.contains(where: { $0.key == waiter.key && $0.token == waiter.token }) else {
                remove(waiter.id, name)?.completion(.failure(Self.sessionExpired))
                continue
            }
            if queue.isGranted(waiter.key), delay(of: name) == nil, !waiter.isBeingConfirmed {
                confirm(waiter, name)
            }
        }
    }

    private func confirm(_ waiter: Waiter, _ name: String) {
        setConfirming(waiter.id, name, true)
        host.whenCurrent { [weak self] error in
            guard let self else { return }
            setConfirming(waiter.id, name, false)
            if let error {
                remove(waiter.id, name)?.completion(.failure(error))
                return
            }
            let queue = queue(name)
            guard let claim = queue.claims.first(where: { $0.key == waiter.key && $0.token == waiter.token }) else {
                remove(waiter.id, name)?.completion(.failure(Self.sessionExpired))
                return
            }
            if queue.isGranted(waiter.key) { remove(waiter.id, name)?.completion(.success(claim)) }
        }
    }

    private func setConfirming(_ id: Int, _ name: String, _ value: Bool) {
        guard let index = waiters[name]?.firstIndex(where: { $0.id == id }) else { return }
        waiters[name]?[index].isBeingConfirmed = value
    }

    /// As etcd's client says it.
    static let sessionExpired = GatewayError("mutex: session is expired", GatewayError.notFound)
}
