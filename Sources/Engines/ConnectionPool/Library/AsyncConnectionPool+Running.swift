import KernelStructures
import Synchronization

extension AsyncConnectionPool {
    /// Opens, checks and closes connections and keeps the time, until the pool is closed or the task is cancelled,
    /// which closes the pool at once. Every connection is closed when it returns.
    public func run() async {
        core.perform { state, now in
            precondition(!state.isRunning, "a pool runs once")
            state.isRunning = true
            // Somebody may have closed it before it ran.
            if state.engine.phase == .starting { state.engine.start(now: now) }
        }
        await withDiscardingTaskGroup { group in
            for await order in core.orders {
                if case .finish = order { break }
                group.addTask { await self.execute(order) }
            }
            group.cancelAll()
        }
        await closeAll()
    }

    private func execute(_ order: PoolCore.Order) async {
        switch order {
        case .connect(let id): await connect(id)
        case .validate(let id, let object):
            let connection = connection(of: object)
            let isAlive = await within(timeout(\.effectiveValidationTimeout)) { await self.factory.isAlive(connection) }
            core.perform { $0.engine.checked(id, isAlive: isAlive ?? false, now: $1) }
        case .reset(let id, let object):
            let connection = connection(of: object)
            let isClean = await within(timeout(\.effectiveValidationTimeout)) {
                (try? await self.factory.reset(connection)) != nil
            }
            core.perform { $0.engine.checked(id, isAlive: isClean ?? false, now: $1) }
        case .close:
            if let object = core.state.withLock({ $0.discarded.popLast() }) {
                await factory.close(connection(of: object))
            }
        case .retry(let ticket): core.perform { $0.engine.retry(ticket, now: $1) }
        case .tick(let deadline):
            try? await core.pause(max(.zero, deadline - core.now()))
            core.perform { state, now in
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
            core.perform { state, now in
                // Put there first: the engine may lend it before it returns.
                let previous = state.connections[id.slot]
                state.connections[id.slot] = Box(connection)
                isWanted = state.engine.connected(id, now: now)
                if !isWanted { state.connections[id.slot] = previous }
            }
            if !isWanted { await factory.close(connection) }
        case .failure(let error): core.perform { $0.engine.connectFailed(id, "\(error)", now: $1) }
        case nil: core.perform { $0.engine.connectFailed(id, "no connection in time", now: $1) }
        }
    }

    /// Runs `body` for so long; then its task is cancelled, and the answer is nil.
    private func within<R: Sendable>(_ limit: LabDuration, _ body: @escaping @Sendable () async -> R) async -> R? {
        if limit == .infinite { return await body() }
        return await withTaskGroup(of: R?.self) { group in
            group.addTask { await body() }
            group.addTask { [core] in
                try? await core.pause(limit)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    /// What is left when `run` ends: the pool takes no more, and nothing stays open.
    private func closeAll() async {
        core.perform { state, now in
            state.engine.close(now: now)
            state.isRunning = false
        }
        let objects = core.state.withLock { state -> [any PoolCore.Object] in
            let left = state.discarded + state.connections.compactMap(\.self)
            state.discarded = []
            for slot in state.connections.indices { state.connections[slot] = nil }
            return left
        }
        core.orderEntry.finish()
        for object in objects { await factory.close(connection(of: object)) }
    }
}
