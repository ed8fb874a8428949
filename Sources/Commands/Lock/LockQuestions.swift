import CommandKit
import KernelCryptography
import KernelJSON
import KernelStructures
import KernelWorld
import LockEngine
import ShellSession

/// What the short commands of `lock-cli` have in common: questions one after the other, then the end.
class LockQuestion: Program {
    let process: Process
    let client: LockClient

    init(_ process: Process, _ client: LockClient) {
        self.process = process
        self.client = client
    }

    func start() {}

    func fail(_ text: String) { process.fail(text) }

    func ask(_ path: String, _ message: JSONValue, _ use: @escaping (JSONValue) -> Void) {
        client.ask(path, message) { [self] result in
            switch result {
            case .success(let answer): use(answer)
            case .failure(let failure): fail("\(failure)")
            }
        }
    }

    func queue(_ name: String, _ use: @escaping (LockQueue) -> Void) {
        let prefix = LockQueue.prefix(name)
        let message: JSONValue = [
            "key": .string(Base64.standard.encode(prefix)),
            "range_end": .string(Base64.standard.encode(KeyRange.successor(ofPrefix: prefix))),
        ]
        ask("/v3/kv/range", message) { answer in
            guard case .array(let found)? = answer["kvs"] else { return use(LockQueue(name: name, [])) }
            use(LockQueue(name: name, found.map(KeyValue.init)))
        }
    }

    func show(_ view: View, asJSON: Bool) {
        process.output.write(process.text(of: view, asJSON: asJSON))
        process.exit(0)
    }

    /// The claim with that token, or what is wrong with it.
    func claim(_ name: String, _ token: Int64, _ use: @escaping (LockQueue.Claim) -> Void) {
        queue(name) { [self] queue in
            if let claim = queue.claims.first(where: { $0.token == token }) { return use(claim) }
            guard let holder = queue.holders.first else {
                return fail("token \(token) holds nothing: nobody has \(name)")
            }
            fail("token \(token) does not hold \(name); \(holder.owner) does, with token \(holder.token)")
        }
    }
}

/// What concerns one claim, which its lock and its token name.
class LockClaimQuestion: LockQuestion {
    let name: String
    let token: Int64

    init(_ process: Process, _ client: LockClient, name: String, token: Int64) {
        self.name = name
        self.token = token
        super.init(process, client)
    }
}

/// `lock-cli release NAME TOKEN`
final class LockRelease: LockClaimQuestion {
    override func start() {
        claim(name, token) { [self] claim in
            let key = JSONValue.string(Base64.standard.encode(claim.key))
            // Between the look and this, somebody else may have got it: only this very claim is taken away.
            let message: JSONValue = [
                "compare": [
                    ["key": key, "target": "CREATE", "result": "EQUAL", "create_revision": .string(String(token))]
                ],
                "success": [["request_delete_range": ["key": key]]],
            ]
            ask("/v3/kv/txn", message) { [self] answer in
                guard answer["succeeded"] == .bool(true) else {
                    return fail("token \(token) does not hold \(name) any more")
                }
                process.print("Lock released")
                process.exit(0)
            }
        }
    }
}

/// `lock-cli renew NAME TOKEN`
final class LockRenewal: LockClaimQuestion {
    override func start() {
        claim(name, token) { [self] claim in
            ask("/v3/lease/keepalive", ["ID": .string(String(claim.lease))]) { [self] answer in
                let seconds = LockClient.number(answer["result"]?["TTL"])
                guard seconds > 0 else {
                    return fail("its lease has run out: token \(token) holds \(name) no more")
                }
                process.print("Expires in: \(LabDuration.seconds(Int(clamping: seconds)))")
                process.exit(0)
            }
        }
    }
}

/// `lock-cli member add|remove|promote|lead`
final class LockMembership: LockQuestion {
    private let path: String
    private let message: JSONValue
    private let verb: String
    private let word: String

    /// - Throws: `UsageError`.
    init(_ process: Process, _ client: LockClient, _ words: [String], isLearner: Bool) throws {
        verb = words[0]
        word = words[1]
        if verb == "add" {
            do {
                let place = try HostPort(reading: word)
                message = ["peerURLs": [.string("http://\(place)")], "isLearner": .bool(isLearner)]
            } catch { throw UsageError("lock-cli: \(error)") }
            path = "/v3/cluster/member/add"
        } else {
            guard let id = Int64(word), id > 0 else {
                throw UsageError("lock-cli: '\(word)' is no member's number; lock-cli status shows them")
            }
            let name = JSONValue.string(String(id))
            message = verb == "lead" ? ["targetID": name] : ["ID": name]
            path = verb == "lead" ? "/v3/maintenance/transfer-leadership" : "/v3/cluster/member/\(verb)"
        }
        super.init(process, client)
    }

    override func start() {
        ask(path, message) { [self] answer in
            let id = verb == "add" ? "\(LockClient.number(answer["member"]?["ID"]))" : word
            let done = ["add": "added", "remove": "removed", "promote": "has a vote now", "lead": "is asked to lead"]
            process.print("Member \(id) \(done[verb] ?? "")")
            if verb == "add" { for line in Self.beginning(answer) { process.print(line) } }
            process.exit(0)
        }
    }
}

extension LockMembership {
    /// What there is to do now that somebody was added: it counts before it runs.
    fileprivate static func beginning(_ answer: JSONValue) -> [String] {
        guard case .array(let members)? = answer["members"] else { return [] }
        let places = members.compactMap { member -> (id: Int64, place: String)? in
            guard let place = LockClient.text(member["peerURLs"]?[0])?.split(separator: "/").last else { return nil }
            return (LockClient.number(member["ID"]), String(place))
        }.sorted { $0.id < $1.id }
        let id = LockClient.number(answer["member"]?["ID"])
        let voters = members.count { $0["isLearner"] != .bool(true) }
        var lines = ["\(voters / 2 + 1) of \(counted(voters, "voter")) have to live from now on; start it with --join:"]
        // Numbers follow from the list, where none is missing.
        guard let own = places.first(where: { $0.id == id })?.place, let port = own.split(separator: ":").last,
            places.map(\.id) == places.indices.map({ Int64($0 + 1) })
        else { return lines }
        let peers = places.map(\.place).joined(separator: ",")
        lines.append("lockserver --id \(id) --join --peers \(peers) --port \(port) &")
        return lines
    }
}

/// `lock-cli list`
final class LockList: LockQuestion {
    private let wantsJSON: Bool

    init(_ process: Process, _ client: LockClient, wantsJSON: Bool) {
        self.wantsJSON = wantsJSON
        super.init(process, client)
    }

    override func start() {
        let everything: JSONValue = ["key": "AA==", "range_end": "AA=="]
        ask("/v3/kv/range", everything) { [self] answer in
            var groups: [String: [KeyValue]] = [:]
            if case .array(let found)? = answer["kvs"] {
                for one in found.map(KeyValue.init) where one.lease != 0 {
                    if let name = LockQueue.name(of: one.key) { groups[name, default: []].append(one) }
                }
            }
            let queues = groups.keys.sorted().map { LockQueue(name: $0, groups[$0] ?? []) }
            var leases: [Int64] = []
            for lease in queues.flatMap(\.claims).map(\.lease) where !leases.contains(lease) {
                if leases.count == Self.leaseLimit { break }
                leases.append(lease)
            }
            askTimes(of: leases[...], [:], queues)
        }
    }

    /// Leases whose time is asked for; of more claims than that nobody reads on.
    private static let leaseLimit = 200

    /// What each has left, which only the member that leads knows: one after the other, as far as there are answers.
    private func askTimes(of leases: ArraySlice<Int64>, _ known: [Int64: LabDuration], _ queues: [LockQueue]) {
        guard let lease = leases.first else {
            return show(LockViews.list(queues) { known[$0] }, asJSON: wantsJSON)
        }
        let message: JSONValue = ["ID": .string(String(lease))]
        client.ask("/v3/lease/timetolive", message, deadline: .seconds(2)) { [self] result in
            var known = known
            guard case .success(let answer) = result else { return askTimes(of: [], known, queues) }
            let seconds = LockClient.number(answer["TTL"])
            if seconds >= 0 { known[lease] = .seconds(Int(clamping: min(seconds, 1 << 32))) }
            askTimes(of: leases.dropFirst(), known, queues)
        }
    }
}

/// `lock-cli status`
final class LockStatus: LockQuestion {
    private let wantsJSON: Bool

    init(_ process: Process, _ client: LockClient, wantsJSON: Bool) {
        self.wantsJSON = wantsJSON
        super.init(process, client)
    }

    private struct Member {
        /// As it is written: etcd's have 64 bits without a sign.
        let id: String
        let place: String
        var status: JSONValue?
    }

    override func start() {
        ask("/v3/cluster/member/list", [:]) { [self] answer in
            guard case .array(let found)? = answer["members"] else { return fail("the service names no members") }
            let members = found.map {
                Member(
                    id: LockClient.text($0["ID"]) ?? "0",
                    place: (LockClient.text($0["clientURLs"]?[0]) ?? "").replacing("http://", with: ""))
            }
            ask(members, at: 0)
        }
    }

    private func ask(_ members: [Member], at index: Int) {
        guard index < members.count else { return show(view(members), asJSON: wantsJSON) }
        guard let place = HostPort(parsing: members[index].place) else { return ask(members, at: index + 1) }
        let one = LockClient(process.node, servers: [place])
        one.ask("/v3/maintenance/status", [:], deadline: .seconds(1)) { [self] result in
            var members = members
            if case .success(let answer) = result { members[index].status = answer }
            ask(members, at: index + 1)
        }
    }

    private static func cell(_ id: String) -> View.Cell { Int(id).map { .integer($0) } ?? .text(id) }

    private func view(_ members: [Member]) -> View {
        let rows = members.map { member -> [View.Cell] in
            guard let status = member.status else {
                return [
                    Self.cell(member.id), .text(member.place), .text("unreachable", style: .bad), .none, .none,
                    .none,
                ]
            }
            let isLeader = LockClient.text(status["leader"]) == member.id
            return [
                Self.cell(member.id), .text(member.place), .text(isLeader ? "leader" : "follower"),
                .integer(Int(LockClient.number(status["raftTerm"]))),
                .integer(Int(LockClient.number(status["raftIndex"]))),
                .integer(Int(LockClient.number(status["header"]?["revision"]))),
            ]
        }
        return View(
            .table(
                .init(
                    [
                        .init("MEMBER", key: "id", right: true), .init("AT", key: "endpoint", flexible: true),
                        .init("ROLE", key: "role"), .init("TERM", key: "term", right: true),
                        .init("APPLIED", key: "applied", right: true),
                        .init("REVISION", key: "revision", right: true),
                    ], rows: rows, whenEmpty: "no members")))
    }
}

/// `lock-cli watch NAME`: a line whenever somebody gets it, waits for it or leaves.
final class LockWatch: LockQuestion {
    private let name: String
    private var last: LockQueue?
    private var revision: Int64 = 0

    init(_ process: Process, _ client: LockClient, name: String) {
        self.name = name
        super.init(process, client)
    }

    override func start() { look() }

    private func look() {
        queue(name) { [self] queue in
            guard process.isRunning else { return }
            tell(queue)
            process.hold()
            wait()
        }
    }

    private func tell(_ queue: LockQueue) {
        let holders = queue.holders
        let before = last?.holders ?? []
        if holders != before || last == nil {
            if holders.isEmpty { process.print("\(name) is free") }
            for holder in holders where !before.contains(holder) {
                process.print("\(name) is held by \(printable(holder.owner)) (token \(holder.token))")
            }
        }
        let waiters = queue.waiters.map(\.owner)
        if waiters != last?.waiters.map(\.owner) ?? [] {
            process.print(waiters.isEmpty ? "nobody waits" : "waiting: \(printable(waiters.joined(separator: ", ")))")
        }
        last = queue
    }

    /// One event is enough to look again.
    private func wait() {
        let prefix = LockQueue.prefix(name)
        let message: JSONValue = [
            "create_request": [
                "key": .string(Base64.standard.encode(prefix)),
                "range_end": .string(Base64.standard.encode(KeyRange.successor(ofPrefix: prefix))),
            ]
        ]
        client.ask(
            "/v3/watch", message, deadline: nil, until: { $0.contains(Array("\"events\"".utf8)) }
        ) { [self] result in
            if case .failure(let failure) = result { return fail("\(failure)") }
            look()
        }
    }
}
