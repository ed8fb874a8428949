import KernelStructures
import Synchronization

/// What `AsyncConnectionPool` is without its type of connection: the engine behind a lock, those who wait, and the
/// orders for `run`.
///
/// It is not generic on purpose. Types within a generic type have to be looked up at run time wherever the compiler
/// does not know the connection's type, which cost five times as much as borrowing itself; here a connection is an
/// object of which only its owner knows more.
final class PoolCore: Sendable {
    typealias Object = AnyObject & Sendable
    typealias Completion = @Sendable (Result<Lent, any Error>) -> Void

    struct Lent: Sendable {
        let object: any Object
        let lease: ConnectionPool.Lease
    }

    /// What comes of asking.
    enum Answer: Sendable {
        case lent(Lent)
        case waiting(ConnectionPool.Ticket)
        case refused(ConnectionPool.Failure)
    }

    /// What `run` is to do.
    enum Order: Sendable {
        case connect(ConnectionPool.ConnectionID)
        case validate(ConnectionPool.ConnectionID, any Object)
        case reset(ConnectionPool.ConnectionID, any Object)
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
        case told(Result<Lent, any Error>)
    }

    struct State: Sendable {
        var engine: ConnectionPool
        var connections: [(any Object)?]
        var waiters: [ConnectionPool.Ticket: Waiter] = [:]
        /// Deadlines for which a child task of `run` sleeps, the next one last.
        var alarms: [LabTime] = []
        /// No longer the pool's, and not closed yet.
        var discarded: [any Object] = []
        var isRunning = false
        /// What is to be called once the lock is open.
        var calls: [@Sendable () -> Void] = []
    }

    let state: Mutex<State>
    let orders: AsyncStream<Order>
    let orderEntry: AsyncStream<Order>.Continuation
    let now: @Sendable () -> LabTime
    let pause: @Sendable (LabDuration) async throws -> Void
    private let onLog: @Sendable (LogLevel, String) -> Void
    private let onLeak: @Sendable (ConnectionPool.Leak) -> Void

    init(
        _ configuration: ConnectionPool.Configuration, seed: UInt64?,
        onLog: @escaping @Sendable (LogLevel, String) -> Void,
        onLeak: @escaping @Sendable (ConnectionPool.Leak) -> Void, now: @escaping @Sendable () -> LabTime,
        pause: @escaping @Sendable (LabDuration) async throws -> Void
    ) throws(ConnectionPool.ConfigurationError) {
        try configuration.validate()
        self.now = now
        self.pause = pause
        self.onLog = onLog
        self.onLeak = onLeak
        (orders, orderEntry) = AsyncStream.makeStream()
        let random = SeededRandom(seed: seed ?? UInt64(bitPattern: Int64(Hasher().finalize())))
        state = Mutex(
            State(
                engine: ConnectionPool(configuration, now: now(), random: random),
                connections: Array(repeating: nil, count: configuration.maximumPoolSize)))
    }

    // MARK: The lock

    /// Changes the state, then does what the engine asks for: what belongs to `run` goes to `run`, and callbacks are
    /// called once the lock is open again, so they may call the pool.
    func perform(_ change: (inout State, LabTime) -> Void) {
        let time = now()
        let calls = state.withLock { state -> [@Sendable () -> Void] in
            change(&state, time)
            if !state.engine.effects.isEmpty {
                for effect in state.engine.takeEffects() { carryOut(effect, &state) }
            }
            setAlarm(&state)
            if state.calls.isEmpty { return [] }
            let calls = state.calls
            state.calls = []
            return calls
        }
        for call in calls { call() }
    }

    func ask(_ borrower: ConnectionPool.Borrower, _ timeout: LabDuration?, mayWait: Bool) -> Answer {
        var answer = Answer.refused(.closed(pool: ""))
        perform { state, now in
            switch state.engine.borrow(by: borrower, timeout: timeout, mayWait: mayWait, now: now) {
            case .lent(let lease):
                answer = .lent(Lent(object: state.connections[lease.connection.slot]!, lease: lease))
            case .waiting(let ticket):
                state.waiters[ticket] = .arriving
                answer = .waiting(ticket)
            case .refused(let failure): answer = .refused(failure)
            }
        }
        return answer
    }

    /// Says what to call when the borrower with this ticket is told; at once if that has happened.
    func attach(_ ticket: ConnectionPool.Ticket, _ completion: @escaping Completion) {
        let told = state.withLock { state -> Result<Lent, any Error>? in
            if case .told(let result) = state.waiters[ticket] {
                state.waiters[ticket] = nil
                return result
            }
            state.waiters[ticket] = .waiting(completion)
            return nil
        }
        if let told { completion(told) }
    }

    func giveBack(_ lease: ConnectionPool.Lease, _ condition: ConnectionPool.ReturnCondition) -> Bool {
        var isAccepted = false
        perform { isAccepted = $0.engine.putBack(lease, condition, now: $1) }
        return isAccepted
    }

    func cancel(_ ticket: ConnectionPool.Ticket) -> Bool {
        var isCancelled = false
        perform { state, now in
            isCancelled = state.engine.cancel(ticket, now: now)
            if isCancelled { state.tell(ticket, .failure(CancellationError())) }
        }
        return isCancelled
    }

    private func carryOut(_ effect: ConnectionPool.Effect, _ state: inout State) {
        switch effect {
        case .connect(let id): orderEntry.yield(.connect(id))
        case .validate(let id): orderEntry.yield(.validate(id, state.connections[id.slot]!))
        case .reset(let id): orderEntry.yield(.reset(id, state.connections[id.slot]!))
        case .close(let id, _):
            guard let connection = state.connections[id.slot] else { return }
            state.connections[id.slot] = nil
            state.discarded.append(connection)
            orderEntry.yield(.close)
        case .lend(let ticket, let lease):
            state.tell(ticket, .success(Lent(object: state.connections[lease.connection.slot]!, lease: lease)))
        case .fail(let ticket, let failure): state.tell(ticket, .failure(failure))
        case .wake(let ticket): orderEntry.yield(.retry(ticket))
        case .leaked(let leak): state.calls.append { [onLeak] in onLeak(leak) }
        case .log(let message, let level): state.calls.append { [onLog] in onLog(level, message.description) }
        case .started: break
        case .startFailed, .closed: orderEntry.yield(.finish)
        }
    }

    /// Has `run` call at the engine's next deadline, unless it will call before that anyway.
    private func setAlarm(_ state: inout State) {
        let deadline = state.engine.nextDeadline
        guard state.isRunning, deadline < state.alarms.last ?? .distantFuture else { return }
        state.alarms.append(deadline)
        orderEntry.yield(.tick(deadline))
    }
}

extension PoolCore.State {
    /// Tells a borrower how it went. What is to be called is called without the lock.
    mutating func tell(_ ticket: ConnectionPool.Ticket, _ result: Result<PoolCore.Lent, any Error>) {
        guard case .waiting(let completion) = waiters[ticket] else {
            waiters[ticket] = .told(result)
            return
        }
        waiters[ticket] = nil
        calls.append { completion(result) }
    }
}
