import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import PoolerEngine

/// What happens because time has passed, and what is counted.
extension PoolerHost {
    /// Ends a period of statistics, and begins the next.
    func measure() {
        let period = configuration.integer("stats_period")
        node.after(.seconds(period)) { [weak self] in
            guard let self else { return }
            for state in states { state.meter.endPeriod(seconds: Double(period)) }
            consoleMeter.endPeriod(seconds: Double(period))
            measure()
        }
    }

    /// Looks once a second for clients and queries that have taken too long, if there is a limit to that.
    func watchTimeouts() {
        node.after(.seconds(1)) { [weak self] in
            guard let self else { return }
            endOverdue()
            lookAtDrains()
            watchTimeouts()
        }
    }

    private func endOverdue() {
        let idle = configuration.duration("client_idle_timeout")
        let transaction = configuration.duration("idle_transaction_timeout")
        let query = configuration.duration("query_timeout")
        guard idle > .zero || transaction > .zero || query > .zero else { return }
        let now = node.world.now
        for client in allClients where client.phase == .ready {
            let silence = now - client.answeredAt
            if let server = client.server {
                if query > .zero, client.isQueryUnderWay, now - client.requestedAt > query {
                    client.fail(.queryCanceled, "query_timeout")
                } else if transaction > .zero, !client.isQueryUnderWay, server.status != .idle, silence > transaction {
                    client.fail(.idleInTransactionSessionTimeout, "idle_transaction_timeout")
                }
            } else if idle > .zero, !client.isWaiting, silence > idle {
                client.fail(.protocolViolation, "client_idle_timeout")
            }
        }
    }

    public var statistics: [Statistic] {
        let totals = states.map(\.meter.totals)
        let active = clients.values.count { $0.server != nil }
        let waiting = clients.values.count { $0.isWaiting }
        return [
            Statistic("pool_mode", configuration.poolMode.rawValue),
            Statistic("clients", clients.count, .gauge("pgbouncer_clients", "Clients that are connected")),
            Statistic("clients_active", active, .gauge("pgbouncer_clients_active", "Clients that have a server")),
            Statistic("clients_waiting", waiting, .gauge("pgbouncer_clients_waiting", "Clients that wait for one")),
            Statistic("servers", room.openCount, .gauge("pgbouncer_servers", "Connections to servers")),
            Statistic(
                "server_connects", pools.reduce(0) { $0 + $1.engine.counters.connectAttempts },
                .counter("pgbouncer_server_connects_total", "Attempts to connect to a server")),
            Statistic(
                "server_connect_failures", pools.reduce(0) { $0 + $1.engine.counters.connectFailures },
                .counter("pgbouncer_server_connect_failures_total", "Attempts that failed")),
            Statistic(
                "transactions", totals.reduce(0) { $0 + $1.transactions },
                .counter("pgbouncer_transactions_total", "Transactions that were pooled")),
            Statistic(
                "queries", totals.reduce(0) { $0 + $1.queries },
                .counter("pgbouncer_queries_total", "Queries that were pooled")),
            Statistic(
                "bytes_received", totals.reduce(0) { $0 + $1.bytesReceived },
                .counter("pgbouncer_received_bytes_total", "Bytes from clients")),
            Statistic(
                "bytes_sent", totals.reduce(0) { $0 + $1.bytesSent },
                .counter("pgbouncer_sent_bytes_total", "Bytes to clients")),
            Statistic(
                "prepared_statements", catalogue.count,
                .gauge("pgbouncer_prepared_statements", "Different statements that clients have prepared")),
        ]
    }

    /// Pools on the page of metrics, at most.
    private static let pageLimit = 1_000

    public func collect(into page: inout MetricWriter) {
        let now = node.world.now
        page.family(
            "pgbouncer_pools_client_maxwait_seconds", .gauge, "How long the first client in line has waited"
        ) { samples in
            for pool in pools.prefix(Self.pageLimit) where !pool.isReplaced {
                samples.add(
                    pool.longestWait(now: now).seconds, [("database", pool.database.name), ("user", pool.user)])
            }
        }
    }

    /// Somebody who has a server, or waits for one.
    public struct Holder: Sendable {
        public let database: String
        public let user: String
        /// `user@address:port`
        public let client: String
        /// The server's number in its pool; nil for somebody who waits.
        public let server: Int?
        public let duration: LabDuration
        /// `active`, `idle in transaction`, `idle`, `waiting`
        public let state: String
        /// The beginning of what it asked last; of what it waits to ask, for somebody who waits.
        public let statement: String
    }

    /// Who has a server now, the longest first, and then who waits.
    public var holders: [Holder] {
        let now = node.world.now
        let all = allClients.compactMap { client -> Holder? in
            guard client.phase == .ready, client.server != nil || client.isWaiting else { return nil }
            let since = client.server?.requestedAt ?? client.requestedAt
            let state =
                client.isWaiting
                ? "waiting"
                : client.isQueryUnderWay
                    ? "active" : client.server?.status == .idle ? "idle" : "idle in transaction"
            return Holder(
                database: client.databaseName, user: client.user, client: client.place,
                server: client.server?.id.number, duration: now - since, state: state,
                statement: String(decoding: client.statement, as: UTF8.self))
        }
        func rank(_ holder: Holder) -> Int { holder.server == nil ? 1 : 0 }
        return all.enumerated().sorted { a, b in
            (rank(a.element), b.element.duration, a.offset) < (rank(b.element), a.element.duration, b.offset)
        }.map(\.element)
    }
}
