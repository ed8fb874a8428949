import KernelStructures

/// What a cache can stand in front of: something that has values under keys.
///
/// ```swift
/// struct UserRepository: CacheableRepository {
///     func fetch(_ id: Int) async throws -> User? { try await database.user(id) }
///     func update(_ user: User?, for id: Int) async throws -> UInt64 { try await database.store(user, id) }
/// }
/// ```
public protocol CacheableRepository: Sendable {
    /// Its description is the key in the cache.
    associatedtype Key: Hashable & Sendable & LosslessStringConvertible
    associatedtype Value: Sendable

    /// The value under a key; nil where there is none, which is remembered, too.
    func fetch(_ key: Key) async throws -> Value?
    /// Several at once. Without one of its own, a `fetch` each.
    func fetchAll(_ keys: [Key]) async throws -> [Key: Value]
    /// Stores a value, or removes what is there for nil.
    ///
    /// - Returns: a number that grows with each change of that key, where the source has one; otherwise 0. With it, a
    ///   writer that was late can never put an older value over a newer one.
    func update(_ value: Value?, for key: Key) async throws -> UInt64
    /// The version of a value that was fetched; 0 where there is none.
    func version(of value: Value) -> UInt64
}

extension CacheableRepository {
    public func fetchAll(_ keys: [Key]) async throws -> [Key: Value] {
        var values: [Key: Value] = [:]
        for key in keys { if let value = try await fetch(key) { values[key] = value } }
        return values
    }

    public func version(of value: Value) -> UInt64 { 0 }
}

/// A value that can be stored where other processes find it.
public protocol CacheCodable: Sendable {
    /// - Throws: if the bytes are no such value; that counts as missing.
    init(cacheBytes: [UInt8]) throws
    var cacheBytes: [UInt8] { get }
}

/// An error after which nobody knows whether a write has taken place: a connection that broke before the answer.
public protocol UncertainOutcome: Error {}

/// A client of Redis, or of anything that speaks its commands, as the layer needs it.
public protocol CacheBackend: Sendable {
    /// Sends commands one behind the other on one connection, and returns a reply for each.
    func send(_ commands: RESPDialect.Commands) async throws -> [RESPReply]
    /// The same in two trips, with nobody else on the connection in between: `WATCH` belongs to it. With no commands
    /// from `then` the second trip is left out, and the answer is empty.
    func send(
        _ commands: RESPDialect.Commands, then: @Sendable ([RESPReply]) -> RESPDialect.Commands
    ) async throws -> [RESPReply]
}

/// Where writes are kept until the source has them (`CacheStrategy.writeBehind`). Without one they live in memory, and
/// a crash loses them.
public protocol CacheJournal: Sendable {
    /// Everything that was appended so far; read once, at the start.
    func contents() async throws -> [UInt8]
    /// Appends, and returns once a crash cannot take it any more.
    func append(_ bytes: [UInt8]) async throws
}
