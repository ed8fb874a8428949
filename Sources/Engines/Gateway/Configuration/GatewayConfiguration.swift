import CircuitBreakerEngine
import KernelStructures
import LoadBalancerEngine
import RateLimiterEngine

/// A gateway's configuration. `reference` shows the file it is read from, with every key, its default and its unit.
public struct GatewayConfiguration: Sendable {
    public var routes: [Route] = []
    /// In the order in which the file names them first.
    public var services: [Service] = []
    public var jwt: JWTSettings?
    public var apiKeys: APIKeySettings?
    public var introspection: IntrospectionSettings?
    /// Where services are looked up that have no address.
    public var registry = HostPort(host: "localhost", port: 8500)
    /// Whose `X-Forwarded-For` and `X-Request-Id` are believed.
    public var trustedProxies = TrustedProxies.none
    /// The field by which a client asks for a version of a route.
    public var versionField = "X-API-Version"
    /// Whether a path may have a `/` or `\` in percent form, which servers read in different ways.
    public var allowsEncodedSlash = false
    public var headLimitBytes = 32 * 1024
    /// For a client to send a request's head; then 408.
    public var requestTimeout = LabDuration.seconds(30)
    /// For a client that asks nothing.
    public var idleTimeout = LabDuration.seconds(75)
    public var shutdownTimeout = LabDuration.seconds(30)
    /// A log line for each request that was passed on.
    public var logsRequests = true
    /// Whether answers say how long they took here and behind: `Server-Timing`.
    public var showsTiming = false

    /// More are refused.
    public static let routeLimit = 1000
    public static let serviceLimit = 1000
    public static let headLimitRange = 1024...1 << 20

    public init() {}

    public func service(named name: String) -> Service? { services.first { $0.name == name } }
}

extension GatewayConfiguration {
    /// What requests are passed on to.
    public struct Service: Equatable, Sendable {
        public enum Source: Equatable, Sendable {
            /// Those that the file names: a URL's, or a pool's.
            case servers
            /// Whatever a registry has under this name.
            case registry(String)
        }

        public var name: String
        public var source: Source
        /// What its URL has before every path: `/base`, without a slash at the end; mostly nothing.
        public var basePath = ""
        /// Whether it speaks TLS.
        public var isSecure = false
        /// Whom it has to prove to be, over TLS, where servers are known by address only.
        public var tlsName: String?
        /// How its servers share the requests, and which of them may get any.
        public var balancing: LoadBalancerConfiguration
        /// Nil: none.
        public var breaker: CircuitBreakerConfiguration?
        public var connectTimeout = LabDuration.seconds(5)

        public init(name: String, source: Source, balancing: LoadBalancerConfiguration) {
            self.name = name
            self.source = source
            self.balancing = balancing
            breaker = Self.defaultBreaker
        }

        /// resilience4j's, but for a decision after twenty calls and a wait of ten seconds.
        public static var defaultBreaker: CircuitBreakerConfiguration {
            var breaker = CircuitBreakerConfiguration()
            breaker.minimumNumberOfCalls = 20
            breaker.waitDurationInOpenState = .seconds(10)
            return breaker
        }
    }

    /// Tokens that an issuer has signed: RFC 7519.
    public struct JWTSettings: Equatable, Sendable {
        public enum Keys: Equatable, Sendable {
            /// A key set or a key in PEM, read with the configuration.
            case file(String)
            /// A key set that is fetched, and fetched again.
            case url(String)
            /// A file with a secret that both sides know: HS256, which is believed nowhere else.
            case secret(String)
        }

        public var keys: Keys
        public var issuers: [String] = []
        public var audiences: [String] = []
        /// Names as RFC 7518 has them; empty for all that are asymmetric.
        public var algorithms: [String] = []
        public var leeway = LabDuration.zero
        public var refreshInterval = LabDuration.seconds(300)
        /// How long keys are good that cannot be fetched again.
        public var staleLimit = LabDuration.seconds(3600)
        /// What a server is told of the token: claims by path, and fields.
        public var fields = [ClaimField(claim: "sub", field: "X-User-Id")]
        /// Whether the token itself is passed on.
        public var forwardsToken = false
        /// Verified tokens that are kept by their digests, so that a signature is checked once; 0: each time. Their
        /// times are checked each time, and other keys flush them.
        public var cachedTokenLimit = 10_000
        public static let cachedTokenRange = 0...1_000_000

        /// Where the public keys are if nothing is said: what `jwt jwks` writes.
        public static let defaultKeyFile = "jwks.json"

        public init(keys: Keys = .file(defaultKeyFile)) { self.keys = keys }
    }

    /// A claim that becomes a field of the request.
    public struct ClaimField: Equatable, Sendable {
        public var claim: String
        public var field: String

        public init(claim: String, field: String) {
            self.claim = claim
            self.field = field
        }
    }

    public struct APIKeySettings: Equatable, Sendable {
        /// The field that has the key.
        public var field = "X-API-Key"
        public var keys: [APIKey] = []
        /// The field that tells a server whose key it was.
        public var consumerField = "X-Consumer"
        public static let keyLimit = 100_000

        public init() {}
    }

    /// Tokens that only their issuer can read: RFC 7662.
    public struct IntrospectionSettings: Equatable, Sendable {
        public var url: String
        public var client: String?
        public var secretFile: String?
        public var timeout = LabDuration.seconds(2)
        /// How long an answer is believed; zero asks each time.
        public var cacheTime = LabDuration.seconds(30)
        public var fields = [ClaimField(claim: "sub", field: "X-User-Id")]

        public init(url: String) { self.url = url }
    }

    /// All fields by which servers are told who asks. What clients send under these names never reaches a server.
    public var identityFields: [String] {
        ((jwt?.fields ?? []) + (introspection?.fields ?? [])).map(\.field)
            + (apiKeys.map { [$0.consumerField] } ?? [])
    }
}
