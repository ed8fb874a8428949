import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWorld
import LockEngine

/// Locks: `/v3/lock/…`, and the lab's own list of them at `/v1/locks`.
extension LockHost {
    /// A lease that a client did not bring lives as long as an etcd session.
    private static let sessionSeconds: Int64 = 60
    /// A client that waits hangs up, sooner or later.
    static let waitLimit = LabDuration.seconds(24 * 3600)

    func mountLocks() {
        on("/lock/lock") { [unowned self] exchange, message in
            let name = try message.name("name")
            if name.isEmpty { throw GatewayError(.emptyKey) }
            let words = try message.lockWords()
            let lease = try message.int64("lease")
            claim(name, lease: lease, value: words.bytes, as: words.kind, for: exchange) { [self] claim in
                answer(exchange) {
                    $0.add("key", claim.key)
                    $0.add("token", claim.token)
                    $0.add("lease", claim.lease)
                }
            }
        }
        on("/lock/unlock") { [unowned self] exchange, message in
            carryOut(.delete(DeleteRequest(KeyRange(try message.bytes("key")))), exchange) { _, _ in }
        }
        router.on("GET", "/v1/locks") { [unowned self] exchange in
            whenCurrent { [self] error in
                if let error { return exchange.answer(error) }
                exchange.answer(json: .array(queues.map { json(of: $0) }))
            }
        }
    }

    /// Puts a claim into a lock's queue, and waits until it is let in.
    ///
    /// - Parameter wanted: how; nil in an election, where a claim that this lease has already gets the new value.
    func claim(
        _ name: String, lease: Int64, value: [UInt8], as wanted: LockKind?, for exchange: HTTPExchange,
        _ whenGranted: @escaping (LockQueue.Claim) -> Void
    ) {
        guard lease != 0 else {
            return grantLease(id: 0, ttlSeconds: Self.sessionSeconds) { [self] result in
                switch result {
                case .success(let granted):
                    claim(name, lease: granted.id, value: value, as: wanted, for: exchange, whenGranted)
                case .failure(let error): exchange.answer(error)
                }
            }
        }
        let key = LockQueue.key(name, lease: lease)
        let put = StoreOperation.put(PutRequest(key, value, lease: lease))
        let request = TransactionRequest(
            [KeyComparison(KeyRange(key), .equal, .createRevision(0))], then: [put],
            else: wanted == nil ? [put] : [.range(RangeRequest(KeyRange(key)))])
        propose(.transaction(request)) { [self] result in
            if case .failure(let error) = result { return exchange.answer(error) }
            guard let claimed = machine.store.store.value(key) else {
                return exchange.answer(LockWaiting.sessionExpired)
            }
            // What was there before this request is not this request's to take away, whatever becomes of it.
            var isNew = false
            if case .success(.transaction(succeeded: true, _)) = result { isNew = true }
            let token = claimed.createRevision
            guard exchange.isOpen else {
                if isNew, !waiting.contains(name, key, token) { withdraw(key, token) }
                return
            }
            if let wanted, let error = contradiction(name, key, wanted) {
                if isNew { withdraw(key, token) }
                return exchange.answer(error)
            }
            wait(name, claimed, isNew: isNew, exchange, whenGranted)
        }
    }

    /// Why a claim cannot be had as it is wanted: it exists, of another kind, or whoever came first has said another
    /// number of permits.
    func contradiction(_ name: String, _ key: Key, _ wanted: LockKind) -> GatewayError? {
        guard let one = machine.store.store.value(key), let own = LockQueue(name: name, [one]).claims.first else {
            return nil
        }
        if own.kind != wanted {
            let text =
                "mutex: this lease has \(own.kind.name) in \(name) already, with token \(own.token): unlock that "
                + "first, or ask for \(wanted.name) with another lease"
            return GatewayError(text, GatewayError.failedPrecondition)
        }
        guard case .permit(let count) = wanted else { return nil }
        for claim in waiting.queue(name).claims {
            guard case .permit(let settled) = claim.kind else { continue }
            if settled == count { return nil }
            let text =
                "mutex: \(name) has \(settled) permits, as \(claim.owner) has said who came first, not \(count): "
                + "ask with \"permits\": \(settled), or when nobody has one"
            return GatewayError(text, GatewayError.failedPrecondition)
        }
        return nil
    }

    private func wait(
        _ name: String, _ claimed: KeyValue, isNew: Bool, _ exchange: HTTPExchange,
        _ whenGranted: @escaping (LockQueue.Claim) -> Void
    ) {
        let (key, token) = (claimed.key, claimed.createRevision)
        let ticket = waiting.wait(name, key, token: token, isNew: isNew) { result in
            switch result {
            case .success(let claim): whenGranted(claim)
            case .failure(let error): exchange.answer(error)
            }
        }
        guard let ticket else { return }
        // Who hangs up leaves the queue.
        let leave = { [self] in if waiting.cancel(ticket, name) { withdraw(key, token) } }
        exchange.onAbandon = leave
        exchange.park(for: Self.waitLimit) { exchange in
            leave()
            exchange.answer(GatewayError("etcdserver: gave up waiting", GatewayError.deadlineExceeded))
        }
        // There may be too many that wait.
        if !exchange.isOpen { leave() }
    }

    /// Takes a claim out of its queue, if it is still the same.
    private func withdraw(_ key: Key, _ token: Int64) {
        let request = TransactionRequest(
            [KeyComparison(KeyRange(key), .equal, .createRevision(token))],
            then: [.delete(DeleteRequest(KeyRange(key)))])
        member.propose(StoreCommand.transaction(request).bytes) { _ in }
    }

    // MARK: The lab's list

    /// All locks that somebody has or waits for, by name. A key belongs to one if it stands behind a slash and is
    /// attached to a lease.
    public var queues: [LockQueue] {
        var groups: [String: [KeyValue]] = [:]
        machine.store.store.forEach(in: .all) { one in
            if one.lease != 0, let name = LockQueue.name(of: one.key) { groups[name, default: []].append(one) }
            return true
        }
        return groups.keys.sorted().map { LockQueue(name: $0, groups[$0] ?? []) }
    }

    /// What a lease has left as far as this member knows: only the one that leads counts.
    public func remaining(_ lease: Int64) -> LabDuration? {
        machine.store.leases.remaining(lease, now: node.world.now)
    }

    private func json(of queue: LockQueue) -> JSONValue {
        func claims(_ claims: [LockQueue.Claim]) -> JSONValue {
            .array(
                claims.map { claim in
                    var members: [(key: String, value: JSONValue)] = [
                        ("owner", .string(claim.owner)), ("token", .integer(Int(claim.token))),
                        ("kind", .string(claim.kind.name)), ("lease", .string(String(claim.lease))),
                    ]
                    if let left = remaining(claim.lease) { members.append(("expires_in_ms", .milliseconds(left))) }
                    return .object(members)
                })
        }
        return .object([
            ("name", .string(queue.name)), ("holders", claims(queue.holders)), ("waiters", claims(queue.waiters)),
        ])
    }
}
