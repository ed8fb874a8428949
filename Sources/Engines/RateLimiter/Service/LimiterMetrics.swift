import KernelHosting
import KernelStructures
import KernelWorld

/// A port of the limiter's node where Prometheus finds its numbers.
final class LimiterMetricsServer: HTTPService {
    private unowned let host: RateLimiterHost
    private var server: HTTPServer!

    init(_ host: RateLimiterHost) {
        self.host = host
        server = HTTPServer(node: host.node, service: self)
    }

    func listen(on port: UInt16) throws(NetworkError) { try server.listen(on: port) }

    func requestBegan(_ connection: HTTPServerConnection) {}

    func requestEnded(_ connection: HTTPServerConnection) {
        guard connection.head.path == "/metrics" else {
            return connection.respond(status: 404, body: "404 Not Found: there is /metrics\n")
        }
        connection.respond(status: 200, contentType: "text/plain; version=0.0.4", body: Self.page(host))
    }

    func connectionClosed(_ connection: HTTPServerConnection) { server.forget(connection) }

    /// Prometheus's text format. The names end as Envoy's statistics do.
    static func page(_ host: RateLimiterHost) -> String {
        let engine = host.engine
        let names = engine.policies.map { $0.name }
        var page = ""
        func metric(_ name: String, _ kind: String, _ help: String, _ values: [Int]) {
            page += "# HELP ratelimit_\(name) \(help)\n# TYPE ratelimit_\(name) \(kind)\n"
            for (rule, value) in zip(names, values) { page += "ratelimit_\(name){rule=\"\(rule)\"} \(value)\n" }
        }
        let counters = engine.counters
        metric("total_hits_total", "counter", "Requests that the rule concerned", counters.map(\.hits))
        metric("within_limit_total", "counter", "Requests admitted", counters.map(\.withinLimit))
        metric("near_limit_total", "counter", "Admitted with less than a fifth left", counters.map(\.nearLimit))
        metric("over_limit_total", "counter", "Requests refused", counters.map(\.overLimit))
        metric("shadow_mode_total", "counter", "Would have been refused", counters.map(\.shadowOverLimit))
        let policies = engine.policies.indices
        metric("keys", "gauge", "Keys remembered", policies.map { engine.keyCount(policy: $0) })
        metric("key_bytes", "gauge", "Bytes they take", policies.map { engine.byteCount(policy: $0) })
        metric(
            "evicted_keys_total", "counter", "Keys in use that had to go",
            policies.map { engine.evictedCount(policy: $0) })
        return page
    }
}
