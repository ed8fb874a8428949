import CircuitBreakerEngine

/// A service of the shop, or several on one node: the circuits on its ways to the others, by those ways:
/// `orders->payments`.
public protocol ShopBreakers: BreakerHolder {
    var shopHosts: [ShopHost] { get }
}

extension ShopBreakers {
    private var ways: [(name: String, peer: PeerClient)] { shopHosts.flatMap(\.ways) }

    /// Names come from `breakerNames`, and a peer that is known stays.
    private func peer(_ name: String) -> PeerClient { ways.first { $0.name == name }!.peer }

    public var breakerNames: [String] { ways.map(\.name) }
    public func snapshot(ofBreaker name: String) -> BreakerSnapshot { peer(name).snapshot(as: name) }
    public func strips(ofBreaker name: String) -> (states: String, endings: String) { peer(name).strips }
    public func order(_ state: CircuitState, ofBreaker name: String) { peer(name).order(state) }
    public func reconfigure(_ configuration: CircuitBreakerConfiguration, breaker name: String) {
        peer(name).reconfigure(configuration)
    }
}
