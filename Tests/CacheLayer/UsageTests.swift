import CacheLayerEngine
import Synchronization
import Testing

/// What the README shows of the library, compiled and run.
@Suite(.timeLimit(.minutes(5))) struct UsageTests {
    /// A Redis of which only the answers exist.
    private final class Redis: CacheBackend {
        private let entries = Mutex<[[UInt8]: [UInt8]]>([:])
        let commandCount = Atomic<Int>(0)

        private func reply(_ words: [[UInt8]]) -> RESPReply {
            commandCount.add(1, ordering: .relaxed)
            return entries.withLock { entries in
                switch String(decoding: words[0], as: UTF8.self) {
                case "GET": return entries[words[1]].map { .bytes($0) } ?? .null
                case "SET":
                    let isNew = words.contains(Array("NX".utf8))
                    if isNew, entries[words[1]] != nil { return .null }
                    entries[words[1]] = words[2]
                    return .bytes(Array("OK".utf8))
                case "DEL":
                    for key in words.dropFirst() { entries[key] = nil }
                    return .integer(1)
                default: return .bytes(Array("OK".utf8))
                }
            }
        }

        func send(_ commands: RESPDialect.Commands) async throws -> [RESPReply] { commands.map(reply) }
        func send(_ commands: RESPDialect.Commands, then: @Sendable ([RESPReply]) -> RESPDialect.Commands)
            async throws -> [RESPReply]
        { then(commands.map(reply)).map(reply) }
    }

    /// A database that counts.
    private final class Database: Sendable {
        let users = Mutex<[Int: String]>([123: "Ann"])
        let queries = Atomic<Int>(0)
        let writes = Atomic<Int>(0)

        func user(_ id: Int) async throws -> User? {
            queries.add(1, ordering: .relaxed)
            await Task.yield()
            return users.withLock { $0[id] }.map { User(name: $0) }
        }
        func store(_ user: User?, _ id: Int) async throws -> UInt64 {
            writes.add(1, ordering: .relaxed)
            users.withLock { $0[id] = user?.name }
            return 0
        }
    }

    private struct User: CacheCodable, Equatable {
        var name: String
        init(name: String) { self.name = name }
        init(cacheBytes: [UInt8]) throws { name = String(decoding: cacheBytes, as: UTF8.self) }
        var cacheBytes: [UInt8] { Array(name.utf8) }
    }

    @Test("the usage in the README does what it says")
    func readme() async throws {
        // @covers CL-B1 CL-H1 CL-C1
        let database = Database()
        let redis = Redis()

        // README begins
        struct UserRepository: CacheableRepository {
            let database: Database
            func fetch(_ id: Int) async throws -> User? { try await database.user(id) }
            func update(_ user: User?, for id: Int) async throws -> UInt64 { try await database.store(user, id) }
        }

        let users = try Cached.wrap(
            UserRepository(database: database),
            .init(strategy: [.readThrough, .writeThrough], ttl: .minutes(10), keyPrefix: "user:", singleFlight: true),
            backend: redis)

        var user = try await users.value(123)  // a hit, or one load for all who ask meanwhile
        user?.name = "Anne"
        try await users.update(user, for: 123)  // the database first, then the cache
        // README ends

        #expect(try await users.value(123)?.name == "Anne")
        #expect(database.queries.load(ordering: .relaxed) == 1)
        #expect(database.writes.load(ordering: .relaxed) == 1)
        #expect(redis.commandCount.load(ordering: .relaxed) > 3)
        // Another process, with nothing of its own yet, finds it in Redis.
        let other = try Cached.wrap(
            UserRepository(database: database), .init(ttl: .minutes(10), keyPrefix: "user:"), backend: redis)
        #expect(try await other.value(123)?.name == "Anne")
        #expect(database.queries.load(ordering: .relaxed) == 1)
        await other.invalidate(123)
        #expect(try await other.value(123)?.name == "Anne")
        #expect(database.queries.load(ordering: .relaxed) == 2)
        #expect(try await users.value(5) == nil)
        #expect(try await users.value(5) == nil)
        #expect(database.queries.load(ordering: .relaxed) == 3, "that nobody is there is known, too")
    }
}
