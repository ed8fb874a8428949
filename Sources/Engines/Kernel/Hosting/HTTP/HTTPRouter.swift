import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld

/// How a router treats what its routes do not say themselves.
public struct HTTPRouterOptions: Sendable {
    /// Bytes of a request's body that are collected; more are 413.
    public var bodyLimitBytes = 1 << 20
    /// Bytes of all bodies together that are being collected and have not come to their ends; whoever sends more is
    /// told to come again (503).
    public var gatheredLimitBytes = Int.max
    /// From a request's head to the end of its body; then 408.
    public var bodyTimeout = LabDuration.seconds(60)
    /// What a client gets that does not say what it would rather have.
    public var defaultsToJSON = false
    /// Whether such a client gets errors as problem details, RFC 9457, where other answers are text.
    public var defaultsToProblems = false
    /// Bodies of at least so many bytes are compressed for clients that take it; nil for never.
    public var compressesFromBytes: Int? = 1024
    /// Which pages of other origins may ask; nil for none.
    public var crossOrigin: CrossOriginPolicy?

    public init() {}
}

/// What a route does with a request's body.
public enum HTTPBodyUse: Sendable {
    /// The handler is called when the body is complete. A limit in bytes instead of the router's.
    case collected(limitBytes: Int? = nil)
    /// The handler is called at once, and takes the body as it comes: `HTTPExchange.readBody`.
    case streamed
}

/// Answers requests by their paths: the server side of the kit.
///
/// ## An everyday picture
///
/// The counter hall of a town office. At the door somebody reads what is written on top of the form and says which
/// counter it is for, that there is no such counter, or that this counter does not do that. Forms that are too thick
/// are
/// not let in. At the counter a clerk gets the whole form and answers it; if the clerk throws up his hands, there is
/// one
/// way in which that is said, whichever counter it was.
///
/// ## How
///
/// ```
/// let router = HTTPRouter()
/// router.on("GET", "/rings/{name}/nodes/{count: Int}") { exchange in
///     var query = try exchange.query()
///     let factor = try query.takeInteger("rf", 1...64) ?? 3
///     try query.expectNothingElse()
///     exchange.answer(json: try lookUp(exchange.parameters["name"], exchange.parameters.integer("count"), factor))
/// }
/// let server = HTTPServer(node: node, service: router)
/// ```
///
/// A handler answers its exchange, now or later, or throws: an `HTTPProblem` is the answer, an error of reading (query,
/// JSON) is a 400, what `explain` knows is what it makes of it, anything else is a 500.
///
/// Done for all routes: 404 with what there is, 405 with `Allow`, `HEAD` from `GET`, `OPTIONS`, limits and timeouts of
/// bodies, `100-continue`, compression, and other origins' pages (CORS).
///
/// ## Where it is wrong
///
/// Each request costs an object and a few strings, which a proxy on the way of every request would not pay: those
/// implement `HTTPService` themselves.
public final class HTTPRouter: HTTPService {
    public typealias Handler = (HTTPExchange) throws -> Void

    struct Route {
        let template: String
        let body: HTTPBodyUse
        let handler: Handler
    }

    private var table = HTTPRouteTable<Route>()
    public var options: HTTPRouterOptions
    /// Turns errors of the service's own into answers; nil for those it does not know.
    public var explain: ((any Error) -> HTTPProblem?)?
    /// Looks at each request first, and answers it if it wants to: `/metrics` and `/health` of every service.
    public var intercept: ((HTTPServerConnection) -> Bool)?
    /// Bytes of bodies that have not come to their ends: see `HTTPRouterOptions.gatheredLimitBytes`.
    public internal(set) var gatheredBytes = 0
    /// Exchanges that wait for an event, answers that go on, WebSockets: what `drain` has to end.
    private(set) var lasting = LastingExchanges()

    public init(options: HTTPRouterOptions = HTTPRouterOptions()) { self.options = options }

    /// Adds a route: see `HTTPRouteTable` for templates and their precedence.
    public func on(
        _ method: String, _ template: String, body: HTTPBodyUse = .collected(), _ handler: @escaping Handler
    ) {
        table.add(method, template, Route(template: template, body: body, handler: handler))
    }

    /// The paths there are.
    public var templates: [String] { table.templates }

    /// Ends what would not end by itself: parked exchanges get what they would get at their deadline, streams of events
    /// end, WebSockets are told that the server goes away.
    public func drain() {
        // One by one from the list, since the end of one may be the end of others: a lock's holder that goes lets in
        // the next. Those that begin meanwhile are not waited for.
        var left = lasting.count
        while left > 0, let one = lasting.takeFirst() {
            left -= 1
            one.endForDrain()
        }
    }

    // MARK: HTTPService

    public func requestBegan(_ connection: HTTPServerConnection) {
        connection.context = nil
        if let intercept, intercept(connection) { return }
        let head = connection.head
        let path = head.targetPath
        switch table.match(head.methodText, path: path) {
        case .found(let route, let parameters): begin(route, parameters, connection, head)
        case .notAllowed(let methods):
            let exchange = HTTPExchange(self, connection, head, route: nil, parameters: .none)
            if head.method == .options { return exchange.answerOptions(methods) }
            let allowed = methods.joined(separator: ", ")
            exchange.refuse(
                HTTPProblem(
                    405, "\(head.methodText) makes no sense here", remedy: "there are \(allowed)", field: "Allow",
                    allowed))
        case .notFound:
            let exchange = HTTPExchange(self, connection, head, route: nil, parameters: .none)
            if head.method == .options, head.target == "*" { return exchange.answerOptions([]) }
            exchange.refuse(HTTPProblem(404, "nothing is there", remedy: "there are \(listing)"))
        case .malformed(let text):
            HTTPExchange(self, connection, head, route: nil, parameters: .none).refuse(HTTPProblem(400, text))
        }
    }

    /// Paths that a 404 names.
    private static let listingLimit = 24

    private var listing: String {
        let templates = table.templates
        let more = templates.count > Self.listingLimit ? " …" : ""
        return templates.prefix(Self.listingLimit).joined(separator: ", ") + more
    }

    private func begin(
        _ route: Route, _ parameters: HTTPParameters, _ connection: HTTPServerConnection, _ head: HTTPHead
    ) {
        let exchange = HTTPExchange(self, connection, head, route: route.template, parameters: parameters)
        connection.context = exchange
        switch route.body {
        case .streamed: exchange.handle(route.handler)
        case .collected(let limit):
            exchange.handler = route.handler
            if head.body == .none || head.body == .length(0) { return }
            exchange.collect(limitBytes: limit ?? options.bodyLimitBytes, timeout: options.bodyTimeout)
        }
    }

    public func request(_ connection: HTTPServerConnection, body: UnsafeRawBufferPointer) {
        (connection.context as? HTTPExchange)?.received(body)
    }

    public func requestEnded(_ connection: HTTPServerConnection) {
        (connection.context as? HTTPExchange)?.receivedEnd()
    }

    public func responseDrained(_ connection: HTTPServerConnection) {
        (connection.context as? HTTPExchange)?.drained()
    }

    public func requestAbandoned(_ connection: HTTPServerConnection) {
        (connection.context as? HTTPExchange)?.abandoned()
    }

    public func isAbandonedByEnd(_ connection: HTTPServerConnection) -> Bool {
        (connection.context as? HTTPExchange)?.isLasting ?? false
    }

    public func connectionClosed(_ connection: HTTPServerConnection) {
        (connection.context as? HTTPExchange)?.abandoned()
    }

    // MARK: For exchanges

    /// What an error that a handler threw means to the client.
    func problem(for error: any Error) -> HTTPProblem {
        if let problem = error as? HTTPProblem { return problem }
        if let problem = explain?(error) { return problem }
        switch error {
        case let error as HTTPError: return HTTPProblem(error)
        case let error as JSONError: return HTTPProblem(400, "\(error)", remedy: "send JSON (RFC 8259)")
        case let error as JSONTypeError: return HTTPProblem(400, "\(error)")
        default: return HTTPProblem(500, "\(error)")
        }
    }

    func began(lasting exchange: any LastingExchange) -> Bool { lasting.add(exchange) }
    func ended(lasting exchange: any LastingExchange) { lasting.remove(exchange) }
}

/// Something that goes on after its handler has returned.
protocol LastingExchange: AnyObject {
    /// The server stops.
    func endForDrain()
}

/// Those of a router, in the order in which they began, and not more than a limit.
struct LastingExchanges {
    private var all: [(id: ObjectIdentifier, exchange: any LastingExchange)] = []

    /// Beyond, 503.
    static let limit = 10_000

    var count: Int { all.count }

    mutating func add(_ exchange: any LastingExchange) -> Bool {
        guard all.count < Self.limit else { return false }
        all.append((ObjectIdentifier(exchange), exchange))
        return true
    }

    mutating func remove(_ exchange: any LastingExchange) {
        let id = ObjectIdentifier(exchange)
        // Those that end are most often among the youngest or the oldest.
        if all.first?.id == id {
            all.removeFirst()
        } else if let index = all.lastIndex(where: { $0.id == id }) {
            all.remove(at: index)
        }
    }

    mutating func takeFirst() -> (any LastingExchange)? { all.isEmpty ? nil : all.removeFirst().exchange }
}
