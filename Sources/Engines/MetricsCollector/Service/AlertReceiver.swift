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
    /// What is firing, in the order in which it began.
    private var firing: [ReceivedAlert] = []
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
            let wanted = try AlertSelection(exchange)
            exchange.answer(json: .array(firing.filter(wanted.includes).map(\.json)))
        }
        router.on("GET", "/api/v2/status") { [unowned self] exchange in exchange.answer(json: status) }
        router.on("GET", "/api/v2/receivers") { exchange in
            exchange.answer(json: .array([.object([("name", .string(ReceivedAlert.receiver))])]))
        }
        router.on("GET", "/api/v2/silences") { exchange in exchange.answer(json: .array([])) }
        router.on("GET", "/-/ready") { exchange in exchange.answer(text: "OK") }
        runtime.mount(on: router)
    }

    public func prepare() throws { runtime.add(server, on: port, announcement: "Waiting for alerts on :\(port: port)") }

    /// What amtool asks for before it sends conditions.
    private var status: JSONValue {
        .object([
            ("cluster", .object([("peers", .array([])), ("status", .string("disabled"))])),
            ("config", .object([("original", .string("receivers:\n- name: \(ReceivedAlert.receiver)\n"))])),
            ("uptime", .string(node.startedAt.description)),
            (
                "versionInfo",
                .object(
                    [
                        ("branch", "main"), ("buildDate", ""), ("buildUser", ""), ("goVersion", ""),
                        ("revision", "sdlab"), ("version", Self.version),
                    ].map { ($0.0, .string($0.1)) })
            ),
        ])
    }

    /// Of the Alertmanager whose API this is.
    private static let version = "0.25.0"

    /// An alert that comes again says nothing new; one whose end has come is over.
    private func take(_ cursor: JSONCursor) throws {
        receivedCount += 1
        let alert = try ReceivedAlert(cursor, now: node.wallClock)
        let name = alert.labels.has("alertname") ? alert.labels["alertname"] : "?"
        let pairs = alert.labels.pairs.filter { $0.name != "alertname" }
        let rest = pairs.map { "\($0.name)=\($0.value)" }.joined(separator: ", ")
        let place = firing.firstIndex { $0.labels == alert.labels }
        if alert.endsAt <= node.wallClock {
            guard let place else { return }
            firing.remove(at: place)
            return runtime.log("\(name) resolved (\(rest))")
        }
        if let place {
            firing[place].update(with: alert)
            return
        }
        guard firing.count < Self.alertLimit else { return }
        firing.append(alert)
        let summary = alert.annotations.first { $0.name == "summary" }?.text ?? ""
        let words: LogMessage = summary.isEmpty ? "" : ": \(summary)"
        runtime.log("\(name) firing (\(rest))\("\(words)")", level: .warning)
    }

    public func collect(into page: inout MetricWriter) {
        page.counter("alerts_received_total", "Alerts that were sent here so far", receivedCount)
        page.gauge("alerts_firing", "Alerts that fire now", firing.count)
    }
}
