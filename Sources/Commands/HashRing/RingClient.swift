import HashRingService
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

/// `hash-ring-cli` at work: one HTTP request to the ring's node, and its answer.
final class RingClient: Program, HTTPClientDelegate {
    private let process: Process
    private let request: RingRequest
    private let server: HostPort
    private let wantsJSON: Bool
    private let timeout: LabDuration
    private let connection = HTTPClientConnection()
    private var body: [UInt8] = []

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
        connection.delegate = self
        do {
            try connection.connect(from: process.node, to: server)
        } catch {
            return fail("\(place) cannot be found: \(error)")
        }
        process.node.after(timeout) { [self] in
            connection.abort()
            fail("\(place) did not answer within \(timeout)")
        }
    }

    private var place: String { "\(server.host):\(server.port)" }

    func clientOpened(_ client: HTTPClientConnection) {
        let wire = request.wire
        var head: [UInt8] = []
        HTTPWriter.requestLine(wire.method, wire.target, into: &head)
        HTTPWriter.field("Host", place, into: &head)
        HTTPWriter.field("User-Agent", "hash-ring-cli", into: &head)
        HTTPWriter.field("Accept", wantsJSON ? "application/json" : "text/plain", into: &head)
        if wire.method != "GET" { HTTPWriter.field("Content-Length", wire.body.count, into: &head) }
        HTTPWriter.field("Connection", "close", into: &head)
        HTTPWriter.endHead(&head)
        client.begin(wire.method == "GET" ? .get : .post)
        client.write(head + wire.body)
    }

    func clientReceivedHead(_ client: HTTPClientConnection) {}

    func client(_ client: HTTPClientConnection, received body: UnsafeRawBufferPointer) {
        self.body.append(contentsOf: body)
        if self.body.count > Self.bodyLimitBytes {
            client.abort()
            fail("\(place) answers with more than \(byteCountText(Self.bodyLimitBytes))")
        }
    }

    func clientReceivedEnd(_ client: HTTPClientConnection) {
        let status = client.head.status
        if status < 200 { return }
        let text = String(decoding: body, as: UTF8.self)
        client.close()
        guard status < 300 else {
            return fail(text.isEmpty ? "\(place) answers \(status)" : String(text.prefix { $0 != "\n" }))
        }
        if !isSaidByLog { process.output.write(text) }
        process.exit(0)
    }

    /// What a change did stands in the log of the ring's node, for everybody in the lab to see.
    private var isSaidByLog: Bool {
        if wantsJSON || process.session.isProcess || server.host == "host.internal" { return false }
        switch request {
        case .add, .remove, .reweight: return true
        default: return false
        }
    }

    func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {
        switch failure {
        case .notConnected(.refused): fail("no ring answers at \(place); start one: hash-ring-viz")
        case .notConnected: fail("\(place) cannot be reached")
        case .closed: fail("\(place) closed the connection before it had answered")
        case .malformed(let error): fail("\(place) does not speak HTTP: \(error)")
        }
    }

    private func fail(_ text: String) {
        guard process.isRunning else { return }
        process.complain(text)
        process.exit(1)
    }
}
