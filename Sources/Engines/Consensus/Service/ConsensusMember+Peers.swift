import ConsensusEngine
import KernelHosting
import KernelWorld

extension ConsensusMember {
    // MARK: The other members

    static let path = "/consensus"
    static let protocolName = "sdlab-consensus"

    /// The other members come in by this way, on the clients' port.
    public func mount(on router: HTTPRouter) {
        router.on("GET", Self.path) { [unowned self] exchange in
            var options = WebSocketConnection.Options()
            options.messageLimitBytes = Self.frameLimitBytes
            guard let socket = exchange.webSocket(protocols: [Self.protocolName], options: options) else { return }
            guests.append(PeerGuest(socket, of: self))
        }
    }

    func left(_ guest: PeerGuest) {
        guest.letGo()
        guests.removeAll { $0 === guest }
    }

    /// Bytes of a frame: a few of the largest commands.
    static let frameLimitBytes = 32 << 20

    /// Has a way to each member that belongs to the group, or may.
    func connectToPeers() {
        guard isRunning else { return }
        let wanted = addresses.filter { $0.key != settings.id }
        for id in links.keys.sorted() where links[id]?.address != wanted[id] {
            links[id]?.stop()
            links[id] = nil
        }
        for (id, address) in wanted.sorted(by: { $0.key < $1.key }) where links[id] == nil {
            let link = PeerLink(id, at: address, of: self)
            links[id] = link
            link.connect()
        }
    }

    /// All of it is on its way, and what follows comes behind it. Whoever waited for the other one's word that it has
    /// it would wait for ever where that is lost: it is said once, on a connection that may not be there.
    func snapshotSent(to id: Int) { raft.reportSnapshot(id, isDelivered: true) }

    func linkLost(_ link: PeerLink) {
        guard isRunning else { return }
        raft.reportUnreachable(link.id)
        raft.reportSnapshot(link.id, isDelivered: false)
        onEvent?(.peer(link.id, isConnected: false))
        schedulePump()
    }

    func send(_ message: RaftMessage) {
        if links[message.to]?.send(message) == true { return }
        switch message.kind {
        case .append: raft.reportUnreachable(message.to)
        case .snapshot: raft.reportSnapshot(message.to, isDelivered: false)
        default: break
        }
    }

    func received(_ message: RaftMessage) {
        do throws(RaftError) {
            try raft.receive(message)
        } catch .contradiction(let index) {
            return fail(
                """
                node \(message.from), which leads, has another entry at \(index), and this one's was agreed on: \
                they are of different groups, or one of them has lost its disk; remove one of them from the group, \
                and add a new one under a number of its own
                """)
        } catch {
            // What is of no use is dropped: its sender counts on nothing.
        }
        switch message.kind {
        case .append, .heartbeat, .snapshot:
            guard message.from == raft.leader else { break }
            lastLeaderContact = node.world.now
            isDeparted = isDeparted && !raft.configuration.contains(settings.id)
        default: break
        }
        schedulePump()
    }
}

/// What the service may want to tell its log.
public enum ConsensusEvent: Equatable, Sendable {
    /// This member knows who leads in that term; nil: nobody does at present.
    case leader(Int?, term: Int)
    /// Who belongs to the group has changed.
    case configuration(GroupConfiguration)
    /// A connection to another member exists, or has ended.
    case peer(Int, isConnected: Bool)
    /// This member cannot go on.
    case failed(String)
    /// A member is not the one that the group knows, or takes this one for one that it does not know; said once.
    case stranger(Int, String)
}
