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
    private var sessions: [UInt64: TCPSession] = [:]

    init(_ host: LoadBalancerHost) { self.host = host }

    var openConnections: Int { sessions.count }

    func listen(on port: UInt16) throws(NetworkError) {
        listener = try host.node.listen(on: port) { [unowned self] stream in
            let session = TCPSession(client: stream, host: host) { [weak self] session in
                self?.sessions[session.number] = nil
                self?.host.connectionClosed()
            }
            sessions[stream.number] = session
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
    private let client: Stream
    private let host: LoadBalancerHost
    private var upstream: Stream?
    private var server: Int?
    private var tried: [Int] = []
    private var connectTimer: TimerID?
    private var relay: Relay?
    private var onEnd: ((TCPSession) -> Void)?

    init(client: Stream, host: LoadBalancerHost, onEnd: @escaping (TCPSession) -> Void) {
        number = client.number
        self.client = client
        self.host = host
        self.onEnd = onEnd
    }

    func streamOpened(_ stream: Stream) {
        if stream === client {
            // Nothing of the client is read before there is somebody to pass it to.
            client.pauseReading()
            host.engine.requestArrived()
            connectToServer()
        } else {
            host.node.cancel(connectTimer)
            let relay = Relay(client, stream)
            self.relay = relay
            relay.onClose = { [self] isOrderly in end(failed: !isOrderly && relay.bytesFromRight == 0) }
            relay.start()
        }
    }

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {}

    private func connectToServer() {
        guard tried.count <= host.configuration.retries, let choice = host.engine.choose(excluding: tried) else {
            host.engine.unserved()
            client.abort()
            return end(failed: false)
        }
        if !tried.isEmpty { host.engine.retried() }
        tried.append(choice)
        server = choice
        host.engine.requestBegan(server: choice)
        let destination = host.engine.servers[choice].destination
        do throws(NetworkError) {
            upstream = try host.node.connect(to: destination, handler: self)
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
        host.engine.requestEnded(server: failed, failed: true)
        connectToServer()
    }

    func streamEnded(_ stream: Stream) {}

    func stream(_ stream: Stream, closed reason: CloseReason) {
        if stream === client {
            host.node.cancel(connectTimer)
            upstream?.abort()
            end(failed: false)
        } else {
            serverFailed()
        }
    }

    private func end(failed: Bool) {
        if let server { host.engine.requestEnded(server: server, failed: failed) }
        server = nil
        relay = nil
        let callback = onEnd
        onEnd = nil
        callback?(self)
    }
}
