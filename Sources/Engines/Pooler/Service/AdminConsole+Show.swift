import ConnectionPoolEngine
import KernelStructures
import KernelWire
import KernelWorld
import PoolerEngine

/// SHOW: pgbouncer 1.18's tables, with its columns.
extension AdminConsole {
    private var now: LabTime { host.node.world.now }

    func show(_ subject: AdminCommand.Subject) {
        switch subject {
        case .pools: pools()
        case .clients: clients()
        case .servers: servers()
        case .sockets, .activeSockets: sockets()
        case .stats: statistics(Self.totalNames + Self.averageNames) { $0.totals.totals + $0.averages }
        case .totals: statistics(Self.totalNames.map { $0.replacing("total_", with: "") }) { $0.totals.totals }
        case .averages: statistics(Self.averageNames.map { $0.replacing("avg_", with: "") }) { $0.averages }
        case .sums: sums()
        case .lists: lists()
        case .config: configuration()
        case .databases: databases()
        case .users: users()
        case .version: table(["version"], [[.text("PgBouncer 1.18.0 (sdlab)")]])
        case .state: table(["key", "value"], [[.text("paused"), .text(host.isPaused ? "yes" : "no")]])
        case .mem: table(["name", "size", "used", "free", "memtotal"], [])
        // Neither descriptors nor names that are looked up by themselves are here.
        case .descriptors:
            table(
                [
                    "fd", "task", "user", "database", "addr", "port", "cancel", "link", "client_encoding",
                    "std_strings", "datestyle", "timezone", "password", "scram_client_key", "scram_server_key",
                ], [])
        case .hosts: table(["hostname", "ttl", "addrs"], [])
        case .zones: table(["zonename", "serial", "count"], [])
        case .prepared: prepared()
        case .help: help()
        }
    }

    private func help() {
        let lines =
            AdminCommand.Subject.allCases.map { "SHOW \($0.rawValue.uppercased())" } + [
                "SET key = value", "RELOAD", "PAUSE [<db>]", "RESUME [<db>]", "DISABLE <db>", "ENABLE <db>",
                "RECONNECT [<db>]", "KILL <db>", "WAIT_CLOSE [<db>]", "SHUTDOWN",
            ]
        table(["command"], lines.map { [.text($0)] })
    }

    private func pools() {
        let columns = [
            "database", "user", "cl_active", "cl_waiting", "cl_active_cancel_req", "cl_waiting_cancel_req",
            "sv_active", "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used", "sv_tested", "sv_login",
            "maxwait", "maxwait_us", "pool_mode",
        ]
        let rows = host.pools.filter { !$0.isReplaced }.map { pool -> [Cell] in
            let engine = pool.engine
            let waiting = engine.waitingCount
            let wait = pool.longestWait(now: now).nanoseconds / 1000
            let checking = engine.listings.count { $0.state == "checking" || $0.state == "resetting" }
            let cancelled = pool.allServers.count { $0.cancellations > 0 }
            return [
                .text(pool.database.name), .text(pool.user), .number(max(0, pool.clientCount - waiting)),
                .number(waiting), .number(cancelled), .number(0), .number(engine.inUseCount), .number(0),
                .number(cancelled), .number(engine.idleCount - checking), .number(0), .number(checking),
                .number(engine.openingCount), .number(Int(wait / 1_000_000)), .number(Int(wait % 1_000_000)),
                .text(pool.mode.rawValue),
            ]
        }
        var own = [Cell](repeating: .number(0), count: columns.count)
        own[0] = .text(PoolerConfiguration.adminDatabase)
        own[1] = .text(PoolerConfiguration.adminDatabase)
        own[2] = .number(host.allClients.count { $0.phase == .admin })
        own[columns.count - 1] = .text(PoolingMode.statement.rawValue)
        table(columns, [own] + rows)
    }

    private static let socketColumns = [
        "type", "user", "database", "state", "addr", "port", "local_addr", "local_port", "connect_time",
        "request_time", "wait", "wait_us", "close_needed", "ptr", "link", "remote_pid", "tls", "application_name",
    ]

    private func clients() { table(Self.socketColumns, host.allClients.filter { !$0.user.isEmpty }.map(row)) }
    private func servers() { table(Self.socketColumns, host.pools.flatMap(\.allServers).map(row)) }

    private func sockets() {
        let clients = host.allClients.filter { !$0.user.isEmpty }.map(row)
        table(Self.socketColumns, clients + host.pools.flatMap(\.allServers).map(row))
    }

    private func row(_ client: PoolerClient) -> [Cell] {
        let wait = client.isWaiting ? (now - client.requestedAt).nanoseconds / 1000 : 0
        return [
            .text("C"), .text(client.user), .text(client.databaseName),
            .text(client.isWaiting ? "waiting" : "active"), .text("\(client.stream.remote.address)"),
            .number(Int(client.stream.remote.port)), .text("\(client.stream.local.address)"),
            .number(Int(client.stream.local.port)), .text(Self.time(client.connectedAt)),
            .text(Self.time(client.requestedAt)), .number(Int(wait / 1_000_000)), .number(Int(wait % 1_000_000)),
            .number(0), .text("c\(client.number)"), .text(client.server.map { "s\($0.id.number)" } ?? ""),
            .number(0), .text(client.stream.security?.summary ?? ""),
            .text(client.settings["application_name"] ?? ""),
        ]
    }

    private func row(_ server: PoolerServer) -> [Cell] {
        let stream = server.session?.stream
        let state = server.client != nil ? "active" : server.isReady ? "idle" : stream == nil ? "login" : "tested"
        return [
            .text("S"), .text(server.pool.url.user), .text(server.pool.database.name), .text(state),
            .text(stream.map { "\($0.remote.address)" } ?? ""), .number(Int(server.pool.url.destination.port)),
            .text(stream.map { "\($0.local.address)" } ?? ""), .number(stream.map { Int($0.local.port) } ?? 0),
            .text(Self.time(server.openedAt)), .text(Self.time(server.requestedAt)), .number(0), .number(0),
            .number(0), .text("s\(server.id.number)"), .text(server.client.map { "c\($0.number)" } ?? ""),
            .number(Int(server.session?.cancelKey?.process ?? 0)), .text(stream?.security?.summary ?? ""),
            .text(server.settings["application_name"] ?? ""),
        ]
    }

    private static func time(_ time: LabTime) -> String {
        guard time.nanoseconds > 0 else { return "" }
        let civil = CivilTime(time)
        return "\(padded(civil.year, 4))-\(padded(civil.month, 2))-\(padded(civil.day, 2)) \(padded(civil.hour, 2)):"
            + "\(padded(civil.minute, 2)):\(padded(civil.second, 2)) UTC"
    }

    private static let totalNames = [
        "total_xact_count", "total_query_count", "total_received", "total_sent", "total_xact_time",
        "total_query_time", "total_wait_time",
    ]
    private static let averageNames = [
        "avg_xact_count", "avg_query_count", "avg_recv", "avg_sent", "avg_xact_time", "avg_query_time",
        "avg_wait_time",
    ]

    private func statistics(_ names: [String], _ values: (PoolerMeter) -> [Int]) {
        var meters = [(PoolerConfiguration.adminDatabase, host.consoleMeter)]
        for state in host.states { meters.append((state.name, state.meter)) }
        let rows = meters.map { name, meter -> [Cell] in [Cell.text(name)] + values(meter).map(Cell.number) }
        table(["database"] + names, rows)
    }

    private func sums() {
        let sum = host.states.reduce(host.consoleMeter) { $0 + $1.meter }
        let totals = Self.totalNames.map { $0 == "total_received" ? "total_client_bytes" : $0 }
        let averages = Self.averageNames.map { $0 == "avg_recv" ? "avg_client_bytes" : $0 }
        let names = (totals + averages).map { $0.replacing("_sent", with: "_server_bytes") }
        let values = zip(names, sum.totals.totals + sum.averages)
        table(["name", "value"], values.map { name, value -> [Cell] in [.text(name), .number(value)] })
    }

    private func lists() {
        let engines = host.pools.map(\.engine)
        let used = host.allClients.count { $0.phase == .ready || $0.phase == .admin }
        let rows: [(String, Int)] = [
            ("databases", host.configuration.databases.count + 1), ("users", host.configuration.userList.count),
            ("pools", host.pools.count), ("free_clients", 0), ("used_clients", used),
            ("login_clients", host.clients.count - used), ("free_servers", engines.reduce(0) { $0 + $1.idleCount }),
            ("used_servers", engines.reduce(0) { $0 + $1.inUseCount }), ("dns_names", 0), ("dns_zones", 0),
            ("dns_queries", 0), ("dns_pending", 0),
        ]
        table(["list", "items"], rows.map { [.text($0.0), .number($0.1)] })
    }

    private func configuration() {
        table(
            ["key", "value", "default", "changeable"],
            PoolerSetting.all.map { setting in
                [
                    .text(setting.name), .text(host.configuration.text(setting.name)), .text(setting.preset),
                    .text(setting.isChangeable ? "yes" : "no"),
                ]
            })
    }

    private func databases() {
        let columns = [
            "name", "host", "port", "database", "force_user", "pool_size", "min_pool_size", "reserve_pool",
            "pool_mode", "max_connections", "current_connections", "paused", "disabled",
        ]
        let configuration = host.configuration
        let own: [Cell] = [
            .text(PoolerConfiguration.adminDatabase), .null, .number(configuration.integer("listen_port")),
            .text(PoolerConfiguration.adminDatabase), .text(PoolerConfiguration.adminDatabase), .number(2), .number(0),
            .number(0), .text(PoolingMode.statement.rawValue), .number(0), .number(0), .number(0), .number(0),
        ]
        let rows = configuration.databases.map { database -> [Cell] in
            let state = host.states.first { $0.name == database.name }
            return [
                .text(database.name), .text(database.server.host), .number(Int(database.server.port)),
                .text(database.nameAtServer), database.user.map(Cell.text) ?? .null,
                .number(database.poolSize ?? configuration.integer("default_pool_size")),
                .number(database.minPoolSize ?? configuration.integer("min_pool_size")),
                .number(database.reservePool ?? configuration.integer("reserve_pool_size")),
                database.poolMode.map { .text($0.rawValue) } ?? .null,
                .number(database.maxConnections ?? configuration.integer("max_db_connections")),
                .number(host.room.count(database: database.name)),
                .number(host.isPaused || state?.isPaused == true ? 1 : 0), .number(state?.isDisabled == true ? 1 : 0),
            ]
        }
        table(columns, [own] + rows)
    }

    private func users() {
        let names = host.configuration.userList.keys.sorted()
        table(
            ["name", "pool_mode"],
            names.map { [.text($0), host.configuration.user($0)?.poolMode.map { .text($0.rawValue) } ?? .null] })
    }

    private func prepared() {
        let rows = host.pools.flatMap { pool in
            pool.allServers.map { server -> [Cell] in
                [.text("s\(server.id.number)"), .text(pool.database.name), .number(server.statements.count)]
            }
        }
        table(["server", "database", "statements"], rows)
    }
}
