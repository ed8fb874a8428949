import ConnectionPoolEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// A kept-alive connection to an HTTP/1.1 server, for `NodePool`.
///
/// A check asks nothing: whether the server has closed is known, and any request could mean something to it.
public final class HTTPConnection: NodeConnection, HTTPClientDelegate {
    public struct Response: Sendable {
        public let status: Int
        public let body: [UInt8]
    }

    private let node: Node
    private let destination: HostPort
    private let client = HTTPClientConnection()
    public var onLost: ((String) -> Void)?
    private var opened: ((String?) -> Void)?
    private var completion: ((Result<Response, HTTPClientFailure>) -> Void)?
    private var body: [UInt8] = []
    private var isAlive = false

    /// Bytes of a response's body that are kept; a longer one fails.
    public static let bodyLimitBytes = 16 << 20

    public init(_ node: Node, to destination: HostPort) {
        self.node = node
        self.destination = destination
    }

    public func letGo() {
        onLost = nil
        opened = nil
        completion = nil
    }

    /// Asks for a page; one at a time.
    public func get(_ path: String, _ completion: @escaping (Result<Response, HTTPClientFailure>) -> Void) {
        precondition(self.completion == nil, "the response to the last request is still to come")
        self.completion = completion
        body = []
        var request: [UInt8] = []
        HTTPWriter.requestLine("GET", path, into: &request)
        HTTPWriter.field("Host", destination.description, into: &request)
        HTTPWriter.endHead(&request)
        client.begin(.get)
        client.write(request)
    }

    public func open(_ done: @escaping (String?) -> Void) {
        opened = done
        client.delegate = self
        do throws(NetworkError) {
            try client.connect(from: node, to: destination)
        } catch {
            node.enqueue { [self] in finishOpening("\(error)") }
        }
    }

    private func finishOpening(_ failure: String?) {
        isAlive = failure == nil
        let callback = opened
        opened = nil
        callback?(failure)
    }

    public func validate(_ done: @escaping (Bool) -> Void) { node.enqueue { [self] in done(isAlive) } }
    public func reset(_ done: @escaping (Bool) -> Void) { node.enqueue { [self] in done(isAlive) } }

    public func wasGivenBack() -> ConnectionPool.ReturnCondition {
        if !isAlive { return .broken("closed by the server") }
        if completion != nil { return .broken("the response is still to come") }
        return client.requestCount == 0 || client.isReusable ? .clean : .broken("the server will close it")
    }

    public func close() {
        opened = nil
        completion = nil
        client.delegate = nil
        isAlive = false
        client.close()
    }

    // MARK: HTTPClientDelegate

    public func clientOpened(_ client: HTTPClientConnection) { finishOpening(nil) }
    public func clientReceivedHead(_ client: HTTPClientConnection) {}

    public func client(_ client: HTTPClientConnection, received bytes: UnsafeRawBufferPointer) {
        body.append(contentsOf: bytes)
        guard body.count > Self.bodyLimitBytes else { return }
        client.abort()
        self.client(client, failed: .malformed(HTTPError(502, "the body exceeds \(Self.bodyLimitBytes) bytes")))
    }

    public func clientReceivedEnd(_ client: HTTPClientConnection) {
        let callback = completion
        completion = nil
        callback?(.success(Response(status: client.head.status, body: body)))
    }

    public func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {
        isAlive = false
        if opened != nil {
            if case .notConnected(let reason) = failure {
                return finishOpening(reason == .refused ? "connection refused" : "\(reason)")
            }
            return finishOpening("\(failure)")
        }
        let callback = completion
        completion = nil
        callback?(.failure(failure))
        let lost = onLost
        onLost = nil
        lost?("closed by the server")
    }
}
