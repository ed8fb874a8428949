import KernelStructures

/// The pool as those algorithms see it that send equal keys to the same server: in the order of names.
///
/// Nothing that decides where a key goes may depend on this balancer alone, on the order in its configuration or on who
/// was there first. So servers are numbered by name here, and everything else is derived from names and weights. Names
/// must differ: of two servers with the same one, the ring would give all keys to the first.
struct NamedPool: Sendable {
    /// A server's number is its index.
    private(set) var servers: [Server] = []
    private var identities: [Identity] = []

    /// Numbers must fit into 16 bits.
    static let limit = 65_536

    /// What may change without a key having to move.
    struct Server {
        let slot: Int
        let effectiveWeight: Int
    }

    /// What decides where keys go.
    struct Identity: Equatable {
        let name: String
        let weight: Int
    }

    /// Whether names or weights changed, so that keys have to be dealt anew.
    mutating func update(_ members: [PoolMember]) -> Bool {
        precondition(members.count <= Self.limit, "a pool has at most \(Self.limit) servers")
        let sorted = members.sorted { ($0.name, $0.slot) < ($1.name, $1.slot) }
        servers = sorted.map { Server(slot: $0.slot, effectiveWeight: $0.effectiveWeight) }
        let before = identities
        identities = sorted.map { Identity(name: $0.name, weight: $0.weight) }
        return identities != before
    }

    /// For each server, by number, a seed for all chance that concerns it, and its weight as configured.
    var seedsAndWeights: [(seed: UInt64, weight: Int)] { identities.map { (stableHash($0.name), $0.weight) } }

    /// Whether there is any server to be had.
    func hasAny(where mayBeChosen: (Int) -> Bool) -> Bool { servers.contains { mayBeChosen($0.slot) } }
}
