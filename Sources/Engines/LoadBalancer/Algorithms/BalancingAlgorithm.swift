/// A way to pick one server out of the pool.
///
/// An algorithm sees no health, no limits and no stickiness: the engine tells it who is in the pool (`update`), and at
/// each choice who may be chosen right now. It holds whatever it needs to be fair over time.
package protocol BalancingAlgorithm: Sendable {
    /// The pool has changed: servers came or went, or their weights did. What is known of those that stay is kept.
    ///
    /// - Parameter members: in the order of their slots.
    mutating func update(_ members: [PoolMember])

    /// The slot of the server for one request; nil if none may be chosen.
    ///
    /// - Parameters:
    ///   - key: what the request is known by, for algorithms that send equal keys to the same server.
    ///   - load: requests or connections that a server has at the moment, by slot.
    ///   - mayBeChosen: false for servers that failed this request already, and for those that are full.
    mutating func choose(key: UInt64, load: (Int) -> Int, where mayBeChosen: (Int) -> Bool) -> Int?
}

/// A server as an algorithm sees it.
package struct PoolMember: Equatable, Sendable {
    /// The server's place in the engine's table: stays the same as long as the server exists.
    package let slot: Int
    /// What it is hashed by, so that every balancer with the same list gives the same key to the same server.
    package let name: String
    /// As configured, 1…256.
    package let weight: Int
    /// What counts at the moment, in hundredths of a weight: less than `weight * 100` while the server starts slowly,
    /// and never less than one.
    package let effectiveWeight: Int

    package init(slot: Int, name: String, weight: Int = 1, effectiveWeight: Int? = nil) {
        self.slot = slot
        self.name = name
        self.weight = weight
        self.effectiveWeight = max(1, effectiveWeight ?? weight * 100)
    }
}
