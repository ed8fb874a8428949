import KernelStructures

extension Stream {
    // MARK: Calls from the transport

    /// The connection is made.
    public func transportOpened(local: Endpoint) {
        guard phase == .connecting else { return }
        deferIfFrozen { stream in
            stream.local = local
            stream.phase = .open
            stream.network.recordConnection(stream, .opened)
            if let layer = stream.layer { layer.start() } else { stream.handler?.streamOpened(stream) }
            guard stream.phase != .closed else { return }
            // Not before: bytes may have arrived already, and nobody hears of them before it hears of the connection.
            stream.updateReading()
            stream.sendUnsent()
        }
    }

    /// Bytes have arrived. They are only valid during the call.
    public func transportReceived(_ bytes: UnsafeRawBufferPointer) {
        guard takesBytes else { return }
        if let ingress { return ingress.push(bytes, cause: network.journal.currentCause) }
        receive(bytes)
    }

    /// The transport's half of the stream that all bytes are passed on to, if that can be left to the transport now:
    /// nobody records them, no fault holds them up, and nothing that was written before is still waiting.
    public var shortcut: (any StreamTransport)? {
        guard let target = forwardsTo, !network.journal.recordsTraffic, phase == .open, target.phase == .open,
            target.endState == .open, ingress == nil, target.egress == nil, interceptors.isEmpty,
            target.interceptors.isEmpty, target.unsent.isEmpty, layer == nil, target.layer == nil
        else { return nil }
        target.flushCorked()
        return target.unsent.isEmpty ? target.transport : nil
    }

    /// Bytes have been passed on by the transport.
    public func transportForwarded(_ byteCount: Int) {
        bytesReceived += byteCount
        forwardsTo?.bytesSent += byteCount
        handler?.stream(self, forwarded: byteCount)
    }

    /// The peer's end has arrived.
    public func transportEnded() {
        if let ingress, takesBytes { return ingress.pushEnd() }
        receiveEnd()
    }

    /// There is room again for unsent bytes.
    public func transportWritable() { deferIfFrozen { $0.sendUnsent() } }

    /// The connection is gone.
    public func transportFailed(_ reason: CloseReason) {
        guard phase != .closed else {
            // A line that gave up says nothing to anybody; a peer that is gone needs to hear nothing.
            if isOrphan { endOrphan(reason == .timedOut ? .silently : .orderly) }
            return
        }
        deferIfFrozen { $0.fail(reason) }
    }

    /// Whether bytes that arrive are of use: not to one that has let go, unless its layer has still to open before what
    /// was written can leave.
    private var takesBytes: Bool { phase == .open || (phase == .lingering && layer?.isOpening == true) }

    func receive(_ bytes: UnsafeRawBufferPointer) {
        guard takesBytes else { return }
        bytesReceived += bytes.count
        cork()
        if let layer { layer.receive(bytes) } else { deliver(bytes) }
        uncork()
    }

    /// Hands the handler's bytes on, by way of the interceptors.
    func deliver(_ bytes: UnsafeRawBufferPointer) {
        isAtTurn = isInitiator
        if interceptors.isEmpty { handler?.stream(self, received: bytes) } else { intercept(inbound: bytes, from: 0) }
    }

    func receiveEnd() {
        guard phase == .open || phase == .lingering, !peerEnded else { return }
        deferIfFrozen { stream in
            guard stream.phase != .closed else { return }
            guard let layer = stream.layer, stream.takesBytes else { return stream.acceptEnd() }
            stream.cork()
            layer.receiveEnd()
            stream.uncork()
        }
    }

    /// The peer's end is what the handler takes for one.
    func acceptEnd() {
        if peerEnded { return }
        peerEnded = true
        cork()
        handler?.streamEnded(self)
        uncork()
        finishIfBothEnded()
    }

    func finishIfBothEnded() {
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
            case .reset, .securityFailed: .reset
            }
        // The other end is gone, or the fault speaks to both ends itself: there is nobody to say goodbye to. Only one
        // that gave up has a peer left, and a line between them.
        letGo(.reset, change, throughLine: reason == .timedOut)
        last?.stream(self, closed: reason)
    }
}
