import KernelConfiguration
import KernelRegularExpressions
import KernelStructures
import RateLimiterEngine

/// One entry of the gateway's table: which requests it is about, who may make them, and what becomes of them.
public struct Route: Sendable {
    /// What logs, limits and metrics call it.
    public var name: String
    public var hosts: [HostPattern] = []
    public var paths: [PathPattern]
    /// Empty: all.
    public var methods: [String] = []
    public var fields: [ValueMatch] = []
    public var query: [ValueMatch] = []
    /// The version of the interface that it is: see `RouteTable`.
    public var version: String?
    public var action: Action
    public var access = Access()
    /// Of each user, API key or address; nil: as much as anybody likes.
    public var limit: RateLimitPolicy?
    /// Of each address, before its credentials are looked at: guessing tokens costs the gateway something, and is not
    /// counted by a limit that needs to know who asks. Nil: none.
    public var addressLimit: RateLimitPolicy?
    /// By what clients keep their share of a split; nil: each request is on its own.
    public var stickiness: Stickiness?
    public var rewrite: PathRewrite?
    /// The `Host` that servers see; nil: the client's.
    public var hostRewrite: String?
    public var requestEdits = FieldEdits()
    public var responseEdits = FieldEdits()
    public var crossOrigin: CrossOriginSettings?
    public var mirror: Mirror?
    /// Bytes of a request's body; more are 413.
    public var bodyLimitBytes = 10 << 20
    /// For the whole of it, from the end of the request's head to the end of the answer.
    public var timeout = LabDuration.seconds(60)
    /// Without any byte from a server that owes some.
    public var responseTimeout = LabDuration.seconds(30)
    /// Attempts after the first has failed.
    public var retries = 1
    /// Statuses for which another attempt is made in place of passing them on; only 500 and more.
    public var retryStatuses: [Int] = []
    /// When it will be gone (RFC 8594), and that it should not be used any more (RFC 9745).
    public var sunset: LabTime?
    public var place: ConfigurationPlace

    public enum Action: Sendable {
        case forward([Share])
        case aggregate(Aggregate)
        case redirect(RouteRedirection)
    }

    /// A service and its part of the requests.
    public struct Share: Equatable, Sendable {
        public var service: String
        /// 0…1,000,000, of all shares together.
        public var weight: Int

        public static let weightLimit = 1_000_000

        public init(service: String, weight: Int = 1) {
            self.service = service
            self.weight = weight
        }
    }

    /// Who may ask.
    public struct Access: Equatable, Sendable {
        public enum Method: String, CaseIterable, Sendable {
            case jwt
            case apiKey = "api-key"
            case introspection
        }

        /// Any of these will do; empty: everybody may.
        public var methods: [Method] = []
        /// All of these must be among the token's scopes.
        public var scopes: [String] = []
        /// Claims that must have these values, or lists that contain them.
        public var claims: [(claim: String, value: String)] = []

        public init() {}

        public static func == (a: Access, b: Access) -> Bool {
            a.methods == b.methods && a.scopes == b.scopes && a.claims.map(\.claim) == b.claims.map(\.claim)
                && a.claims.map(\.value) == b.claims.map(\.value)
        }
    }

    /// Which pages of other origins may ask: WHATWG Fetch.
    public struct CrossOriginSettings: Equatable, Sendable {
        public var origins: [String] = []
        /// Those with a `*`.
        public var originPatterns: [OriginPattern] = []
        /// Whether pages of any origin may: none is named.
        public var allowsAnyOrigin: Bool { origins.isEmpty && originPatterns.isEmpty }
        public var allowsCredentials = false
        public var methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        public var allowedFields = ["Content-Type", "Authorization"]
        public var exposedFields: [String] = []
        public var maxAge = LabDuration.seconds(600)

        public init() {}
    }

    /// A second service that gets a copy of requests, and whose answers nobody sees.
    public struct Mirror: Equatable, Sendable {
        public var service: String
        public var percent = 100

        public init(service: String) { self.service = service }
    }

    public init(name: String, paths: [PathPattern], action: Action, place: ConfigurationPlace) {
        self.name = name
        self.paths = paths
        self.action = action
        self.place = place
    }

    /// The services that it passes requests on to.
    public var serviceNames: [String] {
        let main: [String] =
            switch action {
            case .forward(let shares): shares.map(\.service)
            case .aggregate(let aggregate): aggregate.parts.map(\.service)
            case .redirect: []
            }
        return main + (mirror.map { [$0.service] } ?? [])
    }
}

/// Which paths a route is about.
public enum PathPattern: Sendable, CustomStringConvertible {
    /// This path and no other: `/health`.
    case exact(String)
    /// This path and everything below: `/api/users/*`. `/api/usersx` is not below. The root is empty.
    case prefix(String)
    /// The whole path, by RE2: `~ /v[0-9]+/users`.
    case expression(RegularExpression)

    public var description: String {
        switch self {
        case .exact(let path): path
        case .prefix(let path): path + "/*"
        case .expression(let expression): "~ \(expression.pattern)"
        }
    }
}

/// Which hosts a route is about.
public enum HostPattern: Hashable, Sendable, CustomStringConvertible {
    case exact(String)
    /// Everything below: `*.example.org`. The name itself is not.
    case below(String)

    public var description: String {
        switch self {
        case .exact(let name): name
        case .below(let name): "*." + name
        }
    }
}

/// What a field or a value of the query has to be.
public struct ValueMatch: Sendable, CustomStringConvertible {
    public enum Value: Sendable {
        case exact(String)
        case expression(RegularExpression)
        case present
    }

    public var name: String
    public var value: Value

    public init(name: String, value: Value) {
        self.name = name
        self.value = value
    }

    /// - Parameter found: nil if the request has none of that name.
    public func matches(_ found: String?) -> Bool {
        guard let found else { return false }
        return switch value {
        case .exact(let wanted): found == wanted
        case .expression(let expression): expression.matchesWhole(found)
        case .present: true
        }
    }

    public var description: String {
        switch value {
        case .exact(let wanted): "\(name): \(wanted)"
        case .expression(let expression): "\(name): ~ \(expression.pattern)"
        case .present: name
        }
    }
}

/// An answer that sends the client elsewhere.
public struct RouteRedirection: Equatable, Sendable {
    public var scheme: String?
    public var host: String?
    public var port: UInt16?
    public var rewrite: PathRewrite?
    public var status = 302

    public static let statuses = [301, 302, 303, 307, 308]

    public init() {}
}
