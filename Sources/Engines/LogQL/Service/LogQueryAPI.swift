import KernelHosting
import KernelJSON
import KernelStructures
import KernelWorld
import LogModelEngine
import LogQLEngine
import TimeSeriesEngine

/// Answers questions about logs over HTTP, as Loki does: Grafana's data source, `logcli` and `log-query` ask here.
///
/// ## The problem
///
/// Whoever asks for a month of lines must not keep those waiting who want to write one. There is one loop on a node,
/// and a question that takes ten seconds would be ten seconds in which nothing is acknowledged.
///
/// ## An everyday picture
///
/// A counter with a number machine. The clerk works on a big form until the next number is called, puts it on the pile,
/// serves the next person, and takes the big form up again where he was.
///
/// ## How
///
/// A query is a `LogQLRun`, of which every turn of the loop carries out a piece; it ends early when its client has gone
/// or its time is up. So many may run at a time, and what comes beyond is told to come again. Who follows a stream
/// (`LogTail`) has a queue with an end: a reader that does not take its lines loses some and is told which, and one
/// that takes none for half a minute is sent away. Writing never waits for reading.
///
/// ```
/// GET /loki/api/v1/query_range?query=…&start=…&end=…&step=…&limit=…&direction=…
/// and /query, /labels, /series, /tail, …
/// ```
///
/// The shapes and the errors' texts are Loki's (its HTTP API, 2.9 and 3), because its clients show them. Beyond it,
/// `query` may be a search in the seed's syntax, `level:error AND service:payment`, and `data.stats.index` says which
/// chunks were left out, and why.
///
/// ## Where it is wrong
///
/// A slice is counted in lines, not in time, so lines of a quarter of a megabyte make long ones.
public final class LogQueryAPI {
    let node: Node
    let findSource: () -> (any LogSource)?
    public var limits = LogQLLimits()
    /// Queries at a time; the next one is told to come again.
    public var concurrencyLimit = 16
    public var timeout = LabDuration.seconds(60)
    private(set) var running = 0
    private(set) var tails: [LogTail] = []
    /// Followers at a time.
    public var tailLimit = 100

    /// - Parameter source: what queries read; nil while it is not open.
    public init(node: Node, source: @escaping () -> (any LogSource)?) {
        self.node = node
        findSource = source
    }

    /// Nanoseconds since 1970.
    var now: Int64 { node.wallClock.nanoseconds }

    func source() throws -> any LogSource {
        guard let source = findSource() else { throw LokiProblem(503, "the store is not open") }
        return source
    }

    /// Adds the paths to a router.
    public func mount(on router: HTTPRouter) {
        for method in ["GET", "POST"] {
            on(router, method, "query") { api, request, exchange in try api.query(request, exchange) }
            on(router, method, "query_range") { api, request, exchange in try api.queryRange(request, exchange) }
            on(router, method, "labels") { api, request, exchange in try api.labels(request, exchange) }
            on(router, method, "label") { api, request, exchange in try api.labels(request, exchange) }
            on(router, method, "label/{name}/values") { api, request, exchange in
                try api.labelValues(request, exchange)
            }
            on(router, method, "series") { api, request, exchange in try api.series(request, exchange) }
            on(router, method, "index/stats") { api, request, exchange in try api.indexStatistics(request, exchange) }
            on(router, method, "index/volume") { api, request, exchange in try api.volume(request, exchange) }
            on(router, method, "format_query") { api, request, exchange in try api.formatQuery(request, exchange) }
            on(router, method, "patterns") { api, request, exchange in try api.patterns(request, exchange) }
            on(router, method, "detected_fields") { api, request, exchange in
                try api.detectedFields(request, exchange)
            }
            on(router, method, "detected_field/{name}/values") { api, request, exchange in
                try api.detectedFieldValues(request, exchange)
            }
            on(router, method, "detected_labels") { api, request, exchange in
                try api.detectedLabels(request, exchange)
            }
        }
        on(router, "GET", "tail") { api, request, exchange in try api.tail(request, exchange) }
        on(router, "GET", "status/buildinfo") { _, _, exchange in exchange.answer(json: Self.buildInformation) }
    }

    private func on(
        _ router: HTTPRouter, _ method: String, _ path: String,
        _ handler: @escaping (LogQueryAPI, LokiRequest, HTTPExchange) throws -> Void
    ) {
        router.on(method, "/loki/api/v1/" + path) { [weak self] exchange in
            guard let self else { return exchange.answer(503) }
            Self.answer(exchange) { try handler(self, LokiRequest(exchange, now: self.now), exchange) }
        }
    }

    /// Errors are a line of text, as Loki's are.
    static func answer(_ exchange: HTTPExchange, _ body: () throws -> Void) {
        do {
            try body()
        } catch let problem as LokiProblem {
            exchange.answer(problem.status, text: problem.text + "\n")
        } catch let error as LogQLError {
            exchange.answer(error.kind == .storage ? 500 : 400, text: error.description + "\n")
        } catch let error as LogSourceError {
            exchange.answer(500, text: error.description + "\n")
        } catch {
            exchange.answer(400, text: "\(error)\n")
        }
    }

    private static let buildInformation: JSONValue = [
        "version": "3.0.0-sdlab", "revision": "sdlab", "branch": "HEAD", "buildUser": "sdlab", "buildDate": "",
        "goVersion": "",
    ]

    /// Ends those who follow.
    public func drain() {
        for tail in tails { tail.close("the server stops") }
    }

    func add(_ tail: LogTail) { tails.append(tail) }
    func remove(_ tail: LogTail) { tails.removeAll { $0 === tail } }

    // MARK: Slices

    private static let sliceLines = 20_000

    /// Carries out pieces of `work` until it has a value, which `end` gets.
    func inSlices<Value>(
        _ exchange: HTTPExchange, _ work: @escaping () throws -> Value?, _ end: @escaping (Value) throws -> Void
    ) throws {
        guard running < concurrencyLimit else {
            throw LokiProblem(429, "too many outstanding requests; there are \(concurrencyLimit) at a time")
        }
        running += 1
        slice(exchange, deadline: node.wallClock + timeout, work, end)
    }

    private func slice<Value>(
        _ exchange: HTTPExchange, deadline: LabTime, _ work: @escaping () throws -> Value?,
        _ end: @escaping (Value) throws -> Void
    ) {
        guard exchange.isOpen else {
            running -= 1
            return
        }
        var isDone = true
        Self.answer(exchange) {
            if node.wallClock > deadline {
                throw LokiProblem(504, "the query took longer than \(timeout); ask for less time, or add a condition")
            }
            guard let value = try work() else {
                isDone = false
                return
            }
            try end(value)
        }
        guard !isDone else {
            running -= 1
            return
        }
        node.enqueue { [self] in slice(exchange, deadline: deadline, work, end) }
    }

    static var linesOfSlice: Int { sliceLines }
}

/// What an answer with another status than 200 says.
struct LokiProblem: Error {
    let status: Int
    let text: String

    init(_ status: Int, _ text: String) {
        self.status = status
        self.text = text
    }
}
