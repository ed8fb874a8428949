import KernelStructures

/// Links that are visited often, and codes that lead nowhere, in bounded memory.
public struct LinkCache {
    /// An object, so that to find one copies nothing of the link.
    public final class Entry {
        /// Nil: there is no such link.
        public let link: Link?
        /// Visits that the database had counted when it was read, and those that it has counted since.
        public fileprivate(set) var visits: Int
        /// What of the redirect's head is the same for each visitor: `Location` and `Cache-Control`, as lines. Nil
        /// where there is no link, or one that leads some of them elsewhere.
        public private(set) lazy var redirectLines = link.flatMap(Entry.lines)

        public init(link: Link?, visits: Int) {
            self.link = link
            self.visits = visits
        }

        private static func lines(_ link: Link) -> [UInt8]? {
            // What is stored was checked before; a byte that ends a line would be somebody's who wrote into the table.
            guard link.rules.isEmpty, link.target.utf8.allSatisfy({ $0 > 32 && $0 != 127 }) else { return nil }
            return Array("Location: \(link.target)\r\nCache-Control: \(link.redirect.cacheControl)\r\n".utf8)
        }
    }

    private var entries: GenerationCache<String, Entry>
    public private(set) var hits = 0
    public private(set) var misses = 0

    /// - Parameter capacity: entries at most, at least 2.
    public init(capacity: Int) { entries = GenerationCache(generationCount: capacity / 2) }

    public var count: Int { entries.count }

    public mutating func find(_ code: String) -> Entry? {
        let entry = entries.find(code)
        if entry == nil { misses += 1 } else { hits += 1 }
        return entry
    }

    public mutating func insert(_ entry: Entry, for code: String) { entries.insert(entry, for: code) }

    /// The database has counted visits of it.
    public mutating func count(_ visits: Int, for code: String) { entries.update(code) { $0.visits += visits } }

    /// It is not known what was changed.
    public mutating func removeAll() { entries.removeAll() }

    /// It was changed: the next visitor asks the database.
    public mutating func remove(_ code: String) { entries.remove(code) }
}
