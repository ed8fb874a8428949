import GatewayEngine
import KernelHosting
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import RateLimiterEngine

/// What is in force at one time. A request carries the rules that it began under, whatever a reload puts in their
/// place.
final class GatewayRules {
    let configuration: GatewayConfiguration
    let table: RouteTable
    let routes: [LiveRoute]
    /// The limits, in the order of the routes; of each its own before that of addresses.
    let limits: [RateLimitPolicy]
    private(set) var policies: RateLimiter.PolicySet!
    let identityFields: IdentityFields
    let apiKeys: APIKeyTable?
    /// Nil: no route needs one.
    let tokens: TokenAuthority?
    let introspector: Introspector?

    init(
        _ configuration: GatewayConfiguration, table: RouteTable, routes: [LiveRoute], tokens: TokenAuthority?,
        introspector: Introspector?
    ) {
        self.configuration = configuration
        self.table = table
        self.routes = routes
        self.tokens = tokens
        self.introspector = introspector
        limits = configuration.routes.flatMap { [$0.limit, $0.addressLimit].compactMap(\.self) }
        apiKeys = configuration.apiKeys.map { APIKeyTable($0.keys) }
        identityFields = IdentityFields(
            configuration.identityFields.isEmpty
                ? GatewayConfiguration.JWTSettings().fields.map(\.field) : configuration.identityFields)
    }

    /// The limiter has these limits now.
    func adopt(_ policies: RateLimiter.PolicySet) { self.policies = policies }
}

/// A route with what it needs to do its work.
final class LiveRoute {
    let index: Int
    let route: Route
    /// Its time limits, and what its requests share.
    let pool: UpstreamPool
    /// By share.
    let targets: [ServiceCluster]
    let mirror: ServiceCluster?
    /// By part.
    let parts: [ServiceCluster]
    /// Their places among the limits.
    let limit: Int?
    let addressLimit: Int?
    /// Nil: each request has a share by chance.
    let stickyShares: StickyShares?
    /// For origins that the file names; those that fit a pattern have one of their own.
    let crossOrigin: CrossOriginPolicy?
    /// What all its answers say.
    let responseLines: [UInt8]
    let total: Histogram
    let upstream: Histogram
    private var spares: [GatewayForwarding] = []

    private static let spareLimit = 64

    /// - Throws: `CrossOriginPolicy.Malformed`.
    init(
        _ route: Route, index: Int, firstLimit: Int, node: Node, clusters: (String) -> ServiceCluster,
        histograms: (total: Histogram, upstream: Histogram)
    ) throws {
        self.route = route
        self.index = index
        limit = route.limit == nil ? nil : firstLimit
        addressLimit = route.addressLimit == nil ? nil : firstLimit + (route.limit == nil ? 0 : 1)
        total = histograms.total
        upstream = histograms.upstream
        pool = UpstreamPool(
            node: node, noun: "the service", timeouts: UpstreamTimeouts(response: route.responseTimeout))
        switch route.action {
        case .forward(let shares):
            targets = shares.map { clusters($0.service) }
            parts = []
            stickyShares = route.stickiness.map { StickyShares(shares, by: $0) }
            pool.timeouts.connect = targets.map(\.service.connectTimeout).max() ?? pool.timeouts.connect
        case .aggregate(let aggregate):
            targets = []
            parts = aggregate.parts.map { clusters($0.service) }
            stickyShares = nil
        case .redirect:
            targets = []
            parts = []
            stickyShares = nil
        }
        mirror = route.mirror.map { clusters($0.service) }
        crossOrigin = try route.crossOrigin.map {
            try Self.policy($0, for: $0.allowsAnyOrigin ? .any : .only($0.origins))
        }
        var lines = route.responseEdits.lines
        if let sunset = route.sunset {
            HTTPWriter.field("Sunset", sunset.httpDate, into: &lines)
            HTTPWriter.field("Deprecation", "true", into: &lines)
        }
        responseLines = lines
    }

    private static func policy(_ settings: Route.CrossOriginSettings, for origins: CrossOriginPolicy.Origins)
        throws(CrossOriginPolicy.Malformed) -> CrossOriginPolicy
    {
        var policy = try CrossOriginPolicy(origins, allowsCredentials: settings.allowsCredentials)
        policy.allowedFields = settings.allowedFields
        policy.exposedFields = settings.exposedFields
        policy.maxAge = settings.maxAge
        return policy
    }

    /// What a page of that origin may; nil: the route leaves that to its service.
    func crossOrigin(for origin: String?) -> CrossOriginPolicy? {
        guard let origin, let settings = route.crossOrigin,
            settings.originPatterns.contains(where: { $0.matches(origin) })
        else { return crossOrigin }
        return (try? Self.policy(settings, for: .only([origin]))) ?? crossOrigin
    }

    /// Whose share of a split this request is in; nil: whoever chance says.
    func stickyShare(_ request: HTTPHead, _ identity: Identity?) -> Int? {
        guard let stickyShares else { return nil }
        return stickyShares.pick(for: request, subject: identity?.subject ?? "")
    }

    /// Whether it matters who asks, even where nobody has to say so.
    var needsSubject: Bool { limit != nil || stickyShares?.stickiness == .user }

    /// Whether fields of answers are taken out.
    var takesResponseFields: Bool { crossOrigin != nil || route.responseEdits.takesAny }

    func makeForwarding() -> GatewayForwarding { spares.popLast() ?? GatewayForwarding(pool) }

    func giveBack(_ forwarding: GatewayForwarding) {
        if spares.count < Self.spareLimit { spares.append(forwarding) }
    }
}
