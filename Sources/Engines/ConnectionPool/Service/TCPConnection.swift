import ConnectionPoolEngine
import KernelStructures
import KernelWorld

/// A bare TCP connection for `NodePool`: what its borrowers say on it is theirs.
///
/// TCP has no question to ask: a check can only tell whether the other end has closed. Bytes that arrive while nobody
/// has the connection belong to nobody, so it is given up.
public final class TCPConnection: NodeConnection, StreamHandler {
    private let node: Node
    private let destination: HostPort
    public private(set) var stream: Stream?
    /// Set by whoever has the connection; cleared when it is given back.
    public var onReceived: ((UnsafeRawBufferPointer) -> Void)?
    public var onLost: ((String) -> Void)?
    private var opened: ((String?) -> Void)?

    public init(_ node: Node, to destination: HostPort) {
        self.node = node
        self.destination = destination
    }

    public func letGo() {
        onReceived = nil
        onLost = nil
        opened = nil
    }

    public func write(_ bytes: [UInt8]) { stream?.write(bytes) }

    public func open(_ done: @escaping (String?) -> Void) {
        opened = done
        do throws(NetworkError) {
            stream = try node.connect(to: destination, handler: self)
        } catch {
            node.enqueue { [self] in finishOpening("\(error)") }
        }
    }

    private func finishOpening(_ failure: String?) {
        let callback = opened
        opened = nil
        callback?(failure)
    }

    private var isAlive: Bool { stream.map { $0.isOpen && !$0.hasPeerEnded } ?? false }

    public func validate(_ done: @escaping (Bool) -> Void) { node.enqueue { [self] in done(isAlive) } }
    /// There is no state that could be reset from here.
    public func reset(_ done: @escaping (Bool) -> Void) { node.enqueue { [self] in done(isAlive) } }

    public func wasGivenBack() -> ConnectionPool.ReturnCondition {
        onReceived = nil
        return isAlive ? .clean : .broken("closed by the other end")
    }

    public func close() {
        opened = nil
        stream?.close()
    }

    private func end(_ reason: String) {
        if opened != nil { return finishOpening(reason) }
        let callback = onLost
        onLost = nil
        callback?(reason)
    }

    // MARK: StreamHandler

    public func streamOpened(_ stream: Stream) { finishOpening(nil) }

    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        if let onReceived { return onReceived(bytes) }
        stream.abort()
        end("it spoke unasked")
    }

    public func streamEnded(_ stream: Stream) {
        stream.close()
        end("closed by the other end")
    }

    public func stream(_ stream: Stream, closed reason: CloseReason) { end("\(reason)") }
}
