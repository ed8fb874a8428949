import KernelHosting
import KernelStructures
import KernelWorld

/// The balancer in TCP mode: one server a connection, bytes passed through unread.
///
/// The simplest proxy there is, and for many protocols the only possible one: it understands nothing, so it can
/// balance anything. The price is that a connection stays where it began, however many requests it carries.
final class TCPProxy {
    private let host: LoadBalancerHost
    private var listener: Listener?
    private(set) var sessions: [UInt64: TCPSession] = [:]
    let tally = ConnectionTally()

    init(_ host: LoadBalancerHost) { self.host = host }

    var openConnections: Int { sessions.count }

    func listen(on port: UInt16) throws(NetworkError) {
        listener = try host.node.listen(on: port) { [unowned self] stream in
            let session = TCPSession(client: stream, host: host) { [weak self] session in
                self?.tally.closed(session.client)
                self?.sessions[session.number] = nil
                self?.host.connectionClosed()
            }
            sessions[stream.number] = session
            tally.opened(sessions.count, now: stream.node.world.now)
            return session
        }
    }

    func drain() {
        listener?.close()
        listener = nil
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
    private var tried: [Int] = []
    private var ticket: Int?
    private var attemptBegan = LabTime(nanoseconds: 0)
    private var connectTime = LabDuration.zero
    private var connectTimer: TimerID?
    private(set) var relay: Relay?
    private var onEnd: ((TCPSession) -> Void)?

    init(client: Stream, host: LoadBalancerHost, onEnd: @escaping (TCPSession) -> Void) {
        number = client.number
        openedAt = client.node.world.now
        self.client = client
        self.host = host
        self.onEnd = onEnd
        arrival = Arrival(request: 0, source: client.remote.address)
        arrival.key = arrival.source.key
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
            let relay = Relay(client, stream, idleTimeout: host.configuration.timeouts.tunnel)
            self.relay = relay
            relay.onClose = { [self] isOrderly in
                end(!isOrderly && relay.bytesFromRight == 0 ? .failed : .answered(200))
            }
            relay.start()
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
                whenAdmitted: { [self] in
                    self.ticket = nil
                    arrival.isAdmitted = true
                    chooseServer()
                }, whenTimedOut: { [self] in giveUp() })
        case .none: giveUp()
        }
        arrival.isAdmitted = false
    }

    private func connect(to slot: Int) {
        tried.append(slot)
        server = slot
        attemptBegan = host.node.world.now
        host.engine.requestBegan(server: slot)
        do throws(NetworkError) {
            upstream = try host.node.connect(to: host.engine.servers[slot].destination, handler: self)
            connectTimer = host.node.after(host.configuration.timeouts.connect) { [weak self] in self?.serverFailed() }
        } catch {
            host.node.enqueue { [weak self] in self?.serverFailed() }
        }
    }

    private func serverFailed() {
        guard let failed = server else { return }
        host.node.cancel(connectTimer)
        upstream?.abort()
        upstream = nil
        server = nil
        host.engine.count(traffic(.failed), of: failed)
        host.requestEnded(failed, .failed, latency: .zero, request: arrival.request)
        guard host.configuration.retryOn.connectFailure, tried.count <= host.configuration.retries,
            host.engine.mayRetry(now: host.node.world.now)
        else { return giveUp() }
        host.engine.retried(after: failed)
        arrival.attempt += 1
        chooseServer()
    }

    private func giveUp() {
        ticket = nil
        host.engine.unserved()
        client.abort()
        end(.abandoned)
    }

    func streamEnded(_ stream: Stream) {}

    func stream(_ stream: Stream, closed reason: CloseReason) {
        if stream === client {
            host.node.cancel(connectTimer)
            upstream?.abort()
            if let ticket { host.stopWaiting(ticket) }
            ticket = nil
            end(.abandoned)
        } else {
            serverFailed()
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
        end(.abandoned)
    }

    private func end(_ outcome: LoadBalancer.Outcome) {
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
