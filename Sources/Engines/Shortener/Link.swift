import KernelStructures

/// A short link: what it is called, where it leads, and for how long.
public struct Link: Equatable, Sendable {
    public var code: String
    public var target: String
    public var createdAt: LabTime
    /// It leads nowhere before, and from, these times; nil for always.
    public var validSince: LabTime?
    public var expiresAt: LabTime?
    /// Visits after which it leads nowhere; nil for any number.
    public var maxVisits: Int?
    public var redirect: Redirect
    public var title: String?
    public var tags: [String]
    /// Whether somebody chose the code.
    public var isAlias: Bool
    /// Whether the query that a visitor brings is handed on.
    public var forwardsQuery: Bool
    /// Other ways for some visitors.
    public var rules: [RedirectRule]
    /// Whose API key made it; nil for the operator's, or where no keys are asked for.
    public var owner: String?
    public var deletedAt: LabTime?
    /// Grows with every change of it.
    public var version: Int

    public static let titleLimitBytes = 512
    public static let tagLimit = 32
    public static let tagLimitBytes = 64

    public init(
        code: String, target: String, createdAt: LabTime, validSince: LabTime? = nil, expiresAt: LabTime? = nil,
        maxVisits: Int? = nil, redirect: Redirect = .permanent, title: String? = nil, tags: [String] = [],
        isAlias: Bool = false, forwardsQuery: Bool = false, rules: [RedirectRule] = [], owner: String? = nil,
        deletedAt: LabTime? = nil, version: Int = 1
    ) {
        self.code = code
        self.target = target
        self.createdAt = createdAt
        self.validSince = validSince
        self.expiresAt = expiresAt
        self.maxVisits = maxVisits
        self.redirect = redirect
        self.title = title
        self.tags = tags
        self.isAlias = isAlias
        self.forwardsQuery = forwardsQuery
        self.rules = rules
        self.owner = owner
        self.deletedAt = deletedAt
        self.version = version
    }
}

/// How a browser is sent on: RFC 9110, sections 15.4.2, 15.4.3, 15.4.8 and 15.4.9.
public enum Redirect: Int, CaseIterable, Sendable {
    /// What search engines follow. A browser may keep it for as long as `Cache-Control` says: 90 s, so that a change is
    /// seen soon and visits are not lost to caches for ever.
    case permanent = 301
    case found = 302
    case temporary = 307
    case permanentSameMethod = 308

    public var cacheSeconds: Int {
        switch self {
        case .permanent, .permanentSameMethod: 90
        case .found, .temporary: 0
        }
    }

    /// The field of an answer that a browser may keep for so long.
    public static func cacheControl(seconds: Int) -> String {
        seconds > 0 ? "private, max-age=\(seconds)" : "private, no-store"
    }
}

/// What a visitor gets.
public enum VisitVerdict: Equatable, Sendable {
    case redirect
    /// There was a link, and it is over: 410, and never 404.
    case gone(String)
    /// There will be one: 404, as if it were not there yet.
    case notYet
}

extension Link {
    /// For how long a browser may keep where the link leads: never beyond its end, and not at all where visits are
    /// limited, or where another visitor, or the same one tomorrow, may be led elsewhere.
    public func cacheSeconds(now: LabTime) -> Int {
        guard rules.isEmpty, maxVisits == nil else { return 0 }
        guard let expiresAt else { return redirect.cacheSeconds }
        return min(redirect.cacheSeconds, max(0, Int((expiresAt - now).nanoseconds / 1_000_000_000)))
    }

    /// - Parameter visits: those that were counted so far.
    public func verdict(now: LabTime, visits: Int) -> VisitVerdict {
        if deletedAt != nil { return .gone("the link was deleted") }
        if let expiresAt, now >= expiresAt { return .gone("the link expired at \(expiresAt)") }
        if let maxVisits, visits >= maxVisits { return .gone("the link was good for \(counted(maxVisits, "visit"))") }
        if let validSince, now < validSince { return .notYet }
        return .redirect
    }
}
