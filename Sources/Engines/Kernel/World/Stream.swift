import KernelStructures

/// What a connection tells its owner. Bytes are only valid during the call.
public protocol StreamHandler: AnyObject {
    func streamOpened(_ stream: Stream)
    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer)
    /// The peer will send no more; this side may go on.
    func streamEnded(_ stream: Stream)
    /// A stream that was congested has room again.
    func streamDrained(_ stream: Stream)
    /// The connection is over, or never came to be. The last call.
    func stream(_ stream: Stream, closed reason: CloseReason)
}

extension StreamHandler {
    public func streamOpened(_ stream: Stream) {}
    public func streamEnded(_ stream: Stream) { stream.close() }
    public func streamDrained(_ stream: Stream) {}
    public func stream(_ stream: Stream, closed reason: CloseReason) {}
}

/// One end of a connection, on either transport.
///
/// ```
///   handler ── write ──▶ interceptors ──▶ egress link ──▶ unsent bytes ──▶ transport
///   handler ◀─ received ─ interceptors ◀── ingress link ◀───────────────── transport
/// ```
///
/// Interceptors (faults that understand a protocol) and links (delay, loss, throttle …) are absent until a fault rule
/// asks for them; a connection without faults goes straight from `write` to the transport.
///
/// `write` takes everything. A producer that respects `isCongested`, and waits for `streamDrained`, keeps the unsent
/// bytes below `highWaterBytes` plus one write.
public final class Stream {
    public let number: UInt64
    public let node: Node
    public let network: Network
    /// The lab node at the other end; nil if that end is outside the lab.
    public let peer: Node?
    /// This end's address, known once the connection is open.
    public var local: Endpoint
    public let remote: Endpoint
    /// Whether this end made the connection.
    public let isInitiator: Bool
    public private(set) var handler: (any StreamHandler)?

    /// Set by the transport that carries this stream.
    public var transport: (any StreamTransport)?
    var egress: Link?
    var ingress: Link?
    private var interceptors: [any StreamInterceptor] = []
    private var unsent = ByteQueue()
    private var corkDepth = 0
    private var corked: [UInt8] = []
    private var phase = Phase.connecting
    private var isReadingPaused = false
    private var peerEnded = false
    private var endState = EndState.open
    public private(set) var isCongested = false
    private var lingerTimer: TimerID?
    public private(set) var bytesSent = 0
    public private(set) var bytesReceived = 0
    /// True while the last bytes went from the accepting to the connecting side, and at first: the next bytes the
    /// other way begin a new request, in protocols that take turns.
    public private(set) var isAtTurn = true

    private enum Phase { case connecting, open, lingering, closed }
    private enum EndState { case open, requested, sent }

    /// Unsent bytes from which a stream counts as congested.
    public static let highWaterBytes = 256 * 1024
    /// Unsent bytes below which a congested stream is drained.
    public static let lowWaterBytes = 64 * 1024
    /// How long a closed connection waits for the peer's end before it lets go (lab time).
    public static let lingerTime = LabDuration.seconds(2)
    /// Writes of at least this many bytes are not gathered with others.
    static let corkLimitBytes = 16 * 1024

    init(
        number: UInt64, node: Node, network: Network, peer: Node?, local: Endpoint, remote: Endpoint, isInitiator: Bool,
        handler: (any StreamHandler)?
    ) {
        self.number = number
        self.node = node
        self.network = network
        self.peer = peer
        self.local = local
        self.remote = remote
        self.isInitiator = isInitiator
        self.handler = handler
    }

    public var peerName: String { peer?.name ?? NodeTable.outsideName }
    public var isOpen: Bool { phase == .open }
    public var isClosed: Bool { phase == .closed }
    /// Bytes written and not yet taken by the transport, those held up by faults included.
    public var unsentByteCount: Int { unsent.count + corked.count + (egress?.byteCount ?? 0) }
    /// Whether the peer has sent its end.
    public var hasPeerEnded: Bool { peerEnded }

    /// Hands the connection to another handler, in the middle of it: after a protocol upgrade, for instance.
    public func setHandler(_ newHandler: any StreamHandler) { if phase != .closed { handler = newHandler } }

    // MARK: Sending

    public func write(_ bytes: UnsafeRawBufferPointer) {
        guard endState == .open, phase == .open || phase == .connecting, !bytes.isEmpty else { return }
        if interceptors.isEmpty { transmit(bytes) } else { intercept(outbound: bytes, from: 0) }
    }

    public func write(_ bytes: [UInt8]) { bytes.withUnsafeBytes { write($0) } }
    public func write(_ text: String) { write(Array(text.utf8)) }

    /// Sends the end of this direction after everything written so far; receiving goes on.
    public func finish() {
        guard endState == .open, phase == .open || phase == .connecting else { return }
        endState = .requested
        if let egress { egress.pushEnd() } else { sendEndIfFlushed() }
    }

    /// Ends the connection in good order: everything written is still sent, whatever arrives is dropped, and the
    /// handler hears no more.
    public func close() {
        guard phase != .closed, phase != .lingering else { return }
        handler = nil
        if phase == .connecting { return letGo(.orderly, .closed) }
        finish()
        if phase == .closed { return }
        phase = .lingering
        updateReading()
        lingerTimer = node.after(Self.lingerTime) { [weak self] in self?.letGo(.orderly, .closed) }
    }

    /// Ends the connection at once with a reset; the handler hears no more.
    public func abort() {
        guard phase != .closed else { return }
        handler = nil
        letGo(.reset, .reset)
    }

    /// Stops `received` calls until `resumeReading`; the peer feels it once the buffers between are full.
    public func pauseReading() {
        guard !isReadingPaused else { return }
        isReadingPaused = true
        updateReading()
    }

    public func resumeReading() {
        guard isReadingPaused else { return }
        isReadingPaused = false
        updateReading()
    }

    /// Tells the transport whether bytes are wanted now.
    public func updateReading() {
        let wanted = !node.isFrozen && !(ingress?.isFull ?? false) && (phase == .lingering || !isReadingPaused)
        transport?.setReading(wanted)
    }

    /// Passes bytes on to the link or the transport, past every interceptor.
    func transmit(_ bytes: UnsafeRawBufferPointer) {
        if network.journal.recordsTraffic { network.recordMessage(self, byteCount: bytes.count) }
        isAtTurn = !isInitiator
        bytesSent += bytes.count
        if let egress { egress.push(bytes) } else { sendNow(bytes) }
        if !isCongested, unsentByteCount >= Self.highWaterBytes { isCongested = true }
    }

    func sendNow(_ bytes: UnsafeRawBufferPointer) {
        if corkDepth > 0, bytes.count < Self.corkLimitBytes, phase == .open {
            if corked.isEmpty { corked = network.takeBuffer() }
            corked.append(contentsOf: bytes)
            if corked.count >= 4 * Self.corkLimitBytes { flushCorked() }
            return
        }
        flushCorked()
        guard unsent.isEmpty, phase != .connecting, let transport else { return unsent.append(bytes) }
        let sent = transport.send(bytes)
        if sent < bytes.count { unsent.append(UnsafeRawBufferPointer(rebasing: bytes[sent...])) }
    }

    /// From here to the matching `uncork`, small writes are gathered and leave as one.
    public func cork() { corkDepth += 1 }

    public func uncork() {
        corkDepth -= 1
        if corkDepth > 0 { return }
        flushCorked()
        sendEndIfFlushed()
    }

    private func flushCorked() {
        if corked.isEmpty { return }
        var buffer = corked
        corked = []
        buffer.withUnsafeBytes { bytes in
            let sent = unsent.isEmpty ? transport?.send(bytes) ?? bytes.count : 0
            if sent < bytes.count { unsent.append(UnsafeRawBufferPointer(rebasing: bytes[sent...])) }
        }
        buffer.removeAll(keepingCapacity: true)
        network.giveBuffer(buffer)
    }

    private func sendUnsent() {
        if let transport, !unsent.isEmpty {
            let sent = unsent.withUnsafeBytes { transport.send($0) }
            unsent.consume(sent)
        }
        sendEndIfFlushed()
        notifyIfDrained()
    }

    func sendEndIfFlushed() {
        guard endState == .requested, unsent.isEmpty, corked.isEmpty, egress?.isEmpty ?? true, phase != .connecting
        else { return }
        endState = .sent
        transport?.sendEnd()
        finishIfBothEnded()
    }

    func notifyIfDrained() {
        guard isCongested, unsentByteCount < Self.lowWaterBytes else { return }
        isCongested = false
        handler?.streamDrained(self)
    }

    // MARK: Calls from the transport

    /// The connection is made.
    public func transportOpened(local: Endpoint) {
        guard phase == .connecting else { return }
        deferIfFrozen { stream in
            stream.local = local
            stream.phase = .open
            stream.network.recordConnection(stream, .opened)
            stream.updateReading()
            stream.handler?.streamOpened(stream)
            if stream.phase != .closed { stream.sendUnsent() }
        }
    }

    /// Bytes have arrived. They are only valid during the call.
    public func transportReceived(_ bytes: UnsafeRawBufferPointer) {
        guard phase == .open else { return }
        if let ingress { return ingress.push(bytes) }
        receive(bytes)
    }

    /// The peer's end has arrived.
    public func transportEnded() {
        if let ingress, phase == .open { return ingress.pushEnd() }
        receiveEnd()
    }

    /// There is room again for unsent bytes.
    public func transportWritable() { deferIfFrozen { $0.sendUnsent() } }

    /// The connection is gone.
    public func transportFailed(_ reason: CloseReason) {
        guard phase != .closed else { return }
        deferIfFrozen { $0.fail(reason) }
    }

    func receive(_ bytes: UnsafeRawBufferPointer) {
        guard phase == .open else { return }
        isAtTurn = isInitiator
        bytesReceived += bytes.count
        cork()
        if interceptors.isEmpty { handler?.stream(self, received: bytes) } else { intercept(inbound: bytes, from: 0) }
        uncork()
    }

    func receiveEnd() {
        guard phase == .open || phase == .lingering, !peerEnded else { return }
        deferIfFrozen { stream in
            guard stream.phase != .closed else { return }
            stream.peerEnded = true
            stream.cork()
            stream.handler?.streamEnded(stream)
            stream.uncork()
            stream.finishIfBothEnded()
        }
    }

    private func finishIfBothEnded() {
        guard peerEnded, endState == .sent, phase != .closed else { return }
        let last = handler
        letGo(.orderly, .finished)
        last?.stream(self, closed: .finished)
    }

    func fail(_ reason: CloseReason) {
        guard phase != .closed else { return }
        let last = handler
        let change: JournalEvent.ConnectionChange =
            switch reason {
            case .refused: .refused
            case .timedOut, .unreachable: .timedOut
            case .finished: .finished
            case .reset: .reset
            }
        letGo(.reset, change)
        last?.stream(self, closed: reason)
    }

    // MARK: The end

    /// The owner's life is over: what the kernel does with its sockets.
    func die(silently: Bool) {
        guard phase != .closed else { return }
        handler = nil
        letGo(silently ? .silently : .orderly, .closed)
    }

    private func letGo(_ manner: CloseManner, _ change: JournalEvent.ConnectionChange) {
        guard phase != .closed else { return }
        phase = .closed
        node.cancel(lingerTimer)
        transport?.close(manner)
        transport = nil
        handler = nil
        egress = nil
        ingress = nil
        interceptors = []
        unsent.removeAll()
        corked = []
        network.closed(self, change)
    }

    private func deferIfFrozen(_ action: @escaping (Stream) -> Void) {
        if node.isFrozen {
            node.world.perform(life: node.life, cause: network.journal.currentCause) { [self] in action(self) }
        } else {
            action(self)
        }
    }

    // MARK: Faults

    /// Applies the rules as they are now. Called when the connection is made and whenever a rule comes or goes.
    func applyFaults() {
        guard phase != .closed else { return }
        egress = adjusted(egress, .egress, network.conditions(from: node, to: peer))
        // Bytes between two lab nodes pass the sender's link; those from outside have no other place to be held up.
        if peer == nil { ingress = adjusted(ingress, .ingress, network.conditions(from: nil, to: node)) }
        if !isInitiator {
            let faults = network.world.faults.protocolFaults(for: self)
            interceptors = faults.map { fault in
                interceptors.first { $0.fault === fault } ?? fault.makeInterceptor(for: self)
            }
        }
        updateReading()
    }

    private func adjusted(_ link: Link?, _ direction: Link.Direction, _ conditions: LinkConditions) -> Link? {
        if let link {
            link.change(to: conditions)
            return link.isEmpty && conditions.isClear ? nil : link
        }
        return conditions.isClear ? nil : Link(stream: self, direction: direction, conditions: conditions)
    }

    /// A link that has nothing left to do makes way for the direct path.
    func drop(_ link: Link) {
        if egress === link { egress = nil }
        if ingress === link { ingress = nil }
    }

    /// A fault resets the connection: both ends hear it.
    func resetByFault() {
        guard phase != .closed else { return }
        fail(.reset)
    }

    func intercept(inbound bytes: UnsafeRawBufferPointer, from index: Int) {
        if index >= interceptors.count {
            handler?.stream(self, received: bytes)
        } else {
            interceptors[index].inbound(bytes, InterceptedStream(stream: self, index: index))
        }
    }

    func intercept(outbound bytes: UnsafeRawBufferPointer, from index: Int) {
        // What a handler writes passes the interceptors from the inside out: the last one first.
        let position = interceptors.count - 1 - index
        if position < 0 {
            transmit(bytes)
        } else {
            interceptors[position].outbound(bytes, InterceptedStream(stream: self, index: position))
        }
    }

    var interceptorCount: Int { interceptors.count }
}

/// A fault that understands a protocol, on the accepting side of a connection.
public protocol StreamInterceptor: AnyObject {
    /// The fault this interceptor works for.
    var fault: any ProtocolFault { get }
    /// Bytes from the connecting side. Nothing reaches the handler but what is passed on.
    func inbound(_ bytes: UnsafeRawBufferPointer, _ stream: InterceptedStream)
    /// Bytes from the handler. Nothing reaches the connecting side but what is passed on.
    func outbound(_ bytes: UnsafeRawBufferPointer, _ stream: InterceptedStream)
}

/// What an interceptor can do with its connection.
public struct InterceptedStream {
    let stream: Stream
    let index: Int

    /// On towards the handler.
    public func passInbound(_ bytes: UnsafeRawBufferPointer) {
        guard !stream.isClosed else { return }
        stream.intercept(inbound: bytes, from: index + 1)
    }

    /// On towards the connecting side.
    public func passOutbound(_ bytes: UnsafeRawBufferPointer) {
        guard !stream.isClosed else { return }
        stream.intercept(outbound: bytes, from: stream.interceptorCount - index)
    }

    public func reset() { stream.resetByFault() }
}
