/// What counts as a failure.
///
/// The most common mistake with breakers is to count every error. A 404 says that the caller asked for something that
/// is not there; the service is well, and answered. Opening the circuit for that turns one user's typing mistakes
/// into an outage for all. A failure is what gives hope that *not asking* helps: no connection, no answer in time, an
/// answer that says "I am broken".
public struct CallClassifier: Sendable {
    public enum Outcome: Sendable { case success, failure, ignored }

    /// Errors that are counted as failures; others are successes, in that the service answered. (resilience4j's
    /// recordException.)
    public var recordsError: @Sendable (any Error) -> Bool = { _ in true }
    /// Errors that are neither: the permit is given back. They win over `recordsError`. (ignoreException.)
    public var ignoresError: @Sendable (any Error) -> Bool = { _ in false }

    /// Every error is a failure, but for cancellation.
    public init() {}

    public func classify(_ error: any Error) -> Outcome {
        if error is CancellationError || ignoresError(error) { return .ignored }
        return recordsError(error) ? .failure : .success
    }

    /// What the status of an HTTP answer means: 5xx are failures, everything else the service's answer. 429 is "you ask
    /// too much", which is for a retry with patience, not for a breaker.
    public static func classify(httpStatus status: Int) -> Outcome {
        (500...599).contains(status) ? .failure : .success
    }
}
