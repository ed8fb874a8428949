import KernelStructures

/// The rule by which one key's requests are admitted.
///
/// An algorithm has no memory of its own: it is asked with a key's state and the time, so one algorithm serves a
/// million keys. `assess` looks and changes nothing; `charge` takes. They are apart so that a request under several
/// policies can be admitted by all of them or charged by none.
package protocol LimitingAlgorithm: Sendable {
    /// What is remembered of a key: small and of fixed size, but for the sliding log's.
    associatedtype State: Sendable

    /// A state for places in the table that nobody has.
    static var blank: State { get }
    /// The state of a key that has not been seen, or not for long.
    func fresh(_ now: LabTime) -> State
    /// Whether a request of that cost would be admitted. Changes nothing.
    func assess(_ state: State, cost: Int64, _ now: LabTime) -> Assessment
    /// Takes what an admitted request costs.
    func charge(_ state: inout State, cost: Int64, _ now: LabTime)
    /// From when on the state says no more than `fresh` does, and can be forgotten without harm.
    func restsAt(_ state: State) -> LabTime
    /// The state of a key of which is known only that it may have spent everything and is at rest by `time`: at least
    /// as strict as any that rests by then.
    func indebted(until time: LabTime, _ now: LabTime) -> State
}

/// What an algorithm thinks of a request.
public struct Assessment: Equatable, Sendable {
    public var isAllowed: Bool
    /// The most that a rested key can have at once.
    public var limit: Int
    /// What is left: after this request if it is allowed, now if not.
    public var remaining: Int
    /// How long the same request has to wait until it is admitted, if nobody else takes anything; zero if it is
    /// admitted now, `infinite` if it costs more than there can ever be.
    public var retryAfter: LabDuration
    /// How long until the whole quota is there again.
    public var resetAfter: LabDuration
    /// How long an admitted request is to be held back, so that requests come out evenly: the leaky bucket's.
    public var delay: LabDuration

    package init(
        isAllowed: Bool, limit: Int, remaining: Int, retryAfter: LabDuration, resetAfter: LabDuration,
        delay: LabDuration = .zero
    ) {
        self.isAllowed = isAllowed
        self.limit = limit
        self.remaining = remaining
        self.retryAfter = retryAfter
        self.resetAfter = resetAfter
        self.delay = delay
    }
}
