import KernelStructures

/// A cache layer: what stands between a program and its database, and answers for it where it can.
///
/// ## The problem
///
/// A database that is asked the same thing ten thousand times a second does the same work ten thousand times. Keeping
/// the answer is easy; the trouble is everything around it. A popular answer runs out, and a thousand requests ask the
/// database in the same millisecond. Somebody changes a row, and a load that began a moment before puts the old value
/// back, where it stays for ten minutes. All entries were made at the same minute, and end at the same minute. The
/// database is down, and the answer that was thrown away a second ago would have done. A cache that is wrong in one of
/// these is worse than none, because it works on every desk and fails on the busiest day.
///
/// ## An everyday picture
///
/// A receptionist who is asked for telephone numbers. Most she knows by heart. One she does not know she looks up in
/// the archive downstairs, and if five people want the same one, she goes once and tells all five. Each number that she
/// has looked up gets a date on her note, and the dates are not all the same day. Shortly before a much wanted number
/// gets too old, she uses a quiet moment and goes early. When somebody calls from downstairs that a number has changed
/// while a colleague is on her way up with the old one, that old one is handed to those who were waiting already, and
/// never written on a note.
///
/// ## How
///
/// Pure state and decisions: readers, writers and time go in, and what is to be done comes out. A read is answered at
/// once (`Reading.hit`), joins a load that is under way (`wait`), or begins one (`lead`). A load is a *flight*: a row
/// of steps (ask the shared cache, claim the key there, ask the source, store), which whoever runs it carries out one
/// by one and reports back. So the same decisions serve a task, a callback loop and a test that tries every order there
/// is.
///
/// ```
/// read ──fresh──────────────▶ hit
///   ├──soft TTL over────────▶ hit (stale) + one flight in the background
///   ├──flight for the key───▶ wait
///   └──nothing──────────────▶ lead: shared cache ─miss─▶ claim ─▶ source ─▶ store if still ours ─▶ tell all
/// ```
///
/// *Still ours* is the rule on which all depends: what a flight brings is stored only if no write and no invalidation
/// of its key began or ended since the flight began. In this process the flight is *disowned*; in the shared cache the
/// store is a compare-and-set against what stood there before.
///
/// ## Where it is wrong
///
/// A cached answer is an old answer: between a change of the database and the moment when every process has heard of
/// it, some reader gets the old one. How long that is can be measured (`cache-layer staleness`), and is never zero
/// without asking the database. Changes that go past the layer are seen when the TTL ends. And where hardly any key is
/// read twice before it ends, a cache is a detour: `cache-layer worth` shows one that loses.
public struct CacheLayer: Sendable {
    public let configuration: CacheConfiguration
    /// How values become bytes; nil where they never have to.
    let codec: CacheCodec?
    /// Whether there is a cache that others share.
    let hasRemote: Bool
    /// The tags of a key: entries of a tag can be invalidated together.
    let tags: (@Sendable (String) -> [String])?
    /// How much of `maximumWeight` a value takes.
    let weigh: (@Sendable (any CacheObject) -> Int)?

    var table: EntryTable
    var flights: [FlightID: Flight] = [:]
    /// The flight that readers of a key may join.
    var joinable: [String: FlightID] = [:]
    /// Deadlines of flights, some of them of flights that are over.
    var deadlines = BinaryHeap<FlightDeadline>()
    var writes = WriteTable()
    var queue: WriteBehindQueue
    /// Generations of tags that were ever invalidated.
    var tagGenerations = TagTable()
    /// Keys whose entry in the shared cache may be wrong, because it could not be changed nor removed, and until when.
    var suspects = SuspectTable()
    var removals = RecentRemovals()
    var random: SeededRandom
    private var lastFlight: UInt64 = 0
    private var lastTicket: UInt64 = 0
    public internal(set) var counters = CacheCounters()
    public internal(set) var effects: [Effect] = []
    public internal(set) var isClosed = false
    /// Whether other processes' changes are heard of.
    public internal(set) var isHearing = true
    /// Whether the shared cache tells only of keys that this process has read there (`CLIENT TRACKING` without BCAST).
    public var isToldOfReadsOnly = false

    /// What the owner is to do.
    public enum Effect: Sendable {
        /// A reader who waited is told.
        case tell(Ticket, Result<CacheAnswer, CacheFailure>)
        /// A reader who waited goes on with the flight, whose runner has gone.
        case lead(Ticket, FlightID)
        /// A writer who waited for another write of the same key may begin.
        case mayWrite(WriteID)
        /// For whoever watches.
        case event(CacheEvent)
        /// Write batches may be taken: `takeBatch`.
        case flush
    }

    /// - Parameters:
    ///   - codec: needed for a shared cache, and for a journal of write-behind.
    ///   - hasRemote: whether there is a shared cache; there is if there is a codec, unless something else is said.
    ///   - random: chance for jitter, early loads and ids.
    /// - Precondition: the configuration is valid (`validate`).
    public init(
        _ configuration: CacheConfiguration, codec: CacheCodec? = nil, hasRemote: Bool? = nil, random: SeededRandom,
        queue: WriteBehindQueue.Settings = .init(), weigh: (@Sendable (any CacheObject) -> Int)? = nil,
        tags: (@Sendable (String) -> [String])? = nil
    ) {
        do { try configuration.validate() } catch { preconditionFailure("cache layer: \(error)") }
        self.configuration = configuration
        self.codec = codec
        self.hasRemote = codec != nil && hasRemote ?? true
        self.tags = tags
        self.weigh = weigh
        self.random = random
        table = EntryTable(
            maximumEntries: configuration.maximumEntries, maximumWeight: configuration.maximumWeight)
        self.queue = WriteBehindQueue(queue)
    }

    public mutating func takeEffects() -> [Effect] {
        if effects.isEmpty { return [] }
        defer { effects = [] }
        return effects
    }

    // MARK: Reading

    /// What a read comes to.
    public enum Reading: Sendable {
        /// Answered. `refresh` is a flight that is to be run beside it, or by the reader who is in no hurry.
        case hit(CacheAnswer, refresh: FlightID?)
        /// Runs this flight: `begin`, then `proceed` with what each step came to.
        case lead(FlightID)
        /// Is told by `Effect.tell`.
        case wait(Ticket)
        /// Nothing is known, and nothing is loaded by itself (cache-aside).
        case miss
        case refused(CacheFailure)
    }

    /// The value under a key if it is there and nothing has to be done for it: the short way. Counts a hit, or nothing.
    public mutating func fresh(_ key: String, now: LabTime) -> CacheAnswer? {
        guard let place = table.slot(of: key) else { return nil }
        let entry = table.slots[place].entry
        guard now < entry.checkFrom, entry.tags.isEmpty || hasCurrentTags(entry) else { return nil }
        table.touch(place)
        counters.hits &+= 1
        if entry.value == nil { counters.negativeHits &+= 1 }
        return CacheAnswer(entry, .fresh)
    }

    /// Looks a key up, and says what is to be done.
    ///
    /// - Parameter reader: who asks, for `explain`.
    public mutating func read(_ key: String, by reader: String = "", now: LabTime) -> Reading {
        if isClosed { return .refused(.closed) }
        if let found = fresh(key, now: now) {
            event(.hit(key: key, .fresh, isNegative: found.value == nil))
            return .hit(found, refresh: nil)
        }
        if let pending = queue.pending(key) {
            counters.hits &+= 1
            event(.hit(key: key, .pending, isNegative: pending.value == nil))
            return .hit(
                CacheAnswer(value: pending.value, freshness: .pending, version: 0, loadedAt: pending.since),
                refresh: nil)
        }
        if let place = table.slot(of: key) {
            let entry = table.slots[place].entry
            if !hasCurrentTags(entry) {
                drop(key, .tag, now: now)
            } else if let reading = closeLook(key, place, entry, by: reader, now: now) {
                return reading
            }
        }
        guard configuration.strategy.contains(.readThrough) else {
            counters.misses &+= 1
            event(.miss(key: key, flight: nil, .miss))
            return .miss
        }
        return missed(key, by: reader, now: now)
    }

    /// An entry that is near its end or beyond it.
    private mutating func closeLook(
        _ key: String, _ place: Int, _ entry: CacheEntry, by reader: String, now: LabTime
    ) -> Reading? {
        if now < entry.freshUntil {
            table.touch(place)
            counters.hits &+= 1
            event(.hit(key: key, .fresh, isNegative: entry.value == nil))
            return .hit(CacheAnswer(entry, .fresh), refresh: refreshIfTime(key, entry, by: reader, now: now))
        }
        guard now < entry.staleUntil else {
            if now >= entry.endsAt { drop(key, .expired, now: now) }
            return nil
        }
        table.touch(place)
        counters.staleHits &+= 1
        event(.hit(key: key, .stale, isNegative: entry.value == nil))
        var refresh: FlightID?
        if configuration.strategy.contains(.readThrough), joinable[key] == nil {
            refresh = take(key, .revalidation, by: reader, now: now)
            if refresh != nil { counters.revalidations &+= 1 }
        }
        return .hit(CacheAnswer(entry, .stale), refresh: refresh)
    }

    /// Loads a fresh entry anew if its end is near: surely at the configured share of its life, by chance before.
    private mutating func refreshIfTime(_ key: String, _ entry: CacheEntry, by reader: String, now: LabTime)
        -> FlightID?
    {
        guard configuration.strategy.contains(.readThrough), joinable[key] == nil, entry.value != nil else {
            return nil
        }
        if configuration.strategy.contains(.refreshAhead), now >= refreshAheadTime(entry) {
            counters.refreshesAhead &+= 1
            return take(key, .ahead, by: reader, now: now)
        }
        if EarlyExpiration.isTime(
            entry.freshUntil, duration: entry.loadDuration, beta: configuration.earlyExpiration, now: now,
            chance: random.unit())
        {
            counters.earlyLoads &+= 1
            return take(key, .early, by: reader, now: now)
        }
        return nil
    }

    func refreshAheadTime(_ entry: CacheEntry) -> LabTime {
        let life = max(.zero, entry.freshUntil - entry.loadedAt)
        return entry.loadedAt + LabDuration.seconds(life.seconds * configuration.refreshAheadAt)
    }

    private mutating func missed(_ key: String, by reader: String, now: LabTime) -> Reading {
        if configuration.singleFlight, let id = joinable[key] {
            guard let flight = flights[id] else { preconditionFailure("a flight that is over can be joined") }
            guard flight.waiters.count < configuration.maximumWaiters else {
                return .refused(.tooManyWaiters(flight.waiters.count))
            }
            counters.misses &+= 1
            counters.coalesced &+= 1
            return .wait(join(id))
        }
        counters.misses &+= 1
        guard let id = take(key, .miss, by: reader, now: now) else {
            return .refused(.tooManyLoads(flights.count))
        }
        return .lead(id)
    }

    // MARK: Numbers

    mutating func nextFlight() -> FlightID {
        lastFlight += 1
        return FlightID(number: lastFlight)
    }

    mutating func nextTicket() -> Ticket {
        lastTicket += 1
        return Ticket(number: lastTicket)
    }

    mutating func event(_ event: CacheEvent) {
        if configuration.tellsEvents { effects.append(.event(event)) }
    }

    /// Lets nobody in any more. What is under way ends as it does; the queue of writes goes on being flushed.
    public mutating func close() { isClosed = true }
}

/// A reader's place among those who wait for a flight.
public struct Ticket: Hashable, Sendable { let number: UInt64 }
