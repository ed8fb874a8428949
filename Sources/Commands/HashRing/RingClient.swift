import HashRingService
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

/// `hash-ring-cli` at work: one HTTP request to the ring's node, and its answer.
final class RingClient: Program {
    private let process: Process
    private let request: RingRequest
    private let server: HostPort
    private let wantsJSON: Bool
    private let timeout: LabDuration

    /// Bytes of an answer.
    private static let bodyLimitBytes = 64 * 1024 * 1024

    init(_ process: Process, _ request: RingRequest, server: HostPort, wantsJSON: Bool, timeout: LabDuration) {
        self.process = process
        self.request = request
        self.server = server
        self.wantsJSON = wantsJSON
        self.timeout = timeout
    }

    func start() {
        let wire = request.wire
        let url = HTTPURL(host: server.host, port: server.port, target: wire.target)
        var call = HTTPCall.Request(wire.method, url: url)
        call.fields = [
            ("Host", place), ("User-Agent", "hash-ring-cli"),
            ("Accept", wantsJSON ? "application/json" : "text/plain"),
        ]
        if !wire.body.isEmpty { call.body = wire.body }
        call.deadline = timeout
        call.answer = .collected(limitBytes: Self.bodyLimitBytes)
        HTTPCall(process.node, call) { [self] result in ended(result) }.start()
    }

    private var place: String { server.description }

    private func ended(_ result: Result<HTTPCall.Response, HTTPCall.Failure>) {
        switch result {
        case .success(let response) where response.isSuccess:
            if !isSaidByLog { process.output.write(String(decoding: response.body, as: UTF8.self)) }
            process.exit(0)
        case .success(let response): fail(response.problem.description)
        case .failure(.network(let error)): fail("\(place) cannot be found: \(error)")
        case .failure(.refused): fail("no ring answers at \(place); start one: hash-ring-viz")
        case .failure(.deadline): fail("\(place) did not answer within \(timeout)")
        case .failure(.closed): fail("\(place) closed the connection before it had answered")
        case .failure(.malformed(let error)): fail("\(place) does not speak HTTP: \(error)")
        case .failure(.tooLong(let limit)): fail("\(place) answers with more than \(byteCountText(limit))")
        case .failure: fail("\(place) cannot be reached")
        }
    }

    /// What a change did stands in the log of the ring's node, for everybody in the lab to see.
    private var isSaidByLog: Bool {
        if wantsJSON || process.session.isProcess || server.host == "host.internal" { return false }
        switch request {
        case .add, .remove, .reweight: return true
        default: return false
        }
    }

    private func fail(_ text: String) {
        guard process.isRunning else { return }
        process.complain(text)
        process.exit(1)
    }
}
