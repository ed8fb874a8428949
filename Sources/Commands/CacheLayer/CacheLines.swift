import KernelJSON
import KernelStructures

/// What `cache-monitor` prints, from the events of a cache layer.
///
/// A miss is held back until the source has answered: only then is it known whether others came meanwhile and waited,
/// and whether the first of them had won anything.
struct CacheLines {
    /// Misses whose load is under way, by flight.
    private var open: Set<Int> = []
    /// Readers who were served together: their own answers are no lines.
    private var servedTogether: [String: Int] = [:]

    /// Of each more are forgotten, not kept.
    static let limit = 10_000

    /// The lines for one event; empty for those that say nothing.
    mutating func lines(for event: JSONValue) -> [LogMessage] {
        guard case .string(let kind)? = event["event"] else { return [] }
        let key = event["key"]?.text ?? ""
        switch kind {
        case "hit": return [hit(key, event)]
        case "miss": return miss(key, event)
        case "query": return query(key, event)
        case "failed":
            open.remove(event["flight"]?.number ?? 0)
            return ["GET \(key) → MISS", "DB query for \(key) failed: \(event["text"]?.text ?? "")"]
        case "set": return [set(key, event)]
        case "served": return served(key, event)
        case "write":
            let verb = event["removal"] == true ? "DELETE" : "UPDATE"
            return ["\(verb) \(key) → DB write (\(Self.duration(event)))"]
        case "queue": return ["QUEUE \(key) (\(counted(event["waiting"]?.number ?? 0, "write waits", "writes wait")))"]
        case "response": return response(key, event)
        case "invalidated": return ["INVALIDATE \(key)"]
        case "invalidated-tag": return ["INVALIDATE tag \(event["tag"]?.text ?? "")"]
        case "remote-failed": return ["No answer from the cache: \(event["text"]?.text ?? "")"]
        default: return []
        }
    }

    private func hit(_ key: String, _ event: JSONValue) -> LogMessage {
        switch event["freshness"]?.text {
        case "stale": "GET \(key) → STALE"
        case "pending": "GET \(key) → HIT (not yet in the database)"
        default: event["negative"] == true ? "GET \(key) → HIT (nobody is there)" : "GET \(key) → HIT"
        }
    }

    private mutating func miss(_ key: String, _ event: JSONValue) -> [LogMessage] {
        switch event["reason"]?.text {
        case "early": return ["REFRESH \(key) (early, by chance)"]
        case "ahead": return ["REFRESH \(key) (ahead of its end)"]
        case "revalidation": return ["REFRESH \(key) (its time is over)"]
        default: break
        }
        guard let flight = event["flight"]?.number, open.count < Self.limit else { return ["GET \(key) → MISS"] }
        open.insert(flight)
        return []
    }

    private mutating func query(_ key: String, _ event: JSONValue) -> [LogMessage] {
        var lines: [LogMessage] = []
        let requests = event["requests"]?.number ?? 1
        if let flight = event["flight"]?.number, open.remove(flight) != nil {
            lines.append(requests > 1 ? "GET \(key) → MISS (request 1 wins lock)" : "GET \(key) → MISS")
        }
        if requests > 1 { lines.append("\(requests - 1) requests waiting on singleflight...") }
        lines.append("DB query for \(key) (\(Self.duration(event)))")
        return lines
    }

    private func set(_ key: String, _ event: JSONValue) -> LogMessage {
        let ttl = event["ttl"]?.text ?? ""
        if event["negative"] == true { return "SET \(key) (nobody is there, TTL: \(ttl))" }
        return event["new"] == true ? "SET \(key) (new value, TTL: \(ttl))" : "SET \(key) (TTL: \(ttl))"
    }

    private mutating func served(_ key: String, _ event: JSONValue) -> [LogMessage] {
        let requests = event["requests"]?.number ?? 0
        if servedTogether.count < Self.limit || servedTogether[key] != nil {
            servedTogether[key, default: 0] += min(max(0, requests), 1 << 32)
        }
        return ["All \(requests) requests served from single DB query"]
    }

    private mutating func response(_ key: String, _ event: JSONValue) -> [LogMessage] {
        if let left = servedTogether[key], left > 0 {
            servedTogether[key] = left == 1 ? nil : left - 1
            return []
        }
        return ["Response: \(Self.duration(event)) total"]
    }

    /// Whole milliseconds, where there is one.
    private static func duration(_ event: JSONValue) -> LabDuration {
        let microseconds = max(0, event["us"]?.number ?? 0)
        if microseconds < 1000 { return .microseconds(microseconds) }
        return .milliseconds(microseconds / 1000 + (microseconds % 1000 >= 500 ? 1 : 0))
    }
}

extension JSONValue {
    fileprivate var text: String? { if case .string(let text) = self { text } else { nil } }
    fileprivate var number: Int? { if case .integer(let number) = self { number } else { nil } }
}
