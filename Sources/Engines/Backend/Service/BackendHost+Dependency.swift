import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// Whom a backend asks before it answers: the smallest service that depends on another one.
///
/// If the other one answers well within its time, so does this one. If not, it says what it says instead (a degraded
/// answer, status 200), or that the gateway has had no answer.
public struct BackendDependency: Sendable {
    public var url: HTTPURL
    /// How long it waits.
    public var patience: LabDuration
    /// The body of its answer when the other one does not answer well in time; nil: 502 or 504.
    public var fallback: String?

    public init(url: HTTPURL, patience: LabDuration = .seconds(30), fallback: String? = nil) {
        self.url = url
        self.patience = patience
        self.fallback = fallback
    }
}

extension BackendHost {
    public typealias Dependency = BackendDependency

    func ask(_ dependency: Dependency, for connection: HTTPServerConnection) {
        var request = HTTPCall.Request(url: dependency.url)
        request.deadline = dependency.patience
        request.answer = .ignored
        HTTPCall(node, request) { [self] result in
            guard !connection.stream.isClosed else { return }
            if case .success(let response) = result, response.isSuccess { return answerAsUsual(connection) }
            if let fallback = dependency.fallback { return connection.respond(status: 200, body: fallback + "\n") }
            var status = 502
            if case .failure(.deadline) = result { status = 504 }
            connection.respond(status: status, body: "\(dependency.url.host): \(HTTPStatus.reason(status))\n")
        }.start()
    }
}
