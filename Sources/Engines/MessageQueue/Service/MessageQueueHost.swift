import KernelAMQP
import KernelHosting
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWorld
import MessageQueueEngine

/// A message queue as a service: AMQP 0-9-1 in front, the broker behind, and a store below.
///
/// What clients say is carried out as it comes, and deliveries leave at the end of the round. What promises something
/// (confirms, answers about durable things) leaves after the store's next sync, which serves all clients of a turn. When
/// the sync fails, nobody is promised anything, and the process ends.
public final class MessageQueueHost: Service {
    public let runtime: ServiceRuntime
    public let settings: Settings
    public let port: UInt16
    public private(set) var broker: Broker!
    public private(set) var server: AMQPServer!
    private var turns: CommitTurns<CommitWaiter>!
    private var waiter: CommitWaiter!
    private var timer: TimerID?
    private var timerDeadline: LabTime?
    private var isFlushDue = false

    public struct Settings: Sendable {
        public var broker = BrokerSettings()
        /// As it was typed, for log lines; nil: nothing is kept.
        public var directoryText: String?
        /// Where it is on the node's disk.
        public var directory: String?

        public init() {}
    }

    /// Where clients look if nobody told them.
    public static let defaultPort: UInt16 = 5672
    /// With TLS.
    public static let defaultSecurePort: UInt16 = 5671

    public init(node: Node, port: UInt16, settings: Settings, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: "MQ", options: options)
        self.port = port
        self.settings = settings
        server = AMQPServer(self)
        waiter = CommitWaiter(self)
        turns = CommitTurns(node: node) { [unowned self] done in commit(done) }
        turns.onQuiet = { [unowned self] in server.noteIdle() }
        broker = Broker(
            settings.broker, store: VolatileStore(), random: node.draw { $0.fork("broker") }, now: node.world.now)
    }

    // MARK: Life

    public func prepare() throws {
        runtime.add(server, on: port, announcement: "Listening on :\(port: port)")
    }

    public func willDrain() {
        broker.closeAll(reason: "broker forced connection closure with reason 'shutdown'", now: node.world.now)
        settle()
    }

    public func stop(_ done: @escaping () -> Void) {
        node.cancel(timer)
        done()
    }

    // MARK: After each thing that happened

    /// Does what the broker wants done: log lines, output, its timer, and a sync.
    func settle() {
        for line in broker.takeLogLines() { runtime.log(line) }
        updateTimer()
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

    private func flush() {
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

    private func commit(_ done: @escaping (String?) -> Void) { done(nil) }

    fileprivate func committed(_ failure: String?) {
        guard failure == nil else { return }
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
