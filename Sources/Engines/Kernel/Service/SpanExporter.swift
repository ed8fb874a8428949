import KernelHosting
import KernelOTLP
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld

/// Where the spans of a World's nodes go, beyond what the lab remembers itself: to the collector that a service was
/// told (`--otlp URL`), or to the lab's `jaeger` while there is one.
///
/// Each node sends its own, over its own network and by its own calendar, as a program anywhere would: what is cut off
/// sends nothing, and a clock that is wrong shows.
public final class SpanExport {
    private unowned let world: World
    /// By the nodes' numbers.
    private var exporters: [Int: SpanExporter] = [:]

    /// The node that collects for everybody in the lab, and the port at which it does.
    public static let collectorName = "jaeger"
    public static let collectorPort: UInt16 = 4318

    /// The only one of a world; from here on it hears of its spans.
    public static func of(_ world: World) -> SpanExport { world.only(SpanExport.self) { SpanExport(world) } }

    private init(_ world: World) {
        self.world = world
        world.spans.onFinish = { [unowned self] span, node in finished(span, node) }
    }

    /// Sends a node's spans to a collector of its own.
    func send(from node: Node, to url: HTTPURL) {
        world.spans.startRecording()
        exporter(node).fixed = url
    }

    /// Of a node; nil if it has had nothing to send.
    public func exporter(of node: Node) -> SpanExporter? { exporters[node.number] }

    private func exporter(_ node: Node) -> SpanExporter {
        if let known = exporters[node.number] { return known }
        let exporter = SpanExporter(node)
        exporters[node.number] = exporter
        node.whenEnded { [weak self] in self?.exporters[node.number] = nil }
        return exporter
    }

    private func finished(_ span: Span, _ node: Node) {
        if node.isTransient { return }
        guard exporters[node.number]?.fixed != nil || Self.collector(in: world, for: node) != nil else { return }
        exporter(node).add(span)
    }

    /// The lab's collector, for everybody but itself.
    static func collector(in world: World, for node: Node) -> HTTPURL? {
        guard let collector = world.nodes[collectorName], collector.isAlive, collector !== node,
            collector.listeners.contains(where: { $0.port == collectorPort })
        else { return nil }
        return HTTPURL(host: collectorName, port: collectorPort, target: "/")
    }
}

/// Sends the spans of one node by OTLP/HTTP: in batches, again where the collector asks for that, and never so that the
/// node's own work waits for it. What finds no room is dropped and counted.
public final class SpanExporter {
    private let node: Node
    /// The collector that was named; nil: the lab's.
    var fixed: HTTPURL?
    private var waiting = RingQueue<Span>()
    private var timer: TimerID?
    private var isSending = false
    private var pause = SpanExporter.firstPause
    public private(set) var sentCount = 0
    /// Not sent: there was no room, or the collector did not want them, or there was none any more.
    public private(set) var droppedCount = 0

    /// OpenTelemetry's batch span processor: a queue of 2,048, batches of 512. It waits 5 s; here a tenth of one,
    /// because whoever looks at a lab looks at once.
    static let queueLimit = 2048
    static let batchLimit = 512
    static let delay = LabDuration.milliseconds(100)
    static let firstPause = LabDuration.seconds(1)
    static let longestPause = LabDuration.seconds(30)

    init(_ node: Node) { self.node = node }

    func add(_ span: Span) {
        guard waiting.count < Self.queueLimit else {
            droppedCount += 1
            return
        }
        waiting.append(span)
        if timer == nil, !isSending { schedule(Self.delay) }
    }

    /// Its own calls are nobody's request, and not to be traced.
    private func schedule(_ delay: LabDuration) {
        node.world.journal.withCause(0) {
            timer = node.after(delay) { [self] in
                timer = nil
                send()
            }
        }
    }

    private func send() {
        guard let base = fixed ?? SpanExport.collector(in: node.world, for: node) else { return drop(waiting.count) }
        let batch = (0..<min(Self.batchLimit, waiting.count)).map { waiting[$0] }
        if batch.isEmpty { return }
        let resource = OTLPResource(service: node.serviceName, node: node.name)
        var scope = OTLPScope()
        scope.name = "sdlab"
        let body = OTLPTraces([.init(resource: resource, scope: scope, spans: batch.map { OTLPSpan($0) })])
        var url = base
        url.target = (url.target == "/" ? "" : url.target) + OTLPSignal.traces.path
        var request = HTTPCall.Request("POST", url: url)
        request.fields = [("Content-Type", "application/x-protobuf")]
        request.body = body.protobuf()
        request.deadline = .seconds(10)
        isSending = true
        HTTPCall(node, request) { [self] result in
            isSending = false
            ended(result, batch.count)
        }.start()
    }

    /// The specification's rules: what can pass is tried again, anything else is the sender's fault and dropped.
    private func ended(_ result: Result<HTTPCall.Response, HTTPCall.Failure>, _ count: Int) {
        switch result {
        case .success(let response) where response.isSuccess:
            for _ in 0..<count { _ = waiting.popFirst() }
            sentCount += count
            pause = Self.firstPause
            if !waiting.isEmpty { schedule(waiting.count >= Self.batchLimit ? .zero : Self.delay) }
        case .success(let response) where ![429, 502, 503, 504].contains(response.status):
            drop(count)
            if !waiting.isEmpty { schedule(Self.delay) }
        default:
            schedule(pause)
            pause = min(Self.longestPause, pause + pause)
        }
    }

    private func drop(_ count: Int) {
        for _ in 0..<count { _ = waiting.popFirst() }
        droppedCount += count
    }
}
