import KernelHosting
import KernelJSON
import KernelStructures
import MetricsCollectorEngine
import TimeSeriesEngine

// What the collector says about itself, and what an operator may have it do.
extension CollectorHost {
    /// The release of Prometheus whose API this is.
    static let version = "2.42.0"

    func mountStatus() {
        get("/api/v1/status/config") { host, _, exchange in
            Self.answer(exchange, APIWriter.success(.object([("yaml", .string(host.configuration.text))])))
        }
        get("/api/v1/status/flags") { host, _, exchange in
            Self.answer(exchange, APIWriter.success(.object(host.flags)))
        }
        get("/api/v1/status/buildinfo") { _, _, exchange in
            Self.answer(
                exchange,
                APIWriter.success(
                    .object([
                        ("version", .string(Self.version)), ("revision", "sdlab"), ("branch", "main"),
                        ("buildUser", "sdlab"), ("buildDate", ""), ("goVersion", ""),
                    ])))
        }
        get("/api/v1/status/runtimeinfo") { host, _, exchange in
            Self.answer(exchange, APIWriter.success(host.runtimeInformation))
        }
        get("/api/v1/status/tsdb") { host, request, exchange in
            let limit = try request.integer("limit") ?? 10
            Self.answer(exchange, APIWriter.success(host.storeInformation(limit: min(limit, 1000))))
        }
        get("/api/v1/status/walreplay") { _, _, exchange in
            Self.answer(
                exchange, APIWriter.success(.object([("min", 0), ("max", 0), ("current", 0)])))
        }
        router.on("GET", "/-/healthy") { exchange in exchange.answer(text: "Prometheus Server is Healthy.\n") }
        router.on("GET", "/-/ready") { [unowned self] exchange in
            let isReady = runtime.phase == .ready
            exchange.answer(
                isReady ? 200 : 503, text: isReady ? "Prometheus Server is Ready.\n" : "Service Unavailable\n")
        }
        for method in ["POST", "PUT"] {
            router.on(method, "/-/reload") { [unowned self] exchange in
                do {
                    try runtime.reload()
                    exchange.answer(200)
                } catch {
                    exchange.answer(500, text: "failed to reload config: \(error)\n")
                }
            }
        }
        router.on("GET", "/") { [unowned self] exchange in
            exchange.answer(
                text: "\(node.name): a metrics collector. /api/v1/query?query=up, /api/v1/targets, /metrics\n")
        }
    }

    private var flags: [(key: String, value: JSONValue)] {
        [
            ("web.listen-address", .string(":\(port)")), ("query.lookback-delta", "5m"),
            (
                "storage.tsdb.retention.time",
                .string("\(LabDuration.milliseconds(Int(store.settings.retentionMilliseconds)))")
            ),
            ("storage.tsdb.retention.size", .string("\(store.settings.retentionBytes)B")),
        ]
    }

    private var runtimeInformation: JSONValue {
        .object([
            ("startTime", .string(node.startedAt.description)), ("CWD", "/"),
            ("reloadConfigSuccess", .bool(runtime.failedReloadCount == 0)),
            ("lastConfigTime", .string(node.startedAt.description)), ("corruptionCount", 0),
            ("goroutineCount", 1), ("GOMAXPROCS", 1), ("GOGC", ""), ("GODEBUG", ""),
            ("storageRetention", .string("\(LabDuration.milliseconds(Int(store.settings.retentionMilliseconds)))")),
        ])
    }

    private func storeInformation(limit: Int) -> JSONValue {
        let report = store.cardinality(limit: limit)
        func list(_ rows: [CardinalityReport.Row]) -> JSONValue {
            .array(rows.map { .object([("name", .string($0.name)), ("value", .integer($0.count))]) })
        }
        return .object([
            (
                "headStats",
                .object([
                    ("numSeries", .integer(report.seriesCount)), ("numLabelPairs", .integer(report.labelPairCount)),
                    ("chunkCount", .integer(report.chunkCount)), ("minTime", .integer(Int(report.firstTime ?? 0))),
                    ("maxTime", .integer(Int(report.lastTime ?? 0))),
                ])
            ),
            ("seriesCountByMetricName", list(report.seriesByMetric)),
            ("labelValueCountByLabelName", list(report.valuesByLabel)),
            ("memoryInBytesByLabelName", list(report.bytesByLabel)),
            ("seriesCountByLabelValuePair", list(report.seriesByPair)),
        ])
    }
}
