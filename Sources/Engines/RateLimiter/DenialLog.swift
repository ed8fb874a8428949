import KernelStructures

/// One refusal, for whoever asks why.
public struct Denial: Equatable, Sendable {
    public let time: LabTime
    public let policy: String
    public let key: String
    public let cost: Int
    public let isShadow: Bool
    /// Nil where the store, which knows, could not be asked, and the rule lets nobody pass then.
    public let remaining: Int?
    public let retryAfter: LabDuration
}

/// The last refusals. A flood of them costs a fixed amount of memory: long keys are cut.
public struct DenialLog: Sendable {
    private var entries: [Denial] = []
    private var next = 0
    public private(set) var count = 0

    /// Refusals that are kept.
    public static let limit = 256
    /// Characters of a key that are kept.
    static let keyLimit = 200

    mutating func note(_ denial: Denial) {
        count += 1
        var denial = denial
        if denial.key.utf8.count > Self.keyLimit {
            denial = Denial(
                time: denial.time, policy: denial.policy, key: String(denial.key.prefix(Self.keyLimit)) + "…",
                cost: denial.cost, isShadow: denial.isShadow, remaining: denial.remaining,
                retryAfter: denial.retryAfter)
        }
        if entries.count < Self.limit {
            entries.append(denial)
        } else {
            entries[next] = denial
            next = (next + 1) % Self.limit
        }
    }

    /// Newest first.
    public var recent: [Denial] { (entries[next...] + entries[..<next]).reversed() }
}
