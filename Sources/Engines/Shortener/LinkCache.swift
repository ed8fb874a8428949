/// Links that are visited often, and codes that lead nowhere, in bounded memory.
///
/// Two generations: what is found in the older one moves to the younger; when that is full it becomes the older, and
/// what nobody asked for since the last change is gone. That keeps what is asked for again and again, without the list
/// that an exact order of use needs (the same thought as CLOCK's second chance).
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

    private var recent: [String: Entry] = [:]
    private var older: [String: Entry] = [:]
    private let capacity: Int
    public private(set) var hits = 0
    public private(set) var misses = 0

    /// - Parameter capacity: entries, at least 2.
    public init(capacity: Int) { self.capacity = max(2, capacity) }

    public var count: Int { recent.count + older.count }

    public mutating func find(_ code: String) -> Entry? {
        if let entry = recent[code] {
            hits += 1
            return entry
        }
        guard let entry = older.removeValue(forKey: code) else {
            misses += 1
            return nil
        }
        hits += 1
        insert(entry, for: code)
        return entry
    }

    public mutating func insert(_ entry: Entry, for code: String) {
        if recent.count >= capacity / 2, recent[code] == nil {
            older = recent
            recent = [:]
        }
        older[code] = nil
        recent[code] = entry
    }

    /// The database has counted visits of it.
    public mutating func count(_ visits: Int, for code: String) {
        recent[code]?.visits += visits
        older[code]?.visits += visits
    }

    /// It was changed: the next visitor asks the database.
    public mutating func remove(_ code: String) {
        recent[code] = nil
        older[code] = nil
    }

    public mutating func removeAll() {
        recent = [:]
        older = [:]
    }
}
