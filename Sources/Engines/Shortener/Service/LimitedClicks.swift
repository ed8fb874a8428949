import KernelStructures
import ShortenerEngine

/// Clicks of links that are good for so many visits only, on their way into the database: the next visitor's verdict
/// depends on them. Clicks of all other links are nobody's concern until they are counted.
struct LimitedClicks {
    private var line = RingQueue<(name: ClickName, code: String)>()
    private var counts: [String: Int] = [:]
    private var watched: Set<String> = []

    func count(of code: String) -> Int { counts[code] ?? 0 }

    mutating func add(_ name: ClickName, _ code: String) {
        line.append((name, code))
        counts[code, default: 0] += 1
    }

    /// A link that is about to be limited.
    mutating func watch(_ code: String) { watched.insert(code) }
    mutating func unwatch(_ code: String) { watched.remove(code) }
    var isWatching: Bool { !watched.isEmpty }
    func isWatched(_ code: String) -> Bool { watched.contains(code) }

    /// Those up to this one are counted; names come in their order.
    ///
    /// - Parameter body: called for each of them.
    mutating func settle(_ last: ClickName, _ body: (_ code: String) -> Void) {
        while let first = line.first, first.name.serial <= last.serial {
            _ = line.popFirst()
            let left = count(of: first.code) - 1
            counts[first.code] = left > 0 ? left : nil
            body(first.code)
        }
    }
}
