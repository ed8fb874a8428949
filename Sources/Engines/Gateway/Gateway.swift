import KernelStructures

/// The API gateway's decisions: where a request goes, who may make it, and what becomes of it on the way.
///
/// ## The problem
///
/// One program has become twenty services. Now every client has to know twenty addresses, every service has to check
/// tokens, count requests and answer browsers' preflights, each in a slightly different way, and nobody can move a
/// service without asking all clients. So one door is put in front: clients know one address, and what all services
/// need is done once, by people who think about nothing else.
///
/// ## An everyday picture
///
/// The reception of a large office. Visitors know one street door. The receptionist looks at the pass (and takes it:
/// upstairs only the name matters), counts that nobody comes more than a hundred times an hour, knows which floor does
/// what, writes the visitor's name on the slip that goes upstairs after tearing off what the visitor had written there
/// himself, and for somebody who wants "an overview" telephones three floors at once and hands over one sheet, which
/// says if a floor did not answer.
///
/// ## How
///
/// ```
///  head ─▶ path in one form ─▶ route ─▶ who? ─▶ may he? ─▶ how often? ─▶ ┬─ one service, perhaps one of two by weight
///          CanonicalPath       Route-   Creden- Access     RateLimiter   ├─ several, one answer: AggregateRun
///            │                 Table    tials     │           │          └─ elsewhere: RouteRedirection
///            ▼ 400              ▼ 404    ▼ 401     ▼ 403       ▼ 429
/// ```
///
/// The table is a tree with a stated precedence (`RouteTable`). Which of a service's servers gets a request is the load
/// balancer's engine's decision, whether any is asked the circuit breaker's, whether the client may ask again the rate
/// limiter's: all three are embedded, and none is made a second time here. A reload makes a new table; a request goes
/// on under the one that it began with.
///
/// ## Where it is wrong
///
/// It is the one place through which everything goes, and so the one place whose failure is everybody's, and the
/// one to which every team wants to add "just one rule". A gateway that knows what an order is has become the program
/// that was taken apart. And the services behind must not be reachable in any other way: whoever gets past the door can
/// write any name on the slip.
public struct Gateway: Sendable {
    public private(set) var configuration: GatewayConfiguration
    public private(set) var table: RouteTable
    /// By route.
    public internal(set) var counters: [RouteCounters]
    /// Requests that no route fits, and whose path is refused.
    public internal(set) var unmatched = 0
    public internal(set) var malformed = 0
    public internal(set) var reloads = 0
    var random: SeededRandom

    /// What a route has seen since the start; a reload keeps it under the route's name.
    public struct RouteCounters: Equatable, Sendable {
        public var requests = 0
        /// 401, 403 and 503 for want of keys.
        public var denied = 0
        public var limited = 0
        /// Not answered by a server: 502, 503, 504.
        public var failed = 0
        public var retried = 0
        public var mirrored = 0
        /// Copies that were not sent: the body was too large, or too many were under way.
        public var unmirrored = 0
        /// Answers of aggregates in which something was missing.
        public var incomplete = 0
        /// Answers by the first digit of their status.
        public var answers = SIMD8<Int>(repeating: 0)

        public init() {}
    }

    public init(_ configuration: GatewayConfiguration, random: SeededRandom = SeededRandom(seed: 1)) {
        self.configuration = configuration
        self.random = random
        table = RouteTable(configuration.routes, versionField: configuration.versionField)
        counters = configuration.routes.map { _ in RouteCounters() }
    }

    public mutating func reload(_ new: GatewayConfiguration) {
        let old = Dictionary(zip(configuration.routes.map(\.name), counters)) { first, _ in first }
        configuration = new
        table = RouteTable(new.routes, versionField: new.versionField)
        counters = new.routes.map { old[$0.name] ?? RouteCounters() }
        reloads += 1
    }

    /// Counts for the route of that name, which a reload may have moved or taken away.
    ///
    /// - Parameter index: where it was when the request began.
    public mutating func count(_ index: Int, _ name: String, _ body: (inout RouteCounters) -> Void) {
        if counters.indices.contains(index), configuration.routes[index].name == name { return body(&counters[index]) }
        guard let present = configuration.routes.firstIndex(where: { $0.name == name }) else { return }
        body(&counters[present])
    }

    public mutating func countUnmatched() { unmatched += 1 }
    public mutating func countMalformed() { malformed += 1 }

    /// Which share of a route gets this request, as their weights say.
    public mutating func pick(_ shares: [Route.Share]) -> Int? { Route.pick(shares, random: &random) }

    /// Whether this request is among those that are copied.
    public mutating func mirrors(_ mirror: Route.Mirror) -> Bool {
        mirror.percent >= 100 || random.below(100) < mirror.percent
    }
}
