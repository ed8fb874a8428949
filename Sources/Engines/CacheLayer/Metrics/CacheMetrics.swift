import KernelStructures
import KernelTelemetry

/// A cache layer's numbers as monitoring systems read them.
public enum CacheMetrics {
    /// - Parameters:
    ///   - loadTimes: how long loads took, where that was measured.
    ///   - name: of the cache, where a program has several.
    public static func collect(
        _ layer: borrowing CacheLayer, loadTimes: Histogram? = nil, name: String = "cache",
        into page: inout MetricWriter
    ) {
        let counters = layer.counters
        page.family("cache_requests_total", .counter, "Reads by what came of them") { samples in
            for (result, count) in [
                ("hit", counters.hits), ("stale", counters.staleHits), ("coalesced", counters.coalesced),
                ("miss", counters.misses &- counters.coalesced),
            ] {
                samples.add(count, [("cache", name), ("result", result)])
            }
        }
        page.family("cache_loads_total", .counter, "Questions to the source by their reason and outcome") { samples in
            for (kind, count) in [
                ("all", counters.loads), ("early", counters.earlyLoads), ("ahead", counters.refreshesAhead),
                ("revalidation", counters.revalidations), ("failed", counters.loadFailures),
                ("timeout", counters.timeouts), ("discarded", counters.discardedFills),
            ] {
                samples.add(count, [("cache", name), ("kind", kind)])
            }
        }
        page.family("cache_remote_total", .counter, "Questions to the shared cache by their outcome") { samples in
            for (result, count) in [
                ("hit", counters.remoteHits), ("miss", counters.remoteMisses), ("failed", counters.remoteFailures),
                ("unreadable", counters.unreadable), ("lease_wait", counters.leaseWaits),
            ] {
                samples.add(count, [("cache", name), ("result", result)])
            }
        }
        page.family("cache_removals_total", .counter, "Entries that went, by reason") { samples in
            for (reason, count) in [
                ("expired", counters.expirations), ("evicted", counters.evictions),
                ("invalidated", counters.invalidations), ("notified", counters.notices),
            ] {
                samples.add(count, [("cache", name), ("reason", reason)])
            }
        }
        page.counter("cache_writes_total", "Writes", counters.writes, [("cache", name)])
        page.counter("cache_write_failures_total", "Writes that failed", counters.writeFailures, [("cache", name)])
        page.counter(
            "cache_suspects_total", "Keys that the shared cache may have wrong", counters.suspected, [("cache", name)])
        page.gauge("cache_entries", "Entries of this process", layer.entryCount, [("cache", name)])
        page.gauge("cache_weight", "Their weight", layer.totalWeight, [("cache", name)])
        page.gauge("cache_loads_in_flight", "Loads under way", layer.loadCount, [("cache", name)])
        page.gauge("cache_write_queue", "Writes that wait for the source", layer.writeBehind.count, [("cache", name)])
        if let loadTimes {
            page.family("cache_load_seconds", .histogram, "How long loads of the source took") { samples in
                loadTimes.write(to: &samples, [("cache", name)])
            }
        }
    }
}
