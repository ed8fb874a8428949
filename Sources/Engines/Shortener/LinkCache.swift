import KernelStructures

/// Links that are visited often, and codes that lead nowhere, in bounded memory.
public struct LinkCache {
    public struct Entry: Sendable {
        /// Nil: there is no such link.
        public let link: Link?
        /// Visits that the database had counted when it was read.
        public var visits: Int

        public init(link: Link?, visits: Int) {
            self.link = link
            self.visits = visits
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
