import CommandKit
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

/// `metrics` at work: one question to the collector's API, and its answer as a view.
final class MetricsClient: Program {
    private let process: Process
    private let question: MetricsQuestion
    private let server: HostPort
    private let wantsJSON: Bool
    private let timeout: LabDuration

    /// Bytes of an answer.
    private static let bodyLimitBytes = 64 << 20

    init(_ process: Process, _ question: MetricsQuestion, server: HostPort, wantsJSON: Bool, timeout: LabDuration) {
        self.process = process
        self.question = question
        self.server = server
        self.wantsJSON = wantsJSON
        self.timeout = timeout
    }

    func start() {
        var call = HTTPCall.Request(
            "GET", url: HTTPURL(host: server.host, port: server.port, target: question.target))
        call.fields = [("User-Agent", "sdlab"), ("Accept", "application/json")]
        call.deadline = timeout
        call.answer = .collected(limitBytes: Self.bodyLimitBytes)
        HTTPCall(process.node, call) { [self] result in ended(result) }.start()
    }

    private func ended(_ result: Result<HTTPCall.Response, HTTPCall.Failure>) {
        switch result {
        case .success(let response): answered(response)
        case .failure(.refused): fail("no collector answers at \(server); start one: metrics-collector --lab")
        case .failure(.network(let error)): fail("\(server) cannot be found: \(error)")
        case .failure(let failure): fail("\(server): \(failure)")
        }
    }

    private func answered(_ response: HTTPCall.Response) {
        let limits = JSONLimits(bytes: Self.bodyLimitBytes, values: 10_000_000)
        guard let json = try? JSONValue(parsing: response.body, limits: limits) else {
            return fail("\(server) does not answer as a collector does: status \(response.status)")
        }
        if case .string(let text)? = json["error"] { return fail(text) }
        guard response.isSuccess, let data = json["data"] else { return fail(response.problem.description) }
        let view: View
        do {
            view = try MetricsViews.view(of: question, JSONCursor(data))
        } catch {
            return fail("\(server) answers what is no answer: \(error)")
        }
        let renderer = ViewRenderer()
        process.output.write(wantsJSON ? renderer.json(view) : renderer.plain(view))
        process.exit(0)
    }

    private func fail(_ text: String) {
        guard process.isRunning else { return }
        process.complain(text)
        process.exit(1)
    }
}
