import CSystem
import Glibc
import KernelStructures
import KernelWorld

/// The sockets of one listener: the node's own address and, in a lab, 127.0.0.1 as well.
final class SocketListener: ListenerTransport {
    private var doors: [Door]
    private unowned let listener: Listener
    private unowned let transport: SocketTransport
    private var isAccepting = false
    /// What its node wants; descriptors may say otherwise.
    private var wantsToAccept = false
    private var whenClosed: (() -> Void)?
    /// A process bound to `0.0.0.0` or `::`: which of its addresses a client reached, only the connection knows.
    private let isAtEveryAddress: Bool

    /// Connections accepted from one socket before others have their turn.
    private static let acceptsPerTurn = 64

    private final class Door: DescriptorHandler {
        let descriptor: Int32
        unowned let owner: SocketListener
        init(descriptor: Int32, owner: SocketListener) {
            self.descriptor = descriptor
            self.owner = owner
        }
        func descriptorReady(_ events: Poller.Events) {
            // Whoever hears of a connection may close the listener, and let go of everything on the way.
            let owner = owner
            owner.acceptWaiting(at: self)
        }
    }

    init(
        listener: Listener, descriptors: [Int32], transport: SocketTransport, whenClosed: (() -> Void)? = nil
    ) {
        self.whenClosed = whenClosed
        self.listener = listener
        self.transport = transport
        let address = listener.node.address
        isAtEveryAddress = listener.port != 0 && (address == .any || address == .any6)
        doors = []
        doors = descriptors.map { Door(descriptor: $0, owner: self) }
        transport.opened(self)
        setAccepting(!listener.node.isFrozen)
    }

    func setAccepting(_ isAccepting: Bool) {
        wantsToAccept = isAccepting
        updateAccepting()
    }

    func updateAccepting() {
        let isAccepting = wantsToAccept && !transport.descriptors.isPaused
        guard isAccepting != self.isAccepting else { return }
        self.isAccepting = isAccepting
        for door in doors {
            if isAccepting {
                transport.poller.add(door.descriptor, .readable, handler: door)
            } else {
                transport.poller.remove(door.descriptor)
            }
        }
        transport.ledger.setAccepting(
            isAccepting, at: Endpoint(listener.node.address, listener.mappedPort ?? listener.port))
    }

    func close(silently: Bool) {
        for door in doors {
            if isAccepting { transport.poller.remove(door.descriptor) }
            if silently {
                transport.keepInTheDark(door.descriptor, of: listener.node)
            } else {
                Glibc.close(door.descriptor)
            }
        }
        isAccepting = false
        wantsToAccept = false
        doors = []
        transport.closed(self)
        // A machine without power removes nothing.
        if !silently { whenClosed?() }
        whenClosed = nil
    }

    private func acceptWaiting(at door: Door) {
        for _ in 0..<Self.acceptsPerTurn {
            guard isAccepting else { return }
            guard let (descriptor, remote) = Socket.accept(door.descriptor) else {
                if errno == EMFILE || errno == ENFILE { transport.descriptors.exhausted(at: listener.node) }
                return
            }
            accept(descriptor, from: remote)
        }
    }

    private func accept(_ descriptor: Int32, from remote: Endpoint) {
        let pair = transport.ledger.accepted(from: remote)
        let end = SocketEnd(descriptor: descriptor, stream: nil, transport: transport)
        end.accepted(pair)
        transport.descriptors.accepted(descriptor, at: listener.node)
        let shown = pair.map { $0.client.endpoint(remote.port, isIPv6: $0.isIPv6) } ?? remote
        let local = isAtEveryAddress ? Socket.localEndpoint(descriptor) : nil
        transport.network.journal.withCause(pair?.cause ?? 0) {
            let stream = transport.network.accepted(
                by: listener, from: shown, peer: pair?.client, at: local, over: end)
            if let stream, !stream.isClosed { end.begin(stream) } else { end.close(.reset) }
        }
    }
}
