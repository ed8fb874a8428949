import DatabaseEngine
import KernelHosting
import KernelService
import KernelStorage
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld

/// A relational database as a service: PostgreSQL's protocol in front, SQLite on the node's disk behind.
///
/// Each turn of the loop carries out what has come from all clients, then makes all their commits durable in one sync,
/// then answers. When the sync fails, nobody is answered and the process ends: a commit that may be lost must not look
/// like one that is safe, and what is on the disk decides when it is started again (PostgreSQL does the same since
/// 2018, when it was found that a second `fsync` after a failed one succeeds without having stored anything).
public final class DatabaseHost: Service {
    public let runtime: ServiceRuntime
    public let settings: Settings
    public let port: UInt16
    public private(set) var cluster: DatabaseCluster
    private var server: DatabaseServer!
    /// Whether it was said that logs cannot be copied.
    private var hasToldOfCheckpoint = false

    public struct Settings: Sendable {
        /// As it was typed, for log lines.
        public var directoryText: String
        /// Where it is on the node's disk.
        public var directory: String
        public var options = DatabaseOptions()

        public init(directory: String, text: String? = nil) {
            self.directory = directory
            directoryText = text ?? directory
        }
    }

    public init(node: Node, port: UInt16, settings: Settings, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: "DB", options: options)
        self.port = port
        self.settings = settings
        cluster = DatabaseCluster(
            disk: node.disk, directory: settings.directory, options: settings.options,
            wallClock: { [unowned node] in node.wallClock })
        server = DatabaseServer(node: node, cluster: cluster) { [unowned self] done in commit(done) }
        node.whenEnded { [weak cluster] in cluster?.abandon() }
    }

    // MARK: Life

    public func prepare() throws {
        try cluster.open()
        runtime.add(server, on: port, announcement: "Listening on :\(port: port)")
    }

    public func abandonStart() { cluster.abandon() }

    public func opened() {
        let names = cluster.databaseNames.joined(separator: ", ")
        runtime.log("Databases in \(settings.directoryText): \(names)")
        let recovered = cluster.recovered
        guard recovered.commitCount > 0 else { return }
        runtime.log(
            "Recovered \(counted(recovered.commitCount, "commit")) from \(byteCountText(recovered.byteCount)) of log")
    }

    public func stop(_ done: @escaping () -> Void) {
        do throws(PostgresError) {
            try cluster.close()
            runtime.log("Closed \(settings.directoryText)")
        } catch {
            runtime.log("Closing failed: \(error.message)", level: .error)
        }
        node.afterDisk(done)
    }

    // MARK: Turns

    private func commit(_ done: @escaping (String?) -> Void) {
        let syncs: DatabaseCluster.Syncs
        do throws(PostgresError) {
            // A thread costs more than it spares where nobody else could use the time.
            syncs = try cluster.beginCommit(beside: cluster.sessionCount > 1 && node.offloadsSyncs)
        } catch {
            return runtime.fail("PANIC: \(error.message)")
        }
        if syncs.isEmpty { return committed(done) }
        let files = syncs.map(\.sync)
        func finish(_ failures: [DiskError?]) {
            do throws(PostgresError) {
                try cluster.finishCommit(syncs, failures)
            } catch {
                return runtime.fail("PANIC: \(error.message)")
            }
            committed(done)
        }
        do throws(OffloadError) {
            try node.offload({ files.map { $0.run() } }, cost: .zero, completion: finish)
        } catch {
            finish(files.map { $0.run() })
        }
    }

    private func committed(_ done: @escaping (String?) -> Void) {
        if cluster.needsCheckpoint { node.enqueue { [self] in checkpoint() } }
        let cost = node.disk.collectCost()
        if cost <= .zero { done(nil) } else { node.after(cost) { done(nil) } }
    }

    /// A log that cannot be copied, because the disk is full, is no reason to stop: everything is in it. It is told
    /// once, until it has succeeded again.
    private func checkpoint() {
        guard cluster.needsCheckpoint else { return }
        do throws(PostgresError) {
            try cluster.checkpoint()
            hasToldOfCheckpoint = false
        } catch {
            if error.severity == .panic { return runtime.fail("PANIC: \(error.message)") }
            guard !hasToldOfCheckpoint else { return }
            hasToldOfCheckpoint = true
            runtime.log("\(error.message); \(error.hint ?? "")", level: .error)
        }
    }

    // MARK: Statistics

    public var statistics: [Statistic] {
        let databases = cluster.databaseNames.compactMap { cluster.databases[$0] }
        func sum(_ value: (Database) -> Int) -> Int { databases.reduce(0) { $0 + value($1) } }
        return [
            .init("clients", cluster.sessionCount, .gauge("pg_stat_activity_count", "Connections of clients")),
            .init("statements", cluster.statementCount, .counter("pg_statements_total", "Statements so far")),
            .init(
                "commits", sum(\.commitCount),
                .counter("pg_stat_database_xact_commit_total", "Transactions that wrote and were committed")),
            .init(
                "rollbacks", sum(\.rollbackCount),
                .counter("pg_stat_database_xact_rollback_total", "Transactions that wrote and were rolled back")),
            .init("syncs", cluster.syncCount, .counter("pg_wal_syncs_total", "Syncs of the write-ahead logs")),
            .init(
                "waiting_writers", sum(\.waitingWriterCount),
                .gauge("pg_waiting_writers", "Transactions that wait until they may write")),
            .init("wal_bytes", sum { $0.file.logByteCount }, .gauge("pg_wal_size_bytes", "Bytes of the logs")),
            .init(
                "checkpoints", cluster.checkpointCount,
                .counter("pg_checkpoints_total", "Times that a log was copied into its database")),
        ]
    }

    /// By the names of postgres_exporter, where it has them.
    public func collect(into page: inout MetricWriter) {
        page.gauge("pg_up", "1 if the database answers", 1)
        page.family("pg_database_sessions", .gauge, "Connections of clients by database") { samples in
            for name in cluster.databaseNames {
                samples.add(cluster.databases[name]?.sessionTotal ?? 0, [("datname", name)])
            }
        }
    }
}
