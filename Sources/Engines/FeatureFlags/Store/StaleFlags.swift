import KernelStructures

/// A flag that may have outlived its use: debt, like scaffolding that stays when the house is finished.
public struct StaleFlag: Equatable, Sendable {
    public let name: String
    public let kind: FlagKind
    public let age: LabDuration
    public let reason: String
    public let remedy: String
}

extension FlagStore {
    /// Unchanged so long, a decision has been made.
    private static let settledAfter = LabDuration.seconds(7 * 86_400)
    private static let idleAfter = LabDuration.seconds(30 * 86_400)

    /// Flags that should go, each with the first reason that holds, the oldest first.
    public func staleFlags(now: LabTime) -> [StaleFlag] {
        activeFlags.compactMap { flag -> StaleFlag? in
            guard let (reason, remedy) = staleness(of: flag, now) else { return nil }
            return StaleFlag(
                name: flag.name, kind: flag.kind, age: now - flag.createdAt, reason: reason, remedy: remedy)
        }.sorted { ($1.age, $0.name) < ($0.age, $1.name) }
    }

    private func staleness(of flag: FlagRecord, _ now: LabTime) -> (String, String)? {
        if flag.isStale { return ("marked as stale", "remove it from the code, then archive it") }
        if flag.kind == .killSwitch || flag.kind == .permission { return nil }
        let state = flag.state(in: defaultEnvironment)
        let unchanged = now - state.changedAt
        if state.isForEverybody, flag.dependencies.isEmpty, unchanged >= Self.settledAfter {
            return ("on for everybody for \(unchanged.rounded)", "remove the code's other branch, then archive it")
        }
        if let lifetime = flag.kind.lifetime, now - flag.createdAt > lifetime {
            return ("older than the \(lifetime) that a \(flag.kind.rawValue) flag is for", "decide, and archive it")
        }
        if environments.allSatisfy({ !flag.state(in: $0).isEnabled }), unchanged >= Self.idleAfter {
            return ("off everywhere for \(unchanged.rounded)", "archive it, if nobody asks for it")
        }
        let lastSign = flag.lastSeenAt ?? flag.createdAt
        if now - lastSign >= Self.idleAfter {
            return (
                flag.lastSeenAt == nil ? "never evaluated" : "not evaluated for \((now - lastSign).rounded)",
                "archive it"
            )
        }
        return nil
    }
}
