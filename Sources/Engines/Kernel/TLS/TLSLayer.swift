import KernelStructures
import KernelWorld

/// TLS between a connection and its handler.
///
/// The handler's bytes wait until the handshake is over, and count as unsent until then, so whoever respects
/// `isCongested` needs no other bound. What arrives for a handler that does not read stays sealed: the transport is not
/// read from either, so at most one of its reads waits here.
public final class TLSLayer: StreamLayer {
    private unowned let stream: Stream
    private let engine: TLSEngine
    private let handshakeTimeout: LabDuration
    private let onOpened: (SecuritySession) -> Void
    private let onFailed: (Stream, TLSFailure) -> Void
    private var phase = Phase.new
    private var held = ByteQueue()
    private var timer: TimerID?
    private var finishIsDue = false
    private var transportEnded = false
    private var peerHasFinished = false
    private var isPumping = false
    public private(set) var hasInputWaiting = false
    public private(set) var hasFinished = false
    public private(set) var session: SecuritySession?
    /// What went wrong; nil if nothing did.
    public private(set) var failure: TLSFailure?

    private enum Phase { case new, opening, open, failed, closed }

    /// Bytes sealed at a time.
    private static let pieceBytes = 4 * TLSEngine.recordBytes

    init(
        _ stream: Stream, _ engine: TLSEngine, handshakeTimeout: LabDuration,
        onOpened: @escaping (SecuritySession) -> Void = { _ in },
        onFailed: @escaping (Stream, TLSFailure) -> Void = { _, _ in }
    ) {
        self.stream = stream
        self.engine = engine
        self.handshakeTimeout = handshakeTimeout
        self.onOpened = onOpened
        self.onFailed = onFailed
    }

    public var isOpening: Bool { phase == .new || phase == .opening }
    public var heldByteCount: Int { held.count }
    public var failureText: String? { failure?.description }
    /// The certificate that the peer has shown; nil if none.
    public var peerCertificate: Certificate? { engine.peerCertificate }

    /// OpenSSL's code of what was found out about the peer's certificate (`X509_V_…`), whether it mattered or not; 0 is
    /// good, and so is no certificate at all.
    public var verifyResult: Int { engine.verifyResult.code }
    public var verifyReason: String { engine.verifyResult.reason }

    // MARK: The handshake

    public func start() {
        guard phase == .new else { return }
        phase = .opening
        timer = stream.node.after(handshakeTimeout) { [weak self] in self?.fail(.timedOut) }
        shakeHands()
    }

    private func shakeHands() {
        let progress = engine.shakeHands()
        flush()
        switch progress {
        case .needsInput: if transportEnded { fail(.closed) }
        case .failed(let failure): fail(failure)
        case .done: opened()
        }
    }

    private func opened() {
        guard phase == .opening else { return }
        phase = .open
        stream.node.cancel(timer)
        let session = engine.session
        self.session = session
        onOpened(session)
        var waiting = ByteQueue()
        swap(&waiting, &held)
        waiting.withUnsafeBytes { seal($0) }
        if finishIsDue { finish() }
        stream.layerOpened()
        stream.layerFlushed()
    }

    // MARK: Receiving

    public func receive(_ bytes: UnsafeRawBufferPointer) {
        guard phase == .opening || phase == .open, !peerHasFinished else { return }
        engine.push(bytes)
        goOn()
    }

    public func receiveEnd() {
        transportEnded = true
        goOn()
    }

    public func resume() { goOn() }

    private func goOn() {
        if phase == .opening { shakeHands() }
        if phase == .open, !peerHasFinished { pump() }
    }

    /// Hands over what has arrived, for as long as the handler reads.
    private func pump() {
        if isPumping { return }
        isPumping = true
        hasInputWaiting = false
        withUnsafeTemporaryAllocation(byteCount: TLSEngine.recordBytes, alignment: 16) { buffer in
            while phase == .open, stream.layerMayDeliver {
                let reading = engine.read(into: buffer)
                flush()
                guard case .bytes(let count) = reading else { return conclude(reading) }
                stream.layerDelivers(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
            hasInputWaiting = phase == .open
        }
        isPumping = false
        if hasInputWaiting, stream.node.isFrozen { stream.node.enqueue { [weak self] in self?.goOn() } }
    }

    private func conclude(_ reading: TLSEngine.Reading) {
        switch reading {
        case .bytes: break
        case .needsInput: if transportEnded { fail(.truncated, peerIsGone: true) }
        case .ended:
            peerHasFinished = true
            stream.layerEnded()
        case .failed(let failure): fail(failure)
        }
    }

    // MARK: Sending

    public func send(_ bytes: UnsafeRawBufferPointer) {
        switch phase {
        case .new, .opening: held.append(bytes)
        case .open: seal(bytes)
        case .failed, .closed: break
        }
    }

    private func seal(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        while !rest.isEmpty, phase == .open {
            let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(Self.pieceBytes))
            if let failure = engine.write(piece) { return fail(failure) }
            flush()
            rest = UnsafeRawBufferPointer(rebasing: rest[piece.count...])
        }
    }

    private func flush() { engine.takeOutput { stream.layerSends($0) } }

    // MARK: The end

    public func finish() {
        switch phase {
        case .new, .opening:
            // Whoever has let go with nothing to say needs no handshake to say it.
            finishIsDue = stream.handler != nil || !held.isEmpty
            if finishIsDue { return }
        case .open where !hasFinished:
            engine.sayGoodbye()
            flush()
        default: break
        }
        hasFinished = true
        stream.layerFinished()
    }

    private func fail(_ failure: TLSFailure, peerIsGone: Bool = false) {
        guard isOpening || phase == .open else { return }
        phase = .failed
        self.failure = failure
        stream.node.cancel(timer)
        held.removeAll()
        onFailed(stream, failure)
        if !hasFinished {
            hasFinished = true
            stream.layerFinished()
        }
        stream.layerFailed(peerIsGone: peerIsGone || transportEnded)
    }

    public func streamClosed() {
        stream.node.cancel(timer)
        if phase != .failed { phase = .closed }
        held.removeAll()
    }
}
