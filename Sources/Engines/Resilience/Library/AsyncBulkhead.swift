import KernelStructures
import Synchronization

/// The bulkhead for programs: many threads and tasks may use one at the same time.
///
/// ```swift
/// var configuration = Bulkhead.Configuration()
/// configuration.maxConcurrentCalls = 10
/// configuration.queueCapacity = 20
/// let bulkhead = AsyncBulkhead(configuration)
///
/// let report = try await bulkhead.execute { try await reports.fetch() }   // at most ten at a time
/// ```
///
/// Who finds no place is suspended, and holds no thread, until one is free, its `maxWaitDuration` is over or its task
/// is cancelled, whatever comes first. No task outlives the call that started it.
public final class AsyncBulkhead<C: Clock>: Sendable where C.Duration == Duration, C: Sendable, C.Instant: Sendable {
    private enum Verdict: Sendable { case admitted, timedOut, cancelled }

    private enum Waiter {
        /// In the line, and about to be suspended.
        case arriving
        case suspended(CheckedContinuation<Verdict, Never>)
        /// Judged before it was suspended.
        case judged(Verdict)
    }

    private struct State {
        var bulkhead: Bulkhead
        var waiters: [Bulkhead.Ticket: Waiter] = [:]

        /// Notes what becomes of somebody in the line. Returns who is to be told, outside the lock.
        mutating func judge(_ ticket: Bulkhead.Ticket, _ verdict: Verdict) -> CheckedContinuation<Verdict, Never>? {
            switch waiters[ticket] {
            case .arriving?: waiters[ticket] = .judged(verdict)
            case .suspended(let continuation)?:
                waiters[ticket] = nil
                return continuation
            case .judged?, nil: break
            }
            return nil
        }

        func isInLine(_ ticket: Bulkhead.Ticket) -> Bool { bulkhead.deadline(of: ticket) != nil }
    }

    private let state: Mutex<State>
    private let clock: C
    private let start: C.Instant

    public init(_ configuration: Bulkhead.Configuration = .init(), clock: C) {
        state = Mutex(State(bulkhead: Bulkhead(configuration)))
        self.clock = clock
        start = clock.now
    }

    public var runningCount: Int { state.withLock { $0.bulkhead.runningCount } }
    public var waitingCount: Int { state.withLock { $0.bulkhead.waitingCount } }

    /// Makes the call once it has a place, and gives the place back however it ends.
    ///
    /// It runs where its caller runs; no lock is held meanwhile.
    ///
    /// - Throws: `BulkheadRefusal` where there is no place, or none in time; `CancellationError` to a task that is
    ///   cancelled while it waits; otherwise what `body` throws.
    public func execute<Result>(
        isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
    ) async throws -> Result {
        let ticket = try await enter()
        defer { leave(ticket) }
        try Task.checkCancellation()
        return try await body()
    }

    private var now: LabTime { LabTime(nanoseconds: 0) + LabDuration(start.duration(to: clock.now)) }

    private func enter() async throws -> Bulkhead.Ticket {
        let (entry, patience) = state.withLock { state in
            let entry = state.bulkhead.enter(now: now)
            if case .queued(let ticket) = entry { state.waiters[ticket] = .arriving }
            return (entry, state.bulkhead.configuration.maxWaitDuration)
        }
        switch entry {
        case .admitted(let ticket): return ticket
        case .refused: throw BulkheadRefusal.full
        case .queued(let ticket):
            switch await wait(ticket, patience) {
            case .admitted: return ticket
            case .timedOut: throw BulkheadRefusal.timedOut(patience)
            case .cancelled: throw CancellationError()
            }
        }
    }

    /// Two child tasks: one waits for a place, the other for the time to be over. The first ends the second.
    private func wait(_ ticket: Bulkhead.Ticket, _ patience: LabDuration) async -> Verdict {
        await withTaskGroup(of: Verdict?.self) { group in
            group.addTask {
                await withTaskCancellationHandler {
                    await withCheckedContinuation { self.suspend(ticket, $0) }
                } onCancel: {
                    self.giveUp(ticket, .cancelled)
                }
            }
            if patience < .infinite {
                group.addTask {
                    if (try? await self.clock.sleep(for: patience.duration)) != nil { self.giveUp(ticket, .timedOut) }
                    return nil
                }
            }
            while let verdict = await group.next() {
                guard let verdict else { continue }
                group.cancelAll()
                return verdict
            }
            return .cancelled
        }
    }

    private func suspend(_ ticket: Bulkhead.Ticket, _ continuation: CheckedContinuation<Verdict, Never>) {
        let verdict: Verdict? = state.withLock { state in
            if case .judged(let verdict)? = state.waiters[ticket] {
                state.waiters[ticket] = nil
                return verdict
            }
            state.waiters[ticket] = .suspended(continuation)
            return nil
        }
        if let verdict { continuation.resume(returning: verdict) }
    }

    /// Leaves the line; one that has a place by now keeps it.
    private func giveUp(_ ticket: Bulkhead.Ticket, _ verdict: Verdict) {
        let told = state.withLock { state -> CheckedContinuation<Verdict, Never>? in
            guard state.isInLine(ticket) else { return nil }
            _ = state.bulkhead.leave(ticket)
            return state.judge(ticket, verdict)
        }
        told?.resume(returning: verdict)
    }

    private func leave(_ ticket: Bulkhead.Ticket) {
        let told = state.withLock { state -> CheckedContinuation<Verdict, Never>? in
            guard let next = state.bulkhead.leave(ticket) else { return nil }
            return state.judge(next, .admitted)
        }
        told?.resume(returning: .admitted)
    }
}

extension AsyncBulkhead where C == ContinuousClock {
    public convenience init(_ configuration: Bulkhead.Configuration = .init()) {
        self.init(configuration, clock: ContinuousClock())
    }
}

/// Why a bulkhead did not let a call pass. The service was not asked.
public enum BulkheadRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// No place, and no place to wait.
    case full
    /// No place within `maxWaitDuration`.
    case timedOut(LabDuration)

    public var description: String {
        switch self {
        case .full: "too many calls at once, and too many that wait"
        case .timedOut(let patience): "no place within \(patience)"
        }
    }
}
