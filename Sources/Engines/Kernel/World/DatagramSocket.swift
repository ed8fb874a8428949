import KernelStructures

/// A port of a node for datagrams (UDP, RFC 768).
///
/// ## The problem
///
/// A stream hides what networks do: TCP repeats what is lost, sorts what comes late and drops what comes twice. DNS,
/// syslog and gossip do without it, for speed or because the news is old by the time it would be repeated. They have to
/// live with every one of these, and a lab that cannot show them cannot show why they are written as they are.
///
/// ## An everyday picture
///
/// A connection is a telephone call. A datagram is a postcard: it goes off without asking whether anybody is at home,
/// it may get lost, two may come where one was written, and the second may come first. Only if there is no such flat in
/// the house does it come back.
///
/// ## How
///
/// ```
///   send ──▶ fault rules: lost, twice, late ──▶ transport ──▶ receive queue ──▶ handler
///      ◀── refused, where nobody has the port ◀──┘
/// ```
///
/// Each datagram has its own delay, so jitter alone changes their order. A rule that blocks the way takes those under
/// way as well: nobody repeats them. What comes while the node is frozen waits in the socket's queue, which is bounded
/// as the kernel's is; what finds it full is dropped and counted. A datagram that left a node arrives even if the node
/// is killed meanwhile. A port that nobody has is answered (ICMP port unreachable), and the sender always hears of it,
/// as with Linux's `IP_RECVERR`; a machine without power answers nothing.
///
/// ## Where it is wrong
///
/// Datagrams are not cut into packets: a large one is lost or damaged as often as a small one. There is neither
/// broadcast nor multicast. A throttled link is shared by the datagrams of two nodes, not with their connections.
public final class DatagramSocket {
    public let node: Node
    /// The port as the lab knows it.
    public internal(set) var port: UInt16
    /// The port that programs outside use, where it differs: the user may not bind the other one.
    public var mappedPort: UInt16?
    /// Whether `localhost:port` leads here.
    public internal(set) var ownsLocalhost = false
    /// Set by the transport that carries it.
    public var transport: (any DatagramTransport)?
    public private(set) var isClosed = false
    public internal(set) var sentCount = 0
    public private(set) var receivedCount = 0
    private var droppedHere = 0

    private var handler: (any DatagramHandler)?
    private var waiting = RingQueue<Waiting>()
    private var waitingBytes = 0

    private struct Waiting {
        let bytes: [UInt8]
        let remote: Endpoint
        let cause: UInt64
    }

    /// Bytes of the largest datagram: what IPv4 leaves of 65,535 behind its header and UDP's.
    public static let sizeLimitBytes = 65_507
    /// Bytes that may wait in a socket: Linux's default (`net.core.rmem_default`).
    public static let receiveBufferBytes = 212_992
    /// What each that waits takes of it beside its bytes.
    static let overheadBytes = 256

    init(node: Node, port: UInt16, handler: any DatagramHandler) {
        self.node = node
        self.port = port
        self.handler = handler
    }

    /// Datagrams that found the receive queue full, the kernel's or this one.
    public var droppedCount: Int { droppedHere + (transport?.dropCount ?? 0) }

    /// This socket's address, as those see it who speak that family.
    public func endpoint(isIPv6: Bool) -> Endpoint { node.endpoint(port, isIPv6: isIPv6) }

    // MARK: Sending

    /// Sends a datagram to a host by name or address. It may be of no bytes at all.
    ///
    /// - Throws: `NetworkError.unresolved`; `.datagramTooLarge` above `sizeLimitBytes`.
    public func send(_ bytes: [UInt8], to destination: HostPort) throws(NetworkError) {
        try node.world.network.send(bytes, from: self, to: destination)
    }

    /// Sends a datagram to an address: an answer to whoever sent one, mostly.
    ///
    /// - Throws: `NetworkError.datagramTooLarge` above `sizeLimitBytes`.
    public func send(_ bytes: [UInt8], to remote: Endpoint) throws(NetworkError) {
        try node.world.network.send(bytes, from: self, to: remote, isOutside: node.world.network.transport.isWholeHost)
    }

    /// Gives the port up. What waits here is lost, what was sent arrives; the handler hears no more.
    public func close() { node.world.network.close(self) }

    func end(silently: Bool) {
        isClosed = true
        handler = nil
        waiting.removeAll()
        waitingBytes = 0
        droppedHere += transport?.dropCount ?? 0
        transport?.close(silently: silently)
        transport = nil
    }

    // MARK: Receiving

    /// A datagram has arrived.
    ///
    /// - Returns: false if it was dropped: the socket is closed, or its queue is full.
    func arrived(_ bytes: UnsafeRawBufferPointer, from remote: Endpoint) -> Bool {
        if isClosed { return false }
        guard node.isFrozen || !waiting.isEmpty else {
            receivedCount += 1
            handler?.datagramSocket(self, received: bytes, from: remote)
            return true
        }
        let cost = bytes.count + Self.overheadBytes
        guard waitingBytes + cost <= Self.receiveBufferBytes else {
            droppedHere += 1
            return false
        }
        waitingBytes += cost
        waiting.append(
            Waiting(bytes: Array(bytes), remote: remote, cause: node.world.network.journal.currentCause))
        return true
    }

    /// Hands over what came while the node was frozen.
    func deliverWaiting() {
        while !node.isFrozen, let next = waiting.popFirst() {
            waitingBytes -= next.bytes.count + Self.overheadBytes
            receivedCount += 1
            node.world.network.journal.withCause(next.cause) {
                next.bytes.withUnsafeBytes { handler?.datagramSocket(self, received: $0, from: next.remote) }
            }
        }
    }

    func refused(by remote: Endpoint) { handler?.datagramSocket(self, refusedBy: remote) }
}

/// A datagram after its sender has let go of it.
public struct Datagram {
    public let bytes: [UInt8]
    public let socket: DatagramSocket
    /// Where it goes.
    public let remote: Endpoint
    /// How its sender looks from there.
    public let shown: Endpoint
    let isOutside: Bool
    /// The journal event that it is.
    public let cause: UInt64
}

/// What a socket tells its owner.
public protocol DatagramHandler: AnyObject {
    /// A datagram has come. Its bytes are only valid during the call.
    func datagramSocket(_ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint)
    /// Something that was sent there met a port that nobody has.
    func datagramSocket(_ socket: DatagramSocket, refusedBy remote: Endpoint)
}

extension DatagramHandler {
    public func datagramSocket(_ socket: DatagramSocket, refusedBy remote: Endpoint) {}
}

/// A transport's half of a socket for datagrams.
public protocol DatagramTransport: AnyObject {
    /// Sends to a program outside the lab.
    ///
    /// - Returns: false if the kernel did not take it.
    func send(_ bytes: [UInt8], toOutside remote: Endpoint) -> Bool
    /// Whether a datagram from that endpoint outside the lab has come here: then answers go there, too.
    func hasHeard(from remote: Endpoint) -> Bool
    /// Datagrams that the kernel dropped because its queue was full.
    var dropCount: Int { get }
    /// - Parameter silently: stay bound and read nothing, so that nobody outside is refused.
    func close(silently: Bool)
}

extension Node {
    /// Takes a port for datagrams at this node's addresses.
    ///
    /// - Parameter port: 0 for any that is free.
    /// - Throws: `NetworkError.addressInUse`, `.notPermitted`, `.system`.
    public func bindDatagrams(on port: UInt16 = 0, handler: any DatagramHandler) throws(NetworkError) -> DatagramSocket
    {
        try world.network.bind(node: self, port: port, handler: handler)
    }
}
