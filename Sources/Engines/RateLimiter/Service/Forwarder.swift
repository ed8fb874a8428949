import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// The way to the server behind the limiter: connections that are kept open, and what is under way on them.
final class Forwarder {
    let node: Node
    let destination: HostPort
    let timeouts: RateLimiterConfiguration.Timeouts
    /// Unused ones, the most recently used last.
    private var idle: [HTTPClientConnection] = []
    private let watch = IdleWatch()
    private var isSweepScheduled = false

    static let idleLimit = 256
    /// Less than servers usually keep theirs.
    static let idleTime = LabDuration.seconds(20)

    init(node: Node, destination: HostPort, _ timeouts: RateLimiterConfiguration.Timeouts) {
        self.node = node
        self.destination = destination
        self.timeouts = timeouts
    }

    func takeIdle() -> HTTPClientConnection? {
        while let connection = idle.popLast() {
            if connection.isReusable { return connection }
            connection.close()
        }
        return nil
    }

    func giveBack(_ connection: HTTPClientConnection) {
        guard connection.isReusable, idle.count < Self.idleLimit else { return connection.close() }
        connection.delegate = watch
        connection.idleSince = node.world.now
        idle.append(connection)
        if !isSweepScheduled { scheduleSweep() }
    }

    private func scheduleSweep() {
        isSweepScheduled = true
        node.after(Self.idleTime) { [self] in
            isSweepScheduled = false
            let limit = node.world.now - Self.idleTime
            let expired = idle.prefix { $0.idleSince <= limit }.count
            for connection in idle.prefix(expired) { connection.close() }
            idle.removeFirst(expired)
            if !idle.isEmpty { scheduleSweep() }
        }
    }

    /// A server may close a connection that nobody uses, and may not speak on it.
    private final class IdleWatch: HTTPClientDelegate {
        func clientReceivedHead(_ client: HTTPClientConnection) {}
        func client(_ client: HTTPClientConnection, received body: UnsafeRawBufferPointer) {}
        func clientReceivedEnd(_ client: HTTPClientConnection) {}
        func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {}
    }
}

/// One request on its way to the server and back.
///
/// What could not be sent is not sent again, with one exception: a connection that was kept open may have been closed
/// by the server just now, and a request without a body that may be repeated then gets a new connection, once.
/// Balancing and retries are the load balancer's business; it can stand behind.
final class Forwarding: HTTPClientDelegate {
    private let forwarder: Forwarder
    private unowned let exchange: LimitedExchange
    private var upstream: HTTPClientConnection?
    private var phase = Phase.idle
    private var isReused = false
    private var isEnded = false
    private var sentBody = false
    /// Body bytes from before there was a connection: at most one read of them.
    private var held: [UInt8] = []
    private var deadline = LabTime.distantFuture
    private var timer: TimerID?
    private var timerTime = LabTime.distantFuture
    private var corked: Stream?

    private enum Phase { case idle, connecting, sent, responding, over }

    init(_ forwarder: Forwarder, _ exchange: LimitedExchange) {
        self.forwarder = forwarder
        self.exchange = exchange
    }

    private var client: HTTPServerConnection { exchange.connection }

    // MARK: There

    func begin() {
        if client.method.isIdempotent, let connection = forwarder.takeIdle() {
            isReused = true
            use(connection)
            sendHead()
        } else {
            connect()
        }
    }

    private func connect() {
        isReused = false
        phase = .connecting
        if client.bodyFraming != .none { client.pauseBody() }
        let connection = HTTPClientConnection()
        use(connection)
        do throws(NetworkError) {
            try connection.connect(from: forwarder.node, to: forwarder.destination)
            setDeadline(forwarder.timeouts.connect)
        } catch {
            forwarder.node.enqueue { [self] in
                if phase == .connecting { fail(502, "the server behind cannot be reached: \(error)") }
            }
        }
    }

    private func use(_ connection: HTTPClientConnection) {
        upstream = connection
        connection.delegate = self
    }

    private func sendHead() {
        guard let upstream else { return }
        phase = .sent
        setDeadline(forwarder.timeouts.response)
        upstream.begin(client.method)
        var bytes: [UInt8] = []
        ForwardedMessage.append(request: client.head, from: client.clientEndpoint.host, to: &bytes)
        upstream.write(bytes)
        let early = held
        held = []
        if !early.isEmpty { early.withUnsafeBytes { send($0) } }
        if isEnded { finishBody() }
    }

    func send(_ body: UnsafeRawBufferPointer) {
        guard phase == .sent || phase == .responding, let upstream else {
            if phase == .connecting { held.append(contentsOf: body) }
            return
        }
        sentBody = true
        setDeadline(forwarder.timeouts.response)
        upstream.write(body: body, inChunks: client.bodyFraming == .chunked)
        if upstream.stream.isCongested { client.pauseBody() }
    }

    func endBody() {
        isEnded = true
        if phase == .sent || phase == .responding { finishBody() }
    }

    private func finishBody() { if client.bodyFraming == .chunked { upstream?.endChunks() } }

    // MARK: And back

    func clientOpened(_ connection: HTTPClientConnection) {
        guard phase == .connecting else { return }
        sendHead()
        client.resumeBody()
    }

    func clientDrained(_ connection: HTTPClientConnection) { client.resumeBody() }

    func clientWillProcess(_ connection: HTTPClientConnection) {
        corked = client.stream
        corked?.cork()
    }

    func clientDidProcess(_ connection: HTTPClientConnection) {
        corked?.uncork()
        corked = nil
    }

    func clientReceivedHead(_ connection: HTTPClientConnection) {
        let status = connection.head.status
        setDeadline(forwarder.timeouts.response)
        if status == 100 { return client.sendContinue() }
        if status == 101 { return switchProtocols(connection) }
        if status < 200 { return }
        phase = .responding
        var head: [UInt8] = []
        ForwardedMessage.append(response: connection.head, isForHead: client.method == .head, to: &head)
        exchange.appendFields(to: &head, withCommon: false)
        client.beginRawResponse(&head, status: status, framing: connection.head.body)
    }

    func client(_ connection: HTTPClientConnection, received body: UnsafeRawBufferPointer) {
        setDeadline(forwarder.timeouts.response)
        client.writeBody(body)
        if client.isCongested { connection.stream.pauseReading() }
    }

    func clientDrained() { upstream?.stream.resumeReading() }

    func clientReceivedEnd(_ connection: HTTPClientConnection) {
        end()
        connection.stream.resumeReading()
        // A server that answered before it had the whole request may take the rest for the next one.
        if isEnded { forwarder.giveBack(connection) } else { connection.close() }
        let client = client
        exchange.over()
        client.endResponse()
    }

    /// RFC 9110 §7.8: from here on the connection speaks another protocol, which passes unread.
    private func switchProtocols(_ connection: HTTPClientConnection) {
        guard client.head.asksForUpgrade else { return fail(502, "the server behind switches protocols unasked") }
        var head: [UInt8] = []
        ForwardedMessage.append(switching: connection.head, to: &head)
        client.stream.write(head)
        end()
        let relay = Relay(client.stream, connection.stream, idleTimeout: .seconds(3_600))
        connection.upgrade(to: relay)
        let client = client
        exchange.over()
        connection.stream.write(client.upgrade(to: relay))
        relay.start()
    }

    func client(_ connection: HTTPClientConnection, failed failure: HTTPClientFailure) {
        guard upstream === connection, phase != .over else { return }
        let isUntouched = connection.bytesOfResponse == 0 && !sentBody && client.method.isIdempotent
        if case .closed = failure, isReused, isUntouched { return connect() }
        switch failure {
        case .notConnected(let reason): fail(502, "the server behind cannot be reached (\(reason))")
        case .malformed(let error): fail(502, error.text)
        case .closed: fail(502, "the server behind closed the connection without an answer")
        }
    }

    // MARK: Ends

    /// One timer: it looks at the deadline when it fires, and moves only when it would fire too late.
    private func setDeadline(_ timeout: LabDuration) {
        deadline = forwarder.node.world.now + timeout
        if timer == nil {
            arm()
        } else if deadline < timerTime {
            forwarder.node.cancel(timer)
            arm()
        }
    }

    private func arm() {
        timerTime = deadline
        timer = forwarder.node.after(deadline - forwarder.node.world.now) { [self] in
            timer = nil
            if phase == .over { return }
            if forwarder.node.world.now < deadline { return arm() }
            // Somebody who does not take the answer is the client's connection's affair.
            if phase == .responding, client.isCongested { return setDeadline(forwarder.timeouts.response) }
            fail(504, "the server behind did not answer in time")
        }
    }

    private func fail(_ status: Int, _ text: String) {
        let hadBegun = phase == .responding
        end()
        upstream?.abort()
        let client = client
        exchange.over()
        if hadBegun { return client.cutResponse() }
        client.respond(status: status, body: "\(status) \(HTTPStatus.reason(status)): \(text)\n")
    }

    func abandon() {
        if phase == .over { return }
        end()
        upstream?.abort()
    }

    private func end() {
        phase = .over
        forwarder.node.cancel(timer)
        timer = nil
    }
}
