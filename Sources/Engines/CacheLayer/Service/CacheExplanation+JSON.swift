import CacheLayerEngine
import KernelJSON
import KernelStructures

extension CacheExplanation {
    /// For programs; times in milliseconds from now on, negative ones before.
    public func json(now: LabTime) -> JSONValue {
        func untilNow(_ time: LabTime?) -> JSONValue { time.map { .milliseconds($0 - now) } ?? .null }
        return .object([
            ("key", .string(key)),
            (
                "entry",
                entry.map { entry in
                    .object([
                        ("state", .string(entry.state.rawValue)), ("negative", .bool(entry.isNegative)),
                        ("origin", .string(entry.origin.rawValue)), ("loaded_at_ms", untilNow(entry.loadedAt)),
                        ("load_ms", .milliseconds(entry.loadDuration)), ("loaded_by", .string(entry.loadedBy)),
                        ("waited", .integer(entry.waiterCount)), ("hits", .integer(entry.hitCount)),
                        ("early_from_ms", untilNow(entry.earlyFrom)), ("fresh_until_ms", untilNow(entry.freshUntil)),
                        ("stale_until_ms", untilNow(entry.staleUntil)), ("error_until_ms", untilNow(entry.errorUntil)),
                        ("version", .integer(Int(clamping: entry.version))),
                        ("tags", .array(entry.tags.map { .string($0) })),
                    ])
                } ?? .null
            ),
            (
                "load",
                flight.map { load in
                    .object([
                        ("reason", .string(load.reason)), ("step", .string(load.step)),
                        ("since_ms", untilNow(load.since)),
                        ("by", .string(load.by)), ("waiting", .integer(load.waiterCount)),
                    ])
                } ?? .null
            ),
            ("being_written", .bool(isBeingWritten)), ("pending_since_ms", untilNow(pendingSince)),
            ("suspect", .bool(isSuspect)),
            (
                "last_removal",
                lastRemoval.map {
                    .object([("reason", .string($0.reason.rawValue)), ("at_ms", untilNow($0.time))])
                } ?? .null
            ),
        ])
    }
}
