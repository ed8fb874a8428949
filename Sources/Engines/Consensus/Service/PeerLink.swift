import ConsensusEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// This member's way to another one: a connection that is made again whenever it ends.
///
/// Only this member speaks on it; the other one answers on its own. A message that finds no connection, or a congested
/// one, is dropped: the engine counts on nothing that it sends. A snapshot goes in pieces, as fast as the other side
/// takes them, and messages go between the pieces.
final class PeerLink {
    let id: Int
    let address: HostPort
    private unowned let member: ConsensusMember
    private var socket: WebSocketConnection?
    private var call: WebSocketCall?
    private var timer: TimerID?
    private var failures = 0
    private var isStopped = false
    /// What of a snapshot is still to be sent.
    private var snapshot: (data: [UInt8], sentBytes: Int)?

    private static let longestPauseMilliseconds = 1000
    private static let shortestPauseMilliseconds = 50
    /// As many as make the longest pause.
    private static let failuresAfterRefusal = 10

    init(_ id: Int, at address: HostPort, of member: ConsensusMember) {
        self.id = id
        self.address = address
        self.member = member
    }

    var isConnected: Bool { socket?.isOpen ?? false }

    // MARK: The connection

    func connect() {
        guard !isStopped, socket == nil, call == nil else { return }
        var url = HTTPURL(scheme: .http, host: address.host, port: address.port, target: ConsensusMember.path)
        url.hasPort = true
        // A machine without power says no goodbye.
        var options = WebSocketConnection.Options()
        options.pingInterval = .milliseconds(member.settings.electionMilliseconds)
        // A whole frame, however large, and a few small ones before it: nothing is sent while the way is congested.
        options.unsentLimitBytes = ConsensusMember.frameLimitBytes + (4 << 20)
        let call = WebSocketCall(
            member.node, url, fields: [("Sec-WebSocket-Protocol", ConsensusMember.protocolName)], options: options
        ) { [weak self] result in self?.connected(result) }
        self.call = call
        call.start(deadline: .seconds(1))
    }

    private func connected(_ result: Result<WebSocketConnection, HTTPCall.Failure>) {
        call = nil
        guard !isStopped, case .success(let socket) = result else { return retry() }
        self.socket = socket
        failures = 0
        socket.onDrained = { [weak self] in self?.sendPieces() }
        socket.onClosed = { [weak self] code, reason in self?.lost(code == .policyViolation ? reason : nil) }
        socket.send(member.hello(to: id).encoded)
        member.onEvent?(.peer(id, isConnected: true))
    }

    /// - Parameter refusal: why the other side does not want to hear this one.
    private func lost(_ refusal: String?) {
        guard socket != nil else { return }
        socket = nil
        if let refusal {
            // It will hardly think better of it at once.
            failures = Self.failuresAfterRefusal
            member.refused(by: id, refusal)
        }
        snapshot = nil
        member.linkLost(self)
        retry()
    }

    private func retry() {
        guard !isStopped, timer == nil else { return }
        let pause = min(Self.shortestPauseMilliseconds << min(failures, 10), Self.longestPauseMilliseconds)
        failures += 1
        timer = member.node.after(.milliseconds(pause)) { [weak self] in
            self?.timer = nil
            self?.connect()
        }
    }

    func stop() {
        isStopped = true
        member.node.cancel(timer)
        timer = nil
        call?.cancel()
        call = nil
        let last = socket
        socket = nil
        last?.close(.goingAway, "it stops")
    }

    // MARK: Sending

    /// - Returns: false if it was dropped.
    func send(_ message: RaftMessage) -> Bool {
        guard let socket, !socket.isCongested else { return false }
        guard let data = message.snapshot?.data else { return socket.send(RaftFrame.message(message).encoded) }
        var start = message
        start.snapshot?.data = []
        snapshot = (data, 0)
        guard socket.send(RaftFrame.snapshotStart(start, totalBytes: data.count).encoded) else { return false }
        sendPieces()
        return true
    }

    private func sendPieces() {
        while let socket, let (data, sent) = snapshot, !socket.isCongested {
            if sent == data.count {
                snapshot = nil
                return member.snapshotSent(to: id)
            }
            let end = min(sent + RaftFrame.partBytes, data.count)
            snapshot = (data, end)
            guard socket.send(RaftFrame.snapshotPart(Array(data[sent..<end])).encoded) else { return }
        }
    }
}
