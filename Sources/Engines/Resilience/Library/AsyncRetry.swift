import CircuitBreakerEngine
import KernelStructures
import Synchronization

/// Trying again, for programs: many tasks may share one, and with it one budget.
///
/// ```swift
/// let retry = AsyncRetry()
/// let text = try await retry.execute { attempt in
///     try await breaker.execute { try await fetch("https://flaky-api.com/data") }
/// }
/// ```
///
/// The breaker stands within, so that it sees each attempt; its refusal ends the retrying, as does a bulkhead's: both
/// are there to keep calls away.
public final class AsyncRetry<C: Clock>: Sendable where C.Duration == Duration, C: Sendable, C.Instant: Sendable {
    private let engine: Mutex<Retry>
    private let clock: C

    /// - Parameter seed: of the jitter. Programs of a fleet need different ones; nil takes one from the system.
    public init(_ configuration: Retry.Configuration = .init(), clock: C, seed: UInt64? = nil) {
        engine = Mutex(Retry(configuration, random: SeededRandom(seed: seed ?? SeededRandom.processSeed)))
        self.clock = clock
    }

    /// Makes the call, and makes it again as long as it fails in a way that may pass.
    ///
    /// - Parameters:
    ///   - mayPass: whether another attempt could end differently. A cancelled task, an open circuit and a full
    ///     bulkhead are never asked about.
    ///   - retryAfter: how long the service asked to be left alone, as the error says.
    ///   - body: one attempt, by its number from 1. The call must be one that may be made twice.
    /// - Throws: what the last attempt threw; `CancellationError` where the task is cancelled during a pause.
    public func execute<Result>(
        isolation: isolated (any Actor)? = #isolation, mayPass: (any Error) -> Bool = { _ in true },
        retryAfter: (any Error) -> LabDuration = { _ in .zero }, _ body: (_ attempt: Int) async throws -> Result
    ) async throws -> Result {
        var attempt = 1
        var pause = LabDuration.zero
        while true {
            do {
                let result = try await body(attempt)
                engine.withLock { $0.succeeded() }
                return result
            } catch {
                guard !Task.isCancelled, Self.isOfTheService(error), mayPass(error) else { throw error }
                let asked = retryAfter(error)
                let decision = engine.withLock { [attempt, pause] in
                    $0.failed(attempt: attempt, previousWait: pause, retryAfter: asked)
                }
                guard case .again(let wait) = decision else { throw error }
                pause = wait
            }
            try await clock.sleep(for: pause.duration)
            attempt += 1
        }
    }

    private static func isOfTheService(_ error: any Error) -> Bool {
        !(error is CancellationError || error is CallNotPermitted || error is BulkheadRefusal)
    }

    /// What is left of the budget that all calls share; nil where there is none.
    public var budget: RetryBudget? { engine.withLock { $0.budget } }
}

extension AsyncRetry where C == ContinuousClock {
    public convenience init(_ configuration: Retry.Configuration = .init()) {
        self.init(configuration, clock: ContinuousClock())
    }
}
