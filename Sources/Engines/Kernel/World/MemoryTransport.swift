import KernelStructures

/// A network in memory: deterministic, with a stated cost per hop.
///
/// It behaves as the kernel's loopback TCP does where a program can tell: buffers of a fixed size that push back on
/// the sender, an end or a reset when a socket is closed, a backlog that accepts for a frozen process, refusal where
/// nobody listens, silence where there is no power.
public final class MemoryTransport: Transport {
    /// Lab time from one end to the other: what a loopback hop costs a real program, scheduling included.
    public static let hopLatency = LabDuration.microseconds(20)
    /// Bytes that fit between two ends, under way or not yet read: as Linux's default socket buffers, near enough.
    public static let windowBytes = 256 * 1024
    /// Connections that wait for a process that does not accept them.
    public static let backlog = 4096

    private unowned var network: Network!
    private var listeners: [Endpoint: MemoryListener] = [:]
    private var lastPort: [IPAddress: UInt16] = [:]
    private var lastDatagramPort: [IPAddress: UInt16] = [:]
    private var darkEnds: [(node: Node, end: MemoryEnd)] = []

    public init() {}

    public func attach(to network: Network) { self.network = network }
    public func address(ofNode number: Int) -> IPAddress {
        IPAddress(IPv4Address(127, 1, UInt8((number - 1) / 250), UInt8((number - 1) % 250 + 1)))
    }
    public let isBusy = false
    public let isWholeHost = false
    public func forgetFlight() {}
    public func resolveOutside(_ host: String) -> IPAddress? { nil }

    public func shutDown() {
        listeners = [:]
        for (_, end) in darkEnds { end.separate() }
        darkEnds = []
    }

    public func listen(_ listener: Listener) throws(NetworkError) {
        let endpoint = listener.endpoint
        if listeners[endpoint] != nil { throw .addressInUse(endpoint) }
        let memoryListener = MemoryListener(listener: listener, transport: self)
        listeners[endpoint] = memoryListener
        listener.transport = memoryListener
    }

    fileprivate func remove(_ memoryListener: MemoryListener) {
        let endpoint = memoryListener.endpoint
        if listeners[endpoint] === memoryListener { listeners[endpoint] = nil }
    }

    public func connect(_ stream: Stream) {
        let world = network.world
        let local = Endpoint(stream.local.address, ephemeralPort(at: stream.local.address))
        world.after(Self.hopLatency * 2) { [self] in
            guard !stream.isClosed else { return }
            if stream.peer?.isDark == true {
                world.after(Network.connectTimeout) { stream.transportFailed(.timedOut) }
                return
            }
            guard let peer = stream.peer, let target = listeners[Endpoint(peer.address, stream.remote.port)],
                target.backlog.count < Self.backlog
            else {
                return stream.transportFailed(.refused)
            }
            let near = MemoryEnd(transport: self, world: world)
            let far = MemoryEnd(transport: self, world: world)
            near.peer = far
            far.peer = near
            near.stream = stream
            stream.transport = near
            target.arrived(far, from: local, peer: stream.node)
            stream.transportOpened(local: local)
        }
    }

    public var hopLatency: LabDuration { Self.hopLatency }

    public func bind(_ socket: DatagramSocket) throws(NetworkError) -> UInt16 {
        if socket.port != 0 { return socket.port }
        let address = socket.node.address
        guard let port = network.freeDatagramPort(at: address, after: lastDatagramPort[address] ?? 32_767) else {
            throw .exhausted("\(address): every port for datagrams is taken")
        }
        lastDatagramPort[address] = port
        return port
    }

    public func carry(_ datagram: Datagram, to socket: DatagramSocket) {
        let isUnderWay = network.postpone(
            datagram.bytes, for: Self.hopLatency, at: socket, from: datagram.shown, cause: datagram.cause)
        if !isUnderWay { network.lose(datagram) }
    }

    private func ephemeralPort(at address: IPAddress) -> UInt16 {
        let previous = lastPort[address] ?? 32_767
        let port = previous == 60_999 ? 32_768 : previous + 1
        lastPort[address] = port
        return port
    }

    fileprivate func darken(_ end: MemoryEnd, of node: Node) { darkEnds.append((node, end)) }

    public func powerReturned(to node: Node) {
        for (_, end) in darkEnds.filter({ $0.node === node }) { end.peer?.receiveReset() }
        darkEnds.removeAll { $0.node === node }
    }

    fileprivate func accept(_ end: MemoryEnd, by listener: Listener, from remote: Endpoint, peer: Node) {
        if let stream = network.accepted(by: listener, from: remote, peer: peer, over: end) {
            end.stream = stream
            stream.updateReading()
            end.reportIfReset()
        } else {
            end.close(.reset)
        }
    }
}

private final class MemoryListener: ListenerTransport {
    struct Waiting {
        let end: MemoryEnd
        let remote: Endpoint
        let peer: Node
    }

    unowned let listener: Listener
    let endpoint: Endpoint
    unowned let transport: MemoryTransport
    var backlog: [Waiting] = []
    private var isAccepting = true

    init(listener: Listener, transport: MemoryTransport) {
        self.listener = listener
        endpoint = listener.endpoint
        self.transport = transport
    }

    func arrived(_ end: MemoryEnd, from remote: Endpoint, peer: Node) {
        if isAccepting {
            transport.accept(end, by: listener, from: remote, peer: peer)
        } else {
            backlog.append(Waiting(end: end, remote: remote, peer: peer))
        }
    }

    func setAccepting(_ isAccepting: Bool) {
        self.isAccepting = isAccepting
        guard isAccepting else { return }
        let waiting = backlog
        backlog = []
        var accepted = 0
        // Whoever accepts one may have enough with it.
        while self.isAccepting, accepted < waiting.count {
            let item = waiting[accepted]
            accepted += 1
            transport.accept(item.end, by: listener, from: item.remote, peer: item.peer)
        }
        backlog = waiting[accepted...] + backlog
    }

    func close(silently: Bool) {
        transport.remove(self)
        for item in backlog { item.end.close(silently ? .silently : .reset) }
        backlog = []
    }
}

/// One end of a connection in memory.
private final class MemoryEnd: StreamTransport {
    private let transport: MemoryTransport
    private unowned let world: World
    weak var stream: Stream?
    /// Kept until both ends are closed: a closed end still answers with a reset.
    var peer: MemoryEnd?
    /// Bytes that arrived and were not read yet.
    private var arrived = ByteQueue()
    private var causes = CauseTrail()
    private var bytesUnderWay = 0
    private var isReading = false
    private var endArrived = false
    private var endCause: UInt64 = 0
    private var endDelivered = false
    private var isBlocked = false
    private var isPumping = false
    private var state = State.open

    private enum State { case open, closed, dark }

    init(transport: MemoryTransport, world: World) {
        self.transport = transport
        self.world = world
    }

    private var window: Int { max(0, MemoryTransport.windowBytes - arrived.count - bytesUnderWay) }

    func send(_ bytes: UnsafeRawBufferPointer, cause: UInt64) -> Int {
        guard let peer, state == .open else { return bytes.count }
        let count = min(bytes.count, peer.window)
        if count < bytes.count { isBlocked = true }
        if count == 0 { return 0 }
        let chunk = Array(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        peer.bytesUnderWay += count
        world.after(MemoryTransport.hopLatency, cause: cause) {
            peer.bytesUnderWay -= chunk.count
            peer.receive(chunk)
        }
        return count
    }

    func sendEnd(cause: UInt64) {
        guard let peer, state == .open else { return }
        world.after(MemoryTransport.hopLatency, cause: cause) { peer.receiveEnd() }
    }

    func setReading(_ isReading: Bool) {
        self.isReading = isReading
        if isReading { pump() }
    }

    func close(_ manner: CloseManner) {
        guard state == .open else { return }
        if manner == .silently {
            state = .dark
            if let stream { transport.darken(self, of: stream.node) }
            return
        }
        state = .closed
        stream = nil
        guard let peer else { return }
        let resets = manner == .reset || !arrived.isEmpty
        world.after(MemoryTransport.hopLatency) { resets ? peer.receiveReset() : peer.receiveEnd() }
        if peer.state == .closed { separate() }
    }

    fileprivate func separate() {
        peer?.peer = nil
        peer = nil
    }

    // MARK: Arrivals

    private func receive(_ chunk: [UInt8]) {
        if state == .closed {
            let sender = peer
            world.after(MemoryTransport.hopLatency) { sender?.receiveReset() }
            return
        }
        arrived.append(chunk)
        causes.append(chunk.count, cause: world.journal.currentCause)
        pump()
    }

    private func receiveEnd() {
        endArrived = true
        endCause = world.journal.currentCause
        pump()
    }

    /// The peer took the connection back while it waited in the backlog: whoever accepts it hears of that.
    func reportIfReset() {
        guard state == .closed, let stream else { return }
        self.stream = nil
        stream.transportFailed(.reset)
    }

    func receiveReset() {
        guard state == .open else { return }
        state = .closed
        let stream = self.stream
        self.stream = nil
        if peer?.state == .closed { separate() }
        stream?.transportFailed(.reset)
    }

    /// Hands over what has arrived, for as long as the stream reads.
    private func pump() {
        if isPumping { return }
        isPumping = true
        defer { isPumping = false }
        while isReading, state == .open, let stream, !arrived.isEmpty {
            let chunk = arrived.withUnsafeBytes { Array($0.prefix(64 * 1024)) }
            arrived.consume(chunk.count)
            world.journal.withCause(causes.consume(chunk.count) ?? 0) {
                chunk.withUnsafeBytes { stream.transportReceived($0) }
                peer?.roomAppeared()
            }
        }
        if isReading, endArrived, !endDelivered, state == .open, arrived.isEmpty, let stream {
            endDelivered = true
            world.journal.withCause(endCause) { stream.transportEnded() }
        }
    }

    private func roomAppeared() {
        guard isBlocked, state == .open else { return }
        isBlocked = false
        world.after(MemoryTransport.hopLatency) { [weak self] in
            guard let self, state == .open else { return }
            stream?.transportWritable()
        }
    }
}
