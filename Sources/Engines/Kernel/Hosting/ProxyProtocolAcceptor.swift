import KernelStructures
import KernelWire
import KernelWorld

/// Whether the connections of a port begin with a PROXY header. There is no third case: a port that accepts both lets
/// every client choose its own address (§2 of the specification).
public enum ProxyProtocolMode: Sendable { case off, required }

/// Why a connection that had to begin with a PROXY header was not accepted.
public enum ProxyProtocolFailure: Error, Equatable, Sendable, CustomStringConvertible {
    case malformed(ProxyHeaderError)
    /// The header was not complete in time.
    case timedOut(byteCount: Int)
    /// The peer ended or reset the connection before the header was complete; 0 bytes: a look at the port, as some
    /// health checks do.
    case closed(byteCount: Int)

    public var description: String {
        switch self {
        case .malformed(let error): error.description
        case .timedOut(let count): "the PROXY header took too long (\(counted(count, "byte")) of it came)"
        case .closed(let count): "closed within the PROXY header (\(counted(count, "byte")) of it came)"
        }
    }
}

/// The first handler of a connection that has to begin with a PROXY header: reads that, and passes the connection on.
///
/// ```
/// try node.listen(on: port) { stream in
///     ProxyProtocolAcceptor(stream) { outcome in
///         switch outcome {
///         case .accepted(let header, let rest):
///             let session = Session(stream, client: header.source ?? .internet(stream.remote), ahead: Array(rest))
///             stream.setHandler(session)
///             session.streamOpened(stream)
///         case .refused(let failure):
///             node.log("LB", "Refused \(address: stream.remote.address): \(failure.description)")
///         }
///     }
/// }
/// ```
///
/// The `rest` is what came behind the header in the same piece, at most one read of the transport. It is handed over
/// here and not through `stream(_:received:)`, because a handler may want nothing to read yet: whoever pauses reading
/// in `streamOpened` would have to take bytes all the same.
public final class ProxyProtocolAcceptor: StreamHandler {
    public enum Outcome {
        /// The header is complete. The connection has no handler until the receiver of this sets one, and tells it
        /// `streamOpened`. The rest is valid during the call.
        case accepted(ProxyHeader, rest: UnsafeRawBufferPointer)
        /// The connection was aborted, or had ended.
        case refused(ProxyProtocolFailure)
    }

    private let stream: Stream
    private let timeout: LabDuration
    private var parser: ProxyHeaderParser
    private var report: ((Outcome) -> Void)?
    private var timer: TimerID?

    /// The specification asks for at least 3 s, so that one lost packet can be sent again.
    public static let defaultTimeout = LabDuration.seconds(5)

    /// - Parameters:
    ///   - timeout: lab time from the start of the connection to the end of the header, however many pieces come.
    ///   - byteLimit: of headers of version 2; see `ProxyHeaderParser`.
    ///   - report: called once, unless the node's life ends first or somebody else takes the connection over.
    public init(
        _ stream: Stream, timeout: LabDuration = defaultTimeout, byteLimit: Int = ProxyHeaderParser.defaultByteLimit,
        report: @escaping (Outcome) -> Void
    ) {
        self.stream = stream
        self.timeout = timeout
        self.report = report
        parser = ProxyHeaderParser(byteLimit: byteLimit)
    }

    /// Ends the connection in good order and reports nothing: its owner wants no more connections.
    public func cancel() {
        finish()
        stream.close()
    }

    @discardableResult
    private func finish() -> ((Outcome) -> Void)? {
        stream.node.cancel(timer)
        timer = nil
        let last = report
        report = nil
        return last
    }

    private func refuse(_ failure: ProxyProtocolFailure) {
        let last = finish()
        stream.abort()
        last?(.refused(failure))
    }

    // MARK: StreamHandler

    public func streamOpened(_ stream: Stream) {
        timer = stream.node.after(timeout) { [self] in refuse(.timedOut(byteCount: parser.byteCount)) }
    }

    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        var position = 0
        switch parser.next(bytes, &position) {
        case .needMore: return
        case .failed(let error): refuse(.malformed(error))
        case .header(let header):
            let last = finish()
            last?(.accepted(header, rest: UnsafeRawBufferPointer(rebasing: bytes[position...])))
        }
    }

    public func streamLost(_ stream: Stream) { report = nil }

    public func streamEnded(_ stream: Stream) { refuse(.closed(byteCount: parser.byteCount)) }

    public func stream(_ stream: Stream, closed reason: CloseReason) {
        finish()?(.refused(.closed(byteCount: parser.byteCount)))
    }
}

/// What a connection's PROXY header said. In a box, so that a connection without one carries an empty pointer.
final class ProxyClaim {
    let header: ProxyHeader
    init(_ header: ProxyHeader) { self.header = header }
}

extension HTTPServerConnection {
    /// The PROXY header that the connection began with; nil where none is expected.
    public var proxyHeader: ProxyHeader? { claim?.header }

    /// The client: what the PROXY header claims, where there is one that claims anything, else the stream's remote end.
    public var clientEndpoint: ProxyEndpoint { claim?.header.source ?? .internet(stream.remote) }

    /// What the client connected to, as `clientEndpoint`.
    public var receivingEndpoint: ProxyEndpoint { claim?.header.destination ?? .internet(stream.local) }

    /// The client's address. Of a client at a Unix socket, the proxy's, as if there were no claim.
    public var clientAddress: IPAddress { clientEndpoint.endpoint?.address ?? stream.remote.address }
}
