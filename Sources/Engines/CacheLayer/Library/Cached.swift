import KernelClock
import KernelStructures
import Synchronization

/// A repository with a cache in front of it, for any Swift program: many threads and tasks may use one at a time.
///
/// ```swift
/// let users = try Cached.wrap(
///     repository,
///     .init(strategy: [.readThrough, .writeThrough], ttl: .minutes(10), keyPrefix: "user:", singleFlight: true),
///     backend: redis)
///
/// let user = try await users.value(123)  // a hit, or one load for all who ask
/// try await users.update(changed, for: 123)  // the database first, then the cache
/// ```
///
/// Everything happens in the task of whoever asks. Only what nobody waits for (loads before the end of an entry's time,
/// batches of write-behind) is done by `run`, if a task of the program's calls it; without, whoever meets such a load
/// makes it.
///
/// The decisions are `CacheLayer`'s, behind a lock that is held for the length of a decision and never during a load.
public final class Cached<Repository: CacheableRepository>: Sendable {
    public typealias Key = Repository.Key
    public typealias Value = Repository.Value

    /// A value as the engine keeps it.
    @usableFromInline final class Box: Sendable {
        @usableFromInline let value: Value
        @usableFromInline init(_ value: Value) { self.value = value }
    }

    public let repository: Repository
    @usableFromInline let core: CacheCore

    /// Puts a cache in front of a repository, within this process.
    ///
    /// - Parameters:
    ///   - weigh: how much of `maximumWeight` a value takes.
    ///   - tags: a key's tags; its entry can be invalidated by each of them.
    ///   - journal: where write-behind keeps its writes.
    ///   - clock: what time it is; the machine's monotonic clock unless given. It must never go back.
    ///   - seed: of jitter and early loads; another one in each process unless given.
    /// - Throws: `CacheConfiguration.Invalid`.
    public static func wrap(
        _ repository: Repository, _ configuration: CacheConfiguration = .init(),
        weigh: (@Sendable (Value) -> Int)? = nil, tags: (@Sendable (Key) -> [String])? = nil,
        journal: (any CacheJournal)? = nil, clock: CacheClock = .machine, seed: UInt64? = nil
    ) throws(CacheConfiguration.Invalid) -> Cached {
        try Cached(
            repository, configuration, codec: nil, backend: nil, weigh: weigh, tags: tags, journal: journal,
            clock: clock, seed: seed)
    }

    /// The same with a cache behind this process's, which others share.
    ///
    /// - Parameters:
    ///   - channel: where processes tell one another of changes, by PUBLISH; what comes there goes to `heard`.
    ///   - tracksReads: the backend's one connection has begun with CLIENT TRACKING ON NOLOOP, and what it is told on
    ///     it goes to `heard(changed:)`; when it ends, and once the next one has begun, `hears` is told.
    ///   - clock: the machine's calendar unless given, because entries say until when they are fresh.
    public static func wrap(
        _ repository: Repository, _ configuration: CacheConfiguration = .init(), backend: any CacheBackend,
        channel: String? = nil, tracksReads: Bool = false, weigh: (@Sendable (Value) -> Int)? = nil,
        tags: (@Sendable (Key) -> [String])? = nil, journal: (any CacheJournal)? = nil, clock: CacheClock = .calendar,
        seed: UInt64? = nil
    ) throws(CacheConfiguration.Invalid) -> Cached where Value: CacheCodable {
        let codec = CacheCodec(
            encode: { unsafeDowncast($0, to: Box.self).value.cacheBytes },
            decode: { Box(try Value(cacheBytes: $0)) })
        return try Cached(
            repository, configuration, codec: codec, backend: backend, channel: channel, tracksReads: tracksReads,
            weigh: weigh, tags: tags, journal: journal, clock: clock, seed: seed)
    }

    init(
        _ repository: Repository, _ configuration: CacheConfiguration, codec: CacheCodec?,
        backend: (any CacheBackend)?, channel: String? = nil, tracksReads: Bool = false,
        weigh: (@Sendable (Value) -> Int)?, tags: (@Sendable (Key) -> [String])?, journal: (any CacheJournal)?,
        clock: CacheClock, seed: UInt64?
    ) throws(CacheConfiguration.Invalid) {
        try configuration.validate()
        if journal != nil, codec == nil {
            throw .init(description: "journal: values must be CacheCodable, and a backend given, to be written down")
        }
        self.repository = repository
        var random = SeededRandom(seed: seed ?? SeededRandom.processSeed ^ UInt64(bitPattern: clock.now().nanoseconds))
        let dialect = RESPDialect(channel: channel, origin: hexadecimal(random.next(), 16), readsBack: tracksReads)
        var weighBox: (@Sendable (any CacheObject) -> Int)?
        if let weigh { weighBox = { weigh(unsafeDowncast($0, to: Box.self).value) } }
        var tagsOfName: (@Sendable (String) -> [String])?
        if let tags { tagsOfName = { name in Key(name).map { tags($0) } ?? [] } }
        var engine = CacheLayer(configuration, codec: codec, random: random, weigh: weighBox, tags: tagsOfName)
        engine.isToldOfReadsOnly = tracksReads
        core = CacheCore(
            engine, backend: backend, dialect: dialect, journal: journal, now: clock.now, roughNow: clock.roughNow,
            pause: clock.pause)
    }

    // MARK: Reading

    /// The value under a key: from the cache, or loaded once for all who ask meanwhile. nil where there is none.
    ///
    /// A hit runs where its caller runs, and costs what `cached` does.
    ///
    /// - Throws: what the repository throws, or `CacheFailure` for the error of somebody else's load;
    ///   `CancellationError`.
    @inlinable public func value(
        _ key: Key, by reader: String = "", isolation: isolated (any Actor)? = #isolation
    ) async throws -> Value? {
        if let found = core.fresh(key.description) { return Self.value(of: found) }
        return try await load(key, by: reader)
    }

    @usableFromInline func load(_ key: Key, by reader: String) async throws -> Value? {
        let name = key.description
        let thrown = Thrown()
        do throws(CacheFailure) {
            return try await core.read(name, by: reader, load(key, thrown)).flatMap(Self.value)
        } catch {
            if Task.isCancelled { throw CancellationError() }
            throw thrown.error ?? error
        }
    }

    /// The value if it is there and fresh; asks nobody, and never waits.
    @inlinable public func cached(_ key: Key) -> Value? { core.fresh(key.description).flatMap(Self.value) }

    /// Several values: those that are there, the rest in one load.
    ///
    /// - Throws: as `value`, if any of them fails.
    public func values(_ keys: [Key], by reader: String = "") async throws -> [Key: Value] {
        try await bulk(keys, by: reader)
    }

    @inlinable static func value(of found: CacheAnswer) -> Value? {
        // Only boxes are put into the core.
        found.value.map { unsafeDowncast($0, to: Box.self).value }
    }

    /// The repository's own error, for the one whose load it was.
    final class Thrown: Sendable {
        private let first = Mutex<(any Error)?>(nil)
        var error: (any Error)? { first.withLock { $0 } }
        func note(_ error: any Error) { first.withLock { $0 = $0 ?? error } }
    }

    func load(_ key: Key, _ thrown: Thrown) -> @Sendable () async -> Loaded {
        { [repository] in
            do {
                guard let value = try await repository.fetch(key) else { return .absent }
                return .value(Box(value), version: repository.version(of: value))
            } catch {
                thrown.note(error)
                return .failed("\(error)")
            }
        }
    }

    // MARK: Writing

    /// Writes a value by the configured strategy; nil removes it.
    ///
    /// - Throws: what the repository throws (nothing has changed then, unless it is an `UncertainOutcome`), or
    ///   `CacheFailure`.
    public func update(_ value: Value?, for key: Key, by writer: String = "") async throws {
        let thrown = Thrown()
        do throws(CacheFailure) {
            try await core.write(key.description, value.map { Box($0) }, by: writer) { [repository] in
                do {
                    return .stored(version: try await repository.update(value, for: key))
                } catch {
                    thrown.note(error)
                    let isUncertain = error is CancellationError || error is any UncertainOutcome
                    return isUncertain ? .unknown("\(error)") : .refused("\(error)")
                }
            }
        } catch {
            if case .abandoned = error { throw CancellationError() }
            throw thrown.error ?? error
        }
    }

    /// Keeps a value that the program has loaded by itself (cache-aside), in this process.
    public func put(_ value: Value?, for key: Key) {
        core.perform { $0.put(key.description, value.map { Box($0) }, now: $1) }
    }

    /// Forgets a key, here and in the shared cache.
    public func invalidate(_ key: Key) async {
        let name = key.description
        let request = core.perform { engine, now in
            engine.invalidate(name, now: now)
            return engine.remoteInvalidation(of: name)
        }
        guard let request else { return }
        let reply = await core.ask(request)
        core.perform { $0.invalidated(name, reply, now: $1) }
    }

    /// Forgets all entries of a tag.
    ///
    /// - Throws: `CacheFailure` if the shared cache could not be told: there they live until their time is over.
    public func invalidate(tag: String) async throws(CacheFailure) {
        let request = core.perform { engine, now in
            engine.invalidateTag(tag, now: now)
            return engine.remoteInvalidation(ofTag: tag)
        }
        guard let request else { return }
        let reply = await core.ask(request)
        core.perform { $0.invalidateTag(tag, now: $1) }
        if case .failed(let text) = reply { throw .outcomeUnknown(text) }
    }

    /// Forgets everything that this process keeps.
    public func invalidateAll() { core.perform { $0.invalidateAll(now: $1) } }

    /// Another process has said on the channel that something has changed.
    public func heard(_ notice: String) {
        switch core.dialect.notice(notice) {
        case .key(let key)?: core.perform { $0.heard(ofKey: key, now: $1) }
        case .tag(let tag)?: core.perform { $0.heard(ofTag: tag, now: $1) }
        case nil: break
        }
    }

    /// The shared cache itself has said that keys, as it calls them, have changed; nil: all of them. On the connection
    /// on which it answers, so that what it answers later has seen the change (RESP3's push `invalidate`).
    public func heard(changed keys: [String]?) {
        core.perform { engine, now in
            guard let keys else { return engine.invalidateAll(now: now) }
            for key in keys {
                switch core.dialect.notice(ofKey: key) {
                case .key(let key): engine.heard(ofKey: key, now: now, isInOrder: true)
                case .tag(let tag): engine.heard(ofTag: tag, now: now)
                }
            }
        }
    }

    /// Whether changes are heard of from now on. Who has been deaf forgets everything, and while it lasts uses entries
    /// of his own for a second only.
    public func hears(_ hears: Bool) { core.perform { $0.hears(hears, now: $1) } }

    // MARK: Looking

    /// The engine's numbers at this moment.
    public func withEngine<R: Sendable>(_ body: (borrowing CacheLayer, LabTime) -> R) -> R {
        let now = core.now()
        return core.state.withLock { body($0.engine, now) }
    }

    /// What is known about a key, and how that came about.
    public func explain(_ key: Key) -> CacheExplanation {
        let now = core.now()
        return core.state.withLock { $0.engine.explain(key.description, now: now) }
    }
}
