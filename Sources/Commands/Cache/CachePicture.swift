import CacheEngine
import CacheService
import CommandKit
import KernelJSON
import KernelStructures

/// A cache as a picture: how full it is, how it does, and what is in it.
extension CacheNode {
    var picture: View {
        let counts = cache.statistics
        let asked = counts.hits + counts.misses
        let rate = asked == 0 ? 0 : Double(counts.hits) / Double(asked)
        var fields: [View.Field] = [
            .init("memory", key: "memory", memoryCell),
            .init("keys", key: "keys", keyCell),
            .init("policy", key: "policy", .text(cache.settings.policy.rawValue)),
            .init(
                "hits", key: "hits",
                View.Cell(
                    asked == 0
                        ? "nobody has asked" : "\(fixedDecimal(rate * 100, places: 1)) % of \(counted(asked, "read"))",
                    json: .object([("hits", .integer(counts.hits)), ("misses", .integer(counts.misses))]))),
            .init(
                "gone", key: "gone",
                View.Cell(
                    "\(counts.expiredKeys) expired, \(counts.evictedKeys) evicted",
                    json: .object([
                        ("expired", .integer(counts.expiredKeys)), ("evicted", .integer(counts.evictedKeys)),
                    ]))),
        ]
        for (name, value) in cache.policyDescription { fields.append(.init(name, key: name, .text(value))) }
        return View(.record(fields), .table(kindTable))
    }

    private var memoryCell: View.Cell {
        let used = cache.usedByteCount
        let limit = cache.settings.maxMemory
        let json: JSONValue = .object([("bytes", .integer(used)), ("limit_bytes", .integer(limit))])
        guard limit > 0 else { return View.Cell("\(byteCountText(used)), without a bound", json: json) }
        let share = min(20, Int(Double(used) / Double(limit) * 20))
        let bar = String(repeating: "█", count: share) + String(repeating: "░", count: 20 - share)
        return View.Cell("\(bar)  \(byteCountText(used)) of \(byteCountText(limit))", json: json)
    }

    private var keyCell: View.Cell {
        View.Cell(
            "\(cache.keyCount), \(cache.endingKeyCount) of them with an end",
            json: .object([("count", .integer(cache.keyCount)), ("ending", .integer(cache.endingKeyCount))]))
    }

    private var kindTable: View.Table {
        let rows = cache.census().filter { $0.keys > 0 }.map { kind, keys, bytes -> [View.Cell] in
            [.text(kind.name), .integer(keys), .integer(bytes), .integer(bytes / max(1, keys))]
        }
        return .init(
            [
                .init("TYPE", key: "type"), .init("KEYS", key: "keys", right: true),
                .init("BYTES", key: "bytes", right: true), .init("BYTES A KEY", key: "bytes_a_key", right: true),
            ], rows: rows, whenEmpty: "no keys")
    }
}
