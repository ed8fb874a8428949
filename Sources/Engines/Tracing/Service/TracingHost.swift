import KernelHosting
import KernelOTLP
import KernelService
import KernelStorage
import KernelStructures
import KernelTelemetry
import KernelWorld
import TracingEngine

/// Runs a collector of traces on a node: OTLP in, Jaeger's API out.
public final class TracingHost: Service {
    public struct Settings {
        public var queryPort = Tracing.queryPort
        /// OTLP over HTTP; it is taken at the query's port, too.
        public var collectorPort = Tracing.collectorPort
        public var directory = "/traces"
        public var store = TraceStore.Settings()
        public var sampling = TailSampler.Settings()

        public init() {}
    }

    public let runtime: ServiceRuntime
    public let settings: Settings
    public private(set) var store: TraceStore!
    private(set) var sampler: TailSampler
    let router = HTTPRouter()
    private let collector = HTTPRouter()
    private var queryServer: HTTPServer!
    private var collectorServer: HTTPServer!
    private var syncTimer: TimerID?
    private var decisionTimer: TimerID?
    private var isClosed = false
    /// Why the disk did not take what was written last; nil if it did.
    private var diskFailure: String?

    // MARK: What is counted

    private(set) var receivedSpans = 0
    private(set) var rejectedSpans = 0
    private(set) var refusedRequests = 0
    private(set) var lostSpans = 0
    private(set) var queries = 0
    var effort = TraceStore.Effort()

    public init(node: Node, settings: Settings, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: "JAEGER", options: options)
        self.settings = settings
        sampler = TailSampler(settings.sampling)
        for router in [router, collector] {
            router.options.defaultsToJSON = true
            router.options.gatheredLimitBytes = Self.gatheredLimitBytes
            router.on("POST", OTLPSignal.traces.path, body: .collected(limitBytes: Self.bodyLimitBytes)) {
                [unowned self] exchange in receive(exchange)
            }
            runtime.mount(on: router)
        }
        mountAPI()
        // Whoever looks at traces does not want to see that somebody looks at traces.
        var options = HTTPServerOptions()
        options.isTraced = false
        queryServer = HTTPServer(node: node, service: router, options: options)
        collectorServer = HTTPServer(node: node, service: collector, options: options)
    }

    /// Of a request, as it comes, and unpacked.
    static let bodyLimitBytes = 16 << 20
    static let unpackedLimitBytes = 64 << 20
    /// Of bodies of one port together whose ends have not come.
    static let gatheredLimitBytes = 256 << 20
    private static let syncInterval = LabDuration.seconds(1)

    // MARK: Life

    public func prepare() throws {
        store = try TraceStore(
            node.disk, directory: settings.directory, settings: settings.store, now: node.world.now)
        runtime.add(
            collectorServer, on: settings.collectorPort,
            announcement: "Taking OTLP on :\(port: settings.collectorPort) (HTTP, /v1/traces)")
        runtime.add(
            queryServer, on: settings.queryPort, announcement: "Answering queries on :\(port: settings.queryPort)")
    }

    public func abandonStart() { close() }

    public func opened() {
        for problem in store.problems { runtime.log("\(problem)", level: .warning) }
        if store.traceCount > 0 {
            let spans = counted(store.spanCount, "span")
            runtime.log("Found \(counted(store.traceCount, "trace")) of \(spans)")
        }
    }

    public func stop(_ done: @escaping () -> Void) {
        keep(sampler.finish(now: node.world.now))
        close()
        done()
    }

    private func close() {
        guard !isClosed else { return }
        isClosed = true
        node.cancel(syncTimer)
        node.cancel(decisionTimer)
        do throws(DiskError) {
            try store?.close()
        } catch {
            runtime.log("The traces could not be closed: \("\(error)")", level: .error)
        }
    }

    // MARK: Spans

    private func receive(_ exchange: HTTPExchange) {
        do throws(HTTPProblem) {
            let (traces, isJSON) = try OTLPRequest.traces(exchange)
            try take(traces)
            let answer = OTLPAnswer(
                .traces, rejected: traces.rejectedCount,
                message: traces.rejectedCount > 0 ? "a span needs a trace id of 16 bytes and an id of 8" : "")
            if isJSON {
                exchange.answer(json: answer.json())
            } else {
                let bytes = answer.protobuf()
                // A message without fields has no bytes, and a type nevertheless.
                if bytes.isEmpty { try exchange.addField("Content-Type", OTLPRequest.protobufType) }
                exchange.answer(bytes: bytes, type: OTLPRequest.protobufType)
            }
        } catch {
            refusedRequests += 1
            exchange.refuse(error)
        }
    }

    /// - Throws: 503 where the disk does not take them: whoever sends keeps them, and tries again.
    private func take(_ traces: OTLPTraces) throws(HTTPProblem) {
        let spans = traces.groups.tracedSpans
        let now = node.world.now
        let kept = sampler.add(spans, now: now)
        do throws(DiskError) {
            try store.add(kept, now: now)
            if !kept.isEmpty { note(diskFailure: nil) }
        } catch {
            note(diskFailure: error)
            throw HTTPProblem(503, "the spans cannot be kept: \(error)", field: "Retry-After", "1")
        }
        receivedSpans += spans.count
        rejectedSpans += traces.rejectedCount
        syncSoon()
        waitForDecision()
    }

    /// Spans that nobody waits for an answer about.
    private func keep(_ spans: [TracedSpan]) {
        do throws(DiskError) {
            try store.add(spans, now: node.world.now)
            if !spans.isEmpty { note(diskFailure: nil) }
            syncSoon()
        } catch {
            note(diskFailure: error)
            lostSpans += spans.count
            runtime.log("\(counted(spans.count, "span")) lost: \("\(error)")", level: .error)
        }
    }

    private func waitForDecision() {
        guard decisionTimer == nil, let due = sampler.nextDecision else { return }
        decisionTimer = node.after(due - node.world.now) { [unowned self] in
            decisionTimer = nil
            keep(sampler.advance(to: node.world.now))
            waitForDecision()
        }
    }

    /// What has come is durable a second later at the latest.
    private func syncSoon() {
        guard syncTimer == nil, store.needsSync, !isClosed else { return }
        syncTimer = node.after(Self.syncInterval) { [unowned self] in
            syncTimer = nil
            do throws(DiskError) {
                try store.sync()
            } catch {
                note(diskFailure: error)
                runtime.log("The traces could not be synced: \("\(error)")", level: .error)
            }
        }
    }

    /// Said once, and again when it is over; health says it as long as it lasts.
    private func note(diskFailure error: DiskError?) {
        defer { diskFailure = error.map { "\($0)" } }
        guard let error else {
            if diskFailure != nil { runtime.log("The disk takes spans again") }
            return
        }
        guard diskFailure == nil else { return }
        if case .noSpace = error {
            runtime.log(
                "The disk is full: spans are refused (503) until there is room; --max-bytes bounds what is kept",
                level: .error)
        } else {
            runtime.log("The disk does not take spans: \("\(error)")", level: .error)
        }
    }

    public var complaints: [String] { diskFailure.map { ["the disk: \($0)"] } ?? [] }

    func counts(query effort: TraceStore.Effort) {
        queries += 1
        self.effort.considered += effort.considered
        self.effort.read += effort.read
        self.effort.mistaken += effort.mistaken
    }

    public var statistics: [Statistic] {
        [
            .init("traces", store.traceCount, .gauge("jaeger_traces", "Traces that are kept")),
            .init("spans", store.spanCount, .gauge("jaeger_spans", "Spans that are kept")),
            .init("stored_bytes", store.byteCount, .gauge("jaeger_stored_bytes", "Bytes of all files")),
            .init("partitions", store.partitions.count, .gauge("jaeger_partitions", "Days that have files")),
            .init("spans_received", receivedSpans, .counter("jaeger_spans_received_total", "Spans that came")),
            .init(
                "spans_rejected", rejectedSpans,
                .counter("jaeger_spans_rejected_total", "Spans that came without an id")),
            .init(
                "spans_sampled_out", sampler.counters.droppedSpans,
                .counter("jaeger_spans_sampled_out_total", "Spans of traces that no policy wanted")),
            .init("spans_waiting", sampler.waitingSpanCount, .gauge("jaeger_spans_waiting", "Spans not decided yet")),
            .init("spans_lost", lostSpans, .counter("jaeger_spans_lost_total", "Spans that the disk did not take")),
            .init(
                "requests_refused", refusedRequests,
                .counter("jaeger_requests_refused_total", "Bodies that were not taken")),
            .init("queries", queries, .counter("jaeger_queries_total", "Searches for traces")),
            .init(
                "traces_read", effort.read, .counter("jaeger_traces_read_total", "Traces that searches have read")),
        ]
    }
}
