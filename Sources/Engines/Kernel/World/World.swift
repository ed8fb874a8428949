import KernelStorage
import KernelStructures

/// Everything an engine may touch: the clock, chance, the network, the disk, the faults and the journal.
///
/// ## The problem
///
/// A distributed system is hard to learn from because its most interesting moments depend on things nobody controls:
/// when a packet arrives, when a timer fires, which thread runs first. A test that needs them sleeps and hopes.
///
/// ## An everyday picture
///
/// A World is a theatre. The actors (engines) know only the stage: a clock on the wall, doors to other rooms, a desk
/// with papers. The stagehand behind it decides how fast the wall clock runs, how long a letter takes from door to
/// door, and what burns. The same play can be given at real speed with the doors opening on the street (loopback
/// sockets and real clients), or in an instant with painted doors (memory transport, virtual time). The actors cannot
/// tell, and given the same seed the painted performance is the same to the last gesture.
///
/// ## How
///
/// One serial loop. Work is a closure that runs now or at a lab time; input and output are closures that the
/// transport enqueues. Nothing in a World runs in parallel, so nothing in it needs a lock.
///
/// ## Where it is wrong
///
/// One loop means one core: a node never truly runs beside another. What takes real computing time takes no lab time
/// unless its host charges for it.
public final class World {
    public let seed: UInt64
    public private(set) var random: SeededRandom
    /// The time as every engine sees it. It stands still while work runs.
    public private(set) var now: LabTime
    public private(set) var speed: ClockSpeed
    public let epoch: LabTime
    public private(set) var journal: Journal!
    public private(set) var network: Network!
    public private(set) var faults: FaultTable!
    public private(set) var nodes: NodeTable!
    public private(set) var spans: SpanRecorder!
    public let disk: any Disk
    public let diskCosts: DiskCosts
    /// Sockets, keyboards and signals; nil in a world that has none of them.
    public let eventSource: (any EventSource)?
    private let workers: (any WorkerPool)?
    /// Hears what the user should know about the clock.
    public var onNotice: ((String) -> Void)?

    private var scheduler = Scheduler()
    /// Lab and host time at the moment the speed was last set.
    private var anchor: (lab: LabTime, host: Int64)
    /// What the user asked for; `speed` differs from it while clients from outside are connected.
    public private(set) var chosenSpeed: ClockSpeed
    private var outsideConnections = 0
    /// Connections and datagrams to and from programs outside so far: what those did cannot be done again.
    public internal(set) var outsideCount = 0
    /// The clock stands still whatever was chosen: see `hold`.
    private var isHeld = false
    private var returnToVirtual: TimerID?
    /// Set when work kept creating work without time passing; `drain` then returns to let its caller report it.
    public private(set) var isLivelocked = false

    private var belongings: [(kind: ObjectIdentifier, value: AnyObject)] = []

    var cachedDate: (second: Int64, field: [UInt8]) = (.min, [])

    /// Pieces of work at one instant after which a case counts as livelocked.
    public static let livelockLimit = 5_000_000

    public init(_ configuration: WorldConfiguration) {
        seed = configuration.seed
        random = SeededRandom(seed: configuration.seed)
        epoch = configuration.epoch
        now = configuration.epoch
        speed = configuration.eventSource == nil ? .virtual : configuration.speed
        chosenSpeed = speed
        disk = configuration.disk
        diskCosts = configuration.diskCosts
        eventSource = configuration.eventSource
        workers = configuration.workers
        anchor = (configuration.epoch, configuration.eventSource?.hostNanoseconds ?? 0)
        journal = Journal(
            clock: self, capacity: configuration.journalCapacity, recordsTraffic: configuration.recordsTraffic)
        faults = FaultTable(world: self)
        nodes = NodeTable(world: self)
        spans = SpanRecorder(world: self, isRecording: configuration.recordsTraffic)
        network = Network(world: self, transport: configuration.transport)
    }

    /// Closes everything, without goodbyes beyond what a kernel sends. The world is of no use afterwards.
    ///
    /// A World holds its nodes, and they hold it; so do connections, and work that waits. This is where that ends:
    /// afterwards nothing in it holds it any more, and it is gone with whoever made it.
    public func shutDown() {
        journal.observer = nil
        onNotice = nil
        spans.shutDown()
        for node in nodes.all { node.end(.killed) }
        network.shutDown()
        faults.shutDown()
        nodes.shutDown()
        scheduler.removeAll()
        workers?.shutDown()
        belongings = []
    }

    /// The threads for offloaded jobs; nil while jobs have to cost lab time, and are done by the loop.
    var activeWorkers: (any WorkerPool)? { followsHost ? workers : nil }
    /// Whether lab time passes as the host's does, or slower, so that work takes time by itself.
    var followsHost: Bool { speed.factor > 0 && speed.factor <= 1 }
    /// What the process has used of the host's processors; nothing where the clock is not the host's.
    public var processorTime: ProcessorTime {
        speed.factor == 1 ? eventSource?.processorTime ?? ProcessorTime() : ProcessorTime()
    }

    /// Whether something is under way that no timer stands for.
    private var isBusy: Bool { network.transport.isBusy || hasJobs }
    private var hasJobs: Bool { workers.map { $0.pendingCount > 0 } ?? false }

    /// What there is one of in each World, for rooms that the World does not know; made when it is first asked for.
    public func only<Value: AnyObject>(_ kind: Value.Type, make: () -> Value) -> Value {
        let key = ObjectIdentifier(kind)
        if let known = belongings.first(where: { $0.kind == key }) {
            return unsafeDowncast(known.value, to: Value.self)
        }
        let value = make()
        belongings.append((key, value))
        return value
    }

    // MARK: Work

    /// Runs `action` after all work that is already waiting, at the present time.
    public func enqueue(_ action: @escaping () -> Void) { enqueue(life: nil, action) }

    func enqueue(life: NodeLife?, _ action: @escaping () -> Void) {
        scheduler.enqueue(.init(life: life, cause: journal.currentCause, action: action))
    }

    /// Runs `action` once the lab clock has moved on by `delay`; never before the present work is done.
    @discardableResult
    public func after(_ delay: LabDuration, _ action: @escaping () -> Void) -> TimerID {
        schedule(at: now + delay, life: nil, action)
    }

    /// The same for something that another event than the present one leads to.
    func after(_ delay: LabDuration, cause: UInt64, _ action: @escaping () -> Void) {
        _ = scheduler.schedule(at: max(now + delay, now), .init(life: nil, cause: cause, action: action))
    }

    @discardableResult
    func schedule(at time: LabTime, life: NodeLife?, _ action: @escaping () -> Void) -> TimerID {
        scheduler.schedule(at: max(time, now), .init(life: life, cause: journal.currentCause, action: action))
    }

    public func cancel(_ timer: TimerID?) {
        guard let timer else { return }
        scheduler.cancel(timer)
        if frozenCount > 0 { for node in nodes.all where node.isHolding { node.dropHeld(timer) } }
    }

    /// Nodes that hold work back, or still have to catch up with it.
    var frozenCount = 0

    /// Runs `action` on behalf of a node, with the journal event that caused it; drops it if that life of the node is
    /// over, and keeps it for later if the node is frozen.
    func perform(life: NodeLife?, cause: UInt64, timer: TimerID? = nil, _ action: @escaping () -> Void) {
        if let life {
            guard let node = life.node else { return }
            if node.isFrozen {
                node.hold(.init(life: life, cause: cause, action: action), timer)
                return
            }
        }
        journal.withCause(cause, action)
    }

    // MARK: Time

    /// The time of the next timer, if any is set.
    public var nextTimerTime: LabTime? { scheduler.nextTime() }
    public var timerCount: Int { scheduler.timerCount }
    public func upcomingTimers(_ limit: Int) -> [(time: LabTime, node: String?)] { scheduler.upcoming(limit) }
    public var elapsed: LabDuration { now - epoch }

    /// Sets how fast the clock runs. Time that stands still has to wait until no client from outside is connected.
    public func setSpeed(_ newSpeed: ClockSpeed) {
        guard eventSource != nil else { return }
        chosenSpeed = newSpeed
        cancel(returnToVirtual)
        returnToVirtual = nil
        if isHeld { return }
        if newSpeed == .virtual, outsideConnections > 0 { followOutside() } else { run(at: newSpeed) }
    }

    /// Lets time stand still, whatever speed is chosen, until `release`: for a world that is put aside for a while, or
    /// that lives through its past again.
    public func hold() {
        isHeld = true
        cancel(returnToVirtual)
        returnToVirtual = nil
        run(at: .virtual)
    }

    /// The clock goes on as it was chosen, from where it stood.
    public func release() {
        isHeld = false
        setSpeed(chosenSpeed)
    }

    private func run(at newSpeed: ClockSpeed) {
        if newSpeed == speed { return }
        followHostClock()
        speed = newSpeed
        anchorClock()
        journal.record(.clock("\(newSpeed)"))
    }

    private func anchorClock() { anchor = (now, eventSource?.hostNanoseconds ?? 0) }

    /// Where the host's clock says that the lab's is.
    private var clockTarget: LabTime {
        guard let eventSource, speed.factor > 0 else { return now }
        return anchor.lab + LabDuration(nanoseconds: speed.scaled(eventSource.hostNanoseconds - anchor.host))
    }

    /// Moves `now` to where the host's clock says it is. Never backwards, and above real time never past a timer that
    /// has not fired.
    private func followHostClock() {
        var target = clockTarget
        if speed.factor > 1, let next = scheduler.nextTime() { target = min(target, next) }
        if target > now { now = target }
    }

    /// Runs all work that is due without moving time; with sockets, waits until nothing is in flight between the
    /// lab's own ends.
    public func drain() { isLivelocked = !drain(limit: Self.livelockLimit) }

    /// - Returns: false if there was still work after `limit` pieces of it.
    private func drain(limit: Int) -> Bool {
        var count = 0
        repeat {
            while runOne() {
                count += 1
                if count >= limit { return false }
            }
            guard let eventSource else { return true }
            let handled = poll(eventSource, 0)
            if handled == 0, scheduler.ready.isEmpty {
                if !isBusy { return true }
                if !waitForFlight(eventSource) { return true }
            }
        } while true
    }

    /// Waits for bytes that are under way inside the kernel. Loopback delivers within microseconds; a full second
    /// without a single event means that the ledger is waiting for something that will not come. A job on a thread
    /// takes as long as it takes.
    private func waitForFlight(_ eventSource: any EventSource) -> Bool {
        var rounds = 0
        while hasJobs || rounds < 20 {
            if poll(eventSource, 50_000_000) > 0 { return true }
            rounds += 1
        }
        network.transport.forgetFlight()
        return !scheduler.ready.isEmpty
    }

    private func runOne() -> Bool {
        if let (work, timer) = scheduler.popDue(now) {
            perform(life: work.life, cause: work.cause, timer: timer, work.action)
        } else if let work = scheduler.nextReady() {
            perform(life: work.life, cause: work.cause, work.action)
        } else {
            return false
        }
        return true
    }

    /// Moves to the next timer, if it is due by `limit`, and runs what follows. Returns false when there is none.
    @discardableResult
    public func step(until limit: LabTime = .distantFuture) -> Bool {
        guard let next = scheduler.nextTime(), next <= limit else { return false }
        now = max(now, next)
        drain()
        if speed.factor > 0 { anchorClock() }
        return true
    }

    /// Moves time to exactly `now + duration`, timer by timer, in any clock mode. Returns false when a livelock or
    /// `condition` stopped it on the way.
    @discardableResult
    public func advance(by duration: LabDuration, unless condition: () -> Bool = { false }) -> Bool {
        let target = now + duration
        drain()
        while step(until: target) {
            if isLivelocked || condition() { return false }
        }
        now = max(now, target)
        drain()
        if speed.factor > 0 { anchorClock() }
        return !isLivelocked
    }

    /// One round of the loop at the clock's own pace: fires what is due, then waits for input, the next timer, or
    /// `longestWait` of host time, which is asked for after what is due has run: that may have made waiting pointless.
    /// With no event source it returns at once.
    public func turn(longestWait: @autoclosure () -> LabDuration) {
        let isDone = speed.factor > 1 ? hurry() : runDue()
        guard let eventSource else { return }
        var wait = longestWait().nanoseconds
        if !isDone || !scheduler.ready.isEmpty {
            wait = 0
        } else if speed.factor > 0, let next = scheduler.nextTime() {
            wait = min(wait, speed.hostNanoseconds(max(0, (next - now).nanoseconds)))
        }
        // The clock went on while this waited; what came in must not be stamped with the time before.
        _ = poll(eventSource, max(0, wait)) { followHostClock() }
    }

    private func runDue() -> Bool {
        followHostClock()
        for _ in 0..<Self.workPerTurn where !runOne() { return true }
        return scheduler.ready.isEmpty
    }

    /// Above real time: timer by timer up to where the clock should be, and at each of them until nothing is under way
    /// any more. An answer that the machine takes 100 µs to bring would otherwise be a second late at x10000, and every
    /// server of the lab would seem to be down. Where the machine cannot keep up, the lab's clock runs slower.
    ///
    /// - Returns: false if it did not get there in one turn.
    private func hurry() -> Bool {
        guard let eventSource else { return true }
        let begin = eventSource.hostNanoseconds
        let target = clockTarget
        while drain(limit: Self.workPerTurn), speed.factor > 1 {
            guard let next = scheduler.nextTime(), next <= target else {
                now = max(now, target)
                return true
            }
            now = max(now, next)
            if eventSource.hostNanoseconds - begin > Self.hurryNanoseconds { break }
        }
        anchorClock()
        return false
    }

    /// Pieces of work in one turn of the loop.
    private static let workPerTurn = 1024
    private static let hurryNanoseconds: Int64 = 20_000_000  // before the keyboard is looked at again

    /// Takes input from outside. It has no cause in the journal, and is not the cause of what comes next by accident.
    private func poll(_ eventSource: any EventSource, _ timeoutNanoseconds: Int64, onWake: () -> Void = {}) -> Int {
        var count = 0
        journal.withCause(0) {
            network.gatherWrites {
                count = eventSource.poll(timeoutNanoseconds: timeoutNanoseconds, onWake: onWake)
            }
        }
        return count
    }
}

/// Clients from outside.
extension World {
    /// A program outside the lab has connected. It lives in the host's time, so time cannot stand still for the lab.
    func outsideArrived() {
        outsideConnections += 1
        outsideCount += 1
        cancel(returnToVirtual)
        returnToVirtual = nil
        if speed == .virtual, !isHeld { followOutside() }
    }

    func outsideLeft() {
        outsideConnections -= 1
        returnSoon()
    }

    /// A datagram came from outside. No connection's end will tell that its sender is gone; a second of silence does.
    public func outsideSpoke() {
        outsideArrived()
        outsideLeft()
    }

    private func returnSoon() {
        guard outsideConnections == 0, chosenSpeed == .virtual, speed != .virtual else { return }
        // The next of several requests is often a connection of its own.
        returnToVirtual = after(.seconds(1)) { [unowned self] in
            returnToVirtual = nil
            guard outsideConnections == 0, chosenSpeed == .virtual else { return }
            run(at: .virtual)
            onNotice?("the clock is virtual again: no client from outside is connected")
        }
    }

    private func followOutside() {
        onNotice?("the clock is real while a client from outside is connected, then virtual again")
        run(at: .real)
    }
}
