import CacheLayerEngine
import CacheLayerService
import CommandKit
import CommandServices
import KernelStructures
import KernelWire
import ShellSession

extension CacheLayerCommands {
    /// `users-api --db postgres://db:5432/postgres --redis localhost:6379`
    static var usersAPI: Command {
        let kind = ServiceKind("users-api", node: "users-api", port: .preset(8080))
        let description = CommandDescription(
            "users-api", "an application: users from a database, with a cache layer in between", usage: "[FLAGS]",
            flags: kind.flags(listens: "where it listens for HTTP", sourceFlags + layerFlags),
            examples: [
                "users-api --db postgres://db:5432/postgres --redis localhost:6379 &",
                "users-api --strategy read-through,write-behind --data-dir ./api &",
                "users-api --redis localhost:6379 --invalidation tracking &",
                "curl http://localhost:8080/users/123",
                "curl -X PUT localhost:8080/users/123 -d '{\"name\": \"Ann\", \"email\": \"a@b.org\"}'",
            ],
            group: .components, role: .service, tags: ["API"],
            details: """
                GET, PUT and DELETE /users/ID; POST /cache/invalidate?key=ID or ?tag=users;
                GET /cache/explain/ID; GET /events is what cache-monitor follows. Where there
                is no table of users yet, it makes one with --users people in it. --redis takes
                any server that speaks RESP; with --redis none it keeps entries by itself only.
                --invalidation channel: the applications tell one another (PUBLISH).
                tracking: the cache tells who has read a key, also of changes made by hand
                (CLIENT TRACKING). broadcast: it tells of all users. All applications around
                one cache use the same of them.
                A connection to the database answers one question after another: with ten of
                them, loads of ten users at a time do not wait for one another.
                A TTL is spread by --jitter, so that entries made together do not end together.
                See also: cache-monitor, load-test, cache-layer.
                """)
        return .service(kind, description) { invocation in
            let words = UsersAPIWords(invocation)
            let settings = try words.settings()
            return ServicePlan { node, service in
                UsersAPI(node: node, port: service.port, settings: settings, options: service.options)
            }
        }
    }

    private static var sourceFlags: [CommandDescription.Flag] {
        [
            .init("db", "d", .text("URL"), "the database (postgres://localhost:5432/postgres)"),
            .init(
                "db-connections", nil, .integer(UsersAPI.Settings.databaseConnectionRange),
                "connections to the database at most (10)"),
            .init("redis", nil, .text("HOST:PORT"), "the shared cache, or none (localhost:6379)"),
            .init("redis-timeout", nil, .duration(), "how long it has for an answer (500ms)"),
            .init(
                "invalidation", nil, .choice(CacheInvalidation.allCases.map(\.rawValue)),
                "how it hears of others' changes (channel)"),
            .init("users", nil, .integer(0...100_000), "people in a table that it makes (1000)"),
            .init("data-dir", nil, .file, "where writes are kept that the database has not got (./users-api)"),
            .init("audit", nil, .integer(0...100), "of 100 hits, how many are compared with the database (0)"),
        ]
    }

    private static var layerFlags: [CommandDescription.Flag] {
        [
            .init(
                "strategy", nil, .text("LIST"),
                "read-through, refresh-ahead, and write-through, -behind or -around (read-through,write-through)"),
            .init("ttl", nil, .duration(), "how long an entry is fresh (10m)"),
            .init("jitter", nil, .integer(0...100), "by how many percent that may differ (10)"),
            .init(
                "stale-while-revalidate", nil, .duration(allowsZero: true), "given out after that, while loading (0s)"),
            .init("stale-if-error", nil, .duration(allowsZero: true), "given out after that, if loading fails (0s)"),
            .init("negative-ttl", nil, .duration(allowsZero: true), "how long it is known that nobody is there (30s)"),
            .init("early", nil, .integer(0...1000), "β of XFetch in hundredths; 0: never early (100)"),
            .init("no-single-flight", nil, "everybody loads for himself"),
            .init("no-local", nil, "asks the shared cache for each read"),
            .init("loader-timeout", nil, .duration(), "how long a load may take (10s)"),
            .init("max-entries", nil, .integer(1...10_000_000), "entries of this process (10000)"),
            .init("flush-delay", nil, .duration(allowsZero: true), "how long write-behind gathers (100ms)"),
            .init("flush-batch", nil, .integer(1...1_000), "writes of one batch (100)"),
            .init("queue", nil, .integer(1...1_000_000), "users whose writes may wait (10000)"),
        ]
    }
}

/// The words of `users-api`.
private struct UsersAPIWords {
    private let arguments: ParsedArguments
    private let session: Session

    init(_ invocation: Invocation) {
        arguments = invocation.arguments
        session = invocation.session
    }

    private func fail(_ text: String) -> UsageError { UsageError("users-api: \(text)") }

    func settings() throws -> UsersAPI.Settings {
        let url: PostgresURL
        do throws(PostgresURL.Malformed) {
            url = try PostgresURL(arguments.text("db") ?? "postgres://localhost:5432/postgres")
        } catch {
            throw fail("--db: \(error)")
        }
        if url.tls != .disable { throw fail("--db: it speaks to the database without TLS; leave out sslmode") }
        var settings = UsersAPI.Settings(database: url)
        settings.cache = try cache()
        settings.cacheTimeout = arguments.duration("redis-timeout") ?? settings.cacheTimeout
        settings.invalidation =
            arguments.text("invalidation").flatMap { CacheInvalidation(rawValue: $0) } ?? settings.invalidation
        settings.seedCount = arguments.integer("users") ?? settings.seedCount
        settings.databaseConnections = arguments.integer("db-connections") ?? settings.databaseConnections
        settings.auditPercent = arguments.integer("audit") ?? 0
        settings.directory = session.files.absolute(arguments.text("data-dir") ?? "users-api")
        settings.queue.delay = arguments.duration("flush-delay") ?? settings.queue.delay
        settings.queue.batchSize = arguments.integer("flush-batch") ?? settings.queue.batchSize
        settings.queue.capacity = arguments.integer("queue") ?? settings.queue.capacity
        try configure(&settings.configuration)
        return settings
    }

    private func cache() throws -> HostPort? {
        let text = arguments.text("redis") ?? "localhost:6379"
        if text == "none" { return nil }
        guard let place = HostPort(parsing: text) else {
            throw fail("--redis: '\(text)' is not a HOST:PORT; to do without say --redis none")
        }
        return place
    }

    private func configure(_ configuration: inout CacheConfiguration) throws {
        if let list = arguments.text("strategy") { configuration.strategy = try strategy(list) }
        configuration.ttl = arguments.duration("ttl") ?? configuration.ttl
        configuration.jitter = Double(arguments.integer("jitter") ?? 10) / 100
        configuration.staleWhileRevalidate = arguments.duration("stale-while-revalidate") ?? .zero
        configuration.staleIfError = arguments.duration("stale-if-error") ?? .zero
        configuration.negativeTTL = arguments.duration("negative-ttl") ?? configuration.negativeTTL
        configuration.earlyExpiration = Double(arguments.integer("early") ?? 100) / 100
        configuration.singleFlight = !arguments.has("no-single-flight")
        configuration.keepsLocally = !arguments.has("no-local")
        configuration.loaderTimeout = arguments.duration("loader-timeout") ?? configuration.loaderTimeout
        configuration.maximumEntries = arguments.integer("max-entries") ?? configuration.maximumEntries
        do throws(CacheConfiguration.Invalid) { try configuration.validate() } catch { throw fail("\(error)") }
    }

    private func strategy(_ list: String) throws -> CacheStrategy {
        let names: [(String, CacheStrategy)] = [
            ("read-through", .readThrough), ("refresh-ahead", .refreshAhead), ("write-through", .writeThrough),
            ("write-behind", .writeBehind), ("write-around", .writeAround),
        ]
        return try list.split(separator: ",", omittingEmptySubsequences: false).reduce(into: []) { strategy, word in
            guard let known = names.first(where: { $0.0 == word }) else {
                let all = names.map(\.0)
                throw fail(
                    "--strategy: '\(word)' is none of \(all.joined(separator: ", "))\(didYouMean(String(word), among: all))"
                )
            }
            strategy.formUnion(known.1)
        }
    }
}

extension Session {
    /// A running application with a cache layer by its node's name, or the only one there is.
    ///
    /// - Throws: `CommandFailure` if there is none, or not just one.
    func usersAPI(named name: String?) throws -> UsersAPI {
        try running(UsersAPI.self, named: name, what: "application with a cache layer", start: "users-api &")
    }
}
