import KernelStorage
import KernelStructures

/// One running instance of something: it has a name, an address and a disk, and can be stopped, killed, frozen and
/// cut off. The name and the address outlive it: started again, it is the same node in its next life.
///
/// An engine's host does everything through its node, so that all of it ends with the node: timers, connections and
/// listeners of a killed node are gone at once, and nothing the old life set in motion reaches the new one.
public final class Node {
    public let name: String
    /// What it is one of, for those who look at traces: `orders` for `orders-2`.
    public internal(set) var serviceName: String
    public let address: IPAddress
    /// Its address in IPv6. In a lab, `fd5d:1ab::N` for the N-th node (RFC 4193: a network that leads nowhere else).
    public let address6: IPAddress
    /// Positive for nodes; `DiskOwner.lab` has 0.
    public let number: Int
    /// Clients that run in a terminal share an address, end with their command, and are left out of `nodes`.
    public let isTransient: Bool
    public let world: World
    public private(set) var state: State
    public private(set) var life: NodeLife!
    /// How many times it was started.
    public private(set) var lifeCount = 0
    public private(set) var startedAt: LabTime
    public let disk: NodeDisk
    public private(set) var random: SeededRandom
    /// Added to the lab clock when this node looks at its calendar; timers are not affected.
    public var clockSkew = LabDuration.zero
    /// The share of the traces that begin at this node which are kept, 0 to 1 (head sampling).
    public var traceShare = 1.0
    /// Of its requests, where the lab records what happens.
    public var requestTimes = RequestTimes()
    /// It asks about the lab (`ledger`, `log-query`): its questions are nobody's requests, and begin no traces.
    public var isObserver = false
    /// Called once when a life ends, with how it ended.
    public var onEnd: ((State) -> Void)?

    /// What it misses while it is frozen, in order, with the timers that may still be cancelled.
    private var held = RingQueue<(work: Scheduler.Work, timer: TimerID?)>()
    var streams: [UInt64: Stream] = [:]
    public internal(set) var listeners: [Listener] = []
    public internal(set) var datagramSockets: [DatagramSocket] = []
    /// Those at unix sockets.
    var pathListeners: [Listener] = []

    public enum State: String, Sendable {
        case running, frozen, stopped, exited, killed, poweredOff = "powered off"
        public var isAlive: Bool { self == .running || self == .frozen }
    }

    init(
        world: World, name: String, address: IPAddress, address6: IPAddress, number: Int, isTransient: Bool
    ) {
        self.world = world
        self.name = name
        serviceName = name
        self.address = address
        self.address6 = address6
        self.number = number
        self.isTransient = isTransient
        state = .exited
        startedAt = world.now
        disk = NodeDisk(base: world.disk, owner: DiskOwner(number), costs: world.diskCosts)
        random = world.random.fork(name)
    }

    public var isAlive: Bool { state.isAlive }
    public var openConnections: Int { streams.count }
    public var isFrozen: Bool { state == .frozen }
    /// A machine without power: packets to it vanish.
    public var isDark: Bool { state == .poweredOff }
    /// The time on this node's own calendar.
    public var wallClock: LabTime { world.now + clockSkew }

    /// A port of this node as somebody sees it who speaks that family.
    public func endpoint(_ port: UInt16, isIPv6: Bool) -> Endpoint { Endpoint(isIPv6 ? address6 : address, port) }

    // MARK: Life

    /// Begins a new life. The node must not be alive.
    public func start() {
        precondition(!isAlive, "node \(name) is running already")
        let wasDark = isDark
        lifeCount += 1
        life = NodeLife(self)
        startedAt = world.now
        requestTimes = RequestTimes()
        state = .running
        random = world.random.fork("\(isTransient ? "client \(number)" : name)/\(lifeCount)")
        if wasDark { world.network.powerReturned(to: self) }
        if !isTransient { world.faults.apply(toDiskOf: self) }
        if !isTransient { world.journal.record(.node(.started), node: name) }
    }

    /// Ends this life as `kill -9` or the end of a program does: memory is gone, and the kernel closes the sockets.
    /// `.poweredOff` also forgets what was never synced and says goodbye to nobody.
    ///
    /// - Returns: what a power failure took from the disk; nil if nothing can be lost that way.
    @discardableResult
    public func end(_ final: State, powerLoss policy: PowerLossPolicy = .dropAll) -> PowerLoss? {
        guard isAlive, !final.isAlive else { return nil }
        state = final
        life.end()
        dropHeld()
        world.spans.nodeEnded(self, final)
        let cause = isTransient ? world.journal.currentCause : recordEnd(final)
        world.journal.withCause(cause) { closeAll(silently: final == .poweredOff) }
        let loss = final == .poweredOff ? world.disk.losePower(owner: disk.owner, policy: policy) : nil
        life.letGo()
        let callback = onEnd
        onEnd = nil
        callback?(final)
        return loss
    }

    /// Calls `action` when this life is over, however it ends, connections included. The process is gone then, and can
    /// do nothing more: this is for letting go of what holds one another.
    public func whenEnded(_ action: @escaping () -> Void) { life.atEnd.append(action) }

    private func recordEnd(_ final: State) -> UInt64 {
        let change: JournalEvent.NodeChange =
            switch final {
            case .killed: .killed
            case .poweredOff: .lostPower
            case .stopped: .stopped
            default: .exited
            }
        return world.journal.record(.node(change), node: name)
    }

    /// What the kernel does with the sockets of a process that is gone.
    private func closeAll(silently: Bool) {
        for listener in listeners + pathListeners { world.network.retire(listener, silently: silently) }
        for socket in datagramSockets { world.network.retire(socket, silently: silently) }
        datagramSockets = []
        listeners = []
        pathListeners = []
        for stream in streams.values.sorted(by: { $0.number < $1.number }) { stream.die(silently: silently) }
        streams = [:]
    }

    /// `kill -STOP`: nothing of it runs until `thaw`; its sockets stay open and the kernel goes on accepting for it.
    public func freeze() {
        guard state == .running else { return }
        state = .frozen
        world.journal.record(.node(.frozen), node: name)
        updateReading()
    }

    /// `kill -CONT`: what it missed happens now, in order.
    public func thaw() {
        guard state == .frozen else { return }
        state = .running
        world.journal.record(.node(.thawed), node: name)
        for _ in 0..<held.count { world.enqueue { [self] in catchUp() } }
        updateReading()
    }

    /// One piece of what it missed, unless it is frozen again: an earlier one may have cancelled a later one.
    private func catchUp() {
        guard !isFrozen, let next = held.popFirst() else { return }
        if held.isEmpty { world.frozenCount -= 1 }
        world.perform(life: next.work.life, cause: next.work.cause, next.work.action)
    }

    private func updateReading() {
        for listener in listeners + pathListeners { listener.updateAccepting() }
        for stream in streams.values.sorted(by: { $0.number < $1.number }) { stream.updateReading() }
        if !isFrozen { for socket in datagramSockets { enqueue { socket.deliverWaiting() } } }
    }

    var isHolding: Bool { !held.isEmpty }

    func hold(_ work: Scheduler.Work, _ timer: TimerID?) {
        if held.isEmpty { world.frozenCount += 1 }
        held.append((work, timer))
    }

    func dropHeld(_ timer: TimerID) {
        var kept = RingQueue<(work: Scheduler.Work, timer: TimerID?)>()
        while let next = held.popFirst() { if next.timer != timer { kept.append(next) } }
        held = kept
        if held.isEmpty { world.frozenCount -= 1 }
    }

    private func dropHeld() {
        if isHolding { world.frozenCount -= 1 }
        held.removeAll()
    }

    /// Runs `action` now, or when the node is thawed.
    public func whenRunning(_ action: @escaping () -> Void) {
        world.perform(life: life, cause: world.journal.currentCause, action)
    }

    // MARK: What a host does

    /// Runs `action` after `delay` of lab time, unless this life is over by then.
    @discardableResult
    public func after(_ delay: LabDuration, _ action: @escaping () -> Void) -> TimerID {
        world.schedule(at: world.now + delay, life: life, action)
    }

    /// Runs `action` after the work that is already waiting, unless this life is over by then.
    public func enqueue(_ action: @escaping () -> Void) { world.enqueue(life: life, action) }

    /// Runs `action` once everything that was written to this node's connections has left it, and not before this call
    /// returns. For those who stop in order: the end of a node takes with it what is still unsent.
    public func whenFlushed(_ action: @escaping () -> Void) {
        enqueue { [self] in
            guard streams.values.contains(where: { $0.unsentByteCount > 0 }) else { return action() }
            after(Self.flushCheckInterval) { [self] in whenFlushed(action) }
        }
    }

    private static let flushCheckInterval = LabDuration.milliseconds(10)

    public func cancel(_ timer: TimerID?) { world.cancel(timer) }

    /// Writes a log line under the tag. It belongs to the trace that the node is working for, if that is recorded.
    public func log(_ tag: String, _ message: LogMessage, level: LogLevel = .info) {
        let event = world.journal.record(.log(LogLine(tag: tag, level: level, message: message)), node: name)
        world.spans.noteLine(event, of: self)
    }

    /// Accepts connections on a port of this node's address; `accept` returns the handler of each.
    public func listen(on port: UInt16, accept: @escaping (Stream) -> any StreamHandler) throws(NetworkError)
        -> Listener
    {
        try world.network.listen(node: self, port: port, accept: accept)
    }

    /// Accepts connections on a unix socket of the machine, which only its owner can reach. It is gone with the
    /// listener.
    ///
    /// - Throws: `NetworkError.system` where there are no such sockets, or the path cannot be one.
    public func listen(atPath path: String, accept: @escaping (Stream) -> any StreamHandler) throws(NetworkError)
        -> Listener
    {
        try world.network.listen(node: self, atPath: path, accept: accept)
    }

    /// Opens a connection; the handler hears how it went, never before this call returns.
    @discardableResult
    public func connect(to destination: HostPort, handler: any StreamHandler) throws(NetworkError) -> Stream {
        try world.network.connect(node: self, to: destination, handler: handler)
    }

    /// Runs `action` when the lab time that the disk operations since the last call cost has passed.
    public func afterDisk(_ action: @escaping () -> Void) {
        let cost = disk.collectCost()
        if cost <= .zero { enqueue(action) } else { after(cost, action) }
    }

    /// Draws from the node's own stream of chance.
    public func draw<R>(_ body: (inout SeededRandom) -> R) -> R { body(&random) }
}

/// One life of a node. Work that belongs to a life is dropped once the life is over.
public final class NodeLife {
    /// Nil once this life is over.
    public private(set) var node: Node?
    init(_ node: Node) { self.node = node }
    func end() { node = nil }

    fileprivate var atEnd: [() -> Void] = []
    /// Jobs that were offloaded and are not back.
    private var jobs: [UInt64: CancelFlag] = [:]
    private var lastJob: UInt64 = 0
    /// How runs in slices that are under way are brought to their end.
    private var runs: [UInt64: () -> Void] = [:]

    func register(_ stop: @escaping () -> Void) -> UInt64 {
        lastJob += 1
        runs[lastJob] = stop
        return lastJob
    }

    func unregisterRun(_ run: UInt64) { runs[run] = nil }

    func register(_ job: CancelFlag) -> UInt64 {
        lastJob += 1
        jobs[lastJob] = job
        return lastJob
    }

    func unregister(_ job: UInt64) { jobs[job] = nil }

    fileprivate func letGo() {
        for job in jobs.values { job.set() }
        jobs = [:]
        let stops = runs.sorted { $0.key < $1.key }
        runs = [:]
        for stop in stops { stop.value() }
        let actions = atEnd
        atEnd = []
        for action in actions { action() }
    }
}

/// The nodes of a world by name and address.
public final class NodeTable {
    private unowned let world: World
    /// In order of creation, those that have ended included; transient ones only while they live.
    public private(set) var all: [Node] = []
    private var byName: [String: Node] = [:]
    private var byAddress: [IPAddress: Node] = [:]
    private var created = 0
    private var services = 0

    /// More nodes than this are refused: each takes an address of the lab's /16.
    public static let limit = 60_000

    init(world: World) { self.world = world }

    /// The node of that name, without regard to case.
    public subscript(name: String) -> Node? { byName[name.lowercased()] }
    public func at(_ address: IPAddress) -> Node? { byAddress[address] }

    /// The service nodes, in order of creation.
    public var allServices: [Node] { all.filter { !$0.isTransient } }

    /// Starts a service node. One of that name that has ended comes back to life at its old address; if one is alive,
    /// the new one is called `name-2`, `name-3` …
    public func start(_ name: String) throws(NetworkError) -> Node {
        var unique = name
        var suffix = 2
        while let existing = self[unique] {
            if !existing.isAlive {
                existing.start()
                return existing
            }
            unique = "\(name)-\(suffix)"
            suffix += 1
        }
        guard services < Self.limit else { throw .tooManyNodes(Self.limit) }
        services += 1
        let address = world.network.transport.address(ofNode: services)
        let address6 = world.network.transport.isWholeHost ? address : Self.address6(ofNode: services)
        let node = make(unique, address: address, address6: address6, isTransient: false)
        node.serviceName = name
        byName[unique.lowercased()] = node
        byAddress[address] = node
        byAddress[address6] = node
        node.start()
        return node
    }

    /// Starts a client in a terminal: it shares the lab's own address and ends with its command.
    public func startClient() -> Node {
        let node = make(Self.clientName, address: .loopback, address6: .loopback6, isTransient: true)
        node.start()
        return node
    }

    /// The name under which fault rules and the journal know every client in a terminal.
    public static let clientName = "client"
    /// The name under which they know whoever connects from outside the lab.
    public static let outsideName = "outside"

    /// Forgets a transient node that has ended.
    public func forget(_ node: Node) {
        guard node.isTransient, !node.isAlive, let index = all.lastIndex(where: { $0 === node }) else { return }
        all.remove(at: index)
    }

    /// Lets go of all nodes; they have ended.
    func shutDown() {
        all = []
        byName = [:]
        byAddress = [:]
    }

    private static func address6(ofNode number: Int) -> IPAddress {
        IPAddress(IPv6Address(high: 0xFD5D_01AB_0000_0000, low: UInt64(number)))
    }

    private func make(_ name: String, address: IPAddress, address6: IPAddress, isTransient: Bool) -> Node {
        created += 1
        let node = Node(
            world: world, name: name, address: address, address6: address6, number: created, isTransient: isTransient)
        all.append(node)
        return node
    }
}
