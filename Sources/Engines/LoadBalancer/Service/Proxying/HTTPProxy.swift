import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// The balancer in HTTP mode: one server a request.
///
/// Because it reads requests, it can send each to another server, keep connections to servers open between clients,
/// and, when a server fails, send the request to the next one. How a request travels, and when it may be sent a second
/// time, is `UpstreamExchange`'s affair; who gets it is decided here.
final class HTTPProxy: HTTPService {
    let host: LoadBalancerHost
    private(set) var server: HTTPServer!
    let pool: UpstreamPool
    /// By slot.
    private(set) var servers: [UpstreamServer] = []
    private var spareExchanges: [BalancedExchange] = []
    /// The cookie by which clients stick to servers, if they do so by a cookie.
    private(set) var cookie: CookieMark?

    private static let spareLimit = 256

    init(_ host: LoadBalancerHost) {
        self.host = host
        pool = UpstreamPool(
            node: host.node, noun: "the backend", timeouts: host.configuration.timeouts.ofServers,
            idleLimit: LoadBalancer.idleLimit)
        server = HTTPServer(node: host.node, service: self, options: Self.options(host.configuration))
        configurationChanged()
    }

    /// What concerns clients' connections.
    private static func options(_ configuration: LoadBalancerConfiguration) -> HTTPServerOptions {
        var options = HTTPServerOptions()
        options.idleTimeout = configuration.timeouts.idle
        // The exchange has its own timeout for the server's part.
        options.bodyTimeout = configuration.timeouts.response
        options.headTimeout = configuration.timeouts.request
        options.proxyProtocol = configuration.acceptsProxyProtocol ? .required : .off
        return options
    }

    /// A configuration was read again: what concerns clients is for connections that come from here on.
    func configurationReloaded() { server.options = Self.options(host.configuration) }

    /// Takes over what a reload may have changed. Connections that are open keep the timeouts they began with, and so
    /// do requests that are under way.
    func configurationChanged() {
        if case .cookie(let name) = host.configuration.sticky?.mark {
            cookie = CookieMark(name: name)
        } else {
            cookie = nil
        }
        if let security = host.security.front { server.security = security }
        pool.timeouts = host.configuration.timeouts.ofServers
        for (slot, server) in host.engine.servers.enumerated() {
            if slot == servers.count {
                servers.append(UpstreamServer(server.destination, in: pool))
            } else if servers[slot].destination != server.destination {
                servers[slot].dropIdle()
                servers[slot] = UpstreamServer(server.destination, in: pool)
            }
        }
    }

    func dropIdle(_ slot: Int) { servers[slot].dropIdle() }

    // MARK: What a request is known by

    func readMarks(of connection: HTTPServerConnection, into arrival: inout Arrival) {
        if let cookie {
            arrival.sticky = cookie.value(in: connection.head).flatMap { value in
                host.engine.servers.firstIndex { $0.presence == .present && value.elementsEqual($0.name.utf8) }
            }
        }
        switch host.configuration.algorithm {
        case .hash, .maglev: arrival.key = key(of: connection, arrival.source)
        case .roundRobin, .leastConnections, .random:
            // So that `replay` can say what a hash would have done.
            if host.engine.recording != nil { arrival.key = key(of: connection, arrival.source) }
        }
    }

    private func key(of connection: HTTPServerConnection, _ source: IPAddress) -> UInt64 {
        switch host.configuration.hashKey {
        case .source: break
        case .uri:
            // The query is left out, as HAProxy does: it often differs where the page does not.
            return connection.withTarget { keyHash($0.prefix { $0 != UInt8(ascii: "?") }) }
        case .header(let name):
            if let value = connection.head.value(of: name) { return keyHash(value) }
        }
        return source.key
    }

    // MARK: HTTPService

    /// The exchange of a connection's request; nil once it is answered.
    private func exchange(_ connection: HTTPServerConnection) -> BalancedExchange? {
        connection.context.map { unsafeDowncast($0, to: BalancedExchange.self) }
    }

    func giveBack(_ exchange: BalancedExchange) {
        if spareExchanges.count < Self.spareLimit { spareExchanges.append(exchange) }
    }

    /// What holds the proxy in its turn.
    func letGo() {
        spareExchanges = []
        for server in servers { server.dropIdle() }
        servers = []
    }

    func connectionRefused(_ stream: Stream, _ failure: ProxyProtocolFailure) {
        host.refused(stream, failure)
    }

    func requestBegan(_ connection: HTTPServerConnection) {
        let exchange = spareExchanges.popLast() ?? BalancedExchange(pool)
        connection.context = exchange
        exchange.begin(connection, of: self)
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

extension LoadBalancerConfiguration.Timeouts {
    fileprivate var ofServers: UpstreamTimeouts { .init(connect: connect, response: response, tunnel: tunnel) }
}
