import CommandKit
import CommandServices
import KernelService
import KernelStructures
import KernelWorld
import PoolerEngine
import PoolerService
import ShellSession

extension PoolerCommands {
    /// `pgbouncer --db 'urls=host=db' --pool-mode transaction`
    static var pgbouncer: Command {
        let kind = ServiceKind(
            "pgbouncer", node: "pgbouncer", port: .preset(PoolerHost.defaultPort), isConfigurable: true,
            speaksTLS: false, configurationFormat: "pgbouncer.ini")
        let description = CommandDescription(
            "pgbouncer", "shares few connections to a PostgreSQL among many clients", usage: "[FLAGS]",
            flags: kind.flags([
                .init(
                    "db", "d", .text("NAME=SERVER"), repeatable: true,
                    "a database: 'urls=host=db port=5432', or '*=host=db' for all"),
                .init("pool-mode", nil, .choice(PoolingMode.allCases.map(\.rawValue)), "pool_mode (session)"),
                .init("pool-size", nil, .integer(1...10_000), "default_pool_size (20)"),
                .init("max-clients", nil, .integer(1...1_000_000), "max_client_conn (100)"),
                .init("set", nil, .text("NAME=VALUE"), repeatable: true, "any other setting of pgbouncer.ini"),
            ]),
            examples: [
                "pgbouncer --config pgbouncer.ini &", "pgbouncer --db 'urls=host=db' --pool-mode transaction &",
                "sql postgres://localhost:6432/pgbouncer 'show pools'", "holders pgbouncer",
            ],
            group: .components, role: .service, tags: ["PGBOUNCER"],
            details: """
                Speaks PostgreSQL's protocol to both sides, with pgbouncer's settings, defaults
                and console (database pgbouncer: SHOW HELP). Without a file everybody may come
                in, and may ask the console. Prepared statements work in all modes:
                max_prepared_statements. Who is let in by a digest needs a password for the
                server in its database's line.
                TLS: client_tls_sslmode with client_tls_key_file and client_tls_cert_file,
                server_tls_sslmode; what pgbouncer knows of them is known here.
                """)
        return .service(kind, description) { invocation in
            let source = try source(invocation)
            let name = ConfigurationArgument(invocation)?.name ?? "the flags"
            return ServicePlan(check: { "\(name): OK" }) { node, service in
                let host = PoolerHost(node: node, source: source, options: service.options)
                host.onShutdown = { [weak process = invocation.process, weak host] in
                    host?.drain { process?.exit(0) }
                }
                return host
            }
        }
    }

    private static func source(_ invocation: Invocation) throws -> ConfigurationSource<PoolerConfiguration> {
        let arguments = invocation.arguments
        guard let file = ConfigurationArgument(invocation) else {
            var configuration = PoolerConfiguration()
            do throws(PoolerConfiguration.Malformed) {
                try configuration.set("auth_type", "any")
                try apply(arguments, to: &configuration)
            } catch {
                throw UsageError("pgbouncer: \(error)")
            }
            try readFiles(&configuration, invocation)
            guard !configuration.databases.isEmpty else {
                throw UsageError("pgbouncer: for which database? add --db 'urls=host=db port=5432', or --config FILE")
            }
            return ConfigurationSource(fixed: configuration, because: "it was started with --db")
        }
        let files = invocation.session.files
        let directory = directory(files)
        let read = {
            try file.read { bytes, name in
                var configuration = try PoolerConfiguration(parsing: bytes, file: name)
                let users = configuration.text("auth_file")
                if !users.isEmpty {
                    let path = users.hasPrefix("/") ? users : directory + users
                    configuration.userList = try UserList.read(try files.read(path), file: users)
                }
                try apply(arguments, to: &configuration)
                try readFiles(&configuration, invocation)
                return configuration
            }
        }
        return ConfigurationSource(try read(), read: read, bytes: file.bytes)
    }

    /// What the names of files are relative to: where it was started, and not its configuration. So has pgbouncer it.
    private static func directory(_ files: LabFiles) -> String {
        let directory = files.absolute(".")
        return directory == "/" ? "/" : directory + "/"
    }

    /// The files of TLS.
    private static func readFiles(_ configuration: inout PoolerConfiguration, _ invocation: Invocation) throws {
        let files = invocation.session.files
        let directory = directory(files)
        do {
            try configuration.readFiles { path in try files.read(path.hasPrefix("/") ? path : directory + path) }
        } catch let error as PoolerConfiguration.Malformed {
            throw UsageError("pgbouncer: \(error)")
        }
    }

    /// Flags hold against the file.
    private static func apply(_ arguments: ParsedArguments, to configuration: inout PoolerConfiguration)
        throws(PoolerConfiguration.Malformed)
    {
        for text in arguments.texts("db") {
            let (name, connection) = try pair(text, "db", "urls=host=db port=5432")
            try configuration.add(try PoolerDatabase(name, connection: connection))
        }
        if let port = arguments.port("port") { try configuration.set("listen_port", "\(port)") }
        if let mode = arguments.text("pool-mode") { try configuration.set("pool_mode", mode) }
        if let size = arguments.text("pool-size") { try configuration.set("default_pool_size", size) }
        if let limit = arguments.text("max-clients") { try configuration.set("max_client_conn", limit) }
        for text in arguments.texts("set") {
            let (name, value) = try pair(text, "set", "query_wait_timeout=5")
            try configuration.set(name, value)
        }
    }

    private static func pair(_ text: String, _ flag: String, _ example: String) throws(PoolerConfiguration.Malformed)
        -> (String, String)
    {
        guard let mark = text.firstIndex(of: "="), mark > text.startIndex else {
            throw PoolerConfiguration.Malformed("--\(flag): '\(text)' is not NAME=VALUE, such as '\(example)'")
        }
        return (String(text[..<mark]), String(text[text.index(after: mark)...]))
    }
}

extension PoolerHost: HoldersShowing {
    /// Who has a server connection now, since when, in which statement; and who waits for one.
    package func holdersView(now: LabTime) -> View {
        let columns: [View.Table.Column] = [
            .init("CONN", key: "conn", right: true), .init("DATABASE", key: "database"),
            .init("HOLDER", key: "holder", flexible: true), .init("FOR", key: "for_ms", right: true),
            .init("STATE", key: "state"), .init("STATEMENT", key: "statement", flexible: true),
        ]
        let rows = holders.map { holder -> [View.Cell] in
            [
                holder.server.map { .integer($0) } ?? .none, .text(holder.database), .text(holder.client),
                .duration(holder.duration),
                .text(holder.state, style: holder.state == "active" ? .plain : .warning),
                .text(holder.statement.replacing("\n", with: " ")),
            ]
        }
        return View(.table(.init(columns, rows: rows, whenEmpty: "nobody has a connection, and nobody waits")))
    }
}
