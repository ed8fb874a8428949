import KernelStructures

// Flights: how one load goes from step to step, whoever carries the steps out.
extension CacheLayer {
    /// Begins a flight for a key; nil if there are too many.
    mutating func take(_ key: String, _ reason: LoadReason, by reader: String, now: LabTime) -> FlightID? {
        guard flights.count < configuration.maximumLoads else { return nil }
        let id = nextFlight()
        let isSuspect = suspects.contains(key, now: now)
        var flight = Flight(
            id: id, key: key, reason: reason, startedAt: now, deadline: now + configuration.loaderTimeout,
            loadedBy: reader, isOwned: !writes.isWriting(key), tags: stamps(of: key), usesRemote: hasRemote)
        flight.stage = !hasRemote ? .source : isSuspect ? .suspect : .remote
        flights[id] = flight
        deadlines.insert(FlightDeadline(time: flight.deadline, id: id))
        if configuration.singleFlight, joinable[key] == nil { joinable[key] = id }
        return id
    }

    mutating func join(_ id: FlightID) -> Ticket {
        let ticket = nextTicket()
        flights[id]?.waiters.append(ticket)
        flights[id]?.requestCount += 1
        if let flight = flights[id] {
            event(.joined(key: flight.key, flight: id, waiting: flight.requestCount - 1))
        }
        return ticket
    }

    /// Has a reader told at the end as those who wait are: for a runner that is not itself the reader. Before `begin`.
    public mutating func attend(_ id: FlightID) -> Ticket? {
        guard flights[id] != nil else { return nil }
        let ticket = nextTicket()
        flights[id]?.waiters.append(ticket)
        return ticket
    }

    /// The key of a flight that is under way.
    public func key(of id: FlightID) -> String? { flights[id]?.key }

    /// The first step of a flight, also for whoever takes it over.
    public mutating func begin(_ id: FlightID, now: LabTime) -> FlightStep {
        guard var flight = flights[id] else { return .done(.failure(.abandoned)) }
        defer { put(flight) }
        return firstStep(&flight, now: now)
    }

    /// The next step, after what the last one came to.
    public mutating func proceed(_ id: FlightID, _ report: FlightReport, now: LabTime) -> FlightStep {
        // It timed out: those who waited have been told, and what it brings is too late.
        guard var flight = flights[id] else { return .done(.failure(.timedOut(configuration.loaderTimeout))) }
        defer { put(flight) }
        switch (flight.stage, report) {
        case (.suspect, .reply(let reply)):
            if reply == .done { suspects.remove(flight.key) } else { flight.usesRemote = false }
            return flight.usesRemote ? askRemote(&flight) : askSource(&flight, now: now)
        case (.remote, .reply(let reply)): return remoteAnswered(&flight, reply, now: now)
        case (.tags, .reply(let reply)):
            if case .failed = reply { return goWithoutRemote(&flight, reply, now: now) }
            return askRemote(&flight)
        case (.claim, .reply(let reply)):
            switch reply {
            case .done:
                flight.hasLease = true
                return askSource(&flight, now: now)
            case .refused: return askRemote(&flight)
            default: return goWithoutRemote(&flight, reply, now: now)
            }
        case (.lease, .paused): return askRemote(&flight)
        case (.source, .loaded(let loaded)): return sourceAnswered(&flight, loaded, now: now)
        case (.store, .reply(let reply)): return stored(&flight, reply, now: now)
        case (.release, .reply): return finish(&flight, now: now)
        default: preconditionFailure("a report that does not belong to the step \(flight.stage)")
        }
    }

    private mutating func put(_ flight: Flight) {
        // Not one that has ended in the meantime.
        if flights[flight.id] != nil { flights[flight.id] = flight }
    }

    private mutating func firstStep(_ flight: inout Flight, now: LabTime) -> FlightStep {
        switch flight.stage {
        case .suspect: return .ask(.delete(keys: [remoteKey(flight.key)]))
        case .source: return askSource(&flight, now: now)
        default: return askRemote(&flight)
        }
    }

    // MARK: The shared cache

    private mutating func askRemote(_ flight: inout Flight) -> FlightStep {
        flight.stage = .remote
        return .ask(.get(key: remoteKey(flight.key), tags: flight.tags.map { remoteKey($0.tag) }))
    }

    private mutating func goWithoutRemote(_ flight: inout Flight, _ reply: RemoteReply, now: LabTime) -> FlightStep {
        counters.remoteFailures &+= 1
        if case .failed(let text) = reply { event(.remoteFailed(text)) }
        flight.usesRemote = false
        return askSource(&flight, now: now)
    }

    private mutating func remoteAnswered(_ flight: inout Flight, _ reply: RemoteReply, now: LabTime) -> FlightStep {
        guard case .entry(let bytes, let words) = reply, words.count == flight.tags.count else {
            return goWithoutRemote(&flight, reply, now: now)
        }
        if words.contains(where: { $0 == nil }) {
            // A tag without a word would be the same before its first invalidation and after it was forgotten.
            flight.stage = .tags
            let missing = zip(flight.tags, words).filter { $0.1 == nil }.map { remoteKey($0.0.tag) }
            return .ask(.introduce(tags: missing, words: missing.map { _ in freshWord() }))
        }
        flight.tagWords = zip(flight.tags, words).map { .init(tag: $0.tag, word: $1 ?? []) }
        flight.expected = bytes
        flight.hasLease = false
        guard let bytes else {
            counters.remoteMisses &+= 1
            return claim(&flight, now: now)
        }
        do throws(SharedEntry.Unreadable) {
            let stored = try SharedEntry(decoding: bytes, schema: configuration.schemaVersion)
            return stored.isLease ? awaitLease(&flight, now: now) : take(stored, &flight, now: now)
        } catch {
            counters.unreadable &+= 1
            return askSource(&flight, now: now)
        }
    }

    /// Puts a lease where nothing is: whoever comes from another process waits for what this one loads.
    private mutating func claim(_ flight: inout Flight, now: LabTime) -> FlightStep {
        flight.stage = .claim
        let lease = SharedEntry(id: (random.next(), random.next()), isLease: true)
        let bytes = lease.encoded(schema: configuration.schemaVersion)
        flight.expected = bytes
        return .ask(.claim(key: remoteKey(flight.key), bytes: bytes, ttl: configuration.leaseDuration))
    }

    /// Another process loads it.
    private mutating func awaitLease(_ flight: inout Flight, now: LabTime) -> FlightStep {
        if flight.leaseDeadline == .distantFuture {
            counters.leaseWaits &+= 1
            flight.leaseDeadline = now + configuration.leaseWait
        }
        guard now < flight.leaseDeadline else {
            // It takes too long, or the other has died: load, and store if the lease is still the same.
            return askSource(&flight, now: now)
        }
        flight.stage = .lease
        return .pause(configuration.leasePoll)
    }

    private mutating func take(_ stored: SharedEntry, _ flight: inout Flight, now: LabTime) -> FlightStep {
        guard stored.tags == flight.tagWords, let entry = entry(from: stored, flight, now: now) else {
            counters.remoteMisses &+= 1
            return askSource(&flight, now: now)
        }
        // One that is loaded anew on purpose is not taken from there unless somebody else has just done it.
        let isNews =
            flight.reason == .miss || entry.loadedAt > (table[flight.key]?.loadedAt ?? entry.loadedAt - .seconds(1))
        if now < entry.freshUntil, isNews {
            counters.remoteHits &+= 1
            event(.remoteHit(key: flight.key))
            return succeed(&flight, entry, .fresh, now: now)
        }
        if now < entry.errorUntil || now < entry.staleUntil { flight.fallback = entry }
        counters.remoteMisses &+= 1
        return askSource(&flight, now: now)
    }

    /// Another machine's clock may be ahead: nothing is believed for longer than this process would have it.
    private func entry(from stored: SharedEntry, _ flight: Flight, now: LabTime) -> CacheEntry? {
        var object: (any CacheObject)?
        if let bytes = stored.value {
            guard let codec, let decoded = try? codec.decode(bytes) else { return nil }
            object = decoded
        }
        var entry = CacheEntry(
            value: object, origin: .remote, loadedAt: stored.loadedAt, loadDuration: stored.loadDuration,
            freshUntil: min(stored.freshUntil, now + configuration.ttl + configuration.ttl), version: stored.version,
            weight: weight(of: object), tags: flight.tags,
            loadedBy: flight.loadedBy)
        entry.staleUntil = min(stored.staleUntil, entry.freshUntil + configuration.staleWhileRevalidate)
        entry.errorUntil = min(stored.errorUntil, entry.freshUntil + configuration.staleIfError)
        return entry
    }

    // MARK: The source

    private mutating func askSource(_ flight: inout Flight, now: LabTime) -> FlightStep {
        flight.stage = .source
        flight.loadStartedAt = now
        event(.miss(key: flight.key, flight: flight.id, flight.reason))
        counters.loads &+= 1
        return .load
    }

    private mutating func sourceAnswered(_ flight: inout Flight, _ loaded: Loaded, now: LabTime) -> FlightStep {
        let duration = max(.zero, now - flight.loadStartedAt)
        counters.loadTime = counters.loadTime + duration
        let object: (any CacheObject)?
        var version: UInt64 = 0
        switch loaded {
        case .failed(let text): return sourceFailed(&flight, text, now: now)
        case .value(let value, let found): (object, version) = (value, found)
        case .absent: object = nil
        }
        event(
            .queried(
                key: flight.key, flight: flight.id, duration, requests: flight.requestCount, isFound: object != nil))
        let entry = makeEntry(
            object, .source, loadedAt: flight.loadStartedAt, duration: duration, version: version, flight.tags,
            by: flight.loadedBy, waiters: flight.requestCount - 1)
        guard flight.isOwned else {
            counters.discardedFills &+= 1
            return giveUpRemote(&flight, entry, now: now)
        }
        // What is known already may be newer than what a slow load has found.
        if version > 0, let known = table[flight.key], known.version > version {
            counters.discardedFills &+= 1
            return giveUpRemote(&flight, entry, now: now)
        }
        guard isKept(entry) else { return giveUpRemote(&flight, entry, now: now) }
        guard flight.usesRemote else { return succeed(&flight, entry, .loaded, now: now) }
        flight.entry = entry
        flight.stage = .store
        return .ask(
            .replace(
                key: remoteKey(flight.key), bytes: encoded(entry, flight.tagWords), expected: flight.expected,
                ttl: max(.zero, entry.endsAt - now), tells: false))
    }

    private mutating func sourceFailed(_ flight: inout Flight, _ text: String, now: LabTime) -> FlightStep {
        counters.loadFailures &+= 1
        event(.loadFailed(key: flight.key, flight: flight.id, text))
        return fail(&flight, .source(text), now: now)
    }

    /// Whether an entry is of use to anybody else.
    private func isKept(_ entry: CacheEntry) -> Bool { entry.value != nil || configuration.negativeTTL > .zero }

    /// Nothing is stored: takes the lease away, so that others do not wait for what will not come.
    private mutating func giveUpRemote(_ flight: inout Flight, _ entry: CacheEntry, now: LabTime) -> FlightStep {
        flight.outcome = .success(CacheAnswer(entry, .loaded))
        tellWaiters(&flight)
        return releaseLease(&flight, now: now)
    }

    private mutating func releaseLease(_ flight: inout Flight, now: LabTime) -> FlightStep {
        guard flight.usesRemote, flight.hasLease, let lease = flight.expected else { return finish(&flight, now: now) }
        flight.stage = .release
        return .ask(.release(key: remoteKey(flight.key), expected: lease))
    }

    private mutating func stored(_ flight: inout Flight, _ reply: RemoteReply, now: LabTime) -> FlightStep {
        guard let entry = flight.entry else { preconditionFailure("stored, and nothing was loaded") }
        switch reply {
        case .refused:
            // Somebody has changed or removed the key meanwhile: what was loaded may be older than that.
            counters.discardedFills &+= 1
            flight.isOwned = false
        case .failed(let text):
            counters.remoteFailures &+= 1
            event(.remoteFailed(text))
        default: event(filled(flight.key, entry, isNew: false))
        }
        return succeed(&flight, entry, .loaded, now: now)
    }

    // MARK: The end

    /// Keeps the entry if that is still right, and tells all.
    private mutating func succeed(
        _ flight: inout Flight, _ entry: CacheEntry, _ freshness: CacheAnswer.Freshness, now: LabTime
    ) -> FlightStep {
        if flight.isOwned, hasCurrentTags(flight.tags), configuration.keepsLocally {
            store(entry, for: flight.key, now: now, wasRead: flight.usesRemote)
            if !flight.usesRemote {
                event(filled(flight.key, entry, isNew: false))
            }
        }
        flight.outcome = .success(CacheAnswer(entry, freshness))
        tellWaiters(&flight)
        return finish(&flight, now: now)
    }

    /// The load has failed: an entry that is not too old answers in its place.
    mutating func fail(_ flight: inout Flight, _ failure: CacheFailure, now: LabTime) -> FlightStep {
        let known = table[flight.key].flatMap { hasCurrentTags($0) ? $0 : nil }
        if flight.isOwned, let entry = known ?? flight.fallback, now < entry.errorUntil {
            counters.staleIfError &+= 1
            flight.outcome = .success(CacheAnswer(entry, .stale))
        } else {
            flight.outcome = .failure(failure)
        }
        tellWaiters(&flight)
        return releaseLease(&flight, now: now)
    }

    private mutating func tellWaiters(_ flight: inout Flight) {
        guard let outcome = flight.outcome, !flight.isTold else { return }
        flight.isTold = true
        if case .success = outcome, flight.requestCount > 1 {
            event(.served(key: flight.key, flight: flight.id, requests: flight.requestCount))
        }
        for ticket in flight.waiters { effects.append(.tell(ticket, outcome)) }
        flight.waiters = []
        // Whoever comes now finds the entry, or begins another flight.
        if joinable[flight.key] == flight.id { joinable[flight.key] = nil }
    }

    private mutating func finish(_ flight: inout Flight, now: LabTime) -> FlightStep {
        tellWaiters(&flight)
        flights[flight.id] = nil
        return .done(flight.outcome ?? .failure(.abandoned))
    }
}
