import CommandKit
import CommandServices
import DatabaseEngine
import DatabaseService
import KernelStructures
import KernelWire
import ShellSession

extension DatabaseCommands {
    /// `postgres --data-dir ./pg --port 5432`
    static var postgres: Command {
        let kind = ServiceKind("postgres", node: "db", port: .preset(5432))
        let description = CommandDescription(
            "postgres", "a relational database, which speaks PostgreSQL's protocol",
            usage: "[--data-dir DIR] [--port PORT] [FLAGS]",
            flags: kind.flags([
                .init("data-dir", "D", .file, "where its databases are (./pg)"),
                .init("latency", nil, .duration(), "every statement takes so much longer (0)"),
                .init(
                    "auth", nil, .choice(PostgresAuthenticator.Method.allCases.map(\.rawValue)),
                    "how clients show who they are (trust)"),
                .init("users", nil, .file, "who may come: lines of \"name\" \"password\", as pgbouncer's userlist"),
                .init("max-connections", nil, .integer(1...100_000), "clients at a time (10000)"),
                .init("cache-size", nil, .byteCount, "bytes of pages that a connection keeps (8MiB)"),
                .init("max-wal-size", nil, .byteCount, "bytes of the log before a checkpoint (4MiB)"),
                .init("statement-timeout", nil, .duration(), "the longest a statement may take (unlimited)"),
            ]),
            examples: [
                "postgres --data-dir ./pg --port 5432", "postgres --latency 45ms",
                "sql 'select version()'", "stats",
            ],
            group: .components, role: .service, tags: ["DB"],
            details: """
                psql, psycopg, SQLAlchemy and pgbench can talk to it:
                  psql -h localhost -U postgres postgres
                The SQL is PostgreSQL 15's as far as it goes, and refused with a message where
                it does not; SQLite keeps the data. One transaction writes at a time, and the
                others wait in line without blocking readers.
                What was acknowledged survives kill -9 and power loss: one sync serves all
                clients of a turn. If the sync fails, nobody is answered and the node ends.
                """)
        return .service(kind, description) { invocation in
            let settings = try databaseSettings(invocation)
            return ServicePlan { node, service in
                var settings = settings
                settings.options.seed = node.draw { $0.next() }
                return DatabaseHost(node: node, port: service.port, settings: settings, options: service.options)
            }
        }
    }

    private static func databaseSettings(_ invocation: Invocation) throws -> DatabaseHost.Settings {
        let arguments = invocation.arguments
        let directory = arguments.text("data-dir") ?? "./pg"
        var settings = DatabaseHost.Settings(
            directory: invocation.session.files.absolute(directory), text: directory)
        if let latency = arguments.duration("latency") { settings.options.latency = latency }
        if let count = arguments.integer("max-connections") { settings.options.sessionLimit = count }
        if let count = arguments.byteCount("cache-size") { settings.options.cacheByteCount = count }
        if let count = arguments.byteCount("max-wal-size") { settings.options.checkpointByteCount = count }
        if let timeout = arguments.duration("statement-timeout") {
            let milliseconds = max(1, timeout.nanoseconds / 1_000_000)
            settings.options.settings.append(("statement_timeout", String(milliseconds)))
        }
        if let method = arguments.text("auth").flatMap(PostgresAuthenticator.Method.init(rawValue:)) {
            settings.options.authentication = method
        }
        if let file = arguments.text("users") {
            let path = invocation.session.files.absolute(file)
            settings.options.secrets = try users(
                String(decoding: try invocation.session.files.read(path), as: UTF8.self), file)
        }
        if settings.options.authentication != .trust, settings.options.secrets.isEmpty {
            throw UsageError(
                "postgres: with --auth \(settings.options.authentication.rawValue) nobody could come; add --users FILE")
        }
        return settings
    }

    /// `"name" "secret"` a line; `;` begins a comment.
    private static func users(_ text: String, _ file: String) throws -> [String: PostgresAuthenticator.Secret] {
        var secrets: [String: PostgresAuthenticator.Secret] = [:]
        // CR LF is one character to Swift.
        let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        for (index, line) in lines.enumerated() {
            let parts = line.split(separator: "\"", omittingEmptySubsequences: false)
            if line.allSatisfy(\.isWhitespace) || line.first == ";" { continue }
            guard parts.count == 5, !parts[1].isEmpty else {
                throw UsageError("postgres: \(file):\(index + 1): a line has the form \"name\" \"password\"")
            }
            secrets[String(parts[1])] = .init(parsing: String(parts[3]))
        }
        return secrets
    }
}
