import KernelStructures

/// The lab's network: names, addresses, listeners and connections, on either transport and under the fault rules.
public final class Network {
    public unowned let world: World
    public let transport: any Transport
    /// A process of its own, with no lab around it.
    public let isWholeHost: Bool
    package let journal: Journal
    private var streams: [UInt64: Stream] = [:]
    /// Connections whose owners are gone and whose last bytes or goodbyes faults still hold up.
    private var orphans: [UInt64: Stream] = [:]
    private var lastNumber: UInt64 = 0
    /// Which node's listener `localhost:port` leads to: the first that took the port, until it gives it up.
    private var localhostOwners: [UInt16: Listener] = [:]
    /// Who had a port of localhost last, by name: a connection that is refused there was meant for it.
    private var formerOwners: [UInt16: String] = [:]
    public private(set) var connectionsOpened = 0
    let lineTotal = LineTotal()
    var datagrams = Datagrams()
    private var spareBuffers: [[UInt8]] = []
    /// True during a round of input, in a process of its own: see `gatherWrites`.
    private(set) var gathersWrites = false
    private var gathering: [Stream] = []
    /// What must be done before anything that is gathered leaves: see `beforeLeaving`.
    private var duties: [() -> Void] = []

    /// SYN retransmissions after 1, 2, 4, 8, 16 and 32 s, then the attempt is given up after 127 s: Linux's defaults
    /// (`tcp_syn_retries` = 6).
    static let connectRetries = 6
    /// From the first SYN to the end of the last one's wait.
    static let connectTimeout = LabDuration.seconds(127)
    /// The name under which the lab reaches the machine it runs on.
    public static let outsideHost = "host.internal"

    init(world: World, transport: any Transport) {
        self.world = world
        self.transport = transport
        journal = world.journal
        isWholeHost = transport.isWholeHost
        transport.attach(to: self)
    }

    func shutDown() {
        for stream in streams.values { stream.die(silently: false) }
        streams = [:]
        for stream in orphans.values { stream.die(silently: true) }
        orphans = [:]
        gathering = []
        duties = []
        localhostOwners = [:]
        transport.shutDown()
    }

    public var openStreamCount: Int { streams.count }
    /// The open streams, oldest first.
    public var openStreams: [Stream] { streams.values.sorted { $0.number < $1.number } }

    // MARK: Names

    /// What a destination turned out to be.
    public enum Target {
        /// The endpoint is the one that the connecting side sees: in the family that it asked for.
        case node(Node, at: Endpoint)
        /// An address of the lab's that nobody has.
        case nobody(Endpoint)
        case outside(Endpoint)
    }

    /// Finds out who is meant: the lab's own nodes first, then the machine outside.
    ///
    /// `localhost` leads to the node that owns the port there, and never out of the lab; a process of its own has no
    /// lab around it, and all its names are the host's.
    public func resolve(_ destination: HostPort) throws(NetworkError) -> Target {
        let host = destination.host.lowercased()
        let port = destination.port
        if !transport.isWholeHost {
            let address = host == "localhost" ? .loopback : IPAddress(parsing: host)
            let isLocalhost = address == .loopback || address == .loopback6
            let owner =
                isLocalhost ? localhostOwners[port]?.node : address.map { world.nodes.at($0) } ?? world.nodes[host]
            if let owner { return .node(owner, at: owner.endpoint(port, isIPv6: address?.isIPv6 ?? false)) }
            if let address { return .nobody(Endpoint(address, port)) }
        }
        if let outside = transport.resolveOutside(host) { return .outside(Endpoint(outside, port)) }
        throw .unresolved(host: destination.host)
    }

    // MARK: Listening

    func listen(node: Node, port: UInt16, accept: @escaping (Stream) -> any StreamHandler) throws(NetworkError)
        -> Listener
    {
        let listener = Listener(node: node, port: port, accept: accept)
        if node.listeners.contains(where: { $0.port == port }) { throw .addressInUse(listener.endpoint) }
        listener.ownsLocalhost = localhostOwners[port] == nil
        try transport.listen(listener)
        if listener.ownsLocalhost { localhostOwners[port] = listener }
        node.listeners.append(listener)
        return listener
    }

    /// A unix socket has no address in the lab, and nothing in the lab leads there: programs of the machine do.
    func listen(node: Node, atPath path: String, accept: @escaping (Stream) -> any StreamHandler) throws(NetworkError)
        -> Listener
    {
        let listener = Listener(node: node, port: 0, accept: accept)
        try transport.listen(listener, atPath: path)
        node.pathListeners.append(listener)
        return listener
    }

    public func localhostOwner(of port: UInt16) -> Node? { localhostOwners[port]?.node }

    func close(_ listener: Listener) {
        retire(listener, silently: false)
        listener.node.listeners.removeAll { $0 === listener }
        listener.node.pathListeners.removeAll { $0 === listener }
    }

    func retire(_ listener: Listener, silently: Bool) {
        listener.transport?.close(silently: silently)
        listener.transport = nil
        listener.detach()
        if localhostOwners[listener.port] === listener {
            localhostOwners[listener.port] = nil
            formerOwners[listener.port] = listener.node.name
        }
    }

    /// A connection has arrived at a listener; called by the transport.
    ///
    /// - Parameters:
    ///   - peer: the lab node that made it; nil for one from outside.
    ///   - local: this end's address where it is not the node's own in the family of `remote`.
    /// - Returns: the accepting end, or nil if nobody listens any more.
    public func accepted(
        by listener: Listener, from remote: Endpoint, peer: Node?, at local: Endpoint? = nil,
        over transport: any StreamTransport
    ) -> Stream? {
        guard listener.accept != nil else { return nil }
        let local = local ?? listener.node.endpoint(listener.port, isIPv6: remote.address.isIPv6)
        let stream = makeStream(
            node: listener.node, peer: peer, local: local, remote: remote, isInitiator: false, handler: nil)
        stream.transport = transport
        if peer == nil, !isWholeHost { world.outsideArrived() }
        if peer == nil, world.faults.refuses(from: nil, to: listener.node) {
            stream.abort()
            return nil
        }
        if let handler = listener.accept?(stream) { stream.setHandler(handler) }
        stream.transportOpened(local: local)
        return stream
    }

    // MARK: Connecting

    func connect(node: Node, to destination: HostPort, handler: any StreamHandler) throws(NetworkError) -> Stream {
        if let path = destination.unixSocketPath { return try connect(node: node, toPath: path, handler: handler) }
        let target = try resolve(destination)
        let stream: Stream
        switch target {
        case .node(let peer, let endpoint):
            stream = makeStream(from: node, to: peer, at: endpoint, handler)
        case .outside(let endpoint):
            world.outsideCount += 1
            stream = makeStream(from: node, to: nil, at: endpoint, handler)
        case .nobody(let endpoint):
            stream = makeStream(from: node, to: nil, at: endpoint, handler)
            stream.absentPeerName = name(ofNobodyAt: endpoint)
            node.enqueue { stream.transportFailed(.refused) }
            return stream
        }
        attempt(stream, retry: 0)
        return stream
    }

    /// What the journal calls whoever does not answer: the node that had the port, or the address that nobody has.
    private func name(ofNobodyAt endpoint: Endpoint) -> String {
        let isLocalhost = endpoint.address == .loopback || endpoint.address == .loopback6
        return (isLocalhost ? formerOwners[endpoint.port] : nil) ?? "\(endpoint)"
    }

    /// To a unix socket of the machine. Nothing in a lab may depend on what the machine has, or on its time.
    private func connect(node: Node, toPath path: String, handler: any StreamHandler) throws(NetworkError) -> Stream {
        guard transport.isWholeHost else {
            throw .system("unix:\(path): a lab reaches no unix sockets; start it as a process of its own")
        }
        let stream = makeStream(from: node, to: nil, at: Endpoint(.loopback, 0), handler)
        transport.connect(stream, toPath: path)
        return stream
    }

    private func makeStream(from node: Node, to peer: Node?, at remote: Endpoint, _ handler: any StreamHandler)
        -> Stream
    {
        makeStream(
            node: node, peer: peer, local: node.endpoint(0, isIPv6: remote.address.isIPv6), remote: remote,
            isInitiator: true, handler: handler)
    }

    /// One SYN and its answer, as far as the fault rules let them pass.
    private func attempt(_ stream: Stream, retry: Int) {
        guard !stream.isClosed else { return }
        let node = stream.node
        let there = conditions(from: node, to: stream.peer)
        let back = conditions(from: stream.peer, to: node)
        let isLost =
            there.isBlocked || back.isBlocked || stream.peer?.isDark == true
            || node.draw { random in
                random.chance(there.lossProbability) || random.chance(back.lossProbability)
            }
        if isLost {
            if retry == Self.connectRetries {
                node.after(.seconds(1 << retry)) { stream.transportFailed(.timedOut) }
            } else {
                node.after(.seconds(1 << retry)) { [self] in attempt(stream, retry: retry + 1) }
            }
            return
        }
        let delay = node.draw { there.sampleDelay(&$0) + back.sampleDelay(&$0) }
        let refuses = world.faults.refuses(from: node, to: stream.peer)
        if refuses {
            node.after(delay) { stream.transportFailed(.refused) }
        } else if delay > .zero {
            node.after(delay) { [transport] in if !stream.isClosed { transport.connect(stream) } }
        } else {
            transport.connect(stream)
        }
    }

    private func makeStream(
        node: Node, peer: Node?, local: Endpoint, remote: Endpoint, isInitiator: Bool, handler: (any StreamHandler)?
    ) -> Stream {
        lastNumber += 1
        if JournalEvent.isInitiator(lastNumber) != isInitiator { lastNumber += 1 }
        let stream = Stream(
            number: lastNumber, node: node, network: self, peer: peer, local: local, remote: remote,
            isInitiator: isInitiator, handler: handler)
        streams[stream.number] = stream
        node.streams[stream.number] = stream
        connectionsOpened += 1
        if !world.faults.isEmpty { stream.applyFaults() }
        return stream
    }

    func closed(_ stream: Stream, _ change: JournalEvent.ConnectionChange) {
        recordConnection(stream, change)
        streams[stream.number] = nil
        stream.node.streams[stream.number] = nil
        if stream.peer == nil, !stream.isInitiator, !isWholeHost { world.outsideLeft() }
    }

    func powerReturned(to node: Node) { transport.powerReturned(to: node) }

    // MARK: Buffers

    /// Streams that may gather writes before they are sent after all: with more, the first would wait too long.
    private static let gatheringLimit = 64

    /// Lets all connections gather what is written during a round of input, and sends it at the round's end.
    ///
    /// With a send after each read, the process at the other end wakes up, takes the one message, and is asleep again
    /// when the next is sent; each of these wake-ups costs the sender more than the message does. Sends in a row find
    /// it awake. Where the journal records traffic every message has a cause, and leaves at once to keep it.
    func gatherWrites(during round: () -> Void) {
        gathersWrites = !journal.recordsTraffic
        round()
        gathersWrites = false
        doDuties()
        sendGathered()
    }

    /// Has `action` called once before anything leaves that was written in this round of input: what several answers
    /// promise is done for all of them together.
    ///
    /// - Returns: false where nothing is gathered now; then whoever asks does it at once, ahead of its answer.
    public func beforeLeaving(_ action: @escaping () -> Void) -> Bool {
        guard gathersWrites else { return false }
        duties.append(action)
        return true
    }

    func doDuties() {
        if duties.isEmpty { return }
        var due: [() -> Void] = []
        swap(&due, &duties)
        for action in due { action() }
    }

    func gather(_ stream: Stream) {
        if gathering.count == Self.gatheringLimit { sendGathered() }
        stream.isGathering = true
        gathering.append(stream)
    }

    private func sendGathered() {
        if gathering.isEmpty { return }
        var streams: [Stream] = []
        swap(&streams, &gathering)
        for stream in streams {
            stream.isGathering = false
            stream.sendGathered()
        }
        // Its memory is for the next round, unless a goodbye was heard on the way that has begun another.
        if gathering.isEmpty {
            streams.removeAll(keepingCapacity: true)
            gathering = streams
        }
    }

    /// An empty buffer with room, for a stream that gathers writes; idle streams hold none.
    func takeBuffer() -> [UInt8] { spareBuffers.popLast() ?? [] }

    func giveBuffer(_ buffer: [UInt8]) {
        if spareBuffers.count < Self.gatheringLimit, buffer.capacity <= 32 * 1024 { spareBuffers.append(buffer) }
    }

    // MARK: Faults

    func conditions(from: Node?, to: Node?) -> LinkConditions {
        world.faults.isEmpty ? .clear : world.faults.conditions(from: from, to: to)
    }

    /// Applies the rules to every open connection, after one came or went.
    func applyFaults() {
        for stream in openStreams { stream.applyFaults() }
        for stream in orphans.values.sorted(by: { $0.number < $1.number }) { stream.applyFaults() }
    }

    func orphaned(_ stream: Stream) { orphans[stream.number] = stream }
    func orphanEnded(_ stream: Stream) { orphans[stream.number] = nil }
    /// Connections that their owners have let go of and that still have something under way.
    public var orphanCount: Int { orphans.count }

    // MARK: Journal

    /// Records bytes on their way and returns the event's number: the cause of whatever is done about them, and of
    /// nothing that the sender does next.
    func recordMessage(_ stream: Stream, byteCount: Int) -> UInt64 {
        journal.record(
            .message(
                connection: stream.number, from: stream.node.name, to: stream.peerName, byteCount: byteCount),
            node: stream.node.name)
    }

    func recordConnection(_ stream: Stream, _ change: JournalEvent.ConnectionChange) {
        guard journal.recordsTraffic else { return }
        journal.record(
            .connection(number: stream.number, from: stream.node.name, to: stream.peerName, change),
            node: stream.node.name)
    }
}
