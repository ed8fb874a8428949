import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// A port of the balancer's node where Prometheus finds its numbers.
final class MetricsServer: HTTPService {
    private let host: LoadBalancerHost
    private var server: HTTPServer!

    init(_ host: LoadBalancerHost) {
        self.host = host
        server = HTTPServer(node: host.node, service: self)
    }

    func listen(on port: UInt16) throws(NetworkError) { try server.listen(on: port) }

    func requestEnded(_ connection: HTTPServerConnection) {
        guard connection.method == .get || connection.method == .head else {
            return connection.respond(status: 405, fields: [("Allow", "GET, HEAD")], body: "405 Method Not Allowed\n")
        }
        switch connection.head.path.prefix(while: { $0 != "?" }) {
        case "/":
            connection.respond(
                status: 200, body: "The load balancer \(host.node.name). Its numbers for Prometheus: /metrics\n")
        case "/metrics":
            let page = PrometheusMetrics.page(
                host.engine, host.frontSide(withSessions: false), now: host.node.world.now)
            connection.respond(status: 200, contentType: "text/plain; version=0.0.4", body: page)
        default: connection.respond(status: 404, body: "404 Not Found: there are / and /metrics\n")
        }
    }

    func requestBegan(_ connection: HTTPServerConnection) {}
    func connectionClosed(_ connection: HTTPServerConnection) { server.forget(connection) }
}
