import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import RegistryEngine

/// Makes one health check.
enum CheckProber {
    /// Bytes of an answer that are shown.
    private static let bodyLimitBytes = 4096

    /// - Parameter report: called once, never before this call has returned.
    static func make(_ probe: CheckProbe, from node: Node, report: @escaping (CheckResult) -> Void) {
        switch probe.definition.kind {
        case .http(let url, let method, let fields, let body):
            guard let url = try? HTTPURL(url) else { return report(CheckResult(.critical, "'\(url)' is no URL")) }
            var request = HTTPCall.Request(method, url: url)
            request.fields = [("User-Agent", "sdlab-health-check"), ("Accept", "text/plain, text/*, */*")]
            for (name, value) in fields.sorted(by: { $0.key < $1.key }) { request.fields.append((name, value)) }
            if !body.isEmpty { request.body = Array(body.utf8) }
            request.deadline = probe.definition.timeout
            request.answer = .until(limitBytes: bodyLimitBytes) { _, body in body.count >= bodyLimitBytes }
            HTTPCall(node, request) { report(judge($0, method, url)) }.start()
        case .tcp(let text):
            guard let place = HostPort(parsing: text) else {
                return report(CheckResult(.critical, "'\(text)' is no HOST:PORT"))
            }
            ConnectionProbe(node, place, timeout: probe.definition.timeout) { failure in
                report(
                    failure.map { CheckResult(.critical, "TCP connect \(place): \($0)") }
                        ?? CheckResult(.passing, "TCP connect \(place): Success"))
            }.start()
        case .ttl, .alias, .passive: break
        }
    }

    /// As Consul does: 2xx is well, 429 is a warning.
    private static func judge(
        _ result: Result<HTTPCall.Response, HTTPCall.Failure>, _ method: String, _ url: HTTPURL
    ) -> CheckResult {
        switch result {
        case .failure(let failure): return CheckResult(.critical, "\(method) \(url.text): \(failure)")
        case .success(let response):
            let body = String(decoding: response.body.prefix(bodyLimitBytes), as: UTF8.self)
            let output =
                "HTTP \(method) \(url.text): \(response.status) \(HTTPStatus.reason(response.status)) Output: \(body)"
            let status: ServiceStatus =
                response.isSuccess ? .passing : response.status == 429 ? .warning : .critical
            return CheckResult(status, output)
        }
    }
}
