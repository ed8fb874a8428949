import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// The way to the server behind the limiter.
///
/// What could not be sent is not sent again: balancing and retries are the load balancer's business, and it can stand
/// behind. (A kept connection that was closed meanwhile is replaced, as always: see `UpstreamExchange`.)
final class LimiterUpstream {
    let pool: UpstreamPool
    fileprivate let server: UpstreamServer
    private var spares: [LimitedForwarding] = []

    private static let spareLimit = 256

    init(node: Node, destination: HostPort, _ timeouts: RateLimiterConfiguration.Timeouts) {
        pool = UpstreamPool(node: node, noun: "the server behind", timeouts: timeouts.ofServer)
        server = UpstreamServer(destination, in: pool)
    }

    /// What sends an admitted request on.
    func makeForwarding(for exchange: LimitedExchange) -> LimitedForwarding {
        let forwarding = spares.popLast() ?? LimitedForwarding(pool)
        forwarding.exchange = exchange
        forwarding.owner = self
        return forwarding
    }

    fileprivate func giveBack(_ forwarding: LimitedForwarding) {
        if spares.count < Self.spareLimit { spares.append(forwarding) }
    }
}

/// An admitted request on its way to the server and back.
final class LimitedForwarding: UpstreamExchange {
    /// It outlives its request, and so this; nil between two requests.
    fileprivate(set) unowned var exchange: LimitedExchange?
    /// The way that it goes, even if a reload has another one by now; nil between two requests.
    fileprivate var owner: LimiterUpstream?

    override func choose() -> UpstreamChoice {
        guard let owner else { preconditionFailure("a forwarding without its way") }
        return .server(owner.server)
    }

    override func decorate(response out: inout [UInt8]) {
        if let exchange { exchange.appendQuota(to: &out, exchange.host.node) }
    }

    override func released() { exchange?.over() }

    override func ended() {
        let last = owner
        exchange = nil
        owner = nil
        last?.giveBack(self)
    }
}

extension RateLimiterConfiguration.Timeouts {
    var ofServer: UpstreamTimeouts { .init(connect: connect, response: response) }
}
