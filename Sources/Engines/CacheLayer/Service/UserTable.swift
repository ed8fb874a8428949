import CacheLayerEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// The users in a PostgreSQL: the source behind the layer.
public final class UserTable {
    private let database: UserDatabase
    private let node: Node
    /// Users that are there before anybody has written one.
    private let seedCount: Int
    private var isPrepared = false
    private var isPreparing = false
    public private(set) var queryCount = 0
    public private(set) var writeCount = 0
    /// Connections to the database that have been needed so far.
    public var connectionCount: Int { database.connectionCount }

    /// - Parameter connections: to the database, at most.
    public init(node: Node, url: PostgresURL, seedCount: Int, connections: Int) {
        self.node = node
        self.seedCount = seedCount
        database = UserDatabase(node, url, limit: connections)
    }

    /// Makes the table, and people in it, where there is none. What is asked meanwhile is answered after that.
    ///
    /// - Parameter failed: hears what went wrong; the next question tries again.
    public func prepare(_ failed: @escaping (String) -> Void = { _ in }) {
        guard !isPrepared, !isPreparing else { return }
        isPreparing = true
        let table = """
            create table if not exists users (id int primary key, name text not null, email text not null, \
            version bigint not null default 1, updated_at timestamptz not null default now())
            """
        let seed = """
            insert into users (id, name, email) \
            select n, 'User ' || n, 'user' || n || '@example.com' from generate_series(1, \(seedCount)) as t(n) \
            where not exists (select 1 from users)
            """
        database.query(table) { [self] result in
            if case .failure(let failure) = result {
                isPreparing = false
                failed("\(failure)")
            }
        }
        database.query(seedCount > 0 ? seed : "select 1") { [self] result in
            isPreparing = false
            guard case .success = result else { return }
            isPrepared = true
            database.isOneConnection = false
        }
    }

    /// The number of a key; nil for a key that is no user's.
    static func id(of key: String) -> Int? { Int(key).flatMap { Int32(exactly: $0) }.map(Int.init) }

    public func load(_ key: String, _ completion: @escaping (Loaded) -> Void) {
        guard let id = Self.id(of: key) else { return completion(.absent) }
        prepare()
        queryCount += 1
        database.execute("select name, email, version from users where id = $1", [.int4(Int32(clamping: id))]) {
            result in
            switch result {
            case .failure(let failure): completion(.failed("database: \(failure)"))
            case .success(let results):
                guard let row = results.last?.texts.first else { return completion(.absent) }
                guard row.count == 3, let name = row[0], let email = row[1],
                    let version = row[2].flatMap({ UInt64($0) })
                else { return completion(.failed("database: a row that is no user")) }
                completion(.value(User(id: id, name: name, email: email, version: version), version: version))
            }
        }
    }

    /// The row that is there now, and since when as its own date says; nil where there is no such user.
    public func truth(
        of id: Int, _ completion: @escaping (Result<StalenessAudit.Truth?, LayerHost.SourceFailure>) -> Void
    ) {
        database.execute(
            "select name, email, version, (extract(epoch from updated_at) * 1000000)::bigint from users where id = $1",
            [.int4(Int32(clamping: id))]
        ) { result in
            switch result {
            case .failure(let failure): completion(.failure(.init("\(failure)")))
            case .success(let results):
                guard let row = results.last?.texts.first, row.count == 4, let name = row[0], let email = row[1],
                    let version = row[2].flatMap({ UInt64($0) }), let since = row[3].flatMap({ Int($0) })
                else { return completion(.success(nil)) }
                let time = LabTime(nanoseconds: 0) + LabDuration.microseconds(since)
                let user = User(id: id, name: name, email: email, version: version)
                completion(.success(.init(user: user, updatedAt: time)))
            }
        }
    }

    private static let upsert = """
        insert into users (id, name, email) values ($1, $2, $3) on conflict (id) do update \
        set name = excluded.name, email = excluded.email, version = users.version + 1, updated_at = now() \
        returning version
        """

    public func store(_ key: String, _ object: (any CacheObject)?, _ completion: @escaping (WriteReport) -> Void) {
        guard let id = Self.id(of: key) else { return completion(.refused("'\(key)' is no number of a user")) }
        prepare()
        writeCount += 1
        let ended: PostgresConnection.Completion = { result in
            switch result {
            case .success(let results):
                completion(.stored(version: results.last?.texts.first?.first?.flatMap { UInt64($0) } ?? 0))
            case .failure(let failure): completion(Self.report(failure))
            }
        }
        guard let user = object as? User else {
            return database.execute("delete from users where id = $1", [.int4(Int32(clamping: id))], ended)
        }
        database.execute(Self.upsert, [.int4(Int32(clamping: id)), .text(user.name), .text(user.email)], ended)
    }

    /// Whether a failed write has certainly not taken place.
    private static func report(_ failure: PostgresFailure) -> WriteReport {
        switch failure {
        case .server(let error) where error.severity != .fatal: .refused("database: \(failure)")
        case .notConnected, .connectTimedOut, .network, .noTLS, .tooManyWaiting: .refused("database: \(failure)")
        default: .unknown("database: \(failure)")
        }
    }

    /// All of a batch in one transaction. If the database refuses a row, they are written one by one, so that the
    /// others get there.
    public func storeAll(
        _ items: [WriteBehindQueue.Item], _ completion: @escaping (Result<[String], LayerHost.SourceFailure>) -> Void
    ) {
        prepare()
        database.transaction(failed: { completion(.failure(.init("\($0)"))) }) { [self] transaction, over in
            write(items[...], in: transaction) { [self] failure in
                guard let failure else {
                    return transaction.commit { failure in
                        over()
                        completion(failure.map { .failure(.init("\($0)")) } ?? .success([]))
                    }
                }
                transaction.rollback { [self] in
                    over()
                    guard case .refused = Self.report(failure), failure.sqlState != nil else {
                        return completion(.failure(.init("\(failure)")))
                    }
                    writeOneByOne(items[...], rejected: [], completion)
                }
            }
        }
    }

    private func write(
        _ items: ArraySlice<WriteBehindQueue.Item>, in transaction: PostgresTransaction,
        _ done: @escaping (PostgresFailure?) -> Void
    ) {
        guard let item = items.first else { return done(nil) }
        writeCount += 1
        let next: PostgresConnection.Completion = { [self] result in
            if case .failure(let failure) = result { return done(failure) }
            write(items.dropFirst(), in: transaction, done)
        }
        let id = PostgresValue.int4(Int32(clamping: Self.id(of: item.key) ?? 0))
        guard let user = item.value as? User else {
            return transaction.execute("delete from users where id = $1", [id], next)
        }
        transaction.execute(Self.upsert, [id, .text(user.name), .text(user.email)], next)
    }

    private func writeOneByOne(
        _ items: ArraySlice<WriteBehindQueue.Item>, rejected: [String],
        _ completion: @escaping (Result<[String], LayerHost.SourceFailure>) -> Void
    ) {
        guard let item = items.first else { return completion(.success(rejected)) }
        store(item.key, item.value) { [self] report in
            switch report {
            case .stored: writeOneByOne(items.dropFirst(), rejected: rejected, completion)
            case .refused: writeOneByOne(items.dropFirst(), rejected: rejected + [item.key], completion)
            default: completion(.failure(.init("the database went away")))
            }
        }
    }

    public func close() { database.close() }
}
