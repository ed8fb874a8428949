import HashRingEngine
import KernelHosting
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld

/// What the node answers, before anybody decided how to show it.
public enum RingAnswer: Sendable {
    /// The ring changed, and these lines were logged.
    case changed([String])
    case stats
    case drawing([String])
    case export
    case lookup([RingKeeper.Lookup])
    case preview(RingKeeper.Change)
    case moved(RingKeeper.Change?, ranges: Int)
    case comparison(Comparison, Comparison.Settings)
    case advice(RingAdvice)
    case hotKeys(HotKeys)
}

/// Runs a ring on a node: listens for HTTP, and writes the log.
public final class HashRingHost: Service {
    public let runtime: ServiceRuntime
    public let port: UInt16
    public private(set) var keeper: RingKeeper
    /// Turns an answer into text or JSON.
    private let render: (RingAnswer, RingKeeper, _ asJSON: Bool) -> String
    private let router = HTTPRouter()
    private var server: HTTPServer!
    private let firstMembers: [String]
    private var requestCount = 0

    /// Where clients look if nobody told them.
    public static let defaultPort: UInt16 = 7400
    /// Bytes of a request's body.
    private static let bodyLimitBytes = 4 * 1024 * 1024
    /// Bytes of a request's first line: a few hundred keys.
    private static let startLineLimitBytes = 64 * 1024

    /// - Parameter members: who is on the ring from the start.
    public init(
        node: Node, port: UInt16, settings: RingKeeper.Settings, members: [String] = [],
        options: ServiceOptions = ServiceOptions(),
        render: @escaping (RingAnswer, RingKeeper, _ asJSON: Bool) -> String
    ) {
        runtime = ServiceRuntime(node: node, tag: "RING", options: options)
        self.port = port
        firstMembers = members
        self.render = render
        keeper = RingKeeper(settings)
        var http = HTTPServerOptions()
        http.limits.startLineBytes = Self.startLineLimitBytes
        http.limits.headBytes = 2 * Self.startLineLimitBytes
        server = HTTPServer(node: node, service: router, options: http)
        router.options.bodyLimitBytes = Self.bodyLimitBytes
        router.explain = { ($0 as? RingError).map(Self.problem) }
        for (method, template, read) in RingRequest.routes {
            router.on(method, template) { [unowned self] exchange in
                requestCount += 1
                var query = try exchange.query()
                let request = try read(&query, exchange.parameters, exchange.body)
                try query.expectNothingElse()
                try answer(exchange, request)
            }
        }
        runtime.mount(on: router)
    }

    /// Puts the first members on the ring.
    public func prepare() throws {
        keeper = try RingKeeper(keeper.settings, members: firstMembers)
        runtime.add(server, on: port)
    }

    public func opened() { runtime.log("Initial ring with \(counted(keeper.ring.nodes.count, "node"))") }

    public func collect(into page: inout MetricWriter) {
        page.counter("ring_requests_total", "Requests so far", requestCount)
        page.gauge("ring_nodes", "Nodes on the ring", keeper.ring.nodes.count)
        page.family("ring_virtual_nodes", .gauge, "Points of a node on the ring") { samples in
            for node in keeper.ring.nodes { samples.add(node.virtualNodes, [("node", node.name)]) }
        }
    }

    // MARK: Answers

    private func answer(_ exchange: HTTPExchange, _ request: RingRequest) throws {
        guard let job = try study(request) else { return give(exchange, try answer(request), to: request) }
        // Up to a second of computing, for up to a million keys: others are served meanwhile.
        do throws(OffloadError) {
            try node.offload({ Result(catching: job.work) }, cost: job.cost) { [self] result in
                switch result {
                case .success(let answer): give(exchange, answer, to: request)
                case .failure(let error):
                    exchange.refuse(
                        (error as? RingError).map(Self.problem) ?? error as? HTTPProblem ?? HTTPProblem(500, "\(error)")
                    )
                }
            }
        } catch {
            throw HTTPProblem(503, "\(error)", remedy: "try again in a moment")
        }
    }

    private func give(_ exchange: HTTPExchange, _ answer: RingAnswer, to request: RingRequest) {
        var isJSON = exchange.prefersJSON
        if case .export = answer { isJSON = true }
        var status = 200
        if case .add = request { status = 201 }
        exchange.answer(
            status, text: render(answer, keeper, isJSON),
            type: isJSON ? "application/json" : "text/plain; charset=utf-8")
    }

    private static func problem(_ error: RingError) -> HTTPProblem {
        let status =
            switch error {
            case .unknownNode: 404
            case .duplicateNode, .empty: 409
            case .malformedNode, .tooManyPoints, .notPrime, .tooManyNodes: 400
            }
        return HTTPProblem(status, error.description)
    }

    private func answer(_ request: RingRequest) throws(RingError) -> RingAnswer {
        switch request {
        case .stats: return .stats
        case .drawing(let keys): return .drawing(keeper.drawing(keys: keys))
        case .export: return .export
        case .lookup(let keys, let factor): return .lookup(try keeper.lookUp(keys, replicationFactor: factor))
        case .add(let words):
            return changed(
                try keeper.add(
                    words.name, virtualNodes: words.virtualNodes, weight: words.weight, zone: words.zone))
        case .reweight(let words):
            return changed(
                try keeper.reweight(words.name, virtualNodes: words.virtualNodes, weight: words.weight))
        case .remove(let name): return changed(try keeper.remove(name))
        case .preview(let kind, let words): return .preview(try preview(kind, words))
        case .moved(let ranges): return .moved(keeper.lastChange, ranges: ranges)
        case .compare, .advise, .hotKeys: preconditionFailure("a study is made beside the loop")
        }
    }

    private func changed(_ lines: [LogMessage]) -> RingAnswer {
        for line in lines { runtime.log(line) }
        return .changed(lines.map { "[RING] \($0)" })
    }

    private func preview(_ kind: RingKeeper.Change.Kind, _ words: RingRequest.NodeWords) throws(RingError)
        -> RingKeeper.Change
    {
        switch kind {
        case .add:
            try keeper.previewAdding(
                words.name, virtualNodes: words.virtualNodes, weight: words.weight, zone: words.zone)
        case .remove: try keeper.previewRemoving(words.name)
        case .reweight:
            try keeper.previewReweighting(words.name, virtualNodes: words.virtualNodes, weight: words.weight)
        }
    }
}
