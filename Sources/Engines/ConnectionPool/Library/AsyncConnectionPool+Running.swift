import KernelStructures
import Synchronization

extension AsyncConnectionPool {
    /// What comes of asking, if it is no connection.
    enum NotYet: Error {
        case waiting(ConnectionPool.Ticket)
        case failed(ConnectionPool.Failure)
    }

    // MARK: The lock

    /// Changes the state, then does what the engine asks for: what belongs to `run` goes to `run`, and callbacks are
    /// called once the lock is open again, so they may call the pool.
    ///
    /// Results go by captured variables: a generic result would have to be looked up at run time at every call, which
    /// costs more than the borrowing.
    func perform(_ change: (inout State, LabTime) -> Void) {
        let time = now()
        let calls = state.withLock { state -> [Call] in
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
        for call in calls { call.make() }
    }

    /// A callback that is to be called without the lock.
    struct Call: Sendable {
        let make: @Sendable () -> Void
    }

    func ask(_ borrower: ConnectionPool.Borrower, _ timeout: LabDuration?, mayWait: Bool) -> Result<Loan, NotYet> {
        var answer = ConnectionPool.Answer.refused(.closed(pool: ""))
        var connection: Connection?
        perform { state, now in
            answer = state.engine.borrow(by: borrower, timeout: timeout, mayWait: mayWait, now: now)
            switch answer {
            case .lent(let lease): connection = state.connections[lease.connection.slot]
            case .waiting(let ticket): state.waiters[ticket] = .arriving
            case .refused: break
            }
        }
        switch answer {
        case .lent(let lease): return .success(Loan(connection: connection!, lease: lease, pool: self))
        case .waiting(let ticket): return .failure(.waiting(ticket))
        case .refused(let failure): return .failure(.failed(failure))
        }
    }

    /// Says what to call when the borrower with this ticket is told; at once if that has happened.
    func attach(_ ticket: ConnectionPool.Ticket, _ completion: @escaping Completion) {
        let told = state.withLock { state -> Result<Loan, any Error>? in
            if case .told(let result) = state.waiters[ticket] {
                state.waiters[ticket] = nil
                return result
            }
            state.waiters[ticket] = .waiting(completion)
            return nil
        }
        if let told { completion(told) }
    }

    func giveBack(_ loan: Loan, _ condition: ConnectionPool.ReturnCondition) -> Bool {
        var isAccepted = false
        perform { isAccepted = $0.engine.putBack(loan.lease, condition, now: $1) }
        return isAccepted
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
            let connection = state.connections[lease.connection.slot]!
            state.tell(ticket, .success(Loan(connection: connection, lease: lease, pool: self)))
        case .fail(let ticket, let failure):
            state.tell(ticket, .failure(failure))
        case .wake(let ticket): orderEntry.yield(.retry(ticket))
        case .leaked(let leak): state.calls.append(Call { [onLeak] in onLeak(leak) })
        case .log(let message, let level): state.calls.append(Call { [onLog] in onLog(level, message.description) })
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

    // MARK: Running

    /// Opens, checks and closes connections and keeps the time, until the pool is closed or the task is cancelled,
    /// which closes the pool at once. Every connection is closed when it returns.
    public func run() async {
        perform { state, now in
            precondition(!state.isRunning, "a pool runs once")
            state.isRunning = true
            // Somebody may have closed it before it ran.
            if state.engine.phase == .starting { state.engine.start(now: now) }
        }
        await withDiscardingTaskGroup { group in
            for await order in orders {
                if case .finish = order { break }
                group.addTask { await self.execute(order) }
            }
            group.cancelAll()
        }
        await closeAll()
    }

    private func execute(_ order: Order) async {
        switch order {
        case .connect(let id): await connect(id)
        case .validate(let id, let connection):
            let isAlive = await within(timeout(\.effectiveValidationTimeout)) { await self.factory.isAlive(connection) }
            perform { $0.engine.checked(id, isAlive: isAlive ?? false, now: $1) }
        case .reset(let id, let connection):
            let isClean = await within(timeout(\.effectiveValidationTimeout)) {
                (try? await self.factory.reset(connection)) != nil
            }
            perform { $0.engine.checked(id, isAlive: isClean ?? false, now: $1) }
        case .close:
            if let connection = state.withLock({ $0.discarded.popLast() }) { await factory.close(connection) }
        case .retry(let ticket): perform { $0.engine.retry(ticket, now: $1) }
        case .tick(let deadline):
            try? await pause(max(.zero, deadline - now()))
            perform { state, now in
                state.alarms.removeAll { $0 == deadline }
                state.engine.tick(now: now)
                }
        case .finish: break
        }
    }

    private func timeout(_ key: KeyPath<ConnectionPool.Configuration, LabDuration> & Sendable) -> LabDuration {
        withEngine { $0.configuration[keyPath: key] }
    }

    private func connect(_ id: ConnectionPool.ConnectionID) async {
        let outcome = await within(timeout(\.connectTimeout)) { () -> Result<Connection, any Error> in
            do { return .success(try await self.factory.connect()) } catch { return .failure(error) }
        }
        switch outcome {
        case .success(let connection):
            var isWanted = false
            perform { state, now in
                // Put there first: the engine may lend it before it returns.
                let previous = state.connections[id.slot]
                state.connections[id.slot] = connection
                isWanted = state.engine.connected(id, now: now)
                if !isWanted { state.connections[id.slot] = previous }
            }
            if !isWanted { await factory.close(connection) }
        case .failure(let error): perform { $0.engine.connectFailed(id, "\(error)", now: $1) }
        case nil: perform { $0.engine.connectFailed(id, "no connection in time", now: $1) }
        }
    }

    /// Runs `body` for so long; then its task is cancelled, and the answer is nil.
    private func within<R: Sendable>(_ limit: LabDuration, _ body: @escaping @Sendable () async -> R) async -> R? {
        if limit == .infinite { return await body() }
        return await withTaskGroup(of: R?.self) { group in
            group.addTask { await body() }
            group.addTask { [pause] in
                try? await pause(limit)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    /// What is left when `run` ends: the pool takes no more, and nothing stays open.
    private func closeAll() async {
        perform { state, now in
            state.engine.close(now: now)
            state.isRunning = false
        }
        let connections = state.withLock { state -> [Connection] in
            let left = state.discarded + state.connections.compactMap(\.self)
            state.discarded = []
            for slot in state.connections.indices { state.connections[slot] = nil }
            return left
        }
        orderEntry.finish()
        for connection in connections { await factory.close(connection) }
    }
}

extension AsyncConnectionPool.State {
    /// Tells a borrower how it went. What is to be called is called without the lock.
    mutating func tell(_ ticket: ConnectionPool.Ticket, _ result: Result<AsyncConnectionPool.Loan, any Error>) {
        guard case .waiting(let completion) = waiters[ticket] else {
            waiters[ticket] = .told(result)
            return
        }
        waiters[ticket] = nil
        calls.append(AsyncConnectionPool.Call { completion(result) })
    }
}
