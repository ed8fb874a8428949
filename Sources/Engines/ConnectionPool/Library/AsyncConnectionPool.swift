import KernelClock
import KernelStructures
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
            pool.core.giveBack(lease, condition)
        }
    }

    /// A connection as the core keeps it.
    final class Box: Sendable {
        let connection: Connection
        init(_ connection: Connection) { self.connection = connection }
    }

    let core: PoolCore
    let factory: ConnectionFactory<Connection>

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
            pause: { try await Task.sleep(for: $0.duration) })
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
            now: { LabTime(nanoseconds: 0) + LabDuration(origin.duration(to: clock.now)) },
            pause: { try await clock.sleep(for: $0.duration) })
    }

    private init(
        _ configuration: ConnectionPool.Configuration, _ factory: ConnectionFactory<Connection>, seed: UInt64?,
        onLog: @escaping @Sendable (LogLevel, String) -> Void,
        onLeak: @escaping @Sendable (ConnectionPool.Leak) -> Void, now: @escaping @Sendable () -> LabTime,
        pause: @escaping @Sendable (LabDuration) async throws -> Void
    ) throws(ConnectionPool.ConfigurationError) {
        core = try PoolCore(configuration, seed: seed, onLog: onLog, onLeak: onLeak, now: now, pause: pause)
        self.factory = factory
    }

    /// Only this pool puts objects into its core, and all of them are boxes.
    func connection(of object: any PoolCore.Object) -> Connection {
        unsafeDowncast(object, to: Box.self).connection
    }

    private func loan(_ lent: PoolCore.Lent) -> Loan {
        Loan(connection: connection(of: lent.object), lease: lent.lease, pool: self)
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
        switch core.ask(.init(name, fileID: fileID, line: line), timeout, mayWait: true) {
        case .lent(let lent): return loan(lent)
        case .refused(let failure): throw failure
        case .waiting(let ticket):
            let lent = try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    core.attach(ticket) { continuation.resume(with: $0) }
                }
            } onCancel: {
                cancel(ticket)
            }
            return loan(lent)
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
        switch core.ask(.init(name, fileID: fileID, line: line), timeout, mayWait: true) {
        case .lent(let lent): completion(.success(loan(lent)))
        case .refused(let failure): completion(.failure(failure))
        case .waiting(let ticket):
            core.attach(ticket) { completion($0.map(self.loan)) }
            return ticket
        }
        return nil
    }

    /// Lends a connection if one is free now; never waits.
    public func borrowIfFree(by name: String = "", fileID: StaticString = #fileID, line: UInt = #line) -> Loan? {
        switch core.ask(.init(name, fileID: fileID, line: line), nil, mayWait: false) {
        case .lent(let lent): return loan(lent)
        case .refused: return nil
        case .waiting(let ticket):
            let isCancelled = core.cancel(ticket)
            let told = core.state.withLock { $0.waiters.removeValue(forKey: ticket) }
            // Somebody may have given one back in this very moment.
            if !isCancelled, case .told(.success(let lent)) = told { return loan(lent) }
            return nil
        }
    }

    /// Leaves the line. The borrower's callback hears of a `CancellationError`. Returns false if it was told already.
    @discardableResult
    public func cancel(_ ticket: ConnectionPool.Ticket) -> Bool { core.cancel(ticket) }

    // MARK: Looking and operating

    /// The engine's numbers at this moment.
    public func withEngine<R: Sendable>(_ body: (borrowing ConnectionPool) -> R) -> R {
        core.state.withLock { body($0.engine) }
    }

    /// Prometheus text, by HikariCP's names.
    public var metricsPage: String { withEngine { HikariMetrics.page(copy $0) } }

    /// Lends nothing to whoever asks from now on; they wait until `resume`.
    @discardableResult
    public func suspend() -> Bool {
        var isDone = false
        core.perform { isDone = $0.engine.suspend(now: $1) }
        return isDone
    }
    @discardableResult
    public func resume() -> Bool {
        var isDone = false
        core.perform { isDone = $0.engine.resume(now: $1) }
        return isDone
    }
    /// Closes all connections: the idle ones now, the others when they come back.
    public func softEvictConnections() { core.perform { $0.engine.evictAll(now: $1) } }
    /// Closes the pool in order; `run` returns once every connection is back, after ten seconds at the latest.
    public func close() { core.perform { $0.engine.close(now: $1) } }
}
