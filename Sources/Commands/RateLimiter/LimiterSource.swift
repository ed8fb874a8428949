import CommandKit
import CommandServices
import KernelService
import KernelStructures
import RateLimiterEngine
import RateLimiterService
import ShellSession

/// Where a rate limiter's configuration comes from: a file, which can be read again, or the command line.
struct LimiterSource {
    /// nil if the command line says it all.
    private let file: ConfigurationArgument?
    private let arguments: ParsedArguments

    /// Flags that make the one rule there is without a file.
    private static let ruleFlags = ["algorithm", "rate", "period", "burst", "key", "shadow", "on-store-failure"]

    init(_ invocation: Invocation) throws {
        arguments = invocation.arguments
        file = ConfigurationArgument(invocation)
        if file != nil, let flag = Self.ruleFlags.first(where: { invocation.arguments.has($0) }) {
            throw UsageError("ratelimiter: --\(flag) and --config? rules stand in the file")
        }
        if file == nil, !arguments.has("rate") {
            throw UsageError("ratelimiter: how much? add --rate 10 (requests a second), or --config rl.yaml")
        }
    }

    /// - Throws: `CommandFailure` with the place in the file, `UsageError`.
    func configuration() throws -> ConfigurationSource<RateLimiterConfiguration> {
        guard let file else { return .init(fixed: try read(), because: "it was started without --config") }
        return .init(try read(), read: read, bytes: file.bytes)
    }

    private func read() throws -> RateLimiterConfiguration {
        var configuration = try file?.read { try RateLimiterConfiguration(yaml: $0, file: $1) } ?? readFlags()
        if let text = arguments.text("upstream") {
            guard let upstream = HostPort(parsingServer: text) else {
                throw UsageError("ratelimiter: --upstream: '\(text)' is neither a port nor host:port")
            }
            configuration.upstream = upstream
        }
        if let text = arguments.text("store") {
            guard let store = RateLimiterConfiguration.StoreAddress(parsing: text) else {
                throw UsageError("ratelimiter: --store: '\(text)' is neither redis://host:port nor host:port")
            }
            configuration.store = store
        }
        if let text = arguments.text("trusted-proxies") {
            configuration.trustedProxies = try networks(text)
        }
        configuration.storeTimeout = arguments.duration("store-timeout") ?? configuration.storeTimeout
        configuration.lease = arguments.integer("lease") ?? configuration.lease
        if let complaint = configuration.storeComplaint { throw CommandFailure(complaint) }
        return configuration
    }

    private func networks(_ text: String) throws -> TrustedProxies {
        TrustedProxies(
            try text.split(separator: ",", omittingEmptySubsequences: false).map(String.init).map { word in
                guard let network = TrustedProxies.Network(parsing: word) else {
                    throw UsageError("ratelimiter: --trusted-proxies: '\(word)' is no network such as 10.0.0.0/8")
                }
                return network
            })
    }

    private func readFlags() throws -> RateLimiterConfiguration {
        let name = arguments.text("algorithm") ?? RateLimitPolicy.Algorithm.tokenBucket.rawValue
        guard let algorithm = RateLimitPolicy.Algorithm(rawValue: name) else {
            let names = RateLimitPolicy.Algorithm.allCases.map(\.rawValue)
            let hint = didYouMean(name, among: names)
            throw UsageError(
                "ratelimiter: --algorithm: '\(name)' is "
                    + (hint.isEmpty ? "none of \(names.joined(separator: ", "))" : "unknown\(hint)"))
        }
        let text = arguments.text("rate")!
        guard let rate = RatePhrase(parsing: text) else {
            throw UsageError("ratelimiter: --rate: '\(text)' is neither a number nor one such as 600/minute")
        }
        if rate.period != nil, arguments.has("period") {
            throw UsageError("ratelimiter: --rate '\(text)' has a period already; leave out --period")
        }
        let burst = arguments.integer("burst")
        if algorithm.isWindowed, burst != nil {
            throw UsageError("ratelimiter: \(algorithm.rawValue) knows no burst; all of the rate may come at once")
        }
        let quota: Quota
        do {
            quota = try Quota(rate.count, per: rate.period ?? arguments.duration("period") ?? .seconds(1), burst: burst)
        } catch {
            throw UsageError("ratelimiter: \(error)")
        }
        var rule = RateLimitRule(RateLimitPolicy("default", algorithm, quota))
        rule.policy.isShadow = arguments.has("shadow")
        rule.onStoreFailure =
            arguments.text("on-store-failure").flatMap { RateLimitRule.StoreFailure(rawValue: $0) } ?? .local
        if let text = arguments.text("key") {
            rule.key = RequestKey(
                try text.split(separator: ",").map(String.init).map { word in
                    guard let part = RequestKey.part(parsing: word) else {
                        let names = RequestKey.partNames
                        let hint = didYouMean(word, among: names)
                        throw UsageError(
                            "ratelimiter: --key: '\(word)' is unknown"
                                + (hint.isEmpty ? "; it can be \(names.joined(separator: ", "))" : hint))
                    }
                    return part
                })
            if rule.key.parts.isEmpty { throw UsageError("ratelimiter: --key: '\(text)' names nothing") }
        }
        return RateLimiterConfiguration(rules: [rule])
    }

    /// What `--check` says.
    func summary(_ configuration: RateLimiterConfiguration) -> String {
        let rules = configuration.rules.map {
            "  \($0.policy.name): \($0.policy.algorithm.rawValue), \($0.policy.summary), by \($0.key)\n"
        }
        return "\(file?.name ?? "configuration"): OK, \(counted(configuration.rules.count, "rule"))\n" + rules.joined()
    }
}
