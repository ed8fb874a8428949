import CSystem
import Glibc
import KernelStructures
import KernelWorld

/// One end of a connection over a socket.
final class SocketEnd: StreamTransport, DescriptorHandler {
    private var descriptor: Int32
    private unowned let transport: SocketTransport
    private var stream: Stream?
    private var phase = Phase.connecting
    private var isReading = false
    private var wantsToWrite = false
    private var isRegistered = false
    private var registeredEvents: Poller.Events = []
    /// The kernel refused to send: whatever is still to be read comes first, then the reason.
    private var isSendBroken = false
    private var endReceived = false
    /// nil for connections with the outside.
    private var incoming: FlightLedger.Flow?
    private var outgoing: FlightLedger.Flow?
    /// How many reads in a row have filled the whole buffer.
    private var fullReads = 0
    /// While what arrives here leaves at another socket without being looked at.
    private var shortcut: (pipe: SplicePipe, target: SocketEnd)?
    /// The other socket has no room for what is in the pipe.
    private var isShortcutBlocked = false
    /// The socket whose shortcut leads here.
    private var shortcutSource: SocketEnd?
    private var unsettled: (pair: FlightLedger.Pair, local: Endpoint)?

    private enum Phase { case connecting, open, closed }

    /// Reads in a row from one socket before others have their turn.
    private static let readsPerTurn = 4
    /// Full reads in a row from which on a shortcut pays.
    private static let fullReadsForShortcut = 2
    /// A turn that moved less was not worth a shortcut.
    private static let shortcutMinBytes = 16 * 1024

    init(descriptor: Int32, stream: Stream?, transport: SocketTransport) {
        self.descriptor = descriptor
        self.stream = stream
        self.transport = transport
    }

    deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

    private var ledger: FlightLedger { transport.ledger }

    /// Input has no cause by itself; between the lab's own ends it has the one that came with it.
    private func withCause(_ cause: UInt64?, _ body: () -> Void) {
        if let cause { transport.network.journal.withCause(cause, body) } else { body() }
    }

    func connect(_ pair: FlightLedger.Pair, local: Endpoint) {
        unsettled = (pair, local)
        outgoing = pair.toServer
        incoming = pair.toClient
    }

    /// An accepted connection; its pair in the ledger, if a lab node made it.
    func accepted(_ pair: FlightLedger.Pair?) {
        outgoing = pair?.toClient
        incoming = pair?.toServer
        phase = .open
    }

    func begin(_ stream: Stream) {
        self.stream = stream
        register(connecting: false)
        stream.updateReading()
    }

    func register(connecting: Bool) {
        if connecting { wantsToWrite = true }
        updateRegistration()
    }

    // MARK: StreamTransport

    func send(_ bytes: UnsafeRawBufferPointer, cause: UInt64) -> Int {
        if isSendBroken || phase == .closed { return bytes.count }
        while true {
            let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 {
                if let outgoing { ledger.sent(count, outgoing, cause: cause) }
                if count < bytes.count { waitUntilWritable() }
                return count
            }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                waitUntilWritable()
                return 0
            default:
                sendBroke()
                return bytes.count
            }
        }
    }

    /// What is sent from now on vanishes; the owner hears of it from the poller. One who has received the end already
    /// waits for nothing there, and would never hear: a server would be read to its last byte for a client that has
    /// gone.
    private func sendBroke() {
        isSendBroken = true
        if endReceived { waitUntilWritable() }
    }

    private func waitUntilWritable() {
        wantsToWrite = true
        updateRegistration()
    }

    func sendEnd(cause: UInt64) {
        guard phase == .open, !isSendBroken else { return }
        shutdown(descriptor, Int32(SHUT_WR))
        if let outgoing { ledger.endSent(outgoing, cause: cause) }
    }

    func setReading(_ isReading: Bool) {
        self.isReading = isReading
        if let incoming { ledger.setReading(isReading, incoming) }
        updateRegistration()
    }

    func close(_ manner: CloseManner) {
        guard phase != .closed else { return }
        phase = .closed
        endShortcut()
        shortcutSource?.endShortcut()
        if isRegistered { transport.poller.remove(descriptor) }
        isRegistered = false
        transport.descriptors.released()
        if manner == .silently, let stream {
            transport.keepInTheDark(descriptor, of: stream.node)
        } else if manner == .reset {
            Socket.closeWithReset(descriptor)
        } else {
            Glibc.close(descriptor)
        }
        descriptor = -1
        stream = nil
        settle(abandoned: true)
        if let incoming { ledger.retire(incoming) }
        // The peer still has to hear of it: its side retires when it does. Without power it never will.
        guard let outgoing else { return }
        let cause = transport.network.journal.currentCause
        if manner == .orderly { ledger.endSent(outgoing, cause: cause) } else { ledger.retire(outgoing, cause: cause) }
    }

    private func settle(abandoned: Bool) {
        guard let (pair, local) = unsettled else { return }
        unsettled = nil
        if abandoned { ledger.abandoned(local: local, pair) } else { ledger.connectSettled(pair) }
    }

    private func updateRegistration() {
        guard phase != .closed, let stream else { return }
        var events: Poller.Events = []
        if isReading, phase == .open, !endReceived, !isShortcutBlocked { events.insert(.readable) }
        if wantsToWrite { events.insert(.writable) }
        // Epoll reports errors and hang-ups unasked. A socket of a frozen or paused owner must not be heard at all.
        if events.isEmpty || (stream.node.isFrozen && phase == .open) {
            if isRegistered { transport.poller.remove(descriptor) }
            isRegistered = false
        } else if !isRegistered {
            transport.poller.add(descriptor, events, handler: self)
            isRegistered = true
        } else if events != registeredEvents {
            transport.poller.modify(descriptor, events)
        }
        registeredEvents = events
    }

    // MARK: Events

    func descriptorReady(_ events: Poller.Events) {
        if phase == .connecting { return finishConnecting() }
        if !events.isDisjoint(with: [.readable, .hangUp, .error]), !endReceived {
            if isReading, !isShortcutBlocked { readAvailable() } else { failIfBroken() }
        } else if events.contains(.error) || events.contains(.hangUp) {
            failIfBroken()
        }
        if phase == .open, wantsToWrite, events.contains(.writable) {
            wantsToWrite = false
            withCause(outgoing?.receivedCause) {
                if let shortcutSource { shortcutSource.shortcutWritable() } else { stream?.transportWritable() }
            }
            updateRegistration()
        }
    }

    private func finishConnecting() {
        let code = Socket.pendingError(descriptor)
        guard let stream else { return }
        let cause = unsettled?.pair.cause
        if code == 0 {
            // A unix socket has no address of the internet.
            let local = Socket.localEndpoint(descriptor) ?? stream.local
            phase = .open
            wantsToWrite = false
            settle(abandoned: false)
            let isShown = stream.peer != nil && stream.remote.address.isIPv6
            let shown = isShown ? Endpoint(stream.local.address, local.port) : local
            withCause(cause) { stream.transportOpened(local: shown) }
            updateRegistration()
        } else {
            settle(abandoned: true)
            withCause(cause) {
                stream.transportFailed(code == ECONNREFUSED ? .refused : code == ETIMEDOUT ? .timedOut : .unreachable)
            }
        }
    }

    private func readAvailable() {
        if shortcut != nil { return moveAvailable() }
        let buffer = transport.poller.readBuffer
        for _ in 0..<Self.readsPerTurn {
            guard phase == .open, isReading, let stream else { return }
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 {
                if let incoming {
                    withCause(ledger.taken(count, incoming)) {
                        stream.transportReceived(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                    }
                    ledger.received(count, incoming)
                } else {
                    stream.transportReceived(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                }
                if count < buffer.count {
                    fullReads = 0
                    return
                }
                fullReads += 1
                if fullReads >= Self.fullReadsForShortcut, beginShortcut() { return moveAvailable() }
            } else if count == 0 {
                return receiveEnd()
            } else if errno == EAGAIN {
                return
            } else if errno != EINTR {
                return withCause(incoming?.endCause) { stream.transportFailed(.reset) }
            }
        }
    }

    private func receiveEnd() {
        endReceived = true
        if let incoming { ledger.endReceived(incoming) }
        updateRegistration()
        withCause(incoming?.endCause) { stream?.transportEnded() }
    }

    // MARK: The shortcut

    /// Takes the shortcut if the stream allows one, and this is a connection whose bytes nobody counts.
    private func beginShortcut() -> Bool {
        fullReads = 0
        guard phase == .open, isReading, incoming == nil, let target = stream?.shortcut as? SocketEnd,
            target.phase == .open, target.outgoing == nil, target.shortcutSource == nil, !target.isSendBroken,
            let pipe = transport.pipes.take()
        else { return false }
        shortcut = (pipe, target)
        target.shortcutSource = self
        return true
    }

    private func endShortcut() {
        guard let (pipe, target) = shortcut else { return }
        shortcut = nil
        target.shortcutSource = nil
        transport.pipes.give(pipe)
        setShortcutBlocked(false)
    }

    /// Moves what has arrived. Between two calls the pipe is empty, unless the target is full.
    private func moveAvailable() {
        var moved = 0
        for _ in 0..<Self.readsPerTurn {
            guard phase == .open, isReading, let pipe = shortcut?.pipe, let stream else { return }
            switch pipe.fill(from: descriptor) {
            case .moved(let count):
                moved += count
                stream.transportForwarded(count)
                if !emptyPipe() { return }
            case .ended:
                endShortcut()
                return receiveEnd()
            case .wouldBlock:
                if moved < Self.shortcutMinBytes { endShortcut() }
                return
            case .failed(let code):
                endShortcut()
                // Not every socket can do it; such a one is read as usual.
                if code != EINVAL { stream.transportFailed(.reset) }
                return
            }
        }
    }

    /// Returns whether everything has left, and reading may go on.
    private func emptyPipe() -> Bool {
        while let (pipe, target) = shortcut, pipe.count > 0 {
            switch pipe.empty(into: target.descriptor) {
            case .moved: continue
            case .wouldBlock:
                setShortcutBlocked(true)
                target.waitUntilWritable()
                return false
            case .ended, .failed:
                // As with `send`: the target hears of it by itself, and until then everything vanishes.
                target.sendBroke()
                endShortcut()
                return false
            }
        }
        return true
    }

    /// The target has room again.
    private func shortcutWritable() { if emptyPipe() { setShortcutBlocked(false) } }

    private func setShortcutBlocked(_ isBlocked: Bool) {
        guard isBlocked != isShortcutBlocked else { return }
        isShortcutBlocked = isBlocked
        updateRegistration()
    }

    private func failIfBroken() {
        if isSendBroken || Socket.pendingError(descriptor) != 0 {
            withCause(incoming?.endCause) { stream?.transportFailed(.reset) }
        } else {
            // Both directions have ended while the owner was not reading: there is nothing more to hear until it does.
            transport.poller.remove(descriptor)
            isRegistered = false
        }
    }
}
