import KernelHosting
import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine
import LoadBalancerService
import RateLimiterEngine
import RateLimiterService
import TestSupport
import Testing

/// Who stands between client and server.
enum Front: String, CaseIterable, Sendable, CustomTestStringConvertible {
    /// The least that is a proxy: an exchange without any policy of its own.
    case plain, balancer, limiter

    var testDescription: String { rawValue }
}

/// A client, one of the proxies on port 80 of `front`, and a server on port 9000 of `origin` that says what a test
/// wants.
final class ProxyBench {
    let world: World
    let origin: ScriptedServer
    let front: Node
    let client: Node
    private(set) var balancer: LoadBalancerHost?
    private var limiter: RateLimiterHost?
    private var plain: PlainProxy?

    /// - Parameter response: how long servers may be silent.
    init(_ kind: Front, response: LabDuration = .seconds(60)) throws {
        world = memoryWorld()
        origin = try ScriptedServer(world.node("origin"), port: 9000)
        front = world.node("front")
        client = world.node("client")
        let destination = HostPort(host: "origin", port: 9000)
        switch kind {
        case .plain:
            plain = PlainProxy(front, destination, UpstreamTimeouts(response: response))
            try plain?.server.listen(on: 80)
        case .balancer:
            var configuration = LoadBalancerConfiguration(backends: [.init(name: "origin", destination: destination)])
            configuration.healthCheck.kind = .off
            configuration.timeouts.response = response
            let host = LoadBalancerHost(node: front, source: .init(fixed: configuration), port: 80)
            try host.start()
            balancer = host
        case .limiter:
            let yaml = """
                rules: [{algorithm: gcra, rate: 1000}]
                headers: none
                upstream: origin:9000
                timeouts: {response: \(response)}
                """
            let configuration = try RateLimiterConfiguration(yaml: Array(yaml.utf8), file: "rl.yaml")
            let host = RateLimiterHost(node: front, source: .init(fixed: configuration), port: 80)
            try host.start()
            limiter = host
        }
        world.pass(.milliseconds(1))
    }

    deinit { world.shutDown() }

    func dial() throws -> RawClient { try RawClient(client, "front", 80) }

    /// Sends on a connection of its own, and lets a little time pass.
    func send(_ text: String, pass: LabDuration = .milliseconds(2)) throws -> RawClient {
        let client = try dial()
        client.write(text)
        world.pass(pass)
        return client
    }
}

/// A proxy in a few lines: what a new one begins with.
final class PlainProxy: HTTPService {
    private let pool: UpstreamPool
    private let destination: UpstreamServer
    private(set) var server: HTTPServer!

    init(_ node: Node, _ destination: HostPort, _ timeouts: UpstreamTimeouts) {
        pool = UpstreamPool(node: node, noun: "the server", timeouts: timeouts)
        self.destination = UpstreamServer(destination, in: pool)
        var options = HTTPServerOptions()
        options.bodyTimeout = timeouts.response
        server = HTTPServer(node: node, service: self, options: options)
    }

    final class Exchange: UpstreamExchange {
        let destination: UpstreamServer
        init(_ destination: UpstreamServer, _ pool: UpstreamPool) {
            self.destination = destination
            super.init(pool)
        }
        override func choose() -> UpstreamChoice { .server(destination) }
        override func released() { client.context = nil }
    }

    private func exchange(_ connection: HTTPServerConnection) -> Exchange? { connection.context as? Exchange }

    func requestBegan(_ connection: HTTPServerConnection) {
        let exchange = Exchange(destination, pool)
        connection.context = exchange
        exchange.forward(connection)
    }
    func request(_ connection: HTTPServerConnection, body: UnsafeRawBufferPointer) {
        exchange(connection)?.receive(body)
    }
    func requestEnded(_ connection: HTTPServerConnection) { exchange(connection)?.endBody() }
    func responseDrained(_ connection: HTTPServerConnection) { exchange(connection)?.clientDrained() }
    func requestAbandoned(_ connection: HTTPServerConnection) { exchange(connection)?.abandon() }
    func connectionClosed(_ connection: HTTPServerConnection) {
        exchange(connection)?.close()
        connection.context = nil
    }
}
