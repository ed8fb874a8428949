import KernelStructures

/// The circuit refused the call: nothing was sent.
public struct CallNotPermitted: Error, Equatable, Sendable, CustomStringConvertible {
    public let name: String
    public let state: CircuitState
    /// How long it will refuse at least; nil where nobody knows.
    public let retryAfter: LabDuration?

    public init(name: String, state: CircuitState, retryAfter: LabDuration?) {
        self.name = name
        self.state = state
        self.retryAfter = retryAfter
    }

    public var description: String {
        let hint = retryAfter.map { $0 > .zero ? "; try again in \($0.rounded)" : "" } ?? ""
        return "circuit '\(name)' is \(state.rawValue) and permits no call\(hint)"
    }
}

extension CircuitBreaker {
    /// Makes the call if the circuit lets it, and counts how it ends.
    ///
    /// - Parameters:
    ///   - isFailure: whether a result counts as a failure although nothing was thrown: a status of 503.
    ///   - body: the call. No lock is held while it runs.
    /// - Throws: `CallNotPermitted` if the circuit refuses; otherwise what `body` throws.
    @inlinable public func execute<Result>(
        isFailure: (Result) -> Bool = { _ in false }, _ body: () throws -> Result
    ) throws -> Result {
        guard let permit = acquire() else { throw refusal() }
        do {
            let result = try body()
            ended(permit, isFailure(result) ? .failure : .success)
            return result
        } catch {
            ended(permit, classifier.classify(error), error: error)
            throw error
        }
    }

    /// The same for asynchronous calls. It runs where its caller runs and starts no task; a call whose task is
    /// cancelled gives its permit back and counts as neither success nor failure.
    @inlinable public func execute<Result>(
        isolation: isolated (any Actor)? = #isolation, isFailure: (Result) -> Bool = { _ in false },
        _ body: () async throws -> Result
    ) async throws -> Result {
        guard let permit = acquire() else { throw refusal() }
        do {
            let result = try await body()
            ended(permit, isFailure(result) ? .failure : .success)
            return result
        } catch {
            ended(permit, Task.isCancelled ? .ignored : classifier.classify(error), error: error)
            throw error
        }
    }

    /// Like `execute`, and where the circuit refuses or the call fails, `fallback` says what to return instead:
    /// something cached, a default, another service's answer. It is not counted, and may throw.
    @inlinable public func execute<Result>(
        isFailure: (Result) -> Bool = { _ in false }, _ body: () throws -> Result,
        fallback: (any Error) throws -> Result
    ) rethrows -> Result {
        do { return try execute(isFailure: isFailure, body) } catch { return try fallback(error) }
    }

    /// The same for asynchronous calls. A task that is cancelled gets its error and no fallback: nobody waits for one.
    @inlinable public func execute<Result>(
        isolation: isolated (any Actor)? = #isolation, isFailure: (Result) -> Bool = { _ in false },
        _ body: () async throws -> Result, fallback: (any Error) async throws -> Result
    ) async throws -> Result {
        do {
            return try await execute(isolation: isolation, isFailure: isFailure, body)
        } catch {
            if Task.isCancelled { throw error }
            return try await fallback(error)
        }
    }
}

/// Leave for one call in two steps, for calls that begin and end in different places.
///
/// It can be given back only once: that is the compiler's work, as it cannot be copied.
public struct CallPermit: ~Copyable, Sendable {
    private let breaker: CircuitBreaker
    /// nil once it has been given back.
    private var permit: Permit?
    /// The state that gave it.
    public let state: CircuitState

    init(breaker: CircuitBreaker, permit: Permit) {
        self.breaker = breaker
        self.permit = permit
        state = permit.state
    }

    deinit { if let permit { breaker.ended(permit, .ignored) } }

    public consuming func onSuccess() { end(.success) }

    /// The call failed; the breaker's classifier says whether the error counts.
    public consuming func onError(_ error: any Error) { end(breaker.classifier.classify(error), error) }

    /// The call came to a result that is a failure, or not: `CallClassifier.classify(httpStatus:)`, for one.
    public consuming func onResult(_ outcome: CallClassifier.Outcome) { end(outcome) }

    /// The call was not made, or came to nothing that counts.
    public consuming func release() { end(.ignored) }

    private consuming func end(_ outcome: CallClassifier.Outcome, _ error: (any Error)? = nil) {
        if let permit {
            self.permit = nil
            breaker.ended(permit, outcome, error: error)
        }
    }
}
