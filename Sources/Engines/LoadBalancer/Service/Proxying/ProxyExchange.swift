import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// One request on its way through the balancer and its response on the way back. Bodies are streamed both ways: a slow
/// reader pauses the sender.
///
/// Most connections of most balancers are idle, and an idle one needs none of this: when a request is done, its
/// exchange goes back to the proxy and is used for the next request, whoever's that is.
///
/// ```
///            choose            opened             head
///   idle ──▶ ┬─ waiting ─▶ ┬─ connecting ──▶ sent ──▶ responding ──▶ idle
///            └─────────────┘      │            │
///                  ▲              │ failed     │ failed, and may be repeated
///                  └──────────────┴────────────┘
/// ```
final class ProxyExchange {
    let proxy: HTTPProxy
    /// Whose request it is; nil between two requests.
    private(set) var client: HTTPServerConnection!
    private var forwardedFields: [UInt8] = []
    private var forwardedFor: (source: IPAddress, kinds: LoadBalancerConfiguration.ForwardedFields)?
    /// Gathers what it is written while one piece of the response is looked at.
    var corked: Stream?
    var upstream: HTTPClientConnection?
    /// The slot of the server that has the request.
    var server = 0
    /// The slots of all that had it.
    var tried: [Int] = []
    var arrival: Arrival
    /// The server that the client's cookie names, as far as there is one.
    var markedServer: Int?
    var phase = Phase.idle
    /// When what happened, for the log.
    var times = RequestLog()
    /// What the last failure is called there.
    var failureCode = "SC"
    /// An operator has cut it.
    var isKilled = false
    var attemptBegan = LabTime(nanoseconds: 0)
    /// What the connection in use had carried before.
    var carriedBefore = (sent: 0, received: 0)
    /// Its place in the line while it waits.
    var ticket = 0
    /// Whether the connection in use had served a request before this one.
    var isReused = false
    var isRetryOnSameServer = false
    /// Whether any byte of the request's body has left for a server.
    var sentBody = false
    var requestComplete = false
    /// Body bytes that arrived before there was a connection to send them on: at most one read of them, as reading
    /// pauses meanwhile.
    private var held: [UInt8] = []
    var deadline = LabTime.distantFuture
    var timer: TimerID?
    /// When the timer fires, while there is one.
    var timerTime = LabTime.distantFuture

    enum Phase { case idle, waiting, connecting, sent, responding }

    init(proxy: HTTPProxy) {
        self.proxy = proxy
        arrival = Arrival(request: 0, source: .any)
    }

    func attach(to client: HTTPServerConnection) {
        self.client = client
        arrival.source = client.clientAddress
        let kinds = proxy.host.configuration.forwarded
        // The next client is often the same.
        if forwardedFor?.source != arrival.source || forwardedFor?.kinds != kinds {
            forwardedFor = (arrival.source, kinds)
            forwardedFields = ForwardedHead.fields(kinds, for: arrival.source.description, isSecure: client.isSecure)
        }
        // A header may claim what is no address.
        if client.proxyHeader != nil, client.clientEndpoint.endpoint == nil {
            forwardedFields = ForwardedHead.fields(
                kinds, for: client.clientEndpoint.host, isSecure: client.isSecure)
            forwardedFor = nil
        }
    }

    /// Its request is answered: whatever comes next on the connection is another's.
    func detach() {
        client.context = nil
        client = nil
        proxy.giveBack(self)
    }

    var host: LoadBalancerHost { proxy.host }
    var node: Node { proxy.host.node }
    var now: LabTime { node.world.now }

    // MARK: The request

    func begin() {
        tried.removeAll(keepingCapacity: true)
        held = []
        sentBody = false
        requestComplete = false
        isRetryOnSameServer = false
        isKilled = false
        arrival.request = host.engine.requestArrived()
        arrival.attempt = 1
        arrival.isAdmitted = false
        times = RequestLog(now: now, bytesBefore: client.stream.bytesSent)
        if client.method == .connect { return answer(501, "PR", "CONNECT is not for balancers") }
        proxy.readMarks(of: client, into: &arrival)
        markedServer = arrival.sticky
        chooseServer()
    }

    /// Asks the engine who takes the next attempt.
    func chooseServer() {
        switch host.engine.choose(arrival, excluding: tried, now: now) {
        case .server(let slot):
            arrival.isAdmitted = false
            start(on: slot)
        case .wait(let ticket):
            arrival.isAdmitted = false
            phase = .waiting
            times.ahead = host.engine.waitingCount - 1
            self.ticket = ticket
            if client.bodyFraming != .none { client.pauseBody() }
            host.wait(ticket, whenAdmitted: { [self] in admitted() }, whenTimedOut: { [self] in waitedTooLong() })
        case .none(let reason): giveUp(reason)
        }
    }

    private func admitted() {
        guard phase == .waiting else { return }
        phase = .idle
        arrival.isAdmitted = true
        chooseServer()
        if phase == .sent { client.resumeBody() }
    }

    private func waitedTooLong() {
        guard phase == .waiting else { return }
        phase = .idle
        host.engine.unserved()
        answer(
            503, "sQ", fields: [("Retry-After", "1")], "no backend had room in \(host.configuration.queue.timeout)")
    }

    private func start(on slot: Int) {
        tried.append(slot)
        server = slot
        attemptBegan = now
        times.chosen = now
        times.connected = nil
        times.answered = nil
        host.engine.requestBegan(server: slot)
        if client.method.isIdempotent, let connection = proxy.takeIdle(slot) {
            isReused = true
            use(connection)
            sendHead()
        } else {
            connect()
        }
    }

    func connect() {
        isReused = false
        phase = .connecting
        if client.bodyFraming != .none { client.pauseBody() }
        let connection = HTTPClientConnection()
        use(connection)
        do throws(NetworkError) {
            let settings = host.engine.servers[server].settings
            try connection.connect(
                from: node, to: host.engine.servers[server].destination, security: host.security.client(of: settings),
                introduction: settings.sendProxy.map {
                    host.proxyHeader($0, client: client.clientEndpoint, balancer: client.receivingEndpoint).bytes
                } ?? [])
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
        carriedBefore = connection.carried
    }

    func sendHead() {
        guard let upstream else { return }
        phase = .sent
        times.connected = now
        setDeadline(host.configuration.timeouts.response)
        upstream.begin(client.method)
        var bytes = proxy.takeScratch()
        ForwardedHead.append(request: client.head, forwardedFields, without: proxy.cookie, to: &bytes)
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
        case .connecting, .waiting: held.append(contentsOf: body)
        case .sent, .responding: forward(body)
        case .idle: break
        }
    }

    private func forward(_ body: UnsafeRawBufferPointer) {
        guard let upstream else { return }
        sentBody = true
        setDeadline(host.configuration.timeouts.response)
        upstream.write(body: body, inChunks: client.bodyFraming == .chunked)
        if upstream.stream.isCongested { client.pauseBody() }
    }

    func endBody() {
        requestComplete = true
        if phase == .sent || phase == .responding { endForwarding() }
    }

    private func endForwarding() {
        if client.bodyFraming == .chunked { upstream?.endChunks() }
    }

    // MARK: The end

    /// The client went away.
    func abandon() {
        switch phase {
        case .idle: return
        case .waiting:
            phase = .idle
            pendingLine("\(blame)Q", status: nil)?.write()
            host.stopWaiting(ticket)
        case .connecting, .sent, .responding:
            let isData = phase == .responding || phase == .sent && !requestComplete
            pendingLine(
                blame + (phase == .connecting ? "C" : isData ? "D" : "H"),
                status: phase == .responding ? upstream?.head.status : nil)?.write()
            upstream?.abort()
            finish(.abandoned)
        }
    }

    /// Who ends it, if the client's connection does.
    private var blame: String { isKilled ? "K" : "C" }

    /// The client's connection is over.
    func close() {
        abandon()
        node.cancel(timer)
        timer = nil
    }

    /// The server is done with the request.
    func finish(_ outcome: LoadBalancer.Outcome) {
        guard phase != .idle else { return }
        host.engine.count(traffic(outcome), of: server)
        phase = .idle
        upstream = nil
        deadline = .distantFuture
        host.requestEnded(server, outcome, latency: now - attemptBegan, request: arrival.request)
    }
}
