import FeatureFlagsService
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

/// `flags-cli` at work: one HTTP request to the server, and its answer.
final class FlagsClient: Program {
    private let process: Process
    private let call: FlagCall
    private let server: HostPort
    private let wantsJSON: Bool
    private let token: String?
    private let who: String?
    private let timeout: LabDuration

    /// Bytes of an answer.
    private static let bodyLimitBytes = 64 << 20

    init(
        _ process: Process, _ call: FlagCall, server: HostPort, wantsJSON: Bool, token: String?, who: String?,
        timeout: LabDuration
    ) {
        self.process = process
        self.call = call
        self.server = server
        self.wantsJSON = wantsJSON
        self.token = token
        self.who = who
        self.timeout = timeout
    }

    func start() {
        var request = HTTPCall.Request(
            call.method, url: HTTPURL(host: server.host, port: server.port, target: call.target))
        request.fields = [
            ("User-Agent", "flags-cli"), ("Accept", wantsJSON ? "application/json" : "text/plain"),
        ]
        if let token { request.fields.append(("Authorization", token)) }
        if let who { request.fields.append(("X-Flags-User", who)) }
        if let body = call.body {
            request.fields.append(("Content-Type", "application/json"))
            request.body = body.bytes()
        }
        request.deadline = timeout
        request.answer = .collected(limitBytes: Self.bodyLimitBytes)
        HTTPCall(process.node, request) { [self] result in ended(result) }.start()
    }

    private func ended(_ result: Result<HTTPCall.Response, HTTPCall.Failure>) {
        switch result {
        case .success(let response) where response.isSuccess:
            if !isSaidByLog { process.output.write(String(decoding: response.body, as: UTF8.self)) }
            process.exit(0)
        case .success(let response): fail(response.problem.description)
        case .failure(.refused): fail("no server of flags answers at \(server); start one: feature-flags")
        case .failure(.deadline): fail("\(server) did not answer within \(timeout)")
        case .failure(let failure): fail("\(server): \(failure)")
        }
    }

    /// What a change did stands in the log of the server's node, for everybody in the lab to see.
    private var isSaidByLog: Bool {
        call.isChange && !wantsJSON && !process.session.isProcess && server.host != "host.internal"
    }

    private func fail(_ text: String) {
        guard process.isRunning else { return }
        process.complain(text)
        process.exit(1)
    }
}
