import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWorld
import LockEngine

/// Elections: `/v3/election/…`. An election is a lock whose claims carry a value: what the leader wants to be known by.
extension LockHost {
    func mountElections() {
        on("/election/campaign") { [unowned self] exchange, message in
            let name = try message.name("name")
            if name.isEmpty { throw GatewayError(.emptyKey) }
            let lease = try message.int64("lease")
            // Its claim would become another kind of claim while others share the lock.
            if let error = contradiction(name, LockQueue.key(name, lease: lease), .exclusive) { throw error }
            claim(name, lease: lease, value: try message.bytes("value"), as: nil, for: exchange) { [self] claim in
                answer(exchange) { $0.add("leader", Self.leaderKey(name, claim.key, claim.token, claim.lease)) }
            }
        }
        on("/election/proclaim") { [unowned self] exchange, message in
            let (key, revision) = try Self.leader(message)
            let value = try message.bytes("value")
            var put = PutRequest(key, value)
            put.ignoresLease = true
            asLeader(exchange, key, revision, .put(put))
        }
        on("/election/resign") { [unowned self] exchange, message in
            let (key, revision) = try Self.leader(message)
            let request = TransactionRequest(
                [KeyComparison(KeyRange(key), .equal, .createRevision(revision))],
                then: [.delete(DeleteRequest(KeyRange(key)))])
            carryOut(.transaction(request), exchange) { _, _ in }
        }
        on("/election/leader") { [unowned self] exchange, message in
            let name = try message.name("name")
            whenCurrent { [self] error in
                if let error { return exchange.answer(error) }
                guard let leader = electionLeader(name) else {
                    return exchange.answer(GatewayError("election: no leader", GatewayError.unknown))
                }
                answer(exchange) { $0.add("kv", leader.json) }
            }
        }
        on("/election/observe") { [unowned self] exchange, message in
            let name = try message.name("name")
            if name.isEmpty { throw GatewayError(.emptyKey) }
            observe(name, exchange)
        }
    }

    private static func leaderKey(_ name: String, _ key: Key, _ revision: Int64, _ lease: Int64) -> JSONValue {
        var leader = GatewayAnswer()
        leader.add("name", Array(name.utf8))
        leader.add("key", key)
        leader.add("rev", revision)
        leader.add("lease", lease)
        return leader.json
    }

    /// Who was elected, as the answer to a campaign says it.
    private static func leader(_ message: GatewayMessage) throws -> (Key, Int64) {
        guard let leader = message.message("leader") else {
            throw GatewayError("\"leader\" field must be provided", GatewayError.invalidArgument)
        }
        return (try leader.bytes("key"), try leader.int64("rev"))
    }

    private func asLeader(_ exchange: HTTPExchange, _ key: Key, _ revision: Int64, _ operation: StoreOperation) {
        let request = TransactionRequest(
            [KeyComparison(KeyRange(key), .equal, .createRevision(revision))], then: [operation])
        propose(.transaction(request)) { [self] result in
            switch result {
            case .success(.transaction(succeeded: false, _)):
                exchange.answer(GatewayError("election: session expired", GatewayError.unknown))
            case .success: answer(exchange)
            case .failure(let error): exchange.answer(error)
            }
        }
    }

    /// The claim that came first, with its value.
    private func electionLeader(_ name: String) -> KeyValue? {
        machine.store.store.values(in: KeyRange(prefix: LockQueue.prefix(name)))
            .filter { LockQueue.name(of: $0.key) == name }.min { $0.createRevision < $1.createRevision }
    }

    /// Tells who leads now, and whenever that or its value changes.
    private func observe(_ name: String, _ exchange: HTTPExchange) {
        guard let body = exchange.stream(type: "application/json", isLasting: true) else { return }
        var last: KeyValue?
        let tell = { [unowned self] in
            guard let leader = electionLeader(name), leader != last else { return }
            last = leader
            body.write(JSONValue.object([("result", message { $0.add("kv", leader.json) })]).bytes() + [10])
        }
        let observer = observers.add(LockQueue.prefix(name), tell)
        exchange.onAbandon = { [self] in observers.remove(observer) }
        tell()
    }
}

/// Those that want to hear of changes below a prefix.
struct Observers {
    private var all: [(id: Int, prefix: Key, tell: () -> Void)] = []
    private var nextID = 1

    var count: Int { all.count }

    mutating func add(_ prefix: Key, _ tell: @escaping () -> Void) -> Int {
        defer { nextID += 1 }
        all.append((nextID, prefix, tell))
        return nextID
    }

    mutating func remove(_ id: Int) { all.removeAll { $0.id == id } }

    func note(_ events: [StoreEvent]) {
        for one in all where events.contains(where: { $0.keyValue.key.starts(with: one.prefix) }) { one.tell() }
    }
}
