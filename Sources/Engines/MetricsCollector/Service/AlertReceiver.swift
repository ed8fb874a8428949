import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWorld

/// Takes alerts as an Alertmanager does (API v2), and says them aloud in the log: nothing is grouped, silenced or sent
/// on.
public final class AlertReceiver: Service {
    public let runtime: ServiceRuntime
    private let port: UInt16
    private let router = HTTPRouter()
    private var server: HTTPServer!
    /// What is firing, in the order in which it began, by labels.
    private var firing: [(key: String, alert: JSONValue)] = []
    private var receivedCount = 0

    /// Alertmanager's port.
    public static let defaultPort: UInt16 = 9093
    private static let alertLimit = 10_000

    public init(node: Node, port: UInt16, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: "ALERT", options: options)
        self.port = port
        router.options.defaultsToJSON = true
        server = HTTPServer(node: node, service: router)
        router.on("POST", "/api/v2/alerts") { [unowned self] exchange in
            for alert in try JSONCursor(try exchange.json()).array() { try take(alert) }
            exchange.answer(200)
        }
        router.on("GET", "/api/v2/alerts") { [unowned self] exchange in
            exchange.answer(json: .array(firing.map(\.alert)))
        }
        router.on("GET", "/-/ready") { exchange in exchange.answer(text: "OK") }
        runtime.mount(on: router)
    }

    public func prepare() throws { runtime.add(server, on: port, announcement: "Waiting for alerts on :\(port: port)") }

    /// An alert that comes again says nothing new; one whose end has come is over.
    private func take(_ alert: JSONCursor) throws {
        receivedCount += 1
        var labels: [(String, String)] = []
        for (name, value) in try alert["labels"].members() { labels.append((name, try value.string())) }
        labels.sort { $0.0 < $1.0 }
        let name = labels.first { $0.0 == "alertname" }?.1 ?? "?"
        let key = labels.map { "\($0.0)=\($0.1)" }.joined(separator: ", ")
        let rest = labels.filter { $0.0 != "alertname" }.map { "\($0.0)=\($0.1)" }.joined(separator: ", ")
        let end = try alert["endsAt"].ifPresent.map { cursor throws(JSONTypeError) in try cursor.string() }
        let isOver = end.flatMap { LabTime(parsing: $0) }.map { $0 <= node.wallClock } ?? false
        let place = firing.firstIndex { $0.key == key }
        if isOver {
            guard let place else { return }
            firing.remove(at: place)
            return runtime.log("\(name) resolved (\(rest))")
        }
        if place != nil { return }
        guard firing.count < Self.alertLimit, let value = alert.value else { return }
        firing.append((key, value))
        let summary = try alert["annotations"]["summary"].ifPresent?.string() ?? ""
        let words: LogMessage = summary.isEmpty ? "" : ": \(summary)"
        runtime.log("\(name) firing (\(rest))\("\(words)")", level: .warning)
    }

    public func collect(into page: inout MetricWriter) {
        page.counter("alerts_received_total", "Alerts that were sent here so far", receivedCount)
        page.gauge("alerts_firing", "Alerts that fire now", firing.count)
    }
}
