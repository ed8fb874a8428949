import KernelStructures

/// What of a link's answer is the same for each visitor, made once: to answer one copies nothing of the link.
public final class SteadyRedirect: Sendable {
    public let status: Int
    /// `Location` and `Cache-Control`, as lines.
    public let lines: [UInt8]
    public let forwardsQuery: Bool
    /// Whether it is good for so many visits only.
    public let isLimited: Bool
    private let begin: LabTime
    private let end: LabTime
    private let visitLimit: Int

    /// Nil for one that is deleted, that leads some visitors elsewhere, or that cannot stand in an answer.
    public init?(_ link: Link) {
        // What is stored was checked before; a byte that ends a line would be somebody's who wrote into the table.
        guard link.rules.isEmpty, link.deletedAt == nil, link.target.utf8.allSatisfy({ $0 > 32 && $0 != 127 }) else {
            return nil
        }
        status = link.redirect.rawValue
        let cacheSeconds = link.cacheSeconds(now: LabTime(nanoseconds: .min))
        let cacheControl = Redirect.cacheControl(seconds: cacheSeconds)
        lines = Array("Location: \(link.target)\r\nCache-Control: \(cacheControl)\r\n".utf8)
        forwardsQuery = link.forwardsQuery
        isLimited = link.maxVisits != nil
        begin = link.validSince ?? LabTime(nanoseconds: .min)
        // Shortly before its end browsers may keep it for less than that.
        end = link.expiresAt.map { $0 - .seconds(cacheSeconds) } ?? .distantFuture
        visitLimit = link.maxVisits ?? .max
    }

    /// Whether it leads on, and is kept by browsers for its whole time: for others ask `Link.verdict`.
    public func leads(now: LabTime, visits: Int) -> Bool { now >= begin && now < end && visits < visitLimit }
}

/// Links that are visited often, and codes that lead nowhere, in bounded memory.
public struct LinkCache {
    /// An object, so that to find one copies nothing of the link.
    public final class Entry {
        /// Nil: there is no such link.
        public let link: Link?
        /// Visits that the database had counted when it was read, and those that it has counted since.
        public fileprivate(set) var visits: Int
        /// Nil where there is no link, or one that does not lead everybody to the same place.
        public let steady: SteadyRedirect?

        public init(link: Link?, visits: Int) {
            self.link = link
            self.visits = visits
            steady = link.flatMap(SteadyRedirect.init)
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
