import ConsensusEngine
import KernelHosting

/// Another member's way to this one.
final class PeerGuest {
    private let socket: WebSocketConnection
    private unowned let member: ConsensusMember
    private var peer: Int?
    private var assembly: SnapshotAssembly?
    private var isOver = false

    init(_ socket: WebSocketConnection, of member: ConsensusMember) {
        self.socket = socket
        self.member = member
        socket.onBinary = { [self] bytes in received(bytes) }
        socket.onText = { [self] _ in refuse("text is no frame") }
        socket.onClosed = { [self] _, _ in
            isOver = true
            member.left(self)
        }
    }

    /// Neither holds the other any more.
    func letGo() {
        isOver = true
        socket.onBinary = nil
        socket.onText = nil
        socket.onClosed = nil
    }

    /// It does not belong to the group any more.
    func dismiss(_ id: Int, _ reason: String) { if peer == id, !isOver { refuse(reason) } }

    private func refuse(_ reason: String) {
        isOver = true
        socket.close(.policyViolation, reason)
    }

    private func received(_ bytes: [UInt8]) {
        if isOver || !member.isRunning { return }
        guard let frame = RaftFrame(encoded: bytes) else { return refuse("that is no frame, or it was damaged") }
        switch frame {
        case .hello(let group, let from, let to, let fromDisk, let toDisk):
            guard peer == nil, group == member.settings.group, to == member.settings.id, from != to else {
                return refuse("this is member \(member.settings.id) of \(member.settings.group)")
            }
            if let reason = member.reasonToRefuse(from, disk: fromDisk, knowing: toDisk) { return refuse(reason) }
            peer = from
        case .message(let message): deliver(message)
        case .snapshotStart(let message, let totalBytes):
            assembly = SnapshotAssembly(
                message, totalBytes: totalBytes, limitBytes: member.settings.snapshotLimitBytes)
            if assembly == nil { return refuse("a snapshot that is too large") }
            finishSnapshot()
        case .snapshotPart(let part):
            guard assembly?.add(part) == true else { return refuse("a piece of no snapshot") }
            finishSnapshot()
        }
    }

    private func finishSnapshot() {
        guard let whole = assembly?.whole else { return }
        assembly = nil
        deliver(whole)
    }

    private func deliver(_ message: RaftMessage) {
        guard let peer, message.to == member.settings.id else { return refuse("say hello first") }
        // What is passed on to a leader keeps the name of who asked.
        switch message.kind {
        case .propose, .readIndex, .transfer: break
        default: if message.from != peer { return refuse("\(peer) does not speak for \(message.from)") }
        }
        member.received(message)
    }
}
