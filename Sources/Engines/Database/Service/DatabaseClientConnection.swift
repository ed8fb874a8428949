import DatabaseEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// One client's connection: bytes to messages for its session, and the session's answers to bytes.
final class DatabaseClientConnection: StreamHandler, TurnConnection {
    let stream: Stream
    private unowned let server: DatabaseServer
    private(set) var session: DatabaseSession?
    private let reader = FrontendMessageReader()
    /// What has arrived while the session could not take it.
    private var ahead = ByteQueue()
    private var isProcessing = false
    private var isNoted = false
    private var isClosed = false
    /// Closed once what is owed has been sent.
    private var isClosing = false
    private var hasPeerEnded = false
    private var sealedCount = 0
    private var isSealed = false
    private var timer: TimerID?
    private var timerDeadline: LabTime?
    private var isTurnQueued = false

    init(_ stream: Stream, server: DatabaseServer) {
        self.stream = stream
        self.server = server
    }

    private var node: Node { server.node }
    private var now: LabTime { node.world.now }

    /// How long a client may take to say who it is (`authentication_timeout`).
    private static let openingTimeout = LabDuration.seconds(60)

    // MARK: StreamHandler

    /// Again when TLS is agreed upon, in the midst of the opening.
    func streamOpened(_ stream: Stream) {
        guard session == nil else { return }
        let session = server.cluster.makeSession { [weak self] in self?.wake() }
        self.session = session
        session.isClientBehind = { [weak stream] in stream?.isCongested == true }
        timer = node.after(Self.openingTimeout) { [weak self] in
            guard let self, self.session?.phase != .ready else { return }
            timer = nil
            isClosing = true
            noteIfNeeded()
        }
    }

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        if isProcessing || !ahead.isEmpty || !mayRead {
            ahead.append(bytes)
            stream.pauseReading()
        } else {
            process(bytes)
            settle()
        }
    }

    func streamEnded(_ stream: Stream) {
        hasPeerEnded = true
        // Whoever has said all and does not wait for anything is gone.
        if session?.isIdle != true || ahead.isEmpty { endSession() }
        settle()
    }

    func streamDrained(_ stream: Stream) { goOn() }

    func stream(_ stream: Stream, closed reason: CloseReason) {
        endSession()
        ended()
    }

    func streamLost(_ stream: Stream) { session = nil }

    private func endSession() {
        session?.end()
        isClosing = true
    }

    private func ended() {
        guard !isClosed else { return }
        isClosed = true
        node.cancel(timer)
        timer = nil
        ahead.removeAll()
        server.forget(self)
    }

    // MARK: Messages

    private var mayRead: Bool {
        guard let session, !isClosing else { return false }
        return session.acceptsMessages && !stream.isCongested
    }

    private func process(_ bytes: UnsafeRawBufferPointer) {
        isProcessing = true
        var position = 0
        reading: while !isClosing {
            guard mayRead else {
                if position < bytes.count {
                    ahead.append(UnsafeRawBufferPointer(rebasing: bytes[position...]))
                    stream.pauseReading()
                }
                break
            }
            switch reader.next(bytes, &position) {
            case .needMore: break reading
            case .message(let message): take(message, rest: bytes.count - position)
            case .invalid(let letter, let error): session?.receive(invalid: error, letter: letter, now: now)
            case .failed(let error): refuse(error)
            }
            if session?.phase == .ended { isClosing = true }
        }
        isProcessing = false
    }

    private func take(_ message: FrontendMessage, rest: Int) {
        switch message {
        case .sslRequest: negotiate(rest: rest)
        case .gssEncryptionRequest: stream.write("N")
        case .cancelRequest(let key):
            server.cluster.cancel(key)
            endSession()
        default: session?.receive(message, now: now)
        }
    }

    /// What a client sent behind its request before it had an answer was not encrypted, whatever it thinks.
    private func negotiate(rest: Int) {
        guard rest == 0, stream.security == nil else {
            return refuse(
                PostgresError(
                    .protocolViolation, "received unencrypted data after SSL request", severity: .fatal))
        }
        guard let security = server.security else { return stream.write("N") }
        stream.write("S")
        stream.secure(with: security)
    }

    private func refuse(_ error: PostgresError) {
        session?.output.error(error)
        endSession()
    }

    // MARK: Going on

    private func wake() { node.enqueue { [weak self] in self?.goOn() } }

    /// Carries on with what had to wait: the session's work first, then messages.
    private func goOn() {
        guard !isClosed, !isProcessing else { return }
        if !stream.isCongested, !isTurnQueued { session?.resume(now: now) }
        while !isClosed, mayRead, !ahead.isEmpty {
            var waiting = ByteQueue()
            swap(&waiting, &ahead)
            waiting.withUnsafeBytes { process($0) }
        }
        settle()
    }

    /// After anything has happened to the session.
    private func settle() {
        guard !isClosed else { return }
        if session?.phase == .ended { isClosing = true }
        if hasPeerEnded, ahead.isEmpty, session?.isIdle != false { isClosing = true }
        if ahead.isEmpty, mayRead { stream.resumeReading() }
        if session?.wait == .turn { queueTurn() }
        updateTimer()
        if server.isDraining { endIfIdle() }
        noteIfNeeded()
    }

    /// A long result, or a statement in slices: everybody else first.
    private func queueTurn() {
        guard !isTurnQueued, let session else { return }
        isTurnQueued = true
        node.afterTurn(cost: session.turnCost) { [weak self] in
            self?.isTurnQueued = false
            self?.goOn()
        }
    }

    private func updateTimer() {
        guard let session, session.phase == .ready else { return }
        let deadline = session.deadline
        guard deadline != timerDeadline || timer == nil && deadline != nil else { return }
        node.cancel(timer)
        timer = nil
        timerDeadline = deadline
        guard let deadline else { return }
        timer = node.after(max(.zero, deadline - now)) { [weak self] in self?.ring() }
    }

    private func ring() {
        timer = nil
        timerDeadline = nil
        session?.tick(now: now)
        goOn()
    }

    /// The server stops: whoever has nothing under way goes first.
    func endIfIdle() {
        guard let session, session.isIdle, !isClosing else { return }
        if session.phase == .ready { session.terminate() } else { session.end() }
        isClosing = true
        noteIfNeeded()
    }

    // MARK: Turns

    private func noteIfNeeded() {
        guard !isNoted, !isClosed, (session?.output.count ?? 0) > 0 || isClosing else { return }
        isNoted = true
        server.turns.note(self)
    }

    /// What it sees is durable already, and cost the disk no time that would have to pass.
    var needsNoCommit: Bool {
        !isSealed && session?.needsNoCommit != false && node.disk.accruedCost == .zero
    }

    func seal() {
        isNoted = false
        isSealed = true
        sealedCount = session?.output.count ?? 0
    }

    func sendSealed(_ failure: String?) {
        isSealed = false
        guard !isClosed, failure == nil, let session else { return }
        let count = sealedCount
        sealedCount = 0
        if count > 0 {
            session.output.bytes.withUnsafeBytes { stream.write(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            if session.output.count == count {
                session.output.removeAll()
            } else {
                let bytes = session.output.take()
                session.output.raw(Array(bytes[count...]))
            }
        }
        if isClosing, session.output.count == 0 {
            session.end()
            stream.close()
            if stream.isClosed { ended() } else { stream.onEnd = { [self] in ended() } }
            return
        }
        if session.wait == .output || !ahead.isEmpty { goOn() } else if session.output.count > 0 { noteIfNeeded() }
    }
}
