import KernelHosting
import KernelJSON
import KernelStructures
import KernelTelemetry
import KernelWire

extension ServiceRuntime {
    /// One of the two pages that every service has.
    private struct Page {
        let status: Int
        var fields: [(String, String)] = []
        let type: String
        let body: [UInt8]
    }

    private var healthPage: Page {
        let complaints = complaints
        return Page(
            status: complaints.isEmpty ? 200 : 503, fields: [("Cache-Control", "no-store")],
            type: "application/health+json", body: Array(Self.health(node.name, complaints).utf8))
    }

    private func metricsPage(accept: String?) -> Page {
        let format = ExpositionFormat.negotiated(accept: accept)
        return Page(status: 200, type: format.contentType, body: metricsPage(format))
    }

    /// Adds `/metrics` and `/health` to what a router answers.
    public func mount(on router: HTTPRouter) {
        router.on("GET", "/metrics") { [unowned self] exchange in
            try Self.answer(exchange, metricsPage(accept: exchange.field("Accept")))
        }
        router.on("GET", "/health") { [unowned self] exchange in try Self.answer(exchange, healthPage) }
    }

    private static func answer(_ exchange: HTTPExchange, _ page: Page) throws {
        for (name, value) in page.fields { try exchange.addField(name, value) }
        exchange.answer(page.status, bytes: page.body, type: page.type)
    }

    /// Answers a request for `/metrics` or `/health`; false for any other, which is the service's own.
    ///
    /// A service that answers HTTP without a router calls it when the request has ended.
    public func answer(_ connection: HTTPServerConnection) -> Bool {
        let path = connection.head.path.prefix { $0 != "?" }
        guard path == "/metrics" || path == "/health" else { return false }
        guard connection.method == .get || connection.method == .head else {
            connection.respond(status: 405, fields: [("Allow", "GET, HEAD")], body: "405 Method Not Allowed\n")
            return true
        }
        let page = path == "/health" ? healthPage : metricsPage(accept: connection.head.value(of: .accept))
        connection.respond(status: page.status, fields: page.fields, contentType: page.type, body: page.body)
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
final class ManagementServer {
    private let router = HTTPRouter()
    let server: HTTPServer

    init(_ runtime: ServiceRuntime) {
        server = HTTPServer(node: runtime.node, service: router)
        router.on("GET", "/") { [unowned runtime] exchange in
            exchange.answer(
                text: "\(runtime.node.name): /metrics for Prometheus, /health for probes\n", type: "text/plain")
        }
        runtime.mount(on: router)
    }
}
