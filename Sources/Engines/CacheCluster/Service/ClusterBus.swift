import CacheClusterEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// The way to other nodes: each message in a message of a WebSocket, on connections that are made when something is to
/// be said and made again whenever they end.
///
/// A node only speaks on the connections that it has made, and only listens on the others'. What finds no room is
/// dropped: the engine counts on nothing that it sends.
final class ClusterBus {
    static let path = "/cluster"
    static let protocolName = "sdlab-cluster"
    /// Bytes of one message: the largest value, and some.
    static let messageLimitBytes = 600 << 20

    let node: Node
    let server: HTTPServer
    private let router = HTTPRouter()
    private var links: [String: BusLink] = [:]
    private var guests: [BusGuest] = []
    var onMessage: ((ClusterMessage) -> Void)?
    private(set) var receivedBytes = 0
    private(set) var sentBytes = 0
    private(set) var refusedCount = 0
    private var isStopped = false

    init(node: Node) {
        self.node = node
        server = HTTPServer(node: node, service: router)
        router.on("GET", Self.path) { [unowned self] exchange in
            var options = WebSocketConnection.Options()
            options.messageLimitBytes = Self.messageLimitBytes
            guard let socket = exchange.webSocket(protocols: [Self.protocolName], options: options) else { return }
            guests.append(BusGuest(socket, of: self))
        }
    }

    func send(_ message: ClusterMessage, to address: HostPort) {
        guard !isStopped else { return }
        let key = address.description
        let bytes = message.encoded
        sentBytes += bytes.count
        let link = links[key] ?? BusLink(address, of: self)
        links[key] = link
        link.send(bytes)
    }

    fileprivate func received(_ bytes: [UInt8], from guest: BusGuest) {
        guard !isStopped else { return }
        receivedBytes += bytes.count
        do throws(RecordReader.Malformed) {
            onMessage?(try ClusterMessage(encoded: bytes))
        } catch {
            refusedCount += 1
            guest.refuse()
        }
    }

    fileprivate func left(_ guest: BusGuest) { guests.removeAll { $0 === guest } }
    fileprivate func ended(_ link: BusLink) { if links[link.key] === link { links[link.key] = nil } }

    var linkCount: Int { links.count }
    /// Where it has connections to, in order.
    var addresses: [String] { links.keys.sorted() }

    /// Lets go of connections that nothing was said on for a while.
    func tidy(now: LabTime) {
        for key in links.keys.sorted() where links[key].map({ now - $0.usedAt > .seconds(15) }) == true {
            links[key]?.stop()
            links[key] = nil
        }
    }

    func willDrain() { router.drain() }

    func stop() {
        isStopped = true
        for key in links.keys.sorted() { links[key]?.stop() }
        links = [:]
        for guest in guests { guest.letGo() }
        guests = []
    }
}

/// This node's connection to another one's bus.
private final class BusLink {
    let key: String
    private let address: HostPort
    private unowned let bus: ClusterBus
    private var socket: WebSocketConnection?
    private var call: WebSocketCall?
    private var waiting: [[UInt8]] = []
    private var waitingBytes = 0
    private(set) var usedAt: LabTime

    /// What may wait for a connection, or for room on one.
    private static let waitingLimitBytes = 64 << 20

    init(_ address: HostPort, of bus: ClusterBus) {
        self.address = address
        self.bus = bus
        key = address.description
        usedAt = bus.node.world.now
    }

    func send(_ bytes: [UInt8]) {
        usedAt = bus.node.world.now
        if let socket, socket.isOpen, !socket.isCongested, waiting.isEmpty {
            socket.send(bytes)
            return
        }
        if waitingBytes + bytes.count <= Self.waitingLimitBytes || waiting.isEmpty {
            waiting.append(bytes)
            waitingBytes += bytes.count
        }
        if socket == nil, call == nil { connect() }
    }

    private func connect() {
        var url = HTTPURL(scheme: .http, host: address.host, port: address.port, target: ClusterBus.path)
        url.hasPort = true
        var options = WebSocketConnection.Options()
        options.messageLimitBytes = ClusterBus.messageLimitBytes
        options.unsentLimitBytes = ClusterBus.messageLimitBytes
        let call = WebSocketCall(
            bus.node, url, fields: [("Sec-WebSocket-Protocol", ClusterBus.protocolName)], options: options
        ) { [weak self] result in self?.connected(result) }
        self.call = call
        call.start(deadline: .seconds(1))
    }

    private func connected(_ result: Result<WebSocketConnection, HTTPCall.Failure>) {
        call = nil
        guard case .success(let socket) = result else {
            forgetWaiting()
            return bus.ended(self)
        }
        self.socket = socket
        socket.onDrained = { [weak self] in self?.sendWaiting() }
        socket.onClosed = { [weak self] _, _ in self?.lost() }
        sendWaiting()
    }

    private func sendWaiting() {
        var sent = 0
        while let socket, sent < waiting.count, !socket.isCongested {
            socket.send(waiting[sent])
            waitingBytes -= waiting[sent].count
            sent += 1
        }
        waiting.removeFirst(min(sent, waiting.count))
    }

    private func forgetWaiting() {
        waiting = []
        waitingBytes = 0
    }

    private func lost() {
        socket = nil
        forgetWaiting()
        bus.ended(self)
    }

    func stop() {
        call?.cancel()
        call = nil
        forgetWaiting()
        let last = socket
        socket = nil
        last?.onClosed = nil
        last?.onDrained = nil
        last?.close(.goingAway, "it stops")
    }
}

/// Another node's connection to this one's bus.
private final class BusGuest {
    private let socket: WebSocketConnection
    private unowned let bus: ClusterBus

    init(_ socket: WebSocketConnection, of bus: ClusterBus) {
        self.socket = socket
        self.bus = bus
        socket.onBinary = { [unowned self] bytes in self.bus.received(bytes, from: self) }
        socket.onText = { [unowned self] _ in refuse() }
        socket.onClosed = { [unowned self] _, _ in
            letGo()
            self.bus.left(self)
        }
    }

    func refuse() { socket.close(.policyViolation, "that is no message, or it was damaged") }

    func letGo() {
        socket.onBinary = nil
        socket.onText = nil
        socket.onClosed = nil
    }
}
