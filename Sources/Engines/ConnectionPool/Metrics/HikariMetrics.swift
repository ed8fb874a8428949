import KernelStructures

/// The pool's numbers in Prometheus' text format, under the names of HikariCP's Prometheus tracker, so that its
/// dashboards work unchanged; and below them a few that HikariCP does not have, under `pool_`.
public enum HikariMetrics {
    public static func page(_ pool: ConnectionPool) -> String {
        var page = Page(label: "pool=\"\(escaped(pool.configuration.poolName))\"")
        page.gauge("hikaricp_active_connections", "Active connections", pool.inUseCount)
        page.gauge("hikaricp_idle_connections", "Idle connections", pool.idleCount)
        page.gauge("hikaricp_pending_threads", "Pending threads", pool.waitingCount)
        page.gauge("hikaricp_connections", "The number of current connections", pool.totalCount)
        page.gauge("hikaricp_max_connections", "Max connections", pool.configuration.maximumPoolSize)
        page.gauge("hikaricp_min_connections", "Min connections", pool.configuration.effectiveMinimumIdle)
        page.counter("hikaricp_connection_timeout_total", "Connection timeout total count", pool.counters.timedOut)
        page.histogram("hikaricp_connection_acquired_nanos", "Connection acquired time (ns)", pool.metrics.acquired)
        page.histogram("hikaricp_connection_usage_millis", "Connection usage (ms)", pool.metrics.usage)
        page.histogram("hikaricp_connection_creation_millis", "Connection creation (ms)", pool.metrics.creation)
        let counters = pool.counters
        page.counter("pool_connect_attempts_total", "Attempts to connect", counters.connectAttempts)
        page.counter("pool_connect_failures_total", "Attempts to connect that failed", counters.connectFailures)
        page.counter("pool_connections_closed_total", "Connections closed, for any reason", counters.destroyed)
        page.counter("pool_connections_dead_total", "Connections found dead", counters.foundDead)
        page.counter("pool_leaks_total", "Connections reported as leaked", counters.leaks)
        page.counter("pool_rejected_returns_total", "Second returns of a connection", counters.rejectedReturns)
        return page.text
    }

    private static func escaped(_ label: String) -> String {
        label.reduce(into: "") { text, character in
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.append(character)
            }
        }
    }

    private struct Page {
        let label: String
        var text = ""

        mutating func gauge(_ name: String, _ help: String, _ value: Int) { head(name, help, "gauge", value) }
        mutating func counter(_ name: String, _ help: String, _ value: Int) { head(name, help, "counter", value) }

        private mutating func head(_ name: String, _ help: String, _ type: String, _ value: Int?) {
            text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
            if let value { text += "\(name){\(label)} \(value)\n" }
        }

        mutating func histogram(_ name: String, _ help: String, _ histogram: PowerHistogram) {
            head(name, help, "histogram", nil)
            var total = 0
            for (bucket, count) in histogram.counts.enumerated() {
                total += count
                let bound = bucket < PowerHistogram.boundCount ? "\(histogram.bound(bucket)).0" : "+Inf"
                text += "\(name)_bucket{\(label),le=\"\(bound)\"} \(total)\n"
            }
            text += "\(name)_sum{\(label)} \(histogram.sum)\n\(name)_count{\(label)} \(histogram.count)\n"
        }
    }
}
