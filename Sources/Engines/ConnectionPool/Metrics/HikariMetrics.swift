import KernelTelemetry

/// The pool's numbers for Prometheus, under the names of HikariCP's Prometheus tracker, so that its dashboards work
/// unchanged; and below them a few that HikariCP does not have, under `pool_`.
public enum HikariMetrics {
    /// The pool's numbers alone, in the text format.
    public static func page(_ pool: ConnectionPool) -> String {
        var page = MetricWriter()
        collect(pool, into: &page)
        return String(decoding: page.finish(), as: UTF8.self)
    }

    /// Adds the pool's numbers to a page.
    public static func collect(_ pool: ConnectionPool, into page: inout MetricWriter) {
        let labels = [("pool", pool.configuration.poolName)]
        page.gauge("hikaricp_active_connections", "Active connections", pool.inUseCount, labels)
        page.gauge("hikaricp_idle_connections", "Idle connections", pool.idleCount, labels)
        page.gauge("hikaricp_pending_threads", "Pending threads", pool.waitingCount, labels)
        page.gauge("hikaricp_connections", "The number of current connections", pool.totalCount, labels)
        page.gauge("hikaricp_max_connections", "Max connections", pool.configuration.maximumPoolSize, labels)
        page.gauge("hikaricp_min_connections", "Min connections", pool.configuration.effectiveMinimumIdle, labels)
        let counters = pool.counters
        page.counter(
            "hikaricp_connection_timeout_total", "Connection timeout total count", counters.timedOut, labels)
        let metrics = pool.metrics
        for (name, help, histogram) in [
            ("hikaricp_connection_acquired_nanos", "Connection acquired time (ns)", metrics.acquired),
            ("hikaricp_connection_usage_millis", "Connection usage (ms)", metrics.usage),
            ("hikaricp_connection_creation_millis", "Connection creation (ms)", metrics.creation),
        ] {
            page.family(name, .histogram, help) { samples in
                samples.histogram(
                    bounds: (0..<PowerHistogram.boundCount).map { Double(histogram.bound($0)) },
                    counts: histogram.counts.map { UInt64($0) }, sum: Double(histogram.sum), labels)
            }
        }
        page.counter("pool_connect_attempts_total", "Attempts to connect", counters.connectAttempts, labels)
        page.counter(
            "pool_connect_failures_total", "Attempts to connect that failed", counters.connectFailures, labels)
        page.counter(
            "pool_connections_closed_total", "Connections closed, for any reason", counters.destroyed, labels)
        page.counter("pool_connections_dead_total", "Connections found dead", counters.foundDead, labels)
        page.counter("pool_leaks_total", "Connections reported as leaked", counters.leaks, labels)
        page.counter("pool_rejected_returns_total", "Second returns of a connection", counters.rejectedReturns, labels)
    }
}
