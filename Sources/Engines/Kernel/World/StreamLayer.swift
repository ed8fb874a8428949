import KernelStructures

/// What stands between a connection's handler and its transport and changes the bytes on their way: TLS.
///
/// The handler does not know of it. It hears `streamOpened` once the layer has opened, reads and writes plain bytes,
/// ends its direction with `finish`, and hears an end only if the peer's layer has said so: an end of the transport
/// alone is a truncation, and comes as `closed(.securityFailed)`.
///
/// A layer calls back through `Stream.layer…`. All of this happens on the World's loop.
public protocol StreamLayer: AnyObject {
    /// The connection is made, or this layer was just installed on one that was: time to greet the peer.
    func start()
    /// Bytes as they came over the network, valid during the call.
    func receive(_ bytes: UnsafeRawBufferPointer)
    /// The transport's end has arrived; nothing will be received after it.
    func receiveEnd()
    /// The handler's bytes. Before the layer is open they wait in it.
    func send(_ bytes: UnsafeRawBufferPointer)
    /// The handler has sent all it will send: say goodbye to the peer's layer, then call `Stream.layerFinished`.
    func finish()
    /// The handler reads again: deliver what has waited.
    func resume()
    /// The connection is over, or let go of. Nothing may be called back after it.
    func streamClosed()
    /// True from the start until the peer and this side have agreed.
    var isOpening: Bool { get }
    /// The handler's bytes that wait for the layer to open.
    var heldByteCount: Int { get }
    /// Whether received bytes wait for the handler to read again.
    var hasInputWaiting: Bool { get }
    /// Whether the goodbye has been sent.
    var hasFinished: Bool { get }
    /// What was agreed upon; nil before.
    var session: SecuritySession? { get }
    /// What went wrong, in a sentence without an end; nil if nothing did.
    var failureText: String? { get }
}

/// What a connection's two ends have agreed upon.
public struct SecuritySession: Equatable, Sendable {
    /// As OpenSSL names it: `TLSv1.3`.
    public var version: String
    public var cipher: String
    /// The name that the client asked for (SNI).
    public var serverName: String?
    /// What both will speak (ALPN): `http/1.1`.
    public var applicationProtocol: String?
    /// Whether it goes on from an earlier connection, without certificates.
    public var isResumed: Bool
    /// The peer's certificate: its subject as in `CN=web, O=sdlab`. nil if it showed none. Whether somebody vouches for
    /// it is the options' affair.
    public var peerSubject: String?

    public init(
        version: String, cipher: String, serverName: String? = nil, applicationProtocol: String? = nil,
        isResumed: Bool = false, peerSubject: String? = nil
    ) {
        self.version = version
        self.cipher = cipher
        self.serverName = serverName
        self.applicationProtocol = applicationProtocol
        self.isResumed = isResumed
        self.peerSubject = peerSubject
    }
}

/// What makes the layer of each connection: a server's certificates and demands, or a client's.
///
/// It belongs to one World, as its connections do.
public protocol StreamSecurity: AnyObject {
    /// The layer for a connection that has none; it is not installed yet.
    ///
    /// - Parameter host: whom a client meant to reach, as it was written; empty at the accepting end.
    func makeLayer(for stream: Stream, host: String) -> any StreamLayer
}

extension Stream {
    /// Puts the connection behind TLS, from the next byte on.
    ///
    /// Before the connection is open (in `accept`, or right after `connect`) the handler hears `streamOpened` later
    /// than it would have; what was written before this call goes ahead as it is. On an open one (after a PROXY header,
    /// or where a protocol asks for it midway) it hears `streamOpened` when the layer is open.
    ///
    /// - Parameters:
    ///   - host: whom a client means to reach: the name that the peer has to prove.
    ///   - ahead: bytes that came before the layer and are meant for it.
    public func secure(
        with security: any StreamSecurity, host: String = "",
        ahead: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) {
        guard layer == nil, phase == .connecting || phase == .open else { return }
        let layer = security.makeLayer(for: self, host: host)
        self.layer = layer
        guard phase == .open else { return }
        flushCorked()
        layer.start()
        if phase == .open, !ahead.isEmpty { layer.receive(ahead) }
        if phase != .closed { updateReading() }
    }

    /// What the layer has agreed upon with the peer's; nil without a layer, and before.
    public var security: SecuritySession? { layer?.session }

    func resumeLayer() {
        guard phase == .open, !isReadingPaused, let layer else { return }
        cork()
        layer.resume()
        uncork()
    }

    // MARK: Calls from the layer

    /// Bytes for the network.
    public func layerSends(_ bytes: UnsafeRawBufferPointer) {
        guard phase == .open || phase == .lingering, endState != .sent else { return }
        sendOnWire(bytes)
    }

    /// Both sides have agreed: the handler may begin.
    public func layerOpened() {
        guard phase == .open else { return }
        handler?.streamOpened(self)
        if phase == .open { updateReading() }
    }

    /// Whether the handler wants bytes now.
    public var layerMayDeliver: Bool { phase == .open && !isReadingPaused && !node.isFrozen }

    /// Bytes for the handler, valid during the call.
    public func layerDelivers(_ bytes: UnsafeRawBufferPointer) { if phase == .open { deliver(bytes) } }

    /// What waited in the layer has left it.
    public func layerFlushed() { if phase == .open { notifyIfDrained() } }

    /// The goodbye of this side has been sent.
    public func layerFinished() { if phase != .closed, endState == .requested { pushEnd() } }

    /// The peer's layer has said goodbye.
    public func layerEnded() { if phase == .open || phase == .lingering { acceptEnd() } }

    /// Nothing can be sent or received any more. What was sent last, an alert, still leaves in good order.
    ///
    /// - Parameter peerIsGone: the transport's end has arrived.
    public func layerFailed(peerIsGone: Bool) {
        guard phase == .open || phase == .lingering else { return }
        let last = handler
        handler = nil
        if peerIsGone { peerEnded = true }
        if phase == .open { close() }
        finishIfBothEnded()
        last?.stream(self, closed: .securityFailed)
    }
}
