import KernelStructures
import KernelWire
import KernelWorld

/// What answers requests. Calls come in the order of the requests; the next request of a connection is not shown
/// before the present one has been answered to its end.
public protocol HTTPService: AnyObject {
    /// A request's head is complete: `connection.head`.
    func requestBegan(_ connection: HTTPServerConnection)
    /// A piece of its body; valid during the call.
    func request(_ connection: HTTPServerConnection, body: UnsafeRawBufferPointer)
    /// The request is complete.
    func requestEnded(_ connection: HTTPServerConnection)
    /// The client has room again for more of the response.
    func responseDrained(_ connection: HTTPServerConnection)
    /// The client went away before it had its answer.
    func requestAbandoned(_ connection: HTTPServerConnection)
    /// The client has closed its end while its answer is not complete. A client may do that and read on; one that
    /// follows what happens, or waits for something to happen, has gone, and there is no other sign of it until
    /// something is written.
    ///
    /// - Returns: whether the request is of that kind, and to be abandoned.
    func isAbandonedByEnd(_ connection: HTTPServerConnection) -> Bool
    /// A request could not be read; the connection has answered it and is about to close.
    func requestRejected(_ connection: HTTPServerConnection, _ error: HTTPError)
    /// The connection is over.
    func connectionClosed(_ connection: HTTPServerConnection)
    /// A connection was aborted before its first request, because it did not begin with the PROXY header that
    /// `HTTPServerOptions.proxyProtocol` requires. The service has not heard of it before, and hears no more of it.
    func connectionRefused(_ stream: Stream, _ failure: ProxyProtocolFailure)
}

extension HTTPService {
    public func request(_ connection: HTTPServerConnection, body: UnsafeRawBufferPointer) {}
    public func requestEnded(_ connection: HTTPServerConnection) {}
    public func responseDrained(_ connection: HTTPServerConnection) {}
    public func requestAbandoned(_ connection: HTTPServerConnection) {}
    public func isAbandonedByEnd(_ connection: HTTPServerConnection) -> Bool { false }
    public func requestRejected(_ connection: HTTPServerConnection, _ error: HTTPError) {}
    public func connectionClosed(_ connection: HTTPServerConnection) {}
    public func connectionRefused(_ stream: Stream, _ failure: ProxyProtocolFailure) {}
}

/// How long a server waits, in lab time, and what it accepts.
public struct HTTPServerOptions: Sendable {
    /// Between two requests of a connection.
    public var idleTimeout = LabDuration.seconds(75)
    /// From the first byte of a request to the end of its head; then 408.
    public var headTimeout = LabDuration.seconds(30)
    /// Without any byte of a body that is still to come.
    public var bodyTimeout = LabDuration.seconds(60)
    /// Without the client taking any byte of a response.
    public var sendTimeout = LabDuration.seconds(60)
    public var limits = HTTPLimits()
    /// The value of the `Server` field; nil leaves it out.
    public var serverName: String? = "sdlab"
    /// Whether each connection begins with a PROXY header, which says who the client is. Required only of a port that
    /// none but trusted proxies can reach: whoever can connect can be any client.
    public var proxyProtocol = ProxyProtocolMode.off
    /// Whether requests are spans, where spans are recorded: not those to whoever collects them.
    public var isTraced = true
    /// From the start of a connection to the end of its PROXY header.
    public var proxyHeaderTimeout = ProxyProtocolAcceptor.defaultTimeout

    public init() {}
}
