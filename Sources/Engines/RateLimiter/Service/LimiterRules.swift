import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterEngine

/// The rules and all that follows from them: what a request is decided by from its beginning to its end.
///
/// They never change. A reload makes new ones for requests to come, and those that are under way keep theirs: their
/// charges are places in *these* rules, and mean nothing in others.
final class LimiterRules {
    let configuration: RateLimiterConfiguration
    let policies: RateLimiter.PolicySet
    let upstream: LimiterUpstream?
    let store: (any LimitStore)?
    /// The `RateLimit-Policy` line for a request under the only rule there is.
    let policyLine: [UInt8]
    /// What answers say of each rule's policy, made once.
    let shown: [(limit: Int, itemStart: [UInt8])]
    /// Whether there is one rule, which concerns all requests by their address: most limiters, and the short way.
    let isSimple: Bool
    /// What a request costs then.
    let simpleCost: Int

    /// - Parameter old: the rules before, from which connections to the server behind and to the store are taken over
    ///   if these have the same.
    init(
        _ configuration: RateLimiterConfiguration, _ policies: RateLimiter.PolicySet, node: Node,
        before old: LimiterRules?
    ) {
        self.configuration = configuration
        self.policies = policies
        if let old, old.configuration.upstream == configuration.upstream,
            old.configuration.timeouts == configuration.timeouts
        {
            upstream = old.upstream
        } else {
            upstream = configuration.upstream.map {
                LimiterUpstream(node: node, destination: $0, configuration.timeouts)
            }
        }
        if let old, old.configuration.hasSameStore(as: configuration) {
            store = old.store
        } else {
            store = Self.makeStore(configuration, node)
        }
        let rules = configuration.rules
        var line: [UInt8] = []
        if rules.count == 1 {
            HTTPWriter.field("RateLimit-Policy", RateLimitFields.policyItem(rules[0].policy), into: &line)
        }
        policyLine = line
        shown = rules.map { (RateLimitFields.customaryLimit($0.policy), RateLimitFields.itemStart($0.policy)) }
        simpleCost = rules.first?.cost ?? 1
        isSimple =
            rules.count == 1 && rules[0].concernsAll && rules[0].key.isAddressOnly && rules[0].costHeader == nil
            && rules[0].policy.algorithm != .concurrency && configuration.trustedProxies == .none
            && configuration.exempt.isEmpty && !configuration.showsPartitionKey && store == nil
    }

    private static func makeStore(_ configuration: RateLimiterConfiguration, _ node: Node) -> (any LimitStore)? {
        switch configuration.store {
        case nil: nil
        case .redis(let place, let database):
            RedisStore(node: node, destination: place, database: database, timeout: configuration.storeTimeout)
        case .peer(let place):
            PeerStore(node: node, destination: place, lease: configuration.lease, timeout: configuration.storeTimeout)
        }
    }
}

extension RateLimiterConfiguration {
    fileprivate func hasSameStore(as other: RateLimiterConfiguration) -> Bool {
        store == other.store && lease == other.lease && storeTimeout == other.storeTimeout
    }
}
