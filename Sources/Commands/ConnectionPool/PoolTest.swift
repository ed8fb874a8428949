import ConnectionPoolEngine
import ConnectionPoolService
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWorld

/// Users who share a pool: each borrows a connection, asks the database something, and gives it back, a number of
/// times. Some forget the last part.
final class PoolTest: Service {
    struct Settings {
        var users = 50
        /// How often each user borrows; nil: until the end.
        var rounds: Int? = 1
        /// Pause between two rounds of a user.
        var think = LabDuration.zero
        /// Users who never give their connection back.
        var leaks = 7
        /// What each user asks.
        var question = DatabaseQuestion.query(milliseconds: nil)
        /// Users turned away at once instead of waiting.
        var failsFast = false
        /// Whether every query is within a transaction that every third user forgets to end.
        var isTransactional = false
        var database: TestDatabase
        var pool: ConnectionPool.Configuration
    }

    let runtime: ServiceRuntime
    let settings: Settings
    let pool: NodePool<TestConnection>
    /// The node that was started with it, if no other was named.
    private let database: PoolDatabase?
    private(set) var served = 0
    /// How often a user asked for a connection.
    private var requests = 0
    private(set) var failures: [String: Int] = [:]
    /// Sessions that came with somebody else's open transaction.
    private(set) var dirtySessions = 0
    private(set) var errors = 0
    /// Users who will borrow again, or have not given back yet.
    private(set) var active = 0
    private var leaked: [NodePool<TestConnection>.Loan] = []
    private var lastReported = ""
    private var reapedBefore = 0
    private var wasExhausted = false
    private var isStopping = false

    init(node: Node, settings: Settings, database: PoolDatabase?, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: "POOL", options: options)
        self.settings = settings
        self.database = database
        pool = NodePool(node: node, configuration: settings.pool) { _ in settings.database.makeConnection(node) }
    }

    func prepare() throws { try database?.start() }

    func opened() {
        report()
        pool.onChange = { [unowned self] in noticeChange() }
        pool.start()
        active = settings.users
        for user in 1...settings.users { node.enqueue { [self] in round(1, of: user) } }
    }

    /// Spread evenly over the users.
    private func forgets(_ user: Int) -> Bool {
        user * settings.leaks / settings.users > (user - 1) * settings.leaks / settings.users
    }

    private func round(_ number: Int, of user: Int) {
        if isStopping { return }
        requests += 1
        pool.borrow(by: "user \(user)", mayWait: !settings.failsFast) { [self] result in
            switch result {
            case .success(let loan): use(loan, number, of: user)
            case .failure(let failure):
                failures[Self.kind(failure), default: 0] += 1
                ended(number, of: user, wasServed: false)
            }
        }
    }

    private static func kind(_ failure: ConnectionPool.Failure) -> String {
        switch failure {
        case .timedOut: "timed out"
        case .exhausted: "pool exhausted"
        case .lineIsFull: "line full"
        case .closed: "pool closed"
        case .notStarted: "pool not started"
        }
    }

    private func use(_ loan: NodePool<TestConnection>.Loan, _ number: Int, of user: Int) {
        guard settings.isTransactional else { return query(loan, number, of: user) }
        loan.connection.begin { [self] wasOpen in
            if wasOpen { dirtySessions += 1 }
            query(loan, number, of: user)
        }
    }

    private func query(_ loan: NodePool<TestConnection>.Loan, _ number: Int, of user: Int) {
        loan.connection.ask(settings.question) { [self] isAnswered in
            guard isAnswered else {
                errors += 1
                loan.close()
                return ended(number, of: user)
            }
            served += 1
            if number == settings.rounds, forgets(user) {
                leaked.append(loan)
                return userIsDone()
            }
            if settings.isTransactional, user % 3 != 0 {
                return loan.connection.commit { [self] in giveBack(loan, number, of: user) }
            }
            giveBack(loan, number, of: user)
        }
    }

    private func giveBack(_ loan: NodePool<TestConnection>.Loan, _ number: Int, of user: Int) {
        loan.close()
        ended(number, of: user)
    }

    /// A user without a pause asks again in the same breath, as a loop does. One that was turned away does not: it
    /// would ask for ever at the same moment.
    private func ended(_ number: Int, of user: Int, wasServed: Bool = true) {
        if number == settings.rounds { return userIsDone() }
        if settings.think == .zero, wasServed { return round(number + 1, of: user) }
        node.after(max(settings.think, .milliseconds(1))) { [self] in round(number + 1, of: user) }
    }

    private func userIsDone() {
        active -= 1
        guard active == 0 else { return }
        report()
        let waits = pool.engine.metrics.waits
        node.log(pool.tag, "Avg wait time: \(Self.readable(waits.mean))")
        // Whoever asks several times may be turned away as often.
        let asked = settings.rounds == 1 ? "\(settings.users) users" : "\(requests) requests"
        for (kind, count) in failures.sorted(by: { $0.key < $1.key }) {
            node.log(pool.tag, "\(count) of \(asked) got no connection: \(kind)")
        }
    }

    /// Whole milliseconds, where there are ten of them.
    private static func readable(_ duration: LabDuration) -> LabDuration {
        let unit: Int64 = duration >= .milliseconds(10) ? 1_000_000 : 1000
        return LabDuration(nanoseconds: (duration.nanoseconds + unit / 2) / unit * unit)
    }

    // MARK: Reports

    private func noticeChange() {
        let engine = pool.engine
        let isExhausted = engine.inUseCount == engine.configuration.maximumPoolSize && engine.waitingCount > 0
        if isExhausted, !wasExhausted {
            wasExhausted = true
            report()
            node.log(pool.tag, "\(counted(engine.waitingCount, "user")) waiting...")
        }
        if engine.counters.reaped > reapedBefore {
            reapedBefore = engine.counters.reaped
            report()
        }
    }

    private func report() {
        let summary = pool.engine.summary
        if summary == lastReported { return }
        lastReported = summary
        node.log(pool.tag, "\(summary)")
    }

    // MARK: Stopping

    /// Nobody waits for users who never give back.
    func willDrain() {
        isStopping = true
        let loans = leaked
        leaked = []
        for loan in loans { loan.close() }
    }

    func stop(_ done: @escaping () -> Void) {
        pool.close { [self] in
            guard let database else { return node.whenFlushed(done) }
            database.drain { [self] in node.whenFlushed(done) }
        }
    }

    func collect(into page: inout MetricWriter) {
        HikariMetrics.collect(pool.engine, into: &page)
    }
}
