import KernelStructures

// What is known no longer: by key, by tag, or all of it; and the entries and tags that this is about.
extension CacheLayer {
    /// Forgets a key, whatever is under way for it. Where there is a shared cache, `remoteInvalidation` is to be asked
    /// of it next, and its answer brought to `invalidated`.
    public mutating func invalidate(_ key: String, now: LabTime) {
        counters.invalidations &+= 1
        disown(key)
        drop(key, .invalidated, now: now)
        event(.invalidated(key: key))
    }

    /// The shared cache has answered to `remoteInvalidation`, or has not. Only now is the key gone everywhere: a load
    /// that began after `invalidate` may have found it there still, and nobody tells a process of its own changes.
    public mutating func invalidated(_ key: String, _ reply: RemoteReply, now: LabTime) {
        disown(key)
        drop(key, .invalidated, now: now)
        if reply != .done { suspect(key, now: now) }
    }

    /// Forgets all entries of a tag, however many there are, in one step: those that were loaded under the tag's former
    /// generation count as missing from now on. Where there is a shared cache, `remoteInvalidation` is to be asked of
    /// it next, and this to be called once more after its answer.
    public mutating func invalidateTag(_ tag: String, now: LabTime) {
        counters.invalidations &+= 1
        if tagGenerations.bump(tag) {
            event(.invalidatedTag(tag))
        } else {
            // More tags than are kept: the only safe thing is to know nothing.
            invalidateAll(now: now)
        }
    }

    /// Forgets everything, for instance because news from other processes were missed.
    public mutating func invalidateAll(now: LabTime) {
        counters.invalidations &+= 1
        for key in joinable.keys.sorted() { disown(key) }
        for id in flights.keys { flights[id]?.isOwned = false }
        if table.count > 0 { removals.note("*", .invalidated, at: now) }
        table.removeAll()
        tagGenerations.removeAll()
        event(.invalidated(key: "*"))
    }

    /// What the shared cache is to be asked for an invalidation; nil where there is none.
    public func remoteInvalidation(of key: String) -> RemoteRequest? {
        !hasRemote ? nil : .delete(keys: [remoteKey(key)])
    }

    public mutating func remoteInvalidation(ofTag tag: String) -> RemoteRequest? {
        !hasRemote ? nil : .setTag(tag: remoteKey(tag), word: freshWord())
    }

    /// The shared cache could not be changed: what stands there may be wrong for as long as it would have been good.
    public mutating func suspect(_ key: String, now: LabTime) {
        counters.suspected &+= 1
        let longest = configuration.ttl + configuration.ttl + configuration.staleWhileRevalidate
        suspects.add(key, until: now + max(longest, longest + configuration.staleIfError))
    }

    /// Whether this process hears of other processes' changes from now on. Whoever has been deaf for a while knows
    /// nothing.
    public mutating func hears(_ hears: Bool, now: LabTime) {
        guard hears != isHearing else { return }
        isHearing = hears
        if hasRemote { invalidateAll(now: now) }
    }

    /// A key, as the shared cache calls it, has changed.
    ///
    /// - Parameter isInOrder: it was said on the connection on which the shared cache answers, so that all answers that
    ///   are still to come have seen the change. What has not asked the source yet then goes on: what it brings is new.
    public mutating func heard(ofKey remote: String, now: LabTime, isInOrder: Bool = false) {
        guard remote.hasPrefix(configuration.keyPrefix) else { return }
        let key = String(remote.dropFirst(configuration.keyPrefix.count))
        counters.notices &+= 1
        disown(key, keepsUnloaded: isInOrder)
        drop(key, .notified, now: now)
    }

    public mutating func heard(ofTag remote: String, now: LabTime) {
        guard remote.hasPrefix(configuration.keyPrefix) else { return }
        counters.notices &+= 1
        let tag = String(remote.dropFirst(configuration.keyPrefix.count))
        if !tagGenerations.bump(tag) { invalidateAll(now: now) }
    }

    /// What is under way for a key may not be stored, and nobody else may join it: it may have seen what was before.
    ///
    /// - Parameter keepsUnloaded: not what has still to ask the source.
    mutating func disown(_ key: String, keepsUnloaded: Bool = false) {
        func isLeftAlone(_ id: FlightID) -> Bool { keepsUnloaded && flights[id]?.stage.isBeforeSource == true }
        if let id = joinable[key], !isLeftAlone(id) {
            joinable[key] = nil
            flights[id]?.isOwned = false
        }
        if configuration.singleFlight { return }
        for id in flights.keys where flights[id]?.key == key && !isLeftAlone(id) { flights[id]?.isOwned = false }
    }

    mutating func drop(_ key: String, _ reason: RemovalReason, now: LabTime) {
        guard table.remove(key) != nil else { return }
        if reason == .expired { counters.expirations &+= 1 }
        removals.note(key, reason, at: now)
    }

    /// Keeps a value that the program has loaded by itself (cache-aside). A value that was loaded before an
    /// invalidation is none of the layer's business here: that is cache-aside's weakness, and why there are flights.
    public mutating func put(_ key: String, _ value: (any CacheObject)?, version: UInt64 = 0, now: LabTime) {
        disown(key)
        let entry = makeEntry(
            value, .put, loadedAt: now, duration: .zero, version: version, stamps(of: key), by: "")
        store(entry, for: key, now: now, wasRead: false)
        event(filled(key, entry, isNew: true))
    }

    // MARK: Entries

    func filled(_ key: String, _ entry: CacheEntry, isNew: Bool) -> CacheEvent {
        .filled(
            key: key, entry.value == nil ? configuration.negativeTTL : configuration.ttl, isNew: isNew,
            isNegative: entry.value == nil)
    }

    func remoteKey(_ key: String) -> String { configuration.keyPrefix + key }

    mutating func freshWord() -> [UInt8] {
        Array((hexadecimal(random.next(), 16) + hexadecimal(random.next(), 16)).utf8)
    }

    func weight(of object: (any CacheObject)?) -> Int {
        guard let object, let weigh else { return 1 }
        return max(0, weigh(object))
    }

    func stamps(of key: String) -> [TagStamp] {
        guard let tags else { return [] }
        return tags(key).prefix(Self.tagLimit).map { TagStamp(tag: $0, generation: tagGenerations[$0]) }
    }

    /// Tags of a key beyond so many are left out.
    static let tagLimit = 16

    func hasCurrentTags(_ entry: CacheEntry) -> Bool { hasCurrentTags(entry.tags) }
    func hasCurrentTags(_ stamps: [TagStamp]) -> Bool {
        stamps.allSatisfy { tagGenerations[$0.tag] == $0.generation }
    }

    /// An entry with all its times, counted from when the source was asked: it is as old as the question.
    mutating func makeEntry(
        _ object: (any CacheObject)?, _ origin: CacheEntry.Origin, loadedAt: LabTime, duration: LabDuration,
        version: UInt64, _ tags: [TagStamp], by reader: String, waiters: Int = 0
    ) -> CacheEntry {
        let nominal = object == nil ? configuration.negativeTTL : configuration.ttl
        let ttl = EarlyExpiration.jittered(nominal, by: configuration.jitter, random: &random)
        var entry = CacheEntry(
            value: object, origin: origin, loadedAt: loadedAt, loadDuration: duration, freshUntil: loadedAt + ttl,
            version: version, weight: weight(of: object), tags: tags, loadedBy: reader, waiterCount: waiters)
        if object != nil {
            entry.staleUntil = entry.freshUntil + configuration.staleWhileRevalidate
            entry.errorUntil = entry.freshUntil + configuration.staleIfError
        }
        return entry
    }

    func encoded(_ entry: CacheEntry, _ tagWords: [SharedEntry.StoredTag]) -> [UInt8] {
        guard let codec else { preconditionFailure("nothing is stored where there is no shared cache") }
        // Not by chance: an entry is told from another by when it was loaded, and what it is.
        var stored = SharedEntry(
            id: (
                UInt64(bitPattern: entry.loadedAt.nanoseconds),
                chance(UInt64(bitPattern: entry.freshUntil.nanoseconds), 0)
            ),
            isLease: false)
        stored.version = entry.version
        stored.loadedAt = entry.loadedAt
        stored.loadDuration = entry.loadDuration
        stored.freshUntil = entry.freshUntil
        stored.staleUntil = entry.staleUntil
        stored.errorUntil = entry.errorUntil
        stored.tags = tagWords
        stored.value = entry.value.map { codec.encode($0) }
        return stored.encoded(schema: configuration.schemaVersion)
    }

    /// How long an entry is used without asking the shared cache, where nobody tells of changes.
    static let deafTTL = LabDuration.seconds(1)

    /// - Parameter wasRead: whether the key was read in the shared cache, so that this knows whom to tell of a change.
    mutating func store(_ entry: CacheEntry, for key: String, now: LabTime, wasRead: Bool = true) {
        var entry = entry
        let isTold = isHearing && (wasRead || !isToldOfReadsOnly)
        if let limit = configuration.localTTL ?? (!hasRemote || isTold ? nil : Self.deafTTL) {
            entry.freshUntil = min(entry.freshUntil, now + limit)
            entry.staleUntil = min(entry.staleUntil, entry.freshUntil + configuration.staleWhileRevalidate)
            entry.errorUntil = min(entry.errorUntil, entry.freshUntil + configuration.staleIfError)
        }
        entry.checkFrom = entry.freshUntil
        if configuration.strategy.contains(.readThrough), entry.value != nil {
            let window = EarlyExpiration.window(duration: entry.loadDuration, beta: configuration.earlyExpiration)
            entry.checkFrom = entry.freshUntil - window
            if configuration.strategy.contains(.refreshAhead) {
                entry.checkFrom = min(entry.checkFrom, refreshAheadTime(entry))
            }
        }
        for victim in table.put(entry, for: key) {
            counters.evictions &+= 1
            removals.note(victim, .evicted, at: now)
        }
    }
}
