import KernelJSON
import KernelStructures

/// How a client of flags is set up.
public struct FeatureFlagConfiguration: Sendable {
    /// The server's, with or without `/api` at its end.
    public var baseURL: String
    /// From one look at the server to the next; each is up to a tenth longer, so that a thousand clients that were
    /// started together do not come together.
    public var refreshInterval: LabDuration
    public var metricsInterval: LabDuration
    public var appName: String
    public var instanceID: String
    public var environment: String?
    /// What holds until the server has answered, and while nothing is in the backup.
    public var bootstrap: FlagDefinitions?
    /// The machine's, for the strategy `applicationHostname`.
    public var hostName: String?

    public init(
        baseURL: String = "http://localhost:4242", refreshInterval: LabDuration = .seconds(15),
        metricsInterval: LabDuration = .seconds(60), appName: String = "swift", instanceID: String = "sdlab",
        environment: String? = nil, bootstrap: FlagDefinitions? = nil, hostName: String? = nil
    ) {
        self.baseURL = baseURL
        self.refreshInterval = max(.milliseconds(100), refreshInterval)
        self.metricsInterval = max(.milliseconds(100), metricsInterval)
        self.appName = appName
        self.instanceID = instanceID
        self.environment = environment
        self.bootstrap = bootstrap
        self.hostName = hostName
    }
}

/// What a client asks its server.
public struct FlagRequest: Equatable, Sendable {
    public enum Purpose: Sendable { case register, definitions, metrics }
    public let purpose: Purpose
    public let method: String
    /// `http://flags:4242/api/client/features`
    public let url: String
    public let fields: [(name: String, value: String)]
    public let body: [UInt8]?

    public static func == (a: FlagRequest, b: FlagRequest) -> Bool {
        a.purpose == b.purpose && a.method == b.method && a.url == b.url && a.body == b.body
            && a.fields.map(\.name) == b.fields.map(\.name) && a.fields.map(\.value) == b.fields.map(\.value)
    }
}

public struct FlagResponse: Sendable {
    public let status: Int
    public let etag: String?
    public let body: [UInt8]

    public init(status: Int, etag: String? = nil, body: [UInt8] = []) {
        self.status = status
        self.etag = etag
        self.body = body
    }
}

/// When a client asks its server, and what it makes of the answers: pure, so that the same rules hold in a program and
/// in a world whose time stands still.
///
/// Whatever goes wrong (no server, a server that stammers, half an answer), the last definitions that were good stay.
/// The pause doubles with each failure, up to ten intervals.
public struct FlagPoller: Sendable {
    public let configuration: FeatureFlagConfiguration
    private let apiKey: String
    private let root: String
    private var random: SeededRandom
    public private(set) var etag: String?
    public private(set) var failures = 0
    /// When the definitions last were those of the server; nil before that was ever so.
    public private(set) var freshAt: LabTime?
    private var nextRefresh: LabTime
    private var nextMetrics: LabTime
    private var metricsStart: LabTime
    private var isRegistered = false

    private static let longestPauseIntervals = 10

    public init(_ configuration: FeatureFlagConfiguration, apiKey: String, now: LabTime, seed: UInt64) {
        self.configuration = configuration
        self.apiKey = apiKey
        var root = configuration.baseURL
        while root.hasSuffix("/") { root.removeLast() }
        self.root = root.hasSuffix("/api") ? root : root + "/api"
        random = SeededRandom(seed: seed)
        nextRefresh = now
        metricsStart = now
        nextMetrics = now + configuration.metricsInterval
    }

    public var nextDeadline: LabTime { min(nextRefresh, nextMetrics) }

    /// What is to be asked now. Each request is answered with `answered` or `failed` before the next look.
    ///
    /// - Parameter usage: what was counted since the last call that took it; called only when it is to be sent.
    public mutating func due(now: LabTime, usage: () -> FlagUsage) -> [FlagRequest] {
        var requests: [FlagRequest] = []
        if now >= nextRefresh {
            nextRefresh = now + jittered(configuration.refreshInterval)
            if !isRegistered { requests.append(registration(now)) }
            requests.append(
                request(.definitions, "GET", "/client/features", etag.map { [("If-None-Match", $0)] } ?? []))
        }
        if now >= nextMetrics { requests += report(now: now, usage: usage) }
        return requests
    }

    /// What was counted, now and not when it is due.
    public mutating func report(now: LabTime, usage: () -> FlagUsage) -> [FlagRequest] {
        nextMetrics = now + jittered(configuration.metricsInterval)
        let usage = usage()
        guard !usage.flags.isEmpty else { return [] }
        let body = usage.json(start: metricsStart, stop: now, instanceID: configuration.instanceID)
        metricsStart = now
        return [request(.metrics, "POST", "/client/metrics", [], body)]
    }

    /// Looks at once: somebody has heard that there is something new.
    public mutating func hurry(now: LabTime) { nextRefresh = now }

    private mutating func jittered(_ interval: LabDuration) -> LabDuration {
        interval + LabDuration(nanoseconds: Int64(random.unit() * Double(interval.nanoseconds) / 10))
    }

    private func registration(_ now: LabTime) -> FlagRequest {
        request(
            .register, "POST", "/client/register", [],
            .object([
                ("appName", .string(configuration.appName)), ("instanceId", .string(configuration.instanceID)),
                ("sdkVersion", "sdlab-swift:1"), ("started", .string(now.description)),
                ("interval", .integer(Int(configuration.refreshInterval.milliseconds))),
                ("strategies", .array(Self.strategyNames.map { .string($0) })),
            ]))
    }

    static let strategyNames = [
        "default", "flexibleRollout", "userWithId", "gradualRolloutUserId", "gradualRolloutSessionId",
        "gradualRolloutRandom", "remoteAddress", "applicationHostname",
    ]

    private func request(
        _ purpose: FlagRequest.Purpose, _ method: String, _ path: String, _ more: [(name: String, value: String)],
        _ body: JSONValue? = nil
    ) -> FlagRequest {
        var fields: [(name: String, value: String)] = [
            ("Authorization", apiKey), ("UNLEASH-APPNAME", configuration.appName),
            ("UNLEASH-INSTANCEID", configuration.instanceID), ("Unleash-Client-Spec", "6.1.0"),
            ("Accept", "application/json"),
        ]
        if body != nil { fields.append(("Content-Type", "application/json")) }
        return FlagRequest(
            purpose: purpose, method: method, url: root + path, fields: fields + more, body: body?.bytes())
    }

    /// What an answer means.
    ///
    /// - Returns: definitions that are new.
    public mutating func answered(_ request: FlagRequest, _ response: FlagResponse, now: LabTime) -> FlagDefinitions? {
        switch request.purpose {
        case .register:
            isRegistered = (200..<300).contains(response.status)
            return nil
        case .metrics: return nil
        case .definitions: break
        }
        switch response.status {
        case 304:
            succeeded(now)
            return nil
        case 200:
            guard let definitions = try? FlagDefinitions(parsing: response.body) else {
                failed(request, now: now)
                return nil
            }
            etag = response.etag
            succeeded(now)
            return definitions
        default:
            failed(request, now: now)
            return nil
        }
    }

    private mutating func succeeded(_ now: LabTime) {
        failures = 0
        freshAt = now
    }

    /// No answer came. Numbers that were lost this way are lost: they are there for people, and not for bills.
    public mutating func failed(_ request: FlagRequest, now: LabTime) {
        guard request.purpose == .definitions else { return }
        failures = min(failures + 1, 1_000)
        let factor = min(1 << min(failures, 10), Self.longestPauseIntervals)
        nextRefresh = now + jittered(configuration.refreshInterval * factor)
    }
}
