import KernelStructures

/// A pool, a database and its users as numbers only: the same engine in virtual time, with no network at all.
///
/// For questions that take too long to ask of anything real: *what if the pool had been half as large?* A database
/// here is two durations, opening and checking; a user is a time at which it asks and a time for which it keeps.
public struct PoolSimulation {
    /// One wish of one user.
    public struct Demand: Sendable {
        public let user: Int
        public let askedAt: LabTime
        public let heldFor: LabDuration

        public init(user: Int, askedAt: LabTime, heldFor: LabDuration) {
            self.user = user
            self.askedAt = askedAt
            self.heldFor = heldFor
        }
    }

    /// What came of it.
    public struct Result: Sendable {
        public var waits = LatencyHistogram()
        public var served = 0
        public var timedOut = 0
        public var refused = 0
        public var created = 0
        public var mostInUse = 0
        public var mostWaiting = 0
        /// Connections that existed when the last user was done and nothing was being opened any more.
        public var connectionsAtEnd = 0
        /// From the first wish to the last return.
        public var duration = LabDuration.zero
    }

    private enum Event {
        case ask(Demand)
        case giveBack(ConnectionPool.Lease, Demand)
        case opened(ConnectionPool.ConnectionID)
        case alive(ConnectionPool.ConnectionID)
        case retry(ConnectionPool.Ticket)
    }

    private struct Timed: Comparable {
        let time: LabTime
        let number: Int
        let event: Event
        static func < (a: Self, b: Self) -> Bool { (a.time, a.number) < (b.time, b.number) }
        static func == (a: Self, b: Self) -> Bool { a.number == b.number }
    }

    private var pool: ConnectionPool
    private let connectTime: LabDuration
    private let checkTime: LabDuration
    private let next: (Demand, LabTime) -> Demand?
    private var events = BinaryHeap<Timed>()
    private var lastNumber = 0
    private var waiting: [ConnectionPool.Ticket: Demand] = [:]
    private var now: LabTime
    private var lastReturn: LabTime
    /// Users who have a connection or will ask.
    private var busy = 0

    private init(
        _ configuration: ConnectionPool.Configuration, connectTime: LabDuration, checkTime: LabDuration, start: LabTime,
        seed: UInt64, next: @escaping (Demand, LabTime) -> Demand?
    ) {
        pool = ConnectionPool(configuration, now: start, random: SeededRandom(seed: seed))
        self.connectTime = connectTime
        self.checkTime = checkTime
        self.next = next
        now = start
        lastReturn = start
    }

    /// Runs until every user is done.
    ///
    /// - Parameters:
    ///   - demands: in any order.
    ///   - configuration: checked already.
    ///   - warmUp: how long the pool runs before the first wish.
    ///   - next: what a user wants after it has returned a connection, if anything.
    public static func run(
        _ demands: [Demand], _ configuration: ConnectionPool.Configuration, connectTime: LabDuration,
        checkTime: LabDuration = .zero, warmUp: LabDuration = .zero, seed: UInt64 = 1,
        next: @escaping (Demand, LabTime) -> Demand? = { _, _ in nil }
    ) -> Result {
        guard let first = demands.map(\.askedAt).min() else { return Result() }
        var simulation = PoolSimulation(
            configuration, connectTime: connectTime, checkTime: checkTime, start: first - warmUp, seed: seed, next: next
        )
        simulation.pool.start(now: simulation.now)
        simulation.carryOut()
        for demand in demands { simulation.will(demand) }
        simulation.runToEnd()
        return simulation.result(since: first)
    }

    /// What the recorded demand would have met in another pool. Those who gave up then are given the mean time of the
    /// others to keep a connection.
    public static func replay(
        _ recording: DemandRecording, _ configuration: ConnectionPool.Configuration, connectTime: LabDuration
    ) -> Result {
        let recorded = recording.demands
        let held = recorded.compactMap(\.heldFor)
        let mean =
            held.isEmpty
            ? LabDuration.zero
            : LabDuration(nanoseconds: held.reduce(LabDuration.zero, +).nanoseconds / Int64(held.count))
        let demands = recorded.enumerated().map { index, demand in
            Demand(user: index, askedAt: demand.askedAt, heldFor: demand.heldFor ?? mean)
        }
        return run(demands, configuration, connectTime: connectTime)
    }

    private mutating func result(since start: LabTime) -> Result {
        var result = Result()
        result.waits = pool.metrics.waits
        result.served = pool.counters.borrowed
        result.timedOut = pool.counters.timedOut
        result.refused = pool.counters.refused
        result.created = pool.counters.created
        result.mostInUse = pool.counters.mostInUse
        result.mostWaiting = pool.counters.mostWaiting
        result.connectionsAtEnd = pool.totalCount
        result.duration = lastReturn - start
        return result
    }

    // MARK: Events

    private mutating func add(_ event: Event, at time: LabTime) {
        lastNumber += 1
        events.insert(Timed(time: time, number: lastNumber, event: event))
    }

    private mutating func will(_ demand: Demand) {
        busy += 1
        add(.ask(demand), at: max(demand.askedAt, now))
    }

    private mutating func runToEnd() {
        while busy > 0 || pool.openingCount > 0 {
            let event = events.first
            let deadline = pool.nextDeadline
            guard event != nil || deadline < .distantFuture else { return }
            if let event, event.time <= deadline {
                now = max(now, event.time)
                _ = events.removeFirst()
                handle(event.event)
            } else {
                now = max(now, deadline)
                pool.tick(now: now)
            }
            carryOut()
        }
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .ask(let demand):
            switch pool.borrow(by: .init("\(demand.user)"), now: now) {
            case .lent(let lease): add(.giveBack(lease, demand), at: now + demand.heldFor)
            case .waiting(let ticket): waiting[ticket] = demand
            case .refused: finished(demand)
            }
        case .giveBack(let lease, let demand):
            pool.putBack(lease, now: now)
            lastReturn = now
            finished(demand)
        case .opened(let id): pool.connected(id, now: now)
        case .alive(let id): pool.checked(id, isAlive: true, now: now)
        case .retry(let ticket): pool.retry(ticket, now: now)
        }
    }

    private mutating func finished(_ demand: Demand) {
        busy -= 1
        if let wish = next(demand, now) { will(wish) }
    }

    private mutating func carryOut() {
        for effect in pool.takeEffects() {
            switch effect {
            case .connect(let id): add(.opened(id), at: now + connectTime)
            case .validate(let id), .reset(let id): add(.alive(id), at: now + checkTime)
            case .lend(let ticket, let lease):
                guard let demand = waiting.removeValue(forKey: ticket) else { continue }
                add(.giveBack(lease, demand), at: now + demand.heldFor)
            case .fail(let ticket, _): if let demand = waiting.removeValue(forKey: ticket) { finished(demand) }
            case .wake(let ticket): add(.retry(ticket), at: now)
            case .close, .leaked, .log, .started, .startFailed, .closed: break
            }
        }
    }
}
