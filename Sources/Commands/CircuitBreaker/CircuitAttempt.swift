import CircuitBreakerEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ResilienceEngine

/// One request to the service, over a connection of its own.
final class CircuitAttempt {
    private let node: Node
    private let url: HTTPURL
    private let report: (ResilientCalls.Outcome) -> Void
    private var call: HTTPCall?

    init(_ node: Node, _ url: HTTPURL, report: @escaping (ResilientCalls.Outcome) -> Void) {
        self.node = node
        self.url = url
        self.report = report
    }

    func start() {
        var request = HTTPCall.Request(url: url)
        request.fields = [("User-Agent", "circuit-test")]
        request.answer = .ignored
        // How long to wait is the business of whoever makes the attempt.
        request.deadline = nil
        call = HTTPCall(node, request) { [report, node] result in report(Self.outcome(result, node)) }
        call?.start()
    }

    /// Nobody wants the answer any more.
    func stop() { call?.cancel() }

    private static func outcome(_ result: Result<HTTPCall.Response, HTTPCall.Failure>, _ node: Node)
        -> ResilientCalls.Outcome
    {
        switch result {
        case .failure(let failure): return .failure(.init(.failed, failure.description))
        case .success(let response):
            guard CallClassifier.classify(httpStatus: response.status) == .failure else { return .success }
            let patience = response.head.value(of: "Retry-After").flatMap {
                LabDuration(parsingRetryAfter: $0, now: node.wallClock)
            }
            return .failure(
                .init(.failed, "status \(response.status)", retryAfter: min(patience ?? .zero, .seconds(86_400))))
        }
    }
}
