import KernelStructures
import KernelWire
import KernelWorld

/// An answer that comes piece by piece.
///
/// A producer that can wait heeds `isCongested` and goes on at `onDrained`. One that cannot (events) is cut off when
/// the client leaves more than `limitBytes` untaken: memory is not the place where slow clients are waited for.
public final class HTTPBodyStream: LastingExchange {
    private let exchange: HTTPExchange
    private let connection: HTTPServerConnection
    /// False once it has ended, or the client or the node has gone.
    public var isOpen: Bool { !hasEnded && !connection.stream.isClosed }
    var hasEnded = false
    /// The client has room again.
    public var onDrained: (() -> Void)?
    /// The server stops: ends the stream in its own way. Without one it just ends.
    public var onDrain: (() -> Void)?
    /// Bytes that may wait to be taken.
    public var limitBytes = 4 << 20

    /// Whether it goes on until somebody has had enough.
    let isLasting: Bool

    init(_ exchange: HTTPExchange, _ connection: HTTPServerConnection, isLasting: Bool) {
        self.isLasting = isLasting
        self.exchange = exchange
        self.connection = connection
    }

    public var isCongested: Bool { connection.isCongested }

    /// - Returns: false if the stream is over, by this write perhaps.
    @discardableResult
    public func write(_ bytes: [UInt8]) -> Bool {
        guard isOpen else { return false }
        guard connection.stream.unsentByteCount + bytes.count <= limitBytes else {
            cut()
            return false
        }
        connection.writeBody(bytes)
        return isOpen
    }

    /// The body is complete.
    public func end() {
        guard isOpen else { return }
        exchange.end()
        connection.endResponse()
    }

    /// The body cannot be completed: the connection ends, so that the client does not take a part for the whole.
    public func cut() {
        guard isOpen else { return }
        let callback = exchange.onAbandon
        exchange.end()
        connection.cutResponse()
        callback?()
    }

    func drained() { if isOpen { onDrained?() } }
    func endForDrain() { if let onDrain { onDrain() } else { end() } }
}

/// A stream of events to one client: `text/event-stream`.
public final class HTTPEventStream {
    private let body: HTTPBodyStream
    private let node: Node
    private let heartbeat: LabDuration
    private var timer: TimerID?
    /// The last event that the client had seen when it connected again.
    public let lastEventID: String?

    init(_ body: HTTPBodyStream, _ node: Node, lastEventID: String?, heartbeat: LabDuration) {
        self.body = body
        self.node = node
        self.lastEventID = lastEventID
        self.heartbeat = heartbeat
        beat()
    }

    public var isOpen: Bool { body.isOpen }

    /// - Returns: false if nobody listens any more: forget this stream.
    @discardableResult
    public func send(_ event: ServerSentEvent) -> Bool {
        var bytes: [UInt8] = []
        event.write(into: &bytes)
        return body.write(bytes)
    }

    public func end() {
        node.cancel(timer)
        body.end()
    }

    /// A line that says nothing, so that neither end takes a silent connection for a dead one.
    private func beat() {
        timer = node.after(heartbeat) { [weak self] in
            guard let self, body.write(ServerSentEvent.comment) else { return }
            beat()
        }
    }
}

extension HTTPExchange {
    /// Answers with a stream of events; nil as for `stream`. `onAbandon` tells when the client has gone.
    public func events(heartbeat: LabDuration = .seconds(15)) -> HTTPEventStream? {
        try? addField("Cache-Control", "no-store")
        guard let body = stream(type: ServerSentEvent.contentType, isLasting: true) else { return nil }
        return HTTPEventStream(body, node, lastEventID: field("Last-Event-ID"), heartbeat: heartbeat)
    }
}
