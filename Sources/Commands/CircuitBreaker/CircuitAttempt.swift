import CircuitBreakerEngine
import CurlCommands
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ResilienceEngine

/// One request to the service, over a connection of its own.
final class CircuitAttempt: HTTPClientDelegate {
    private let node: Node
    private let url: CurlURL
    private var report: ((ResilientCalls.Outcome) -> Void)?
    private let client = HTTPClientConnection()

    init(_ node: Node, _ url: CurlURL, report: @escaping (ResilientCalls.Outcome) -> Void) {
        self.node = node
        self.url = url
        self.report = report
    }

    func start() {
        client.delegate = self
        do throws(NetworkError) {
            try client.connect(from: node, to: url.destination)
        } catch {
            node.enqueue { [self] in finish(.failure(.init(.failed, "could not resolve host: \(url.host)"))) }
        }
    }

    /// Nobody wants the answer any more.
    func stop() {
        report = nil
        client.abort()
    }

    private func finish(_ outcome: ResilientCalls.Outcome) {
        guard let report else { return }
        self.report = nil
        outcome == .success ? client.close() : client.abort()
        report(outcome)
    }

    func clientOpened(_ client: HTTPClientConnection) {
        var request: [UInt8] = []
        HTTPWriter.requestLine("GET", url.path, into: &request)
        HTTPWriter.field("Host", url.authority, into: &request)
        HTTPWriter.field("User-Agent", "circuit-test", into: &request)
        HTTPWriter.field("Connection", "close", into: &request)
        HTTPWriter.endHead(&request)
        client.begin(.get)
        client.write(request)
    }

    func clientReceivedHead(_ client: HTTPClientConnection) {}
    func client(_ client: HTTPClientConnection, received body: UnsafeRawBufferPointer) {}

    func clientReceivedEnd(_ client: HTTPClientConnection) {
        let status = client.head.status
        guard CallClassifier.classify(httpStatus: status) == .failure else { return finish(.success) }
        let patience = client.head.value(of: "Retry-After").flatMap { Int($0) }.map {
            LabDuration.seconds(min($0, 86_400))
        }
        finish(.failure(.init(.failed, "status \(status)", retryAfter: max(.zero, patience ?? .zero))))
    }

    func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {
        let text =
            switch failure {
            case .notConnected(let reason): reason == .refused ? "connection refused" : "not reachable"
            case .closed: "closed without an answer"
            case .malformed: "not an HTTP answer"
            }
        finish(.failure(.init(.failed, text)))
    }
}
