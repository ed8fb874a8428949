import KernelAMQP
import KernelStructures

/// A message broker in RabbitMQ's manner: AMQP 0-9-1 with RabbitMQ's extensions.
///
/// ## The problem
///
/// One program has work for another, which is busy, or slow, or not there at all. Calling it means waiting for it, and
/// failing with it. Somebody has to take the work, promise to keep it, and hand it over when there is a hand free: once
/// if at all possible, and never not at all.
///
/// ## An everyday picture
///
/// A post office. Whoever sends a letter writes on it what it is about (the routing key) and drops it at a counter (the
/// exchange), without knowing who will read it. The clerks' rules (bindings) say into which boxes (queues) copies of it
/// go. A letter that was registered gets a receipt (confirm), once it lies in a fireproof box. Whoever empties a box
/// signs for each letter after having dealt with it (ack); letters that were taken and not signed for go back to
/// their old place when the reader drops dead. A letter that nobody can read goes round three times, and then to the
/// office for dead letters.
///
/// ## How
///
/// ```
///  publisher ─▶ channel ─▶ exchange ─bindings─▶ queue ─▶ ready ─▶ consumer's channel ─▶ unacknowledged
///                  ▲                              │  ▲                                    │       │
///                  └── confirm, when stored       │  └──────────── given back ────────────┘       ack: gone
///                                                 └─▶ expired, too many, given up ─▶ dead-letter exchange
/// ```
///
/// This room is pure. A connection takes bytes and `now`, changes the broker, and leaves bytes in its `output`; what
/// is to last goes to a `MessageStore`; what is worth a line is in `takeLogLines`. The host writes outputs, calls
/// `tick` at `nextDeadline`, and `synced` when the store has synced. Deliveries do not wait for that, but confirms and
/// the answers that promise something do.
///
/// Several brokers may be a group (`BrokerGroup`): queues of the type `quorum` are the same on all of them then, and a
/// publisher hears of a message once a majority has it. What a group has in common is changed only by what its log has
/// agreed on (`GroupState`); this broker's exchanges, queues and policies follow it.
///
/// ## Where it is wrong
///
/// A message that was delivered and not acknowledged when a connection broke is delivered again, although its consumer
/// may have done the work: at least once is what can be promised, and "exactly once" takes a consumer that notices
/// repetitions. Order is kept within a queue for one consumer; with several, or with a message given back, a later one
/// may be dealt with earlier. And a queue that only grows is not a buffer: `explain queue` shows why it does.
public final class Broker {
    public let settings: BrokerSettings
    public let store: any MessageStore
    public var access: any BrokerAccess
    public internal(set) var virtualHosts: [String: VirtualHost] = [:]
    /// The time of what is being done.
    public internal(set) var now: LabTime
    var random: SeededRandom

    public internal(set) var connections: [UInt64: BrokerConnection] = [:]
    private var lastConnection: UInt64 = 0
    /// Connections with output, or with an end, that the host has not been told of.
    private var changed: [BrokerConnection] = []
    /// Channels with confirms that are due once the store has synced so far.
    var confirming: [BrokerChannel] = []
    /// Connections with answers that wait for the store.
    var barred: [BrokerConnection] = []
    /// Connections with answers that wait for the group.
    var groupBarred: [BrokerConnection] = []
    /// nil: a broker alone.
    public internal(set) var group: BrokerGroup?
    var pendingDeadLetters = RingQueue<DeadLetter>()
    /// Channels on which a part of a body has come, in the order in which that began.
    var arriving: [BrokerChannel] = []
    private var logLines: [LogMessage] = []
    private var timers = BinaryHeap<BrokerTimer>()
    private var timerOrder: UInt64 = 0
    private var timedCount = 0
    let memory = MemoryMeter()
    /// Whether there is so much in memory that publishers have to wait.
    public private(set) var isAlarmed = false
    public let trace: MessageTrace
    public internal(set) var counters = BrokerCounters()
    public internal(set) var rates: CounterWindow<BrokerCounters>
    var numbers = BrokerNumbers(generation: 1)

    /// - Parameters:
    ///   - store: what keeps durable things; nothing is read from it before `restore`.
    ///   - random: for names of queues and consumers that clients leave to the broker.
    public init(
        _ settings: BrokerSettings = BrokerSettings(), store: any MessageStore = VolatileStore(),
        access: any BrokerAccess = OpenAccess(), random: SeededRandom, now: LabTime
    ) {
        self.settings = settings
        self.store = store
        self.access = access
        self.random = random
        self.now = now
        trace = MessageTrace(limit: settings.traceLimit)
        rates = CounterWindow(BrokerCounters(), now: now)
        virtualHosts["/"] = VirtualHost("/")
    }

    /// By name.
    public var sortedVirtualHosts: [VirtualHost] { virtualHosts.values.sorted { $0.name < $1.name } }
    /// Oldest first.
    public var sortedConnections: [BrokerConnection] { connections.values.sorted { $0.number < $1.number } }
    /// Bytes of messages in memory.
    public var memoryBytes: Int { memory.bytes }

    // MARK: Connections

    /// A client has connected. It is fed with `receive`, and has to be told of its end with `lost`.
    public func makeConnection(peer: String, now: LabTime) -> BrokerConnection {
        self.now = now
        lastConnection += 1
        let connection = BrokerConnection(self, number: lastConnection, peer: peer)
        connections[lastConnection] = connection
        counters.connectionsOpened += 1
        return connection
    }

    func forget(_ connection: BrokerConnection) {
        guard connections.removeValue(forKey: connection.number) != nil else { return }
        counters.connectionsClosed += 1
    }

    /// The host has to look at that connection.
    func note(_ connection: BrokerConnection) {
        guard !connection.isNoted else { return }
        connection.isNoted = true
        changed.append(connection)
    }

    /// Connections with new output, or that are to be closed.
    public func takeChangedConnections() -> [BrokerConnection] {
        let result = changed
        changed.removeAll(keepingCapacity: true)
        for connection in result { connection.isNoted = false }
        return result
    }

    public var hasChangedConnections: Bool { !changed.isEmpty }

    /// Whether something waits for the store: a sync, or the word that there has been one.
    public var needsSync: Bool { !confirming.isEmpty || store.position > store.syncedPosition }

    /// All clients are told to go.
    public func closeAll(reason: String, now: LabTime) {
        for connection in sortedConnections { connection.close(reason: reason, now: now) }
    }

    func log(_ message: LogMessage) { if logLines.count < 1000 { logLines.append(message) } }

    /// What is worth a line in the log since the last call.
    public func takeLogLines() -> [LogMessage] {
        if logLines.isEmpty { return [] }
        defer { logLines.removeAll() }
        return logLines
    }

    // MARK: Time

    /// When `tick` is wanted next.
    public var nextDeadline: LabTime? { timers.first?.time }

    /// Does what is due by now.
    public func tick(now: LabTime) {
        self.now = now
        while let next = timers.first, next.time <= now {
            _ = timers.removeFirst()
            guard next.target.deadline == next.time else { continue }
            next.target.deadline = .distantFuture
            next.target.ring()
        }
        settle()
    }

    /// Has `target` rung at that time, or before if that was wanted already.
    func schedule(_ target: any BrokerTimed, at time: LabTime) {
        guard time < target.deadline else { return }
        target.deadline = time
        timerOrder += 1
        timers.insert(BrokerTimer(time: time, order: timerOrder, target: target))
        // Deadlines that were moved forward stay behind in the heap.
        if timers.count > 1024, timers.count > 2 * timedCount {
            timers.retain { $0.target.deadline == $0.time }
            timedCount = timers.count
        }
    }

    /// The store has synced: what was promised for that may be said.
    public func synced(now: LabTime) {
        self.now = now
        let waiting = confirming
        confirming.removeAll(keepingCapacity: true)
        for channel in waiting {
            channel.isConfirmNoted = false
            channel.releaseConfirms()
        }
        let held = barred
        barred.removeAll(keepingCapacity: true)
        for connection in held {
            note(connection)
            // What was put off until a later sync.
            connection.isBarred = connection.writableByteCount < connection.output.count
            if connection.isBarred { barred.append(connection) }
        }
    }

    /// After each thing that happened: dead letters, and whether memory is short.
    func settle() {
        routeDeadLetters()
        if isAlarmed {
            if memory.bytes < settings.memoryLimitBytes / 10 * 9 { setAlarm(false) }
        } else if memory.bytes > settings.memoryLimitBytes {
            setAlarm(true)
        }
    }

    private func setAlarm(_ isOn: Bool) {
        isAlarmed = isOn
        if isOn {
            log("Memory alarm: \(memory.bytes) bytes of messages; publishers wait")
        } else {
            log("Memory alarm is over; publishers go on")
            for connection in sortedConnections { connection.unblock() }
        }
    }
}

/// What the broker has counted since it was started.
public struct BrokerCounters: Sendable {
    public var connectionsOpened = 0
    public var connectionsClosed = 0
    public var channelsOpened = 0
    public var channelsClosed = 0
    public var queuesDeclared = 0
    public var queuesCreated = 0
    public var queuesDeleted = 0
    public var published = 0
    public var confirmed = 0
    public var returned = 0
    public var unroutable = 0
    public var delivered = 0
    public var deliveredWithoutAck = 0
    public var got = 0
    public var gotWithoutAck = 0
    public var gotEmpty = 0
    public var acknowledged = 0
    public var redelivered = 0
    public var deadLettered = 0
    /// However they were given out.
    public var deliveredOrGot: Int { delivered + deliveredWithoutAck + got + gotWithoutAck }
    public init() {}
}

/// Numbers that are given once. Each start of a broker on the same store begins a generation of its own.
struct BrokerNumbers {
    private var queue: UInt64
    private var message: UInt64
    private var binding: UInt64

    init(generation: UInt64) {
        queue = generation << 32
        message = generation << 40
        binding = generation << 32
    }

    mutating func nextQueue() -> UInt64 {
        queue += 1
        return queue
    }
    mutating func nextMessage() -> UInt64 {
        message += 1
        return message
    }
    mutating func nextBinding() -> UInt64 {
        binding += 1
        return binding
    }
}

/// What can be rung: a queue for what expires, a channel for deliveries that nobody acknowledges, a connection for
/// heartbeats.
protocol BrokerTimed: AnyObject {
    /// When it will be; `distantFuture` if it will not.
    var deadline: LabTime { get set }
    func ring()
}

struct BrokerTimer: Comparable {
    let time: LabTime
    let order: UInt64
    let target: any BrokerTimed

    static func < (a: BrokerTimer, b: BrokerTimer) -> Bool { (a.time, a.order) < (b.time, b.order) }
    static func == (a: BrokerTimer, b: BrokerTimer) -> Bool { a.order == b.order }
}

/// Bytes of messages in memory: each message counts itself.
final class MemoryMeter {
    var bytes = 0
}
