import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// One request on its way through the balancer and its response on the way back; used again for the next request of
/// the same client connection. Bodies are streamed both ways: a slow reader pauses the sender.
final class ProxyExchange: HTTPClientDelegate {
    private let proxy: HTTPProxy
    private let client: HTTPServerConnection
    private let forwardedFor: [UInt8]
    private var upstream: HTTPClientConnection?
    private var server = 0
    private var tried: [Int] = []
    private var phase = Phase.idle
    /// Whether the connection in use had served a request before this one.
    private var isReused = false
    private var isRetryOnSameServer = false
    /// Whether any byte of the request's body has left for a server.
    private var sentBody = false
    private var requestComplete = false
    /// Body bytes that arrived before there was a connection to send them on: at most one read of them, as reading
    /// pauses meanwhile.
    private var held: [UInt8] = []
    private var deadline = LabTime.distantFuture
    private var timer: TimerID?
    /// When the timer fires, while there is one.
    private var timerTime = LabTime.distantFuture

    private enum Phase { case idle, connecting, sent, responding }

    init(proxy: HTTPProxy, client: HTTPServerConnection) {
        self.proxy = proxy
        self.client = client
        forwardedFor = ForwardedHead.forwardedFor(client.stream.remote.address)
    }

    private var host: LoadBalancerHost { proxy.host }
    private var node: Node { client.stream.node }

    // MARK: The request

    func begin() {
        tried.removeAll(keepingCapacity: true)
        held = []
        sentBody = false
        requestComplete = false
        isRetryOnSameServer = false
        host.engine.requestArrived()
        if client.method == .connect {
            return client.respond(status: 501, body: "501 Not Implemented: CONNECT is not for balancers\n")
        }
        tryNextServer()
    }

    private func tryNextServer() {
        guard tried.count <= host.configuration.retries, let choice = host.engine.choose(excluding: tried) else {
            return giveUp()
        }
        if !tried.isEmpty { host.engine.retried() }
        tried.append(choice)
        server = choice
        host.engine.requestBegan(server: choice)
        let mayBeRepeated = client.method.isIdempotent
        if mayBeRepeated, let connection = proxy.takeIdle(choice) {
            isReused = true
            use(connection)
            sendHead()
        } else {
            connect()
        }
    }

    /// Every server that could be asked has failed, or there is none.
    private func giveUp() {
        phase = .idle
        host.engine.unserved()
        if tried.isEmpty {
            client.respond(
                status: 503,
                fields: [("Retry-After", "\(max(1, Int(host.configuration.healthCheck.interval.seconds)))")],
                body: "503 Service Unavailable: no backend is in the pool\n")
        } else {
            client.respond(status: 503, body: "503 Service Unavailable: no backend could be reached\n")
        }
    }

    private func connect() {
        isReused = false
        phase = .connecting
        if client.bodyFraming != .none { client.pauseBody() }
        let connection = HTTPClientConnection()
        use(connection)
        phase = .connecting
        do throws(NetworkError) {
            try connection.connect(from: node, to: host.engine.servers[server].destination)
            setDeadline(host.configuration.timeouts.connect)
        } catch {
            node.enqueue { [self] in
                guard upstream === connection, phase == .connecting else { return }
                serverFailed(.notConnected(.unreachable))
            }
        }
    }

    private func use(_ connection: HTTPClientConnection) {
        upstream = connection
        connection.delegate = self
    }

    func clientOpened(_ connection: HTTPClientConnection) {
        guard phase == .connecting else { return }
        sendHead()
        client.resumeBody()
    }

    private func sendHead() {
        guard let upstream else { return }
        phase = .sent
        setDeadline(host.configuration.timeouts.response)
        upstream.begin(client.method)
        var bytes = proxy.takeScratch()
        ForwardedHead.append(request: client.head, forwardedFor, to: &bytes)
        upstream.write(bytes)
        proxy.giveScratch(bytes)
        if !held.isEmpty {
            let body = held
            held = []
            body.withUnsafeBytes { forward($0) }
        }
        if requestComplete { endForwarding() }
    }

    func sendBody(_ body: UnsafeRawBufferPointer) {
        switch phase {
        case .connecting: held.append(contentsOf: body)
        case .sent, .responding: forward(body)
        case .idle: break
        }
    }

    private func forward(_ body: UnsafeRawBufferPointer) {
        guard let upstream else { return }
        sentBody = true
        setDeadline(host.configuration.timeouts.response)
        if client.bodyFraming == .chunked {
            var size: [UInt8] = []
            HTTPWriter.chunkStart(body.count, into: &size)
            upstream.stream.cork()
            upstream.write(size)
            upstream.write(body)
            upstream.write("\r\n".utf8.map { $0 })
            upstream.stream.uncork()
        } else {
            upstream.write(body)
        }
        if upstream.stream.isCongested { client.pauseBody() }
    }

    func clientDrained(_ connection: HTTPClientConnection) { client.resumeBody() }

    func endBody() {
        requestComplete = true
        if phase == .sent || phase == .responding { endForwarding() }
    }

    private func endForwarding() {
        if client.bodyFraming == .chunked { upstream?.write("0\r\n\r\n".utf8.map { $0 }) }
    }

    // MARK: The response

    func clientWillProcess(_ connection: HTTPClientConnection) { client.stream.cork() }
    func clientDidProcess(_ connection: HTTPClientConnection) { client.stream.uncork() }

    func clientReceivedHead(_ connection: HTTPClientConnection) {
        let status = connection.head.status
        setDeadline(host.configuration.timeouts.response)
        if status == 100 { return client.sendContinue() }
        if status == 101 {
            guard client.head.asksForUpgrade else {
                return serverFailed(.malformed(HTTPError(502, "the backend switches protocols unasked")))
            }
            return startTunnel(connection)
        }
        if status < 200 { return }
        phase = .responding
        var head = proxy.takeScratch()
        ForwardedHead.append(response: connection.head, isForHead: client.method == .head, to: &head)
        client.beginRawResponse(&head, status: status, framing: connection.head.body)
        proxy.giveScratch(head)
    }

    func client(_ connection: HTTPClientConnection, received body: UnsafeRawBufferPointer) {
        setDeadline(host.configuration.timeouts.response)
        client.writeBody(body)
        if client.isCongested { connection.stream.pauseReading() }
    }

    func clientDrained() { upstream?.stream.resumeReading() }

    func clientReceivedEnd(_ connection: HTTPClientConnection) {
        finish(failed: false)
        connection.stream.resumeReading()
        // A server that answered before it had the whole request may take the rest for the next one.
        if requestComplete { proxy.giveBack(connection, to: server) } else { connection.close() }
        client.endResponse()
    }

    /// RFC 9110 §7.8: after a 101 the connection speaks another protocol, which is passed through unread.
    private func startTunnel(_ connection: HTTPClientConnection) {
        var head = proxy.takeScratch()
        ForwardedHead.append(switching: connection.head, to: &head)
        client.stream.write(head)
        proxy.giveScratch(head)
        finish(failed: false)
        let downstream = client.stream
        let relay = Relay(downstream, connection.stream)
        connection.upgrade(to: relay)
        let early = client.upgrade(to: relay)
        connection.stream.write(early)
        relay.start()
    }

    // MARK: Failures

    func client(_ connection: HTTPClientConnection, failed failure: HTTPClientFailure) {
        if upstream === connection { serverFailed(failure) }
    }

    private func serverFailed(_ failure: HTTPClientFailure) {
        let answered = (upstream?.bytesOfResponse ?? 0) > 0
        let wasReused = isReused
        let hadBegun = phase == .responding
        upstream?.abort()
        switch failure {
        case .notConnected:
            finish(failed: true)
            tryNextServer()
        case .closed where !answered && !sentBody && client.method.isIdempotent:
            // A kept connection that was closed meanwhile says nothing about the server: the same one is asked anew.
            finish(failed: !wasReused)
            if wasReused, !isRetryOnSameServer {
                isRetryOnSameServer = true
                tried.removeAll { $0 == server }
                host.engine.requestBegan(server: server)
                tried.append(server)
                connect()
            } else {
                tryNextServer()
            }
        case .closed, .malformed:
            finish(failed: true)
            if hadBegun {
                client.cutResponse()
            } else {
                client.respond(status: 502, body: "502 Bad Gateway: \(Self.text(failure))\n")
            }
        }
    }

    private static func text(_ failure: HTTPClientFailure) -> String {
        switch failure {
        case .malformed(let error): error.text
        default: "the backend closed the connection without an answer"
        }
    }

    /// The client went away.
    func abandon() {
        guard phase != .idle else { return }
        upstream?.abort()
        finish(failed: false)
    }

    /// The client's connection is over.
    func close() {
        abandon()
        node.cancel(timer)
        timer = nil
    }

    private func finish(failed: Bool) {
        guard phase != .idle else { return }
        phase = .idle
        upstream = nil
        deadline = .distantFuture
        host.engine.requestEnded(server: server, failed: failed)
    }

    // MARK: Timeouts

    /// One timer for all requests of a connection; it looks at the deadline when it fires.
    private func setDeadline(_ timeout: LabDuration) {
        deadline = node.world.now + timeout
        if timer == nil {
            armTimer()
        } else if deadline < timerTime {
            // A timer that an earlier, longer wait has left behind would come too late.
            node.cancel(timer)
            armTimer()
        }
    }

    private func armTimer() {
        timerTime = deadline
        timer = node.after(deadline - node.world.now) { [self] in checkDeadline() }
    }

    private func checkDeadline() {
        timer = nil
        guard phase != .idle else { return }
        if node.world.now < deadline { return armTimer() }
        switch phase {
        case .idle: break
        case .connecting: serverFailed(.notConnected(.timedOut))
        case .sent where !requestComplete && upstream?.stream.isCongested != true:
            // It is the client that keeps everybody waiting; its own timeout will see to it.
            setDeadline(host.configuration.timeouts.response)
        case .sent:
            upstream?.abort()
            finish(failed: true)
            client.respond(status: 504, body: "504 Gateway Timeout: the backend did not answer in time\n")
        case .responding where client.isCongested:
            setDeadline(host.configuration.timeouts.response)
        case .responding:
            upstream?.abort()
            finish(failed: true)
            client.cutResponse()
        }
    }
}
