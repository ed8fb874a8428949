import KernelHosting
import KernelStructures
import KernelTLS
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// One health check of one server.
final class Probe: HTTPClientDelegate, StreamHandler {
    private let node: Node
    private let destination: HostPort
    private let kind: LoadBalancerConfiguration.HealthCheckSettings.Kind
    private let settings: LoadBalancerConfiguration.HealthCheckSettings
    private var report: ((LoadBalancer.ProbeResult) -> Void)?
    private var client: HTTPClientConnection?
    private var stream: Stream?
    private let header: [UInt8]
    private let security: TLSClient?
    private var timer: TimerID?
    private var body: [UInt8] = []

    init(
        node: Node, destination: HostPort, kind: LoadBalancerConfiguration.HealthCheckSettings.Kind,
        settings: LoadBalancerConfiguration.HealthCheckSettings,
        sendProxy: LoadBalancerConfiguration.Backend.ProxyVersion?, security: TLSClient?,
        report: @escaping (LoadBalancer.ProbeResult) -> Void
    ) {
        self.node = node
        self.destination = destination
        self.kind = kind
        self.settings = settings
        // A server that waits for a header gets one that claims nothing.
        header = sendProxy.map { ProxyHeader.own($0 == .v1 ? .v1 : .v2).bytes } ?? []
        self.security = security
        self.report = report
    }

    func start() {
        waitForAnswer()
        do throws(NetworkError) {
            if kind == .tcp {
                let stream = try node.connect(to: destination, handler: self)
                self.stream = stream
                if !header.isEmpty { stream.write(header) }
                if let security { stream.secure(with: security, host: destination.host) }
            } else {
                client = HTTPClientConnection()
                client?.delegate = self
                try client?.connect(from: node, to: destination, security: security, introduction: header)
            }
        } catch {
            node.enqueue { [weak self] in self?.finish(.failed("\(error)")) }
        }
    }

    private func waitForAnswer() {
        timer = node.after(settings.timeout) { [weak self] in
            guard let self else { return }
            // A check that has not begun yet, for want of a descriptor here, says nothing about the server.
            let isHeldBack = (stream ?? client?.stream)?.isHeldBack ?? false
            if isHeldBack { waitForAnswer() } else { finish(.failed("timeout")) }
        }
    }

    private func finish(_ result: LoadBalancer.ProbeResult) {
        guard let report else { return }
        self.report = nil
        node.cancel(timer)
        // A server that never answered may still hold the connection: reset it, there is nothing to be polite about.
        result == .passed ? client?.close() : client?.abort()
        stream?.close()
        report(result)
    }

    func clientOpened(_ client: HTTPClientConnection) {
        var request: [UInt8] = []
        HTTPWriter.requestLine("GET", settings.path, into: &request)
        HTTPWriter.field(
            "Host", settings.host ?? (destination.unixSocketPath == nil ? destination.description : "localhost"),
            into: &request)
        HTTPWriter.field("User-Agent", "sdlab-health-check", into: &request)
        HTTPWriter.field("Connection", "close", into: &request)
        HTTPWriter.endHead(&request)
        client.begin(.get)
        client.write(request)
    }

    func clientReceivedHead(_ client: HTTPClientConnection) {
        let status = client.head.status
        if status < 200 { return }
        if !settings.expectedStatus.contains(status) { return finish(.failed("status \(status)")) }
        if settings.expectedBody == nil { finish(.passed) }
    }

    func client(_ client: HTTPClientConnection, received bytes: UnsafeRawBufferPointer) {
        guard let expected = settings.expectedBody else { return }
        body.append(contentsOf: bytes.prefix(Self.bodyLimitBytes - body.count))
        if body.firstRange(of: Array(expected.utf8)) != nil {
            finish(.passed)
        } else if body.count == Self.bodyLimitBytes {
            finish(.failed(Self.bodyMismatch))
        }
    }

    func clientReceivedEnd(_ client: HTTPClientConnection) { finish(.failed(Self.bodyMismatch)) }

    /// Bytes of an answer that are searched for what is expected of it.
    private static let bodyLimitBytes = 64 * 1024
    private static let bodyMismatch = "not the expected body"

    func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {
        if let reason = client.stream?.layer?.failureText { return finish(.failed(reason)) }
        switch failure {
        case .notConnected(let reason): finish(.failed(reason == .refused ? "connection refused" : "not reachable"))
        case .closed: finish(.failed("closed without an answer"))
        case .malformed: finish(.failed("not an HTTP answer"))
        }
    }

    func streamOpened(_ stream: Stream) { finish(.passed) }
    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {}
    func stream(_ stream: Stream, closed reason: CloseReason) {
        if let reason = stream.layer?.failureText { return finish(.failed(reason)) }
        finish(.failed(reason == .refused ? "connection refused" : "not reachable"))
    }
}
