import HashRingEngine
import KernelStructures
import KernelWire

extension Route {
    /// By what a client keeps its share of a split.
    public enum Stickiness: Equatable, Sendable {
        /// Who asks: the user, the API key's owner, or the address of one who has nothing to show.
        case user
        /// A header field's value.
        case header(String)
        case cookie(String)
    }
}

/// A split in which whoever has met the new version once meets it each time.
///
/// ## The problem
///
/// A canary gets a tenth of the *requests*, each by chance: then every client sees the new version now and then, a page
/// has its frame from one version and its data from the other, and nobody can say what the new version does to anyone.
/// It has to be a tenth of the *clients*, always the same ones; and when the tenth becomes a fifth, those who had the
/// new version must keep it.
///
/// ## How
///
/// By rendezvous hashing of what the client is known by (`RendezvousHash`): nobody has to remember anything, all
/// gateways agree, and a share whose weight grows only gains. Shares of the same names are the same ones on every
/// route, so that a user who has the new version here has it there as well.
///
/// ## Where it is wrong
///
/// Shares are exact for many clients, not for many requests: a single client that asks a million times is in one share
/// with all of them. Requests without that header or cookie are shared by chance.
public struct StickyShares: Sendable {
    public let stickiness: Route.Stickiness
    private let shares: RendezvousHash
    /// Of each candidate, its place among all shares: those without a weight are none.
    private let places: [Int]

    public init(_ shares: [Route.Share], by stickiness: Route.Stickiness) {
        self.stickiness = stickiness
        places = shares.indices.filter { shares[$0].weight > 0 }
        self.shares = RendezvousHash(places.map { RingNode(shares[$0].service, weight: shares[$0].weight) })
    }

    /// The share of whoever is known by that.
    public func pick(_ key: String) -> Int? {
        shares.ownerIndex(at: RingHash.xxh64.position(of: key)).map { places[$0] }
    }

    /// Nil if the request says nothing by which its client could be known.
    ///
    /// - Parameter subject: who asks.
    public func pick(for request: HTTPHead, subject: String) -> Int? {
        switch stickiness {
        case .user: pick(subject)
        case .header(let name): request.value(of: name).flatMap(pick)
        case .cookie(let name):
            request.values(of: "Cookie").lazy.flatMap { HTTPCookie.read($0) }.first { $0.name == name }
                .flatMap { pick($0.value) }
        }
    }
}
