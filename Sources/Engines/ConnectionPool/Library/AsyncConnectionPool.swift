import KernelStructures
import KernelWorld
import Synchronization

/// The pool for any Swift program: thread-safe, for any type of connection, with `async` and with callbacks.
///
/// ```
/// var configuration = ConnectionPool.Configuration()
/// configuration.maximumPoolSize = 10
/// configuration.idleTimeout = .seconds(300)
///
/// let pool = try AsyncConnectionPool(
///     configuration, ConnectionFactory(connect: { try await dial("db", 5432) }))
///
/// try await withThrowingTaskGroup { group in
///     group.addTask { await pool.run() }                       // opens, checks and closes
///     try await pool.withConnection { connection in … }        // waits if the pool is exhausted
///     group.cancelAll()                                        // closes the pool
/// }
/// ```
///
/// The engine sits behind one lock that is held for the length of a decision, never while a connection is opened,
/// checked or closed: that is `run`'s work, in child tasks of its own. Without `run` nothing is opened and nobody
/// times out.
///
/// Its time is a clock's that only goes forward; setting the calendar changes nothing.
public final class AsyncConnectionPool<Connection: Sendable>: Sendable {
    public typealias Completion = @Sendable (Result<Loan, any Error>) -> Void

    /// A connection that somebody has, until it is given back.
    public struct Loan: Sendable {
        public let connection: Connection
        public let lease: ConnectionPool.Lease
        let pool: AsyncConnectionPool

        /// Gives it back. Returns false, and changes nothing, if that was done already.
        @discardableResult
        public func giveBack(_ condition: ConnectionPool.ReturnCondition = .clean) -> Bool {
            pool.giveBack(self, condition)
        }
    }

    /// What `run` is to do.
    enum Order: Sendable {
        case connect(ConnectionPool.ConnectionID)
        case validate(ConnectionPool.ConnectionID, Connection)
        case reset(ConnectionPool.ConnectionID, Connection)
        /// One of those in `discarded`.
        case close
        case retry(ConnectionPool.Ticket)
        case tick(LabTime)
        case finish
    }

    enum Waiter: Sendable {
        /// In line; nobody has said yet what to call.
        case arriving
        case waiting(Completion)
        /// Told before anybody had said what to call.
        case told(Result<Loan, any Error>)
    }

    struct State: Sendable {
        var engine: ConnectionPool
        var connections: [Connection?]
        var waiters: [ConnectionPool.Ticket: Waiter] = [:]
        /// Deadlines for which a child task of `run` sleeps, the next one last.
        var alarms: [LabTime] = []
        /// No longer the pool's, and not closed yet.
        var discarded: [Connection] = []
        var isRunning = false
        /// What is to be called once the lock is open.
        var calls: [Call] = []
    }

    let state: Mutex<State>
    let factory: ConnectionFactory<Connection>
    let orders: AsyncStream<Order>
    let orderEntry: AsyncStream<Order>.Continuation
    let now: @Sendable () -> LabTime
    let pause: @Sendable (LabDuration) async throws -> Void
    let onLog: @Sendable (LogLevel, String) -> Void
    let onLeak: @Sendable (ConnectionPool.Leak) -> Void

    /// - Parameters:
    ///   - seed: of the chance that spreads lifetimes; by default another one in each process, so that pools that were
    ///     started together do not let go together.
    ///   - onLog: hears what the pool has to say; it must not block.
    ///   - onLeak: hears of each connection that was not given back in `leakDetectionThreshold`.
    /// - Throws: `ConnectionPool.ConfigurationError`.
    public convenience init(
        _ configuration: ConnectionPool.Configuration = .init(), _ factory: ConnectionFactory<Connection>,
        seed: UInt64? = nil, onLog: @escaping @Sendable (LogLevel, String) -> Void = { _, _ in },
        onLeak: @escaping @Sendable (ConnectionPool.Leak) -> Void = { _ in }
    ) throws(ConnectionPool.ConfigurationError) {
        let origin = HostClock.monotonic
        try self.init(
            configuration, factory, seed: seed, onLog: onLog, onLeak: onLeak,
            now: { LabTime(nanoseconds: (HostClock.monotonic - origin).nanoseconds) },
            pause: { try await Task.sleep(for: .nanoseconds($0.nanoseconds)) })
    }

    /// The same with another clock, which costs a little more at each call.
    public convenience init<C: Clock>(
        _ configuration: ConnectionPool.Configuration = .init(), _ factory: ConnectionFactory<Connection>, clock: C,
        seed: UInt64? = nil, onLog: @escaping @Sendable (LogLevel, String) -> Void = { _, _ in },
        onLeak: @escaping @Sendable (ConnectionPool.Leak) -> Void = { _ in }
    ) throws(ConnectionPool.ConfigurationError) where C.Duration == Duration {
        let origin = clock.now
        try self.init(
            configuration, factory, seed: seed, onLog: onLog, onLeak: onLeak,
            now: { LabTime(nanoseconds: origin.duration(to: clock.now).nanoseconds) },
            pause: { try await clock.sleep(for: .nanoseconds($0.nanoseconds)) })
    }

    private init(
        _ configuration: ConnectionPool.Configuration, _ factory: ConnectionFactory<Connection>, seed: UInt64?,
        onLog: @escaping @Sendable (LogLevel, String) -> Void,
        onLeak: @escaping @Sendable (ConnectionPool.Leak) -> Void, now: @escaping @Sendable () -> LabTime,
        pause: @escaping @Sendable (LabDuration) async throws -> Void
    ) throws(ConnectionPool.ConfigurationError) {
        try configuration.validate()
        self.now = now
        self.pause = pause
        self.factory = factory
        self.onLog = onLog
        self.onLeak = onLeak
        (orders, orderEntry) = AsyncStream.makeStream()
        let random = SeededRandom(seed: seed ?? UInt64(bitPattern: Int64(Hasher().finalize())))
        state = Mutex(
            State(
                engine: ConnectionPool(configuration, now: now(), random: random),
                connections: Array(repeating: nil, count: configuration.maximumPoolSize)))
    }

    // MARK: Borrowing

    /// Lends a connection for the length of `body`, waiting for one if none is free.
    ///
    /// - Throws: `ConnectionPool.Failure` if none can be had, `CancellationError`, or what `body` throws.
    public func withConnection<R>(
        by name: String = "", timeout: LabDuration? = nil, fileID: StaticString = #fileID, line: UInt = #line,
        _ body: (Connection) async throws -> R
    ) async throws -> R {
        let loan = try await borrow(by: name, timeout: timeout, fileID: fileID, line: line)
        do {
            let result = try await body(loan.connection)
            loan.giveBack()
            return result
        } catch {
            loan.giveBack(factory.condition(error))
            throw error
        }
    }

    /// Lends a connection, waiting for one if none is free. Whoever gets it gives it back.
    ///
    /// A borrower whose task is cancelled leaves the line, and takes nothing with it.
    ///
    /// - Throws: `ConnectionPool.Failure`, `CancellationError`.
    public func borrow(
        by name: String = "", timeout: LabDuration? = nil, fileID: StaticString = #fileID, line: UInt = #line
    ) async throws -> Loan {
        try Task.checkCancellation()
        switch ask(.init(name, fileID: fileID, line: line), timeout, mayWait: true) {
        case .success(let loan): return loan
        case .failure(.failed(let failure)): throw failure
        case .failure(.waiting(let ticket)):
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    attach(ticket) { continuation.resume(with: $0) }
                }
            } onCancel: {
                cancel(ticket)
            }
        }
    }

    /// Lends a connection and calls back once: at once if one is free, otherwise from whichever thread brings it.
    ///
    /// - Returns: a place in the line, for `cancel`; nil if the answer was given.
    @discardableResult
    public func borrow(
        by name: String = "", timeout: LabDuration? = nil, fileID: StaticString = #fileID, line: UInt = #line,
        completion: @escaping Completion
    ) -> ConnectionPool.Ticket? {
        switch ask(.init(name, fileID: fileID, line: line), timeout, mayWait: true) {
        case .success(let loan): completion(.success(loan))
        case .failure(.failed(let failure)): completion(.failure(failure))
        case .failure(.waiting(let ticket)):
            attach(ticket, completion)
            return ticket
        }
        return nil
    }

    /// Lends a connection if one is free now; never waits.
    public func borrowIfFree(by name: String = "", fileID: StaticString = #fileID, line: UInt = #line) -> Loan? {
        switch ask(.init(name, fileID: fileID, line: line), nil, mayWait: false) {
        case .success(let loan): return loan
        case .failure(.failed): return nil
        case .failure(.waiting(let ticket)):
            // Somebody may have given one back in this very moment.
            if !cancel(ticket),
                case .told(.success(let loan)) = state.withLock({ $0.waiters.removeValue(forKey: ticket) })
            {
                return loan
            }
            state.withLock { $0.waiters[ticket] = nil }
            return nil
        }
    }

    /// Leaves the line. The borrower's callback hears of a `CancellationError`. Returns false if it was told already.
    @discardableResult
    public func cancel(_ ticket: ConnectionPool.Ticket) -> Bool {
        var isCancelled = false
        perform { state, now in
            isCancelled = state.engine.cancel(ticket, now: now)
            if isCancelled { state.tell(ticket, .failure(CancellationError())) }
        }
        return isCancelled
    }

    // MARK: Looking and operating

    /// The engine's numbers at this moment.
    public func withEngine<R: Sendable>(_ body: (borrowing ConnectionPool) -> R) -> R {
        state.withLock { body($0.engine) }
    }

    /// Prometheus text, by HikariCP's names.
    public var metricsPage: String { withEngine { HikariMetrics.page(copy $0) } }

    /// Lends nothing to whoever asks from now on; they wait until `resume`.
    @discardableResult
    public func suspend() -> Bool {
        var isDone = false
        perform { isDone = $0.engine.suspend(now: $1) }
        return isDone
    }
    @discardableResult
    public func resume() -> Bool {
        var isDone = false
        perform { isDone = $0.engine.resume(now: $1) }
        return isDone
    }
    /// Closes all connections: the idle ones now, the others when they come back.
    public func softEvictConnections() { perform { $0.engine.evictAll(now: $1) } }
    /// Closes the pool in order; `run` returns once every connection is back, after ten seconds at the latest.
    public func close() { perform { $0.engine.close(now: $1) } }
}

extension Duration {
    /// Saturating.
    fileprivate var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? (seconds < 0 ? .min : .max) : product + attoseconds / 1_000_000_000
    }
}
