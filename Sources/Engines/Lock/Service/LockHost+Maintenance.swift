import ConsensusService
import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import LockEngine

/// The group and its state: `/v3/cluster/…`, `/v3/maintenance/…`, `/version`.
extension LockHost {
    /// Whose API this is. Clients look at it to find the gateway's prefix.
    private static let version = "3.4.23"

    func mountMaintenance() {
        router.on("GET", "/version") { exchange in
            exchange.answer(
                json: .object([("etcdserver", .string(Self.version)), ("etcdcluster", .string("3.4.0"))]))
        }
        on("/maintenance/status") { [unowned self] exchange, _ in
            answer(exchange) { answer in
                answer.add("version", Self.version)
                answer.add("dbSize", Int64(machine.store.store.byteCount))
                answer.add("leader", Int64(member.leader ?? 0))
                answer.add("raftIndex", Int64(member.appliedIndex))
                answer.add("raftTerm", Int64(member.term))
                answer.add("raftAppliedIndex", Int64(member.appliedIndex))
                answer.add("dbSizeInUse", Int64(machine.store.store.byteCount))
            }
        }
        // No alarm is ever raised: what is full refuses changes by itself, and takes them again when there is room.
        on("/maintenance/alarm") { [unowned self] exchange, _ in answer(exchange) }
        on("/maintenance/defragment") { [unowned self] exchange, _ in answer(exchange) }
        on("/maintenance/hash") { [unowned self] exchange, _ in
            answer(exchange) { $0.add("hash", JSONValue.integer(Int(machine.store.stateHash))) }
        }
        on("/maintenance/snapshot") { [unowned self] exchange, _ in sendSnapshot(exchange) }
        on("/cluster/member/list") { [unowned self] exchange, _ in
            answer(exchange) { $0.add("members", members) }
        }
        on("/cluster/member/add") { [unowned self] exchange, message in
            let places = try message.field("peerURLs")?.array().map { try $0.string() } ?? []
            guard let place = places.first.flatMap(Self.place) else {
                throw GatewayError("etcdserver: peerURLs must name one http://HOST:PORT", GatewayError.invalidArgument)
            }
            let id = (member.addresses.keys.max() ?? 0) + 1
            guard !member.addresses.values.contains(place) else {
                throw GatewayError("etcdserver: Peer URLs already exists", GatewayError.failedPrecondition)
            }
            let isLearner = try message.flag("is_learner")
            change(.add(id, place, voting: !isLearner), exchange) { [unowned self] answer in
                answer.add("member", json(of: id, place))
                answer.add("members", members)
            }
        }
        onMember("/cluster/member/remove", "ID") { .remove($0) }
        onMember("/cluster/member/promote", "ID") { .promote($0) }
        on("/maintenance/transfer-leadership") { [unowned self] exchange, message in
            let id = Int(try message.int64("targetID"))
            onLeader(exchange, "/v3/maintenance/transfer-leadership") { [self] in
                do throws(MembershipRefusal) { try member.transferLeadership(to: id) } catch {
                    return exchange.answer(GatewayError(.refusedChange(error)))
                }
                answer(exchange)
            }
        }
    }

    /// Adds a route that does something with a member. The one that leads knows most of the others.
    private func onMember(_ path: String, _ field: String, _ make: @escaping (Int) -> MembershipChange) {
        on(path) { [unowned self] exchange, message in
            let wanted = make(Int(try message.int64(field)))
            onLeader(exchange, "/v3" + path) { [self] in
                change(wanted, exchange) { [unowned self] answer in answer.add("members", members) }
            }
        }
    }

    private func change(
        _ change: MembershipChange, _ exchange: HTTPExchange, _ write: @escaping (inout GatewayAnswer) -> Void
    ) {
        member.change(change) { [self] result in
            switch result {
            case .success: answer(exchange, write)
            case .failure(let failure): exchange.answer(GatewayError(failure))
            }
        }
    }

    private static func place(_ url: String) -> HostPort? {
        guard let url = try? HTTPURL(url) else { return HostPort(parsing: url) }
        return HostPort(host: url.host, port: url.port)
    }

    private var members: [JSONValue] {
        member.addresses.sorted { $0.key < $1.key }.map { json(of: $0.key, $0.value) }
    }

    private func json(of id: Int, _ place: HostPort) -> JSONValue {
        let url = JSONValue.string("http://\(place)")
        var answer = GatewayAnswer()
        answer.add("ID", Int64(id))
        answer.add("name", "node-\(id)")
        answer.add("peerURLs", [url])
        answer.add("clientURLs", [url])
        answer.add("isLearner", member.configuration.learners.contains(id))
        return answer.json
    }

    /// In pieces, each of which says how many bytes are still to come.
    private func sendSnapshot(_ exchange: HTTPExchange) {
        let snapshot = machine.snapshot()
        guard let body = exchange.stream(type: "application/json") else { return }
        body.limitBytes = max(body.limitBytes, 2 * snapshot.count)
        var sent = 0
        repeat {
            let piece = snapshot[sent..<min(snapshot.count, sent + Self.snapshotPieceBytes)]
            sent += piece.count
            var answer = GatewayAnswer()
            answer.add("header", header)
            answer.add("remaining_bytes", Int64(snapshot.count - sent))
            answer.add("blob", Array(piece))
            body.write(JSONValue.object([("result", answer.json)]).bytes() + [10])
        } while sent < snapshot.count
        body.end()
    }

    private static let snapshotPieceBytes = 64 << 10
}
