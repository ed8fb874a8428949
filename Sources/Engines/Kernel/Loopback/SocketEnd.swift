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
    private var unsettled: (pair: FlightLedger.Pair, local: Endpoint)?

    private enum Phase { case connecting, open, closed }

    /// Reads in a row from one socket before others have their turn.
    private static let readsPerTurn = 4

    init(descriptor: Int32, stream: Stream?, transport: SocketTransport) {
        self.descriptor = descriptor
        self.stream = stream
        self.transport = transport
    }

    deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

    private var ledger: FlightLedger { transport.ledger }

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

    func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        if isSendBroken || phase == .closed { return bytes.count }
        while true {
            let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 {
                if let outgoing { ledger.sent(count, outgoing, cause: transport.network.world.journal.currentCause) }
                if count < bytes.count { waitUntilWritable() }
                return count
            }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                waitUntilWritable()
                return 0
            default:
                isSendBroken = true
                return bytes.count
            }
        }
    }

    private func waitUntilWritable() {
        wantsToWrite = true
        updateRegistration()
    }

    func sendEnd() {
        guard phase == .open, !isSendBroken else { return }
        shutdown(descriptor, Int32(SHUT_WR))
        if let outgoing { ledger.endSent(outgoing) }
    }

    func setReading(_ isReading: Bool) {
        self.isReading = isReading
        if let incoming { ledger.setReading(isReading, incoming) }
        updateRegistration()
    }

    func close(_ manner: CloseManner) {
        guard phase != .closed else { return }
        phase = .closed
        if isRegistered { transport.poller.remove(descriptor) }
        isRegistered = false
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
        if let outgoing { manner == .orderly ? ledger.endSent(outgoing) : ledger.retire(outgoing) }
    }

    private func settle(abandoned: Bool) {
        guard let (pair, local) = unsettled else { return }
        unsettled = nil
        if abandoned { ledger.abandoned(local: local, pair) } else { ledger.connectSettled(pair) }
    }

    private func updateRegistration() {
        guard phase != .closed, let stream else { return }
        var events: Poller.Events = []
        if isReading, phase == .open, !endReceived { events.insert(.readable) }
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
            if isReading { readAvailable() } else { failIfBroken() }
        } else if events.contains(.error) || events.contains(.hangUp) {
            failIfBroken()
        }
        if phase == .open, wantsToWrite, events.contains(.writable) {
            wantsToWrite = false
            stream?.transportWritable()
            updateRegistration()
        }
    }

    private func finishConnecting() {
        let code = Socket.pendingError(descriptor)
        guard let stream else { return }
        if code == 0, let local = Socket.localEndpoint(descriptor) {
            phase = .open
            wantsToWrite = false
            settle(abandoned: false)
            stream.transportOpened(local: local)
            updateRegistration()
        } else {
            settle(abandoned: true)
            stream.transportFailed(code == ECONNREFUSED ? .refused : code == ETIMEDOUT ? .timedOut : .unreachable)
        }
    }

    private func readAvailable() {
        let buffer = transport.poller.readBuffer
        for _ in 0..<Self.readsPerTurn {
            guard phase == .open, isReading, let stream else { return }
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            if count > 0 {
                if let incoming {
                    transport.network.world.journal.withCause(incoming.cause) {
                        stream.transportReceived(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                    }
                    ledger.received(count, incoming)
                } else {
                    stream.transportReceived(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                }
                if count < buffer.count { return }
            } else if count == 0 {
                endReceived = true
                if let incoming { ledger.endReceived(incoming) }
                updateRegistration()
                stream.transportEnded()
                return
            } else if errno == EAGAIN {
                return
            } else if errno != EINTR {
                return stream.transportFailed(.reset)
            }
        }
    }

    private func failIfBroken() {
        if isSendBroken || Socket.pendingError(descriptor) != 0 {
            stream?.transportFailed(.reset)
        } else {
            // Both directions have ended while the owner was not reading: there is nothing more to hear until it does.
            transport.poller.remove(descriptor)
            isRegistered = false
        }
    }
}
