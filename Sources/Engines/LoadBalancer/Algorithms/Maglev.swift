import HashRingEngine
import KernelStructures

/// Maglev hashing in a pool: the seating plan of `MaglevTable`, and what to do when the seat's server may not be
/// chosen.
///
/// The table and its essay are the ring room's: 65,537 seats, dealt by names and weights (as configured, as in
/// `ConsistentHashing`), so that balancers with the same servers agree, whatever their order. Turns go by name.
///
/// If the seat's server may not be chosen, the key is hashed again, which spreads the keys of one server over all
/// others by weight. After 64 times come the seats next to the last one found: somebody is there in the end, though
/// whoever sits at the edge of a gap gets more than the rest. The same servers refused, the same choice, and the key
/// returns as soon as its server does.
///
/// O(1) a choice, if most servers may be chosen. Loads are not looked at.
package struct Maglev: BalancingAlgorithm {
    private var pool = NamedPool()
    private var table = MaglevTable(members: [])

    private static let size = MaglevTable.defaultSize
    private static let attempts = 64

    package init() {}

    package mutating func update(_ members: [PoolMember]) {
        if pool.update(members) { table = MaglevTable(members: pool.seedsAndWeights) }
    }

    package mutating func choose(key: UInt64, load: (Int) -> Int, where mayBeChosen: (Int) -> Bool) -> Int? {
        let seats = table.seats
        guard !seats.isEmpty else { return nil }
        var seat = 0
        for attempt in 0...Self.attempts {
            seat = Self.seat(of: key, attempt: attempt)
            let slot = pool.servers[Int(seats[seat])].slot
            if mayBeChosen(slot) { return slot }
            // Without this a full pool would be searched seat by seat.
            if attempt == 0, !pool.hasAny(where: mayBeChosen) { return nil }
        }
        for _ in 1..<Self.size {
            seat = seat + 1 == Self.size ? 0 : seat + 1
            let slot = pool.servers[Int(seats[seat])].slot
            if mayBeChosen(slot) { return slot }
        }
        return nil
    }

    private static func seat(of key: UInt64, attempt: Int) -> Int { MaglevTable.seat(of: chance(key, attempt), size) }
}
