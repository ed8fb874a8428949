import KernelHosting
import KernelStructures
import KernelTLS
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// One health check of one server: for whoever embeds the balancer's engine and carries out its `.probe`.
package final class Probe {
    private let node: Node
    private let destination: HostPort
    private let kind: LoadBalancerConfiguration.HealthCheckSettings.Kind
    private let settings: LoadBalancerConfiguration.HealthCheckSettings
    private let report: (LoadBalancer.ProbeResult) -> Void
    private let header: [UInt8]
    private let security: TLSClient?

    /// Bytes of an answer that are searched for what is expected of it.
    private static let bodyLimitBytes = 64 * 1024

    package init(
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

    package func start() {
        if kind == .tcp {
            return ConnectionProbe(
                node, destination, preamble: header, security: security, timeout: settings.timeout
            ) { [report] failure in report(failure.map { .failed($0) } ?? .passed) }.start()
        }
        let host = destination.unixSocketPath == nil ? destination.description : "localhost"
        let url = HTTPURL(
            scheme: security == nil ? .http : .https, host: destination.host, port: destination.port,
            target: settings.path)
        var request = HTTPCall.Request(url: url)
        request.destination = destination
        request.fields = [("Host", settings.host ?? host), ("User-Agent", "sdlab-health-check")]
        request.preamble = header
        request.deadline = settings.timeout
        request.answer = .head
        if let expected = settings.expectedBody {
            let statuses = settings.expectedStatus
            request.answer = .until(limitBytes: Self.bodyLimitBytes) { head, body in
                !statuses.contains(head.status) || body.firstRange(of: Array(expected.utf8)) != nil
            }
        }
        HTTPCall(node, request, security: security) { [report, settings] result in
            report(Self.judge(result, settings))
        }.start()
    }

    private static func judge(
        _ result: Result<HTTPCall.Response, HTTPCall.Failure>,
        _ settings: LoadBalancerConfiguration.HealthCheckSettings
    ) -> LoadBalancer.ProbeResult {
        switch result {
        case .failure(.deadline): return .failed("timeout")
        case .failure(let failure): return .failed(failure.description)
        case .success(let response):
            guard settings.expectedStatus.contains(response.status) else { return .failed("status \(response.status)") }
            guard let expected = settings.expectedBody else { return .passed }
            let isFound = response.body.firstRange(of: Array(expected.utf8)) != nil
            return isFound ? .passed : .failed("not the expected body")
        }
    }
}
