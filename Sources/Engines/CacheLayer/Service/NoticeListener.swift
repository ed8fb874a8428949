import CacheLayerEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// Hears from the shared cache what other processes have changed: SUBSCRIBE on a connection of its own, in RESP3.
///
/// What is said while the connection is away is never said again, so whoever listens is told that he was deaf, and has
/// to forget what he knows. A server that knows no SUBSCRIBE leaves him deaf for good.
public final class NoticeListener {
    private let node: Node
    private let destination: HostPort
    private let channel: String
    private var client: RESPClientConnection?
    private var isClosed = false
    /// Whether changes are heard of from now on.
    public var onHearing: ((Bool) -> Void)?
    public var onNotice: ((String) -> Void)?
    /// The server cannot do it.
    public private(set) var isUnsupported = false

    /// Between two attempts to connect.
    static let pause = LabDuration.seconds(1)

    public init(node: Node, destination: HostPort, channel: String) {
        self.node = node
        self.destination = destination
        self.channel = channel
        node.whenEnded { [weak self] in self?.letGo() }
    }

    public func start() {
        guard !isClosed, !isUnsupported else { return }
        let client = RESPClientConnection()
        client.onEnd = { [weak self, weak client] _ in
            guard let self, self.client === client else { return }
            self.client = nil
            onHearing?(false)
            again()
        }
        client.onPush = { [weak self] in self?.pushed($0) }
        do throws(NetworkError) {
            try client.connect(from: node, to: destination)
        } catch {
            return again()
        }
        self.client = client
        client.send(["HELLO", "3"]) { [weak self] result in
            // Failures of the connection come as its end.
            if case .success(let value) = result, value.errorText != nil { self?.giveUp() }
        }
        client.send(["SUBSCRIBE", channel]) { [weak self] result in
            // In RESP3 the confirmation is a push; only a refusal is a reply.
            if case .success(let value) = result, value.errorText != nil { self?.giveUp() }
        }
    }

    private func again() {
        guard !isClosed, !isUnsupported else { return }
        node.after(Self.pause) { [weak self] in self?.start() }
    }

    private func giveUp() {
        isUnsupported = true
        let last = client
        client = nil
        last?.close()
        onHearing?(false)
    }

    private func pushed(_ value: RESPValue) {
        guard let parts = value.elements, let kind = parts.first?.text else { return }
        if kind == "subscribe" { onHearing?(true) }
        if kind == "message", parts.count == 3, let text = parts[2].text { onNotice?(text) }
    }

    public func close() {
        isClosed = true
        let last = client
        client = nil
        last?.close()
    }

    private func letGo() {
        isClosed = true
        client = nil
        onHearing = nil
        onNotice = nil
    }
}
