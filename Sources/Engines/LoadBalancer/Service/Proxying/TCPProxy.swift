import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// The balancer in TCP mode: one server a connection, bytes passed through unread.
///
/// The simplest proxy there is, and for many protocols the only possible one: it understands nothing, so it can
/// balance anything. The price is that a connection stays where it began, however many requests it carries.
final class TCPProxy {
    private unowned let host: LoadBalancerHost
    private(set) var server: StreamServer!
    /// By the numbers of the clients' connections.
    private(set) var sessions: [UInt64: TCPSession] = [:]

    init(_ host: LoadBalancerHost) {
        self.host = host
        server = StreamServer(node: host.node) { [unowned self] stream, header, early in
            begin(stream, header, early)
        }
        server.onRefusal = { [unowned host] stream, failure in host.refused(stream, failure) }
        configurationChanged()
    }

    /// For connections that come from here on.
    func configurationChanged() {
        server.proxyProtocol = host.configuration.acceptsProxyProtocol ? .required : .off
        if let security = host.security.front { server.security = security }
    }

    /// - Parameter header: on whose behalf the connection was made, if another proxy made it.
    private func begin(_ stream: Stream, _ header: ProxyHeader?, _ early: [UInt8]) -> TCPSession {
        let session = TCPSession(client: stream, host: host) { [unowned self] session in
            sessions[session.number] = nil
            server.ended(session.client)
        }
        if let header { session.claim(header, early: early) }
        sessions[stream.number] = session
        return session
    }
}

/// One client's connection: finds a server that answers, then relays.
final class TCPSession: StreamHandler {
    let number: UInt64
    let client: Stream
    let openedAt: LabTime
    private let host: LoadBalancerHost
    private var arrival: Arrival
    private(set) var upstream: Stream?
    private(set) var server: Int?
    /// What the connection claimed to be, and the bytes that came with the claim.
    private var endpoints: (client: ProxyEndpoint, balancer: ProxyEndpoint)?
    private var early: [UInt8] = []
    private var tried: [Int] = []
    private var ticket: Int?
    private var attemptBegan = LabTime(nanoseconds: 0)
    private var connectTime = LabDuration.zero
    private var connectTimer: TimerID?
    private(set) var relay: Relay?
    private var times: RequestLog
    /// What the last failure is called in the log.
    private var failureCode = "SC"
    private var onEnd: ((TCPSession) -> Void)?

    init(client: Stream, host: LoadBalancerHost, onEnd: @escaping (TCPSession) -> Void) {
        number = client.number
        openedAt = client.node.world.now
        self.client = client
        self.host = host
        self.onEnd = onEnd
        times = RequestLog(now: client.node.world.now, bytesBefore: 0)
        arrival = Arrival(request: 0, source: client.remote.address)
        arrival.key = arrival.source.key
    }

    /// Another proxy says whom it connects for.
    func claim(_ header: ProxyHeader, early: [UInt8]) {
        self.early = early
        guard let source = header.source, let destination = header.destination else { return }
        endpoints = (source, destination)
        guard let address = source.endpoint?.address else { return }
        arrival.source = address
        arrival.key = address.key
    }

    func streamOpened(_ stream: Stream) {
        if stream === client {
            // Nothing of the client is read before there is somebody to pass it to.
            client.pauseReading()
            arrival.request = host.engine.requestArrived()
            chooseServer()
        } else {
            host.node.cancel(connectTimer)
            connectTime = host.node.world.now - attemptBegan
            times.connected = host.node.world.now
            let relay = Relay(client, stream, idleTimeout: host.configuration.timeouts.tunnel)
            self.relay = relay
            relay.onClose = { [self] isOrderly in
                end(
                    !isOrderly && relay.bytesFromRight == 0 ? .failed : .answered(200),
                    Self.code(of: relay.ending))
            }
            if !early.isEmpty { stream.write(early) }
            relay.start()
        }
    }

    /// What goes ahead of TLS and everything else: for whom the connection is.
    private func introduce(to settings: LoadBalancerConfiguration.Backend, _ stream: Stream) {
        if let version = settings.sendProxy {
            let (source, balancer) = endpoints ?? (.internet(client.remote), .internet(client.local))
            stream.write(host.proxyHeader(version, client: source, balancer: balancer).bytes)
        }
        if let security = host.security.client(of: settings) {
            stream.secure(with: security, host: settings.destination.host)
        }
    }

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {}

    private func chooseServer() {
        switch host.engine.choose(arrival, excluding: tried, now: host.node.world.now) {
        case .server(let slot): connect(to: slot)
        case .wait(let ticket):
            self.ticket = ticket
            host.wait(
                ticket,
                .init(
                    admitted: { [self] in
                        self.ticket = nil
                        arrival.isAdmitted = true
                        chooseServer()
                    }, timedOut: { [self] in giveUp("sQ") }))
        case .none(let reason): giveUp(reason == .lineIsFull ? "RQ" : failureCode)
        }
        arrival.isAdmitted = false
    }

    private func connect(to slot: Int) {
        tried.append(slot)
        server = slot
        attemptBegan = host.node.world.now
        times.chosen = attemptBegan
        host.engine.requestBegan(server: slot)
        do throws(NetworkError) {
            let stream = try host.node.connect(to: host.engine.servers[slot].destination, handler: self)
            upstream = stream
            introduce(to: host.engine.servers[slot].settings, stream)
            connectTimer = host.node.after(host.configuration.timeouts.connect) { [weak self] in
                self?.serverFailed("sC")
            }
        } catch {
            host.node.enqueue { [weak self] in self?.serverFailed("SC") }
        }
    }

    private func serverFailed(_ code: String) {
        guard let failed = server else { return }
        failureCode = code
        host.node.cancel(connectTimer)
        upstream?.abort()
        upstream = nil
        server = nil
        host.engine.count(traffic(.failed), of: failed)
        host.requestEnded(failed, .failed, latency: .zero, request: arrival.request)
        guard host.configuration.retryOn.connectFailure, tried.count <= host.configuration.retries,
            host.engine.mayRetry(now: host.node.world.now)
        else { return giveUp(code) }
        host.engine.retried(after: failed)
        arrival.attempt += 1
        chooseServer()
    }

    private func giveUp(_ code: String) {
        ticket = nil
        host.engine.unserved()
        client.abort()
        end(.abandoned, code)
    }

    func streamEnded(_ stream: Stream) {}

    func stream(_ stream: Stream, closed reason: CloseReason) {
        if stream === client {
            host.node.cancel(connectTimer)
            upstream?.abort()
            let code = ticket == nil ? "CC" : "CQ"
            if let ticket { host.stopWaiting(ticket) }
            ticket = nil
            end(.abandoned, code)
        } else {
            serverFailed("SC")
        }
    }

    /// The operator ends it.
    func kill() {
        host.node.cancel(connectTimer)
        if let ticket { host.stopWaiting(ticket) }
        ticket = nil
        relay?.onClose = nil
        relay?.stream(client, closed: .reset)
        client.abort()
        upstream?.abort()
        end(.abandoned, "KD")
    }

    private static func code(of ending: Relay.Ending) -> String {
        switch ending {
        case .orderly: "--"
        case .leftBroke: "CD"
        case .rightBroke: "SD"
        case .idle: "cD"
        }
    }

    private func end(_ outcome: LoadBalancer.Outcome, _ code: String) {
        host.pendingLine(times, of: client, .init(code: code, retries: arrival.attempt - 1), server: server)?.write()
        if let server {
            host.engine.count(traffic(outcome), of: server)
            host.requestEnded(server, outcome, latency: connectTime, request: arrival.request)
        }
        server = nil
        relay = nil
        let callback = onEnd
        onEnd = nil
        callback?(self)
    }
}
