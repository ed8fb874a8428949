import KernelStructures

/// One end of a connection, on either transport.
///
/// ```
///   handler ── write ──▶ interceptors ──▶ layer ──▶ egress link ──▶ unsent bytes ──▶ transport
///   handler ◀─ received ─ interceptors ◀── layer ◀── ingress link ◀───────────────── transport
/// ```
///
/// Interceptors (faults that understand a protocol) and links (delay, loss, throttle …) are absent until a fault rule
/// asks for them, and the layer (TLS) until somebody installs one; a connection without them goes straight from `write`
/// to the transport. A fault that understands HTTP stands above the layer and reads what the handler reads; one that
/// flips bits stands below it and flips bits of records.
///
/// `write` takes everything. A producer that respects `isCongested`, and waits for `streamDrained`, keeps the unsent
/// bytes below `highWaterBytes` plus one write; where a fault rule delays what it sends, below the line's window, which
/// grows with the delay to at most `LinkConditions.windowLimitBytes`.
public final class Stream {
    public let number: UInt64
    public let node: Node
    public let network: Network
    /// The lab node at the other end; nil if that end is outside the lab.
    public let peer: Node?
    /// What the journal calls a peer that is not there: a server that has died, an address that nobody has.
    var absentPeerName: String?
    /// This end's address, known once the connection is open.
    public var local: Endpoint
    public let remote: Endpoint
    /// Whether this end made the connection.
    public let isInitiator: Bool
    public internal(set) var handler: (any StreamHandler)?
    /// Where the handler passes on, unchanged, all that arrives here. The transport may then do that itself with large
    /// amounts, past the handler, which only hears how much it was.
    public var forwardsTo: Stream?
    /// Called once when the connection is over and everything written has left, or is lost. Not called when its node's
    /// life ends first.
    public var onEnd: (() -> Void)?

    /// Set by the transport that carries this stream.
    public var transport: (any StreamTransport)?
    var egress: Link?
    var ingress: Link?
    var interceptors: [any StreamInterceptor] = []
    /// What changes the bytes on their way: TLS. See `install`.
    public internal(set) var layer: (any StreamLayer)?
    var unsent = ByteQueue()
    var corkDepth = 0
    var corked: [UInt8] = []
    var causes: StreamCauses?
    /// Whether the network will send what is gathered here at the end of the round of input.
    var isGathering = false
    var phase = Phase.connecting
    var isReadingPaused = false
    var peerEnded = false
    var endState = EndState.open
    public internal(set) var isCongested = false
    var lingerTimer: TimerID?
    /// Not begun yet, for want of a descriptor in this process: what goes by meanwhile says nothing about the peer.
    public var isHeldBack = false
    public internal(set) var bytesSent = 0
    public internal(set) var bytesReceived = 0
    /// True while the last bytes went from the accepting to the connecting side, and at first: the next bytes the
    /// other way begin a new request, in protocols that take turns.
    public internal(set) var isAtTurn = true

    /// How the connection is to end once what faults hold up has left: its owner has let go of it already.
    var orphanEnd: CloseManner?
    /// Let go of by its owner, with bytes or an end still on their way to the peer.
    var isOrphan = false

    enum Phase { case connecting, open, lingering, closed }
    enum EndState { case open, requested, sent }

    /// Unsent bytes from which a stream counts as congested.
    public static let highWaterBytes = 256 * 1024
    /// Unsent bytes below which a congested stream is drained.
    public static let lowWaterBytes = 64 * 1024
    /// How long a closed connection waits for the peer's end before it lets go (lab time).
    public static let lingerTime = LabDuration.seconds(2)
    /// How long a closed connection with unsent bytes waits for a peer that takes none of them (lab time).
    public static let flushTime = LabDuration.seconds(60)
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

    public var peerName: String { peer?.name ?? absentPeerName ?? NodeTable.outsideName }
    public var isOpen: Bool { phase == .open }
    public var isClosed: Bool { phase == .closed }
    /// Bytes written and not yet taken by the transport, those held up by faults included.
    public var unsentByteCount: Int {
        unsent.count + corked.count + (egress?.byteCount ?? 0) + (layer?.heldByteCount ?? 0)
    }
    /// Unsent bytes from which this stream counts as congested.
    private var windowBytes: Int { egress?.windowBytes ?? Self.highWaterBytes }
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
        noteCause { $0.end = $1 }
        if let layer { layer.finish() } else { pushEnd() }
    }

    /// Everything that is to be sent stands before the end now.
    func pushEnd() { if let egress { egress.pushEnd() } else { sendEndIfFlushed() } }

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
        waitForPeer(lastProgress: node.world.now)
    }

    func waitForPeer(lastProgress: LabTime) {
        let waiting = unsentByteCount
        lingerTimer = node.after(Self.lingerTime) { [weak self] in
            guard let self else { return }
            if endState == .sent { return letGo(.orderly, .closed) }
            // What faults hold up is still under way; a peer that takes nothing is waited for, but not for ever.
            let hasMoved = egress?.isUnderWay == true || unsentByteCount < waiting
            let progress = hasMoved ? node.world.now : lastProgress
            if node.world.now - progress >= Self.flushTime { return letGo(.orderly, .closed) }
            waitForPeer(lastProgress: progress)
        }
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
        if let layer, layer.hasInputWaiting { node.enqueue { [self] in resumeLayer() } }
        updateReading()
    }

    /// Tells the transport whether bytes are wanted now.
    public func updateReading() {
        // Before the owner knows that the connection is open, nothing can be handed to it.
        let isWilling = phase == .lingering || (phase == .open && (!isReadingPaused || layer?.isOpening == true))
        let wanted = isWilling && !node.isFrozen && !(ingress?.isFull ?? false)
        transport?.setReading(wanted)
        if isWilling { ingress?.resume() }
    }

    /// Passes bytes on towards the transport, past every interceptor.
    func transmit(_ bytes: UnsafeRawBufferPointer) {
        isAtTurn = !isInitiator
        guard let layer else { return sendOnWire(bytes) }
        layer.send(bytes)
        noteCongestion()
    }

    private func noteCongestion() {
        if !isCongested, unsentByteCount >= windowBytes { isCongested = true }
    }

    /// Passes bytes on to the link or the transport, as they are to travel.
    func sendOnWire(_ bytes: UnsafeRawBufferPointer) {
        let journal = network.journal
        let cause =
            journal.recordsTraffic ? network.recordMessage(self, byteCount: bytes.count) : journal.currentCause
        bytesSent += bytes.count
        if let egress { egress.push(bytes, cause: cause) } else { sendNow(bytes, cause: cause) }
        noteCongestion()
    }

    func sendNow(_ bytes: UnsafeRawBufferPointer, cause: UInt64) {
        if corkDepth > 0 || network.gathersWrites, bytes.count < Self.corkLimitBytes, phase == .open {
            if corked.isEmpty { corked = network.takeBuffer() }
            corked.append(contentsOf: bytes)
            if network.journal.recordsTraffic { keptCauses.corked = cause }
            if corked.count >= 4 * Self.corkLimitBytes {
                flushCorked()
            } else if corkDepth == 0, !isGathering {
                network.gather(self)
            }
            return
        }
        flushCorked()
        network.doDuties()
        guard unsent.isEmpty, phase != .connecting, let transport else { return keep(bytes, cause: cause) }
        let sent = transport.send(bytes, cause: cause)
        if sent < bytes.count { keep(UnsafeRawBufferPointer(rebasing: bytes[sent...]), cause: cause) }
    }

    private func keep(_ bytes: UnsafeRawBufferPointer, cause: UInt64) {
        unsent.append(bytes)
        if network.journal.recordsTraffic { keptCauses.unsent.append(bytes.count, cause: cause) }
    }

    /// The line has delivered all that was sent before the end.
    func lineEnded(_ manner: CloseManner) {
        orphanEnd = manner
        if manner == .reset || unsent.isEmpty { endOrphan(manner) }
    }

    func endOrphan(_ manner: CloseManner) {
        isOrphan = false
        transport?.close(manner)
        transport = nil
        egress = nil
        unsent.removeAll()
        network.orphanEnded(self)
    }

    /// From here to the matching `uncork`, small writes are gathered and leave as one.
    public func cork() { corkDepth += 1 }

    public func uncork() {
        corkDepth -= 1
        if corkDepth > 0 { return }
        if network.gathersWrites, !corked.isEmpty {
            if !isGathering { network.gather(self) }
        } else {
            sendGathered()
        }
    }

    /// One in the middle of a piece of work is let finish it first.
    func sendGathered() {
        if corkDepth > 0 { return }
        flushCorked()
        sendEndIfFlushed()
    }

    func flushCorked() {
        if corked.isEmpty { return }
        network.doDuties()
        var buffer = corked
        corked = []
        buffer.withUnsafeBytes { bytes in
            let cause = causes?.corked ?? network.journal.currentCause
            let sent = unsent.isEmpty ? transport?.send(bytes, cause: cause) ?? bytes.count : 0
            if sent < bytes.count { keep(UnsafeRawBufferPointer(rebasing: bytes[sent...]), cause: cause) }
        }
        buffer.removeAll(keepingCapacity: true)
        network.giveBuffer(buffer)
    }

    func sendUnsent() {
        if let transport { sendUnsent(over: transport) }
        if phase == .closed {
            if unsent.isEmpty, let orphanEnd { endOrphan(orphanEnd) } else if unsent.isEmpty { egress?.resume() }
            return
        }
        if unsent.isEmpty { egress?.resume() }
        sendEndIfFlushed()
        notifyIfDrained()
    }

    /// Message by message, where somebody wants to know which one arrives.
    private func sendUnsent(over transport: any StreamTransport) {
        while !unsent.isEmpty {
            let next = causes?.unsent.first
            let count = min(next?.byteCount ?? .max, unsent.count)
            let sent = unsent.withUnsafeBytes {
                transport.send(
                    UnsafeRawBufferPointer(rebasing: $0[..<count]), cause: next?.cause ?? network.journal.currentCause)
            }
            unsent.consume(sent)
            causes?.unsent.consume(sent)
            if sent < count { return }
        }
    }

    func sendEndIfFlushed() {
        guard endState == .requested, unsent.isEmpty, corked.isEmpty, egress?.isEmpty ?? true, phase != .connecting,
            layer?.hasFinished ?? true
        else { return }
        endState = .sent
        transport?.sendEnd(cause: causes?.end ?? network.journal.currentCause)
        finishIfBothEnded()
    }

    func notifyIfDrained() {
        guard isCongested, unsentByteCount < windowBytes - (Self.highWaterBytes - Self.lowWaterBytes) else { return }
        isCongested = false
        handler?.streamDrained(self)
    }

    // MARK: The end

    /// The owner's life is over: what the kernel does with its sockets.
    func die(silently: Bool) {
        if phase == .closed {
            if silently, isOrphan { endOrphan(.silently) }
            return
        }
        let last = handler
        handler = nil
        onEnd = nil
        letGo(silently ? .silently : .orderly, .closed)
        last?.streamLost(self)
    }

    func letGo(_ manner: CloseManner, _ change: JournalEvent.ConnectionChange, throughLine: Bool = true) {
        guard phase != .closed else { return }
        let wasConnecting = phase == .connecting
        phase = .closed
        node.cancel(lingerTimer)
        layer?.streamClosed()
        handler = nil
        forwardsTo = nil
        ingress = nil
        interceptors = []
        network.closed(self, change)
        if throughLine, !wasConnecting, manner != .silently, endState != .sent || manner == .reset, let egress,
            !(egress.isEmpty && egress.conditions.isClear)
        {
            // The goodbye travels as everything else does: behind what is under way, and not across a partition.
            flushCorked()
            transport?.setReading(false)
            isOrphan = true
            network.orphaned(self)
            egress.pushClose(manner)
        } else {
            egress = nil
            unsent.removeAll()
            corked = []
            transport?.close(manner)
            transport = nil
        }
        let callback = onEnd
        onEnd = nil
        callback?()
    }

    func deferIfFrozen(_ action: @escaping (Stream) -> Void) {
        if node.isFrozen {
            node.world.perform(life: node.life, cause: network.journal.currentCause) { [self] in action(self) }
        } else {
            action(self)
        }
    }
}
