import ConsensusService
import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import LockEngine

/// A member of a lock service: the replicated store behind etcd's JSON gateway.
///
/// Whatever changes the store goes through the log and is answered when this member has applied it. Reads wait until
/// this member has all that was agreed on before, unless the client asks for less (`serializable`). Leases are counted
/// by the member that leads; the others send what concerns them there.
public final class LockHost: Service {
    public let runtime: ServiceRuntime
    public let settings: Settings
    public let member: ConsensusMember
    let machine: LockMachine
    let router = HTTPRouter()
    private var server: HTTPServer!
    private(set) var waiting: LockWaiting!
    private var watching: WatchServing!
    var observers = Observers()
    private var leaseTimer: TimerID?
    private var leaseTimerAt = LabTime.distantFuture
    private var isCompacting = false
    /// Whether a connection to another member has ever been made: what tells joining from forming.
    private var hasMet = false
    private var hasSaidFirst = false
    /// Requests of clients so far.
    public private(set) var requestCount = 0

    public struct Settings: Sendable {
        public var consensus: ConsensusMember.Settings
        public var port: UInt16
        /// So many revisions can be looked back at; older ones are compacted away. Nil: only when somebody asks for it.
        public var keptRevisions: Int64? = 100_000
        /// How long a lock whose holder's lease has run out is given to nobody (Chubby's lock-delay).
        public var lockDelay = LabDuration.zero

        public init(consensus: ConsensusMember.Settings, port: UInt16) {
            self.consensus = consensus
            self.port = port
        }
    }

    /// Where clients look if nobody told them.
    public static let defaultPort: UInt16 = 7001
    /// Bytes of a request, as etcd's `--max-request-bytes` and base64 around it.
    private static let bodyLimitBytes = 2 << 20

    public init(node: Node, settings: Settings, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: "LOCK", options: options)
        self.settings = settings
        machine = LockMachine(node: node)
        member = ConsensusMember(node: node, settings: settings.consensus, machine: machine)
        server = HTTPServer(node: node, service: router)
        router.options.defaultsToJSON = true
        router.options.bodyLimitBytes = Self.bodyLimitBytes
        waiting = LockWaiting(self)
        watching = WatchServing(self)
        machine.onEvents = { [unowned self] events, byExpiry in
            noteMoves(events, byExpiry: byExpiry)
            waiting.note(events, byExpiry: byExpiry)
            watching.note(events)
            observers.note(events)
            countLeases()
            compactIfDue()
        }
        machine.onRestore = { [unowned self] in
            waiting.noteRestore()
            watching.noteRestore()
        }
        member.onEvent = { [unowned self] in hear($0) }
        mountKeyValues()
        mountLeases()
        mountLocks()
        mountElections()
        mountMaintenance()
        for prefix in Self.prefixes { router.on("POST", prefix + "/watch") { [unowned self] in watching.begin($0) } }
        member.mount(on: router)
        runtime.mount(on: router)
    }

    // MARK: Life

    public func prepare() throws {
        try member.open()
        runtime.add(server, on: settings.port)
    }

    public func opened() {
        member.start()
        if member.addresses.count <= 1 {
            hasSaidFirst = true
            runtime.log("Node \(member.settings.id) started, alone")
            return
        }
        // Whoever meets nobody at once is the first.
        node.after(.milliseconds(20)) { [self] in sayFirst() }
    }

    private func sayFirst() {
        guard !hasSaidFirst else { return }
        hasSaidFirst = true
        if hasMet {
            runtime.log("Node \(member.settings.id) joined")
        } else {
            runtime.log("Node \(member.settings.id) started, cluster forming...")
        }
    }

    public func willDrain() { router.drain() }

    public func stop(_ done: @escaping () -> Void) {
        node.cancel(leaseTimer)
        member.stop { [self] in
            runtime.log("Stopped")
            done()
        }
    }

    private func hear(_ event: ConsensusEvent) {
        switch event {
        case .leader: leadershipChanged()
        case .peer(_, let isConnected):
            if isConnected { hasMet = true }
        case .configuration: break
        case .stranger(_, let text): runtime.log("Refused: \(text)", level: .error)
        case .failed(let reason):
            // Its clients hear of it first.
            node.enqueue { [runtime] in
                runtime.fail("Stopped taking part: \(reason); start it again when that is mended: \(Self.afterwards)")
            }
        }
    }

    private static let afterwards = "what it had promised is on its disk, and the others go on without it"

    private func leadershipChanged() {
        if member.isLeader, !machine.store.leases.isCounting {
            sayFirst()
            runtime.log("Leader elected: Node \(member.settings.id)")
            machine.store.startCounting(now: node.world.now)
        } else if !member.isLeader, machine.store.leases.isCounting {
            machine.store.stopCounting()
            runtime.log("Node \(member.settings.id) leads no more")
        }
        countLeases()
    }

    // MARK: Leases

    /// Sets the timer for the lease that runs out next, if this member counts them. One that rings earlier stays: it
    /// looks again then. So a change costs no timer, and what is tried again is not put off by changes that go on.
    func countLeases() {
        guard machine.store.leases.isCounting else { return stopLeaseTimer() }
        let again = machine.store.leases.expired.isEmpty ? nil : node.world.now + Self.expiryRetry
        guard let next = [machine.store.nextLeaseDeadline(), again].compactMap({ $0 }).min() else { return }
        if leaseTimer != nil, leaseTimerAt <= next { return }
        stopLeaseTimer()
        leaseTimerAt = next
        leaseTimer = node.after(max(.zero, next - node.world.now)) { [self] in
            leaseTimer = nil
            expireLeases()
        }
    }

    private func stopLeaseTimer() {
        node.cancel(leaseTimer)
        leaseTimer = nil
    }

    /// When the end of a lease is proposed again that has not come through the log.
    private static let expiryRetry = LabDuration.seconds(1)

    private func expireLeases() {
        let pending = machine.store.leases.expired
        let new = machine.store.takeExpiredLeases(now: node.world.now)
        for id in pending + new {
            // The next leader has given it its whole time again.
            member.proposeAsLeader(StoreCommand.revokeLease(id: id, isExpired: true).bytes) { _ in }
        }
        countLeases()
    }

    /// The leader has old revisions dropped when there are twice as many as are to be kept: a history that only grows
    /// would fill the memory of every member.
    private func compactIfDue() {
        guard member.isLeader, !isCompacting, let kept = settings.keptRevisions else { return }
        let store = machine.store.store
        guard store.revision - max(1, store.compactedRevision) > 2 * kept else { return }
        isCompacting = true
        member.propose(StoreCommand.compact(store.revision - kept).bytes) { [weak self] _ in self?.isCompacting = false
        }
    }

    // MARK: Proposing and reading

    /// Has the group carry out a command.
    func propose(_ command: StoreCommand, _ completion: @escaping (Result<LockStore.Outcome, GatewayError>) -> Void) {
        member.propose(command.bytes) { result in
            switch result {
            case .success(let answer):
                guard let outcome = try? LockStore.Outcome(answer.bytes) else {
                    return completion(.failure(GatewayError(.malformedCommand)))
                }
                if case .refused(let error) = outcome { return completion(.failure(GatewayError(error))) }
                completion(.success(outcome))
            case .failure(let failure): completion(.failure(GatewayError(failure)))
            }
        }
    }

    /// Calls back when this member has everything that was agreed on so far.
    func whenCurrent(_ completion: @escaping (GatewayError?) -> Void) {
        member.read { result in
            switch result {
            case .success: completion(nil)
            case .failure(let failure): completion(GatewayError(failure))
            }
        }
    }

    var header: JSONValue {
        var header = GatewayAnswer()
        header.add("cluster_id", Int64(member.groupIdentity))
        header.add("member_id", Int64(member.settings.id))
        header.add("revision", machine.store.store.revision)
        header.add("raft_term", Int64(member.term))
        return header.json
    }

    // MARK: Statistics

    public var complaints: [String] {
        if let failure = member.failure { return ["it has stopped taking part: \(failure)"] }
        return member.leader == nil ? ["no leader is known: fewer than a majority may be running"] : []
    }

    public var statistics: [Statistic] {
        [
            .init("leader", member.leader.map { "node \($0)" } ?? "none"),
            .init("term", member.term, .gauge("lock_raft_term", "Term of the group")),
            .init("applied_index", member.appliedIndex, .gauge("lock_raft_applied_index", "Commands applied")),
            .init(
                "revision", Int(clamping: machine.store.store.revision),
                .gauge("lock_revision", "Revision of the store")),
            .init("keys", machine.store.store.keyCount, .gauge("lock_keys", "Keys that exist")),
            .init("leases", machine.store.leases.count, .gauge("lock_leases", "Leases that have not ended")),
            .init("waiters", waiting.count, .gauge("lock_waiters", "Clients that wait here for a lock")),
            .init("watchers", watching.count, .gauge("lock_watchers", "Watchers here")),
            .init("requests", requestCount, .counter("lock_requests_total", "Requests of clients so far")),
        ]
    }
}

extension GatewayError {
    init(_ failure: ConsensusFailure) {
        switch failure {
        case .notAccepted(let reason): self.init("etcdserver: \(reason)", Self.unavailable)
        case .refusedChange(let refusal):
            let code = refusal == .unknownMember ? Self.notFound : Self.failedPrecondition
            self.init("etcdserver: \(refusal)", code)
        case .outcomeUnknown: self.init("etcdserver: request timed out", Self.unavailable)
        case .stopped(let reason): self.init("etcdserver: stopped: \(reason)", Self.unavailable)
        }
    }
}

extension LockHost {
    /// The gateway's present and former ones.
    static let prefixes = ["/v3", "/v3beta", "/v3alpha"]

    /// Adds a route of the gateway, under all prefixes. What the handler throws is answered in
    /// etcd's way.
    func on(_ path: String, _ handler: @escaping (HTTPExchange, GatewayMessage) throws -> Void) {
        for prefix in Self.prefixes {
            router.on("POST", prefix + path) { [unowned self] exchange in
                requestCount += 1
                do {
                    try handler(exchange, GatewayMessage(JSONCursor(try exchange.json())))
                } catch let error as GatewayError {
                    exchange.answer(error)
                } catch let error as StoreError {
                    exchange.answer(GatewayError(error))
                } catch {
                    exchange.answer(GatewayError("\(error)", GatewayError.invalidArgument))
                }
            }
        }
    }

    /// Answers with a header and whatever `write` adds.
    func answer(_ exchange: HTTPExchange, _ write: (inout GatewayAnswer) -> Void = { _ in }) {
        exchange.answer(json: message(write))
    }

    func message(_ write: (inout GatewayAnswer) -> Void = { _ in }) -> JSONValue {
        var answer = GatewayAnswer()
        answer.add("header", header)
        write(&answer)
        return answer.json
    }

    /// Proposes, and answers: with the error, or with what `write` makes of the outcome.
    func carryOut(
        _ command: StoreCommand, _ exchange: HTTPExchange,
        _ write: @escaping (LockStore.Outcome, inout GatewayAnswer) -> Void
    ) {
        propose(command) { [self] result in
            switch result {
            case .success(let outcome): answer(exchange) { write(outcome, &$0) }
            case .failure(let error): exchange.answer(error)
            }
        }
    }
}

extension HTTPExchange {
    func answer(_ error: GatewayError) { answer(error.status, json: error.json) }
}
