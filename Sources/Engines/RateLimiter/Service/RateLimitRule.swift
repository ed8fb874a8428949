import KernelStructures
import KernelWire
import RateLimiterEngine

/// A policy, whom it counts, and which requests it concerns.
public struct RateLimitRule: Equatable, Sendable {
    public var policy: RateLimitPolicy
    public var key = RequestKey([.address])
    /// Paths that begin so, whole segments: `/api` is `/api` and `/api/x`, not `/apis`. Empty: all.
    public var pathPrefixes: [String] = []
    /// In upper case. Empty: all.
    public var methods: [String] = []
    /// What a request costs, 1…1000000, or what a trusted proxy's header says it does.
    public var cost = 1
    /// A field that says what a request costs; believed only from trusted proxies.
    public var costHeader: String?
    /// What to do with requests while the shared store cannot be asked.
    public var onStoreFailure = StoreFailure.local

    public enum StoreFailure: String, CaseIterable, Sendable {
        /// Admit everything: the limit is there for fairness, and the service must go on.
        case open
        /// Refuse everything: the limit protects something that would not survive.
        case closed
        /// Count by oneself until it is back: the limit holds for each node, and together they admit up to that many
        /// times as much.
        case local
    }

    static let costLimit = 1_000_000

    public init(_ policy: RateLimitPolicy) { self.policy = policy }

    var concernsAll: Bool { pathPrefixes.isEmpty && methods.isEmpty }

    func concerns(_ head: HTTPHead) -> Bool {
        if !methods.isEmpty, !methods.contains(head.methodText) { return false }
        if pathPrefixes.isEmpty { return true }
        let path = RequestPath.normalized(head)
        return pathPrefixes.contains { prefix in
            guard path.hasPrefix(prefix) else { return false }
            return prefix.hasSuffix("/") || path.utf8.count == prefix.utf8.count
                || path.dropFirst(prefix.count).first == "/"
        }
    }
}
