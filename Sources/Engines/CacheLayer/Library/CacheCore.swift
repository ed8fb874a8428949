import KernelStructures
import Synchronization

/// What `Cached` is without its types: the engine behind a lock, those who wait, and the orders for `run`.
///
/// Not generic, for the reason that `CacheObject` gives.
@usableFromInline final class CacheCore: Sendable {
    /// What somebody who waits is told.
    enum Word: Sendable {
        case outcome(Result<CacheAnswer, CacheFailure>)
        /// The runner has gone: go on with its flight.
        case lead(FlightID)
        case mayWrite
        case cancelled
    }

    enum Waiter: Sendable {
        case waiting(CheckedContinuation<Word, Never>)
        /// Told before it was suspended.
        case told(Word)
    }

    enum WaiterID: Hashable, Sendable {
        case reader(Ticket)
        case writer(WriteID)
    }

    enum Order: Sendable {
        case refresh(FlightID, @Sendable () async -> Loaded)
        case flush
        case alarm(LabTime)
    }

    struct State: Sendable {
        var engine: CacheLayer
        var waiters: [WaiterID: Waiter] = [:]
        var isRunning = false
        var alarm = LabTime.distantFuture
    }

    let state: Mutex<State>
    let orders: AsyncStream<Order>
    let orderEntry: AsyncStream<Order>.Continuation
    let backend: (any CacheBackend)?
    let dialect: RESPDialect
    let journal: (any CacheJournal)?
    let now: @Sendable () -> LabTime
    /// Never ahead of `now`, and a few milliseconds behind at most, for reads: cheaper.
    let roughNow: @Sendable () -> LabTime
    let pause: @Sendable (LabDuration) async throws -> Void
    let loaderTimeout: LabDuration

    init(
        _ engine: CacheLayer, backend: (any CacheBackend)?, dialect: RESPDialect, journal: (any CacheJournal)?,
        now: @escaping @Sendable () -> LabTime, roughNow: @escaping @Sendable () -> LabTime,
        pause: @escaping @Sendable (LabDuration) async throws -> Void
    ) {
        state = Mutex(State(engine: engine))
        (orders, orderEntry) = AsyncStream.makeStream()
        self.backend = backend
        self.dialect = dialect
        self.journal = journal
        self.now = now
        self.roughNow = roughNow
        self.pause = pause
        loaderTimeout = engine.configuration.loaderTimeout
    }

    // MARK: The lock

    @usableFromInline func fresh(_ key: String) -> CacheAnswer? {
        let time = roughNow()
        return state.withLock { $0.engine.fresh(key, now: time) }
    }

    /// Changes the engine, and tells whoever is to be told once the lock is open again.
    func perform<R: Sendable>(_ change: (inout CacheLayer, LabTime) -> R) -> R {
        let time = now()
        let (result, told) = state.withLock { state in
            let result = change(&state.engine, time)
            var told: [(CheckedContinuation<Word, Never>, Word)] = []
            for effect in state.engine.takeEffects() { carryOut(effect, &state, &told) }
            setAlarm(&state)
            return (result, told)
        }
        for (continuation, word) in told { continuation.resume(returning: word) }
        return result
    }

    private func carryOut(
        _ effect: CacheLayer.Effect, _ state: inout State, _ told: inout [(CheckedContinuation<Word, Never>, Word)]
    ) {
        let (id, word): (WaiterID, Word)
        switch effect {
        case .tell(let ticket, let outcome): (id, word) = (.reader(ticket), .outcome(outcome))
        case .lead(let ticket, let flight): (id, word) = (.reader(ticket), .lead(flight))
        case .mayWrite(let write): (id, word) = (.writer(write), .mayWrite)
        case .flush:
            if state.isRunning { orderEntry.yield(.flush) }
            return
        case .event: return
        }
        if case .waiting(let continuation)? = state.waiters[id] {
            state.waiters[id] = nil
            told.append((continuation, word))
        } else {
            state.waiters[id] = .told(word)
        }
    }

    private func setAlarm(_ state: inout State) {
        guard state.isRunning else { return }
        let next = state.engine.nextDeadline
        guard next < state.alarm else { return }
        state.alarm = next
        orderEntry.yield(.alarm(next))
    }

    // MARK: Waiting

    /// Suspends until the engine says something to this reader or writer.
    func wait(for id: WaiterID, _ key: String) async -> Word {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let word = state.withLock { state -> Word? in
                    if case .told(let word)? = state.waiters.removeValue(forKey: id) { return word }
                    state.waiters[id] = .waiting(continuation)
                    return nil
                }
                if let word { continuation.resume(returning: word) }
            }
        } onCancel: {
            leave(id, key)
        }
    }

    /// Stops waiting. Who was told at the same moment stays told.
    private func leave(_ id: WaiterID, _ key: String) {
        let continuation = state.withLock { state -> CheckedContinuation<Word, Never>? in
            let hasLeft =
                switch id {
                case .reader(let ticket): state.engine.cancel(ticket, of: key)
                case .writer(let write): state.engine.cancelWrite(write)
                }
            guard hasLeft else { return nil }
            if case .waiting(let continuation)? = state.waiters.removeValue(forKey: id) { return continuation }
            state.waiters[id] = .told(.cancelled)
            return nil
        }
        continuation?.resume(returning: .cancelled)
    }

    /// Stops waiting for somebody who never began to: whoever was handed a flight gives it on.
    func forget(_ ticket: Ticket, _ key: String) {
        let flight = state.withLock { state -> FlightID? in
            if state.engine.cancel(ticket, of: key) { return nil }
            if case .told(.lead(let id))? = state.waiters.removeValue(forKey: .reader(ticket)) { return id }
            return nil
        }
        if let flight { perform { $0.abandon(flight, now: $1) } }
    }

    /// The same with an eye on the time: whoever ran the load may be stuck in it.
    func waitInTime(for ticket: Ticket, _ key: String) async -> Word {
        await withTaskGroup(of: Word?.self) { group in
            group.addTask { await self.wait(for: .reader(ticket), key) }
            group.addTask {
                while (try? await self.pause(self.untilNextDeadline)) != nil {
                    self.perform { $0.tick(now: $1) }
                }
                return nil
            }
            while let word = await group.next() {
                guard let word else { continue }
                group.cancelAll()
                return word
            }
            return .cancelled
        }
    }

    private var untilNextDeadline: LabDuration {
        let time = now()
        let next = state.withLock { $0.engine.nextDeadline }
        return next == .distantFuture ? loaderTimeout : max(.milliseconds(1), next - time)
    }

    // MARK: The shared cache

    func ask(_ request: RemoteRequest) async -> RemoteReply {
        guard let backend else { return .failed("there is no shared cache") }
        let commands = dialect.commands(for: request)
        do {
            guard dialect.needsOwnConnection(request) else {
                if case .reply(let reply) = dialect.next(request, try await backend.send(commands)) { return reply }
                return .failed("an answer out of turn")
            }
            let early = Mutex<RemoteReply?>(nil)
            let replies = try await backend.send(commands) { [dialect] replies in
                switch dialect.next(request, replies) {
                case .send(let more): return more
                case .reply(let reply):
                    early.withLock { $0 = reply }
                    return []
                }
            }
            if let reply = early.withLock({ $0 }) { return reply }
            if case .reply(let reply) = dialect.next(request, replies, isSecondTrip: true) { return reply }
            return .failed("an answer out of turn")
        } catch {
            return .failed("\(error)")
        }
    }
}
