import KernelHosting
import KernelJSON
import KernelStructures
import KernelTelemetry
import KernelWire

extension ServiceRuntime {
    /// Answers a request for `/metrics` or `/health`; false for any other, which is the service's own.
    ///
    /// A service with an HTTP port calls it when the request has ended.
    public func answer(_ connection: HTTPServerConnection) -> Bool {
        let path = connection.head.path.prefix { $0 != "?" }
        guard path == "/metrics" || path == "/health" else { return false }
        guard connection.method == .get || connection.method == .head else {
            connection.respond(status: 405, fields: [("Allow", "GET, HEAD")], body: "405 Method Not Allowed\n")
            return true
        }
        if path == "/health" {
            let complaints = complaints
            connection.respond(
                status: complaints.isEmpty ? 200 : 503, fields: [("Cache-Control", "no-store")],
                contentType: "application/health+json", body: Self.health(node.name, complaints))
        } else {
            let format = ExpositionFormat.negotiated(accept: connection.head.value(of: .accept))
            connection.respond(status: 200, contentType: format.contentType, body: metricsPage(format))
        }
        return true
    }

    /// As draft-inadarei-api-health-check-06 has it, with the reasons in words.
    static func health(_ node: String, _ complaints: [String]) -> String {
        var members: [(key: String, value: JSONValue)] = [
            ("status", .string(complaints.isEmpty ? "pass" : "fail")), ("serviceId", .string(node)),
        ]
        if !complaints.isEmpty { members.append(("reasons", .array(complaints.map { .string($0) }))) }
        return JSONValue.object(members).text + "\n"
    }
}

/// The port for those that look after a service: `--metrics PORT`.
final class ManagementServer: HTTPService {
    private unowned let runtime: ServiceRuntime
    private(set) var server: HTTPServer!

    init(_ runtime: ServiceRuntime) {
        self.runtime = runtime
        server = HTTPServer(node: runtime.node, service: self)
    }

    func requestBegan(_ connection: HTTPServerConnection) {}

    func requestEnded(_ connection: HTTPServerConnection) {
        if runtime.answer(connection) { return }
        guard connection.method == .get || connection.method == .head else {
            return connection.respond(status: 405, fields: [("Allow", "GET, HEAD")], body: "405 Method Not Allowed\n")
        }
        guard connection.head.path.prefix(while: { $0 != "?" }) == "/" else {
            return connection.respond(status: 404, body: "404 Not Found: there are / and /metrics\n")
        }
        connection.respond(status: 200, body: "\(runtime.node.name): /metrics for Prometheus, /health for probes\n")
    }
}
