import CacheLayerEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// Hears from the shared cache itself what others have changed: `CLIENT TRACKING`, by RESP3's pushes, on the connection
/// on which it answers (Redis, "Server-assisted client side caching"). So changes are heard of whoever makes them, also
/// by hand and in other languages, and what the server forgets to make room is heard of, too.
///
/// It is one connection for all, because of what Redis makes of NOLOOP: one's own writes are no news to the connection
/// that wrote, and news to any other. And it makes an order: an answer that comes after a push has seen the change.
///
/// What is said while the connection is away is never said again, so whoever listens is told that he was deaf, and has
/// to forget what he knows. A connection that is dead and does not say so is found by a PING each second. A server that
/// has no RESP3, or no tracking, leaves him deaf for good.
public final class TrackingListener {
    private let node: Node
    private let remote: RESPRemote
    private let greeting: RESPDialect.Commands
    private var current: RESPClientConnection?
    private var isClosed = false
    /// Whether changes are heard of from now on.
    public var onHearing: ((Bool) -> Void)?
    /// nil: everything has gone.
    public var onNotice: ((RESPDialect.Notice?) -> Void)?
    /// The server cannot do it.
    public private(set) var isUnsupported = false

    /// Between two questions whether the server is still there. With the time that an answer may take it is how long a
    /// dead connection can go unnoticed.
    static let pause = LabDuration.seconds(1)

    /// - Parameters:
    ///   - remote: one with one connection.
    ///   - keyPrefix: of the layer's keys.
    ///   - isBroadcasting: hears of all keys with that prefix, and not only of those that it has read.
    public init(node: Node, remote: RESPRemote, keyPrefix: String, isBroadcasting: Bool) {
        self.node = node
        self.remote = remote
        greeting = remote.dialect.tracking(keyPrefix: keyPrefix, isBroadcasting: isBroadcasting)
        node.whenEnded { [weak self] in self?.letGo() }
    }

    public func start() {
        remote.onConnect = { [weak self] in self?.connected($0) }
        remote.onFailure = { [weak self] in self?.lookAfter() }
        ping()
    }

    private func ping() {
        guard !isClosed, !isUnsupported else { return }
        remote.send(["PING"])
        node.after(Self.pause) { [weak self] in self?.ping() }
    }

    private func connected(_ client: RESPClientConnection) {
        lost()
        guard !isClosed, !isUnsupported else { return }
        current = client
        let whenOver = client.onEnd
        client.onEnd = { [weak self, weak client] failure in
            whenOver?(failure)
            if let self, current === client { lost() }
        }
        client.onPush = { [weak self, weak client] value in
            if let self, current === client { pushed(value) }
        }
        for (index, words) in greeting.enumerated() {
            client.send(words) { [weak self, weak client] result in
                // Failures of the connection come as its end.
                guard let self, current === client, case .success(let value) = result else { return }
                if value.errorText != nil { return giveUp() }
                if index == greeting.count - 1 { onHearing?(true) }
            }
        }
    }

    /// An answer has not come: the connection may be gone without having said so.
    private func lookAfter() {
        node.enqueue { [weak self] in
            if let self, current?.isClosed == true { lost() }
        }
    }

    private func lost() {
        guard current != nil else { return }
        current = nil
        onHearing?(false)
    }

    private func giveUp() {
        isUnsupported = true
        current?.onPush = nil
        current = nil
        onHearing?(false)
    }

    private func pushed(_ value: RESPValue) {
        guard let parts = value.elements, parts.count == 2, parts[0].text == "invalidate" else { return }
        guard let keys = parts[1].elements else {
            onNotice?(nil)
            return
        }
        for key in keys {
            // Keys of the layer are text.
            if let text = key.text { onNotice?(remote.dialect.notice(ofKey: text)) }
        }
    }

    public func close() {
        isClosed = true
        current = nil
    }

    private func letGo() {
        close()
        onHearing = nil
        onNotice = nil
    }
}

/// How the processes around one shared cache hear of one another's changes. All of them have to use the same.
public enum CacheInvalidation: String, CaseIterable, Sendable {
    /// They tell one another, by PUBLISH.
    case channel
    /// The cache remembers who has read what, and tells them.
    case tracking
    /// The cache tells everybody of every key with the layer's prefix.
    case broadcast
}
