import KernelStructures
import KernelWire
import KernelWorld

/// What hears of a client connection's responses.
public protocol HTTPClientDelegate: AnyObject {
    func clientOpened(_ client: HTTPClientConnection)
    /// The response's head is complete: `client.head`. Interim responses (1xx) come as heads of their own, without an
    /// end.
    func clientReceivedHead(_ client: HTTPClientConnection)
    func client(_ client: HTTPClientConnection, received body: UnsafeRawBufferPointer)
    /// The response is complete.
    func clientReceivedEnd(_ client: HTTPClientConnection)
    func clientDrained(_ client: HTTPClientConnection)
    func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure)
    /// Around the processing of what arrived together: writes made in between can be gathered.
    func clientWillProcess(_ client: HTTPClientConnection)
    func clientDidProcess(_ client: HTTPClientConnection)
}

extension HTTPClientDelegate {
    public func clientOpened(_ client: HTTPClientConnection) {}
    public func clientDrained(_ client: HTTPClientConnection) {}
    public func clientWillProcess(_ client: HTTPClientConnection) {}
    public func clientDidProcess(_ client: HTTPClientConnection) {}
}

public enum HTTPClientFailure: Error, Sendable {
    /// The connection was never made.
    case notConnected(CloseReason)
    /// It ended before the response was complete.
    case closed(CloseReason)
    case malformed(HTTPError)
}

/// A client's connection to an HTTP/1.1 server, for one request after another.
///
/// The owner writes the request's bytes itself (`begin`, then `write`) and hears of the response in pieces.
public final class HTTPClientConnection: StreamHandler {
    /// nil until `connect` has succeeded.
    public private(set) var stream: Stream!
    /// Must be cleared, or the connection closed, before the delegate goes away.
    public unowned var delegate: (any HTTPClientDelegate)?
    /// Free for the owner's use.
    public var context: AnyObject?
    private var reader: HTTPReader
    public private(set) var isOpen = false
    private var isAwaitingResponse = false
    private var isClosed = false
    /// Bytes of responses since `begin`.
    public private(set) var bytesOfResponse = 0
    public private(set) var requestCount = 0
    /// The beginning of the bytes in which a response turned out not to be one, or of a head that was never finished.
    public private(set) var rejectedBytes: [UInt8] = []
    /// For an owner that keeps unused connections: since when this one is unused.
    public var idleSince = LabTime(nanoseconds: 0)

    public init(limits: HTTPLimits = HTTPLimits()) { reader = HTTPReader(.responses, limits: limits) }

    /// Starts to connect. The delegate hears the outcome later: over TLS, once the server has proved who it is.
    ///
    /// - Parameters:
    ///   - host: whom the server has to prove to be, where that is not the destination's host.
    ///   - introduction: sent before everything else, TLS included: a PROXY header.
    public func connect(
        from node: Node, to destination: HostPort, security: (any StreamSecurity)? = nil, host: String? = nil,
        introduction: [UInt8] = []
    ) throws(NetworkError) {
        stream = try node.connect(to: destination, handler: self)
        if !introduction.isEmpty { stream.write(introduction) }
        if let security { stream.secure(with: security, host: host ?? destination.host) }
    }

    public var head: HTTPHead { reader.head }
    /// The field lines behind a response's chunked body, once that is complete: see `HTTPTrailers`.
    public var trailers: [UInt8] { reader.trailers }
    /// Whether another request may be sent after the present response: both sides keep the connection, and nothing
    /// unexpected has arrived.
    public var isReusable: Bool {
        isOpen && !isClosed && !isAwaitingResponse && reader.head.keepsAlive && !stream.hasPeerEnded
    }

    /// A request of that method is about to be written.
    public func begin(_ method: HTTPMethod) {
        reader.requestMethod = method
        isAwaitingResponse = true
        bytesOfResponse = 0
        requestCount += 1
    }

    public func write(_ bytes: [UInt8]) { stream.write(bytes) }
    public func write(_ bytes: UnsafeRawBufferPointer) { stream.write(bytes) }

    public func close() {
        isClosed = true
        delegate = nil
        stream?.close()
    }

    public func abort() {
        isClosed = true
        delegate = nil
        stream?.abort()
    }

    /// Hands the connection over to another protocol, after a 101 or a 2xx to CONNECT.
    public func upgrade(to handler: any StreamHandler) {
        delegate = nil
        isClosed = true
        stream.setHandler(handler)
    }

    // MARK: StreamHandler

    public func streamOpened(_ stream: Stream) {
        isOpen = true
        delegate?.clientOpened(self)
    }

    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        guard let delegate else { return stream.abort() }
        guard isAwaitingResponse else {
            // A server that speaks unasked: an answer to nobody's request must not become the next one's.
            fail(.malformed(HTTPError(502, "the server answered before it was asked")))
            return
        }
        bytesOfResponse += bytes.count
        delegate.clientWillProcess(self)
        process(bytes)
        delegate.clientDidProcess(self)
    }

    private func process(_ bytes: UnsafeRawBufferPointer) {
        var position = 0
        while let delegate, !isClosed {
            switch reader.next(bytes, &position) {
            case .needMore: return
            case .head:
                delegate.clientReceivedHead(self)
                if reader.head.status == 101, isClosed {
                    // Taken over by `upgrade`: the rest is the new protocol's.
                    deliverRest(UnsafeRawBufferPointer(rebasing: bytes[position...]))
                    return
                }
            case .body(let range):
                delegate.client(self, received: UnsafeRawBufferPointer(rebasing: bytes[range]))
            case .end:
                if reader.head.status < 200 { continue }
                isAwaitingResponse = false
                if position < bytes.count {
                    // More than was asked for: the connection cannot be trusted with another request.
                    isClosed = true
                    stream.abort()
                }
                delegate.clientReceivedEnd(self)
                return
            case .failed(let error):
                rejectedBytes = Array(bytes.prefix(HTTPServerConnection.rejectedLimitBytes))
                return fail(.malformed(error))
            }
        }
    }

    private func deliverRest(_ rest: UnsafeRawBufferPointer) {
        if !rest.isEmpty { stream.handler?.stream(stream, received: rest) }
    }

    public func streamLost(_ stream: Stream) {
        delegate = nil
        context = nil
    }

    public func streamEnded(_ stream: Stream) {
        guard isAwaitingResponse else {
            let last = delegate
            close()
            last?.client(self, failed: .closed(.finished))
            return
        }
        let unfinished = reader.partialHead.prefix(HTTPServerConnection.rejectedLimitBytes)
        guard reader.inputEnded() == .end else {
            rejectedBytes = Array(unfinished)
            return fail(.closed(.finished))
        }
        isAwaitingResponse = false
        let last = delegate
        last?.clientWillProcess(self)
        last?.clientReceivedEnd(self)
        last?.clientDidProcess(self)
        close()
    }

    public func streamDrained(_ stream: Stream) { delegate?.clientDrained(self) }

    public func stream(_ stream: Stream, closed reason: CloseReason) {
        let last = delegate
        delegate = nil
        let wasOpen = isOpen
        isClosed = true
        isOpen = false
        last?.client(self, failed: wasOpen ? .closed(reason) : .notConnected(reason))
    }

    private func fail(_ failure: HTTPClientFailure) {
        let last = delegate
        abort()
        last?.client(self, failed: failure)
    }
}

extension HTTPClientConnection {
    /// Bytes so far, in each direction.
    var carried: (sent: Int, received: Int) { stream.map { ($0.bytesSent, $0.bytesReceived) } ?? (0, 0) }

    /// Sends a piece of a request's body, which is not empty; in chunks if its length was not announced.
    public func write(body: UnsafeRawBufferPointer, inChunks: Bool) {
        guard inChunks else { return write(body) }
        var size: [UInt8] = []
        HTTPWriter.chunkStart(body.count, into: &size)
        stream.cork()
        write(size)
        write(body)
        write(Self.lineEnd)
        stream.uncork()
    }

    /// Ends the body of a request whose length was not announced.
    ///
    /// - Parameter trailers: field lines, each with its CRLF.
    public func endChunks(trailers: [UInt8] = []) {
        write(trailers.isEmpty ? Self.lastChunk : Array("0\r\n".utf8) + trailers + [13, 10])
    }

    private static let lineEnd = Array("\r\n".utf8)
    private static let lastChunk = Array("0\r\n\r\n".utf8)
}
