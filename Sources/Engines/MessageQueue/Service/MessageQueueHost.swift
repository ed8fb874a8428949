import ConsensusService
import KernelAMQP
import KernelHosting
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWorld
import MessageLogEngine
import MessageQueueEngine

/// A message queue as a service: AMQP 0-9-1 in front, the broker behind, and a store below.
///
/// What clients say is carried out as it comes, and deliveries leave at the end of the round. What promises something
/// (confirms, answers about durable things) leaves after the store's next sync, which serves all clients of a turn.
/// When the sync fails, nobody is promised anything, and the process ends.
public final class MessageQueueHost: Service {
    public let runtime: ServiceRuntime
    public let settings: Settings
    public let port: UInt16
    public private(set) var broker: Broker!
    public private(set) var server: AMQPServer!
    /// nil: nothing is kept.
    public private(set) var store: DurableStore?
    private var users: BrokerUsers!
    private var management: HTTPRouter?
    /// nil: a broker alone.
    private(set) var member: GroupMember?
    /// When this life of it began.
    let startedAt: LabTime
    private var turns: CommitTurns<CommitWaiter>!
    private var waiter: CommitWaiter!
    private var timer: TimerID?
    private var timerDeadline: LabTime?
    private var isFlushDue = false
    private var isSettleDue = false

    public struct Settings: Sendable {
        public var broker = BrokerSettings()
        /// As it was typed, for log lines; nil: nothing is kept.
        public var directoryText: String?
        /// Where it is on the node's disk.
        public var directory: String?
        /// Where operators come (HTTP); nil: nowhere.
        public var managementPort: UInt16?
        /// The group of brokers that replicate quorum queues; nil: a broker alone.
        public var consensus: ConsensusMember.Settings?

        public init() {}
    }

    /// Where clients look if nobody told them.
    public static let defaultPort: UInt16 = 5672
    /// With TLS.
    public static let defaultSecurePort: UInt16 = 5671
    public static let defaultManagementPort: UInt16 = 15_672
    /// Ports from the clients' to the operators', where nobody says otherwise: of the usual ports, and of a group's.
    public static let managementPortOffset: UInt16 = 10_000

    public init(node: Node, port: UInt16, settings: Settings, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: "MQ", options: options)
        self.port = port
        self.settings = settings
        startedAt = node.world.now
        server = AMQPServer(self)
        waiter = CommitWaiter(self)
        turns = CommitTurns(node: node) { [unowned self] done in commit(done) }
        turns.onQuiet = { [unowned self] in server.noteIdle() }
        broker = Broker(settings.broker, random: node.draw { $0.fork("broker") }, now: node.world.now)
    }

    // MARK: Life

    public func prepare() throws {
        if let directory = settings.directory {
            let store = try DurableStore(node, directory: directory)
            self.store = store
            store.onFailure = { [unowned self] in fail($0) }
            broker = Broker(
                settings.broker, store: store, random: node.draw { $0.fork("broker") }, now: node.world.now)
        }
        users = BrokerUsers(store: broker.store) { [node] in node.draw { $0.next() } }
        broker.access = users
        if let consensus = settings.consensus { try prepareGroup(consensus) }
        runtime.add(server, on: port, announcement: "Listening on :\(port: port)")
        if let port = settings.managementPort {
            let router = HTTPRouter()
            runtime.mount(on: router)
            ManagementAPI(self, users: users).mount(on: router)
            management = router
            runtime.add(HTTPServer(node: node, service: router), on: port)
        }
    }

    private func prepareGroup(_ consensus: ConsensusMember.Settings) throws {
        let member = GroupMember(self, consensus)
        self.member = member
        users.group = member.group
        member.group.onDefinition = { [unowned self] in users.follow($0, $1) }
        try member.open()
        guard let port = consensus.peers[consensus.id]?.port else { return }
        runtime.add(HTTPServer(node: node, service: member.router), on: port)
    }

    public func abandonStart() {
        member?.stop {}
        try? store?.close()
    }

    public var complaints: [String] { member?.complaints ?? [] }

    public func opened() {
        member?.start()
        users.restore(store?.definitions ?? [])
        guard let store, let directory = settings.directoryText else { return }
        runtime.log("WAL initialized at \(directory)")
        let queues = store.queues
        broker.restore(definitions: store.definitions, queues: queues, now: node.world.now)
        let count = broker.virtualHosts.values.reduce(0) { $0 + $1.queues.count }
        if count > 0 {
            let waiting = broker.virtualHosts.values.reduce(0) {
                $0 + $1.queues.values.reduce(0) { $0 + $1.readyCount }
            }
            runtime.log("Recovered \(counted(count, "queue")), \(counted(waiting, "pending message"))")
        }
        settle()
    }

    public func willDrain() {
        management?.drain()
        broker.closeAll(reason: "broker forced connection closure with reason 'shutdown'", now: node.world.now)
        settle()
    }

    public func stop(_ done: @escaping () -> Void) {
        node.cancel(timer)
        do throws(MessageLogError) {
            try store?.close()
        } catch {
            runtime.log("Closing failed: \("\(error)")", level: .error)
        }
        let finish = { [node] in node.afterDisk(done) }
        if let member { member.stop(finish) } else { finish() }
    }

    private func fail(_ reason: String) {
        runtime.fail("The log cannot be synced, nothing is confirmed any more: \(reason)")
    }

    // MARK: After each thing that happened

    /// Does what the broker wants done: log lines, output, its timer, and a sync.
    func settle() {
        for line in broker.takeLogLines() { runtime.log(line) }
        updateTimer()
        broker.rollRates(now: node.world.now)
        member?.settle()
        if broker.hasChangedConnections, !isFlushDue {
            isFlushDue = true
            node.enqueue { [self] in
                isFlushDue = false
                flush()
                settle()
            }
        }
        if broker.needsSync, !waiter.isNoted {
            waiter.isNoted = true
            turns.note(waiter)
        }
    }

    /// At the end of what is being done.
    func settleSoon() {
        guard !isSettleDue else { return }
        isSettleDue = true
        node.enqueue { [self] in
            isSettleDue = false
            settle()
        }
    }

    private func flush() {
        store?.writeDeliveries()
        for connection in broker.takeChangedConnections() { server.connection(connection.number)?.flush() }
    }

    private func updateTimer() {
        let deadline = broker.nextDeadline
        guard deadline != timerDeadline || (timer == nil && deadline != nil) else { return }
        node.cancel(timer)
        timer = nil
        timerDeadline = deadline
        guard let deadline else { return }
        timer = node.after(max(.zero, deadline - node.world.now)) { [self] in
            timer = nil
            timerDeadline = nil
            broker.tick(now: node.world.now)
            settle()
        }
    }

    // MARK: Turns

    private func commit(_ done: @escaping (String?) -> Void) {
        if let store { store.commit(done) } else { done(nil) }
    }

    fileprivate func committed(_ failure: String?) {
        if let failure { return fail(failure) }
        broker.synced(now: node.world.now)
        flush()
        settle()
    }

    /// Whether nothing waits for a sync.
    var isQuiet: Bool { turns.isQuiet }
}

/// All that waits for the store, as one: the broker knows who is concerned.
final class CommitWaiter: TurnConnection {
    private unowned let host: MessageQueueHost
    var isNoted = false

    init(_ host: MessageQueueHost) { self.host = host }

    func seal() { isNoted = false }
    func sendSealed(_ failure: String?) { host.committed(failure) }
}
