import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// The balancer in HTTP mode: one server a request.
///
/// Because it reads requests, it can send each to another server, keep connections to servers open between clients,
/// and, when a server fails, send the request to the next one. That last thing has a rule: a request may be sent a
/// second time only if the first cannot have done anything, or if doing it twice is the same as doing it once.
///
/// | what happened                                            | sent again?                           |
/// |----------------------------------------------------------|---------------------------------------|
/// | the connection was never made                            | yes, to another server                |
/// | closed without one byte of answer, GET/HEAD/PUT/DELETE … | yes, if no byte of a body was sent    |
/// | no answer in time, or a status that `retry_on` names     | the same, if `retry_on` says so       |
/// | any of these, POST/PATCH                                 | no: 502 or 504; it may have been done |
/// | after the first byte of the answer                       | no; before the head is passed on: 502, after: cut |
///
/// Requests that must not be repeated never travel on a connection that was kept open, because a server may close
/// such a connection at the very moment it is used.
final class HTTPProxy: HTTPService {
    let host: LoadBalancerHost
    private(set) var server: HTTPServer!
    /// Connections to each server that are open and unused; the most recently used is last.
    private(set) var idle: [[HTTPClientConnection]]
    private let idleWatch = IdleWatch()
    /// The cookie by which clients stick to servers, if they do so by a cookie.
    private(set) var cookie: CookieMark?

    /// Unused connections kept for each server.
    static let idleLimit = LoadBalancer.idleLimit
    /// How long one is kept: less than servers usually keep theirs.
    static let idleTime = LabDuration.seconds(20)

    init(_ host: LoadBalancerHost) {
        self.host = host
        idle = Array(repeating: [], count: host.engine.servers.count)
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

    /// Takes over what a reload may have changed. Connections that are open keep the timeouts they began with.
    func configurationChanged() {
        if case .cookie(let name) = host.configuration.sticky?.mark {
            cookie = CookieMark(name: name)
        } else {
            cookie = nil
        }
        if let security = host.security.front { server.security = security }
        while idle.count < host.engine.servers.count { idle.append([]) }
    }

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

    // MARK: Connections to servers

    func takeIdle(_ server: Int) -> HTTPClientConnection? {
        while let connection = idle[server].popLast() {
            if connection.isReusable { return connection }
            connection.close()
        }
        return nil
    }

    func giveBack(_ connection: HTTPClientConnection, to server: Int) {
        guard connection.isReusable, idle[server].count < Self.idleLimit, host.engine.servers[server].keepsConnections
        else {
            return connection.close()
        }
        connection.delegate = idleWatch
        connection.idleSince = host.node.world.now
        idle[server].append(connection)
        if !isSweepScheduled { scheduleSweep() }
    }

    private var isSweepScheduled = false

    private func scheduleSweep() {
        isSweepScheduled = true
        host.node.after(Self.idleTime) { [self] in sweep() }
    }

    /// Closes what has not been used for a while. Once every `idleTime`, so the oldest lives at most twice as long.
    private func sweep() {
        isSweepScheduled = false
        let limit = host.node.world.now - Self.idleTime
        for index in idle.indices {
            let expired = idle[index].prefix { $0.idleSince <= limit }.count
            for connection in idle[index].prefix(expired) { connection.close() }
            idle[index].removeFirst(expired)
        }
        if idle.contains(where: { !$0.isEmpty }) { scheduleSweep() }
    }

    func dropIdle(_ server: Int) {
        for connection in idle[server] { connection.close() }
        idle[server] = []
    }

    // MARK: Scratch

    /// A buffer for composing a head in; the same one every time, unless it is in use.
    func takeScratch() -> [UInt8] {
        var buffer: [UInt8] = []
        swap(&buffer, &scratch)
        return buffer
    }

    func giveScratch(_ buffer: consuming [UInt8]) {
        buffer.removeAll(keepingCapacity: true)
        scratch = buffer
    }

    private var scratch: [UInt8] = []

    // MARK: HTTPService

    /// The exchange of a connection's request; nil once it is answered.
    private func exchange(_ connection: HTTPServerConnection) -> ProxyExchange? {
        connection.context.map { unsafeDowncast($0, to: ProxyExchange.self) }
    }

    private func takeExchange(for connection: HTTPServerConnection) -> ProxyExchange {
        let exchange = spareExchanges.popLast() ?? ProxyExchange(proxy: self)
        exchange.attach(to: connection)
        connection.context = exchange
        return exchange
    }

    func giveBack(_ exchange: ProxyExchange) {
        if spareExchanges.count < Self.spareLimit { spareExchanges.append(exchange) }
    }

    private var spareExchanges: [ProxyExchange] = []
    private static let spareLimit = 256

    func connectionRefused(_ stream: Stream, _ failure: ProxyProtocolFailure) {
        host.refused(stream, failure)
    }

    func requestBegan(_ connection: HTTPServerConnection) {
        (exchange(connection) ?? takeExchange(for: connection)).begin()
    }
    func request(_ connection: HTTPServerConnection, body: UnsafeRawBufferPointer) {
        exchange(connection)?.sendBody(body)
    }
    func requestEnded(_ connection: HTTPServerConnection) { exchange(connection)?.endBody() }
    func responseDrained(_ connection: HTTPServerConnection) { exchange(connection)?.clientDrained() }
    func requestAbandoned(_ connection: HTTPServerConnection) { exchange(connection)?.abandon() }
    func connectionClosed(_ connection: HTTPServerConnection) {
        exchange(connection)?.close()
        connection.context = nil
    }
}

/// Hears of unused connections that servers close.
private final class IdleWatch: HTTPClientDelegate {
    func clientReceivedHead(_ client: HTTPClientConnection) {}
    func client(_ client: HTTPClientConnection, received body: UnsafeRawBufferPointer) {}
    func clientReceivedEnd(_ client: HTTPClientConnection) {}
    func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {}
}
