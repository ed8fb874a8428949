import ConsensusService
import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import LockEngine

/// Leases: `/v3/lease/…`. What has to do with the time that is left goes to the member that counts it.
extension LockHost {
    func mountLeases() {
        on("/lease/grant") { [unowned self] exchange, message in
            grantLease(id: try message.int64("ID"), ttlSeconds: try message.int64("TTL")) { [self] result in
                switch result {
                case .success(let lease):
                    answer(exchange) {
                        $0.add("ID", lease.id)
                        $0.add("TTL", lease.ttlSeconds)
                    }
                case .failure(let error): exchange.answer(error)
                }
            }
        }
        // The older paths are still called by etcd3gw.
        for path in ["/lease/revoke", "/kv/lease/revoke"] {
            on(path) { [unowned self] exchange, message in
                carryOut(.revokeLease(id: try message.int64("ID"), isExpired: false), exchange) { _, _ in }
            }
        }
        on("/lease/keepalive") { [unowned self] exchange, message in
            let id = try message.int64("ID")
            onLeader(exchange, "/v3/lease/keepalive") { [self] in keepAlive(id, exchange) }
        }
        for path in ["/lease/timetolive", "/kv/lease/timetolive"] {
            on(path) { [unowned self] exchange, message in
                let id = try message.int64("ID")
                let wantsKeys = try message.flag("keys")
                onLeader(exchange, "/v3/lease/timetolive") { [self] in timeToLive(id, wantsKeys, exchange) }
            }
        }
        for path in ["/lease/leases", "/kv/lease/leases"] {
            on(path) { [unowned self] exchange, _ in
                whenCurrent { [self] error in
                    if let error { return exchange.answer(error) }
                    answer(exchange) { answer in
                        answer.add(
                            "leases", machine.store.leases.ids.map { .object([("ID", .string(String($0)))]) })
                    }
                }
            }
        }
    }

    /// A lease of the given id; 0: of one that is free.
    func grantLease(
        id: Int64, ttlSeconds: Int64,
        _ completion: @escaping (Result<(id: Int64, ttlSeconds: Int64), GatewayError>) -> Void
    ) {
        var chosen = id
        while chosen == 0 || (id == 0 && machine.store.leases[chosen] != nil) {
            chosen = node.draw { Int64($0.next() >> 1) }
        }
        propose(.grantLease(id: chosen, ttlSeconds: ttlSeconds)) { result in
            switch result {
            case .success(.leaseGranted(let id, let ttlSeconds)): completion(.success((id, ttlSeconds)))
            case .success: completion(.failure(GatewayError(.malformedCommand)))
            case .failure(let error): completion(.failure(error))
            }
        }
    }

    /// One message of a stream. A lease that there is not, or that has run out, has no time left, which is no error.
    private func keepAlive(_ id: Int64, _ exchange: HTTPExchange) {
        whenCurrent { [self] error in
            if let error { return exchange.answer(error) }
            if machine.store.renewLease(id, now: node.world.now) {
                countLeases()
                return answerKeepAlive(id, machine.store.leases[id]?.ttlSeconds ?? 0, exchange)
            }
            guard machine.store.leases[id] != nil else { return answerKeepAlive(id, 0, exchange) }
            // It has run out here, and is over when the group says so: this member may have slept while another led.
            member.proposeAsLeader(StoreCommand.revokeLease(id: id, isExpired: true).bytes) { [self] result in
                switch result {
                case .success: answerKeepAlive(id, 0, exchange)
                case .failure(let failure): exchange.answer(GatewayError(failure))
                }
            }
        }
    }

    private func answerKeepAlive(_ id: Int64, _ seconds: Int64, _ exchange: HTTPExchange) {
        exchange.answer(
            json: .object([
                (
                    "result",
                    message {
                        $0.add("ID", id)
                        $0.add("TTL", seconds)
                    }
                )
            ]))
    }

    private func timeToLive(_ id: Int64, _ wantsKeys: Bool, _ exchange: HTTPExchange) {
        whenCurrent { [self] error in
            if let error { return exchange.answer(error) }
            answer(exchange) { answer in
                answer.add("ID", id)
                guard let lease = machine.store.leases[id] else { return answer.add("TTL", -1) }
                let left = machine.store.leases.remaining(id, now: node.world.now) ?? .zero
                // Rounded up: a lease that lives has not 0 seconds left.
                answer.add("TTL", (left.nanoseconds + 999_999_999) / 1_000_000_000)
                answer.add("grantedTTL", lease.ttlSeconds)
                guard wantsKeys else { return }
                let keys = lease.keys.sorted { $0.lexicographicallyPrecedes($1) }
                answer.add("keys", keys.map { .string(Base64.standard.encode($0)) })
            }
        }
    }

    // MARK: Leading

    /// Does something here if this member leads; otherwise sends the request to the one that does, and gives its
    /// answer.
    func onLeader(_ exchange: HTTPExchange, _ path: String, _ work: @escaping () -> Void) {
        if member.isLeader { return work() }
        guard exchange.field(Self.forwardedField) == nil, let leader = member.leader,
            let place = member.addresses[leader]
        else { return exchange.answer(GatewayError("etcdserver: no leader", GatewayError.unavailable)) }
        var request = HTTPCall.Request("POST", url: HTTPURL(host: place.host, port: place.port, target: path))
        request.body = exchange.body
        request.fields = [(Self.forwardedField, "\(member.settings.id)"), ("Content-Type", "application/json")]
        request.deadline = .milliseconds(member.settings.timeoutMilliseconds)
        let call = HTTPCall(node, request) { result in
            switch result {
            case .success(let response):
                exchange.answer(response.status, bytes: response.body, type: "application/json")
            case .failure(let failure):
                exchange.answer(
                    GatewayError("etcdserver: node \(leader) leads: \(failure)", GatewayError.unavailable))
            }
        }
        exchange.onAbandon = { call.cancel() }
        call.start()
    }

    /// Marks a request that a member has passed on: it is passed on once.
    private static let forwardedField = "Lock-Forwarded-By"
}
