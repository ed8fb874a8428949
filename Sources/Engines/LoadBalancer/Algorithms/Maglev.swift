import KernelStructures

/// Maglev hashing: a seating plan that every balancer draws up alike.
///
/// ## The problem
///
/// The one of `HashRing.swift`: equal keys to the same server, and few keys that move when servers come and go. But the
/// ring pays for it. Shares are uneven by several per cent, although a server that gets a tenth too much sets how many
/// servers must be bought; and each choice searches thousands of points.
///
/// ## An everyday picture
///
/// A hall with 65,537 seats. Each company has a list of all seats in the order in which it likes them, shuffled by its
/// name. In turns, each takes the seat highest on its list that is still free, those with twice the weight twice as
/// often, until all are taken. A guest's ticket has the number of a seat: whose it is can be read at a glance. When a
/// company leaves the whole game is played again, but as all lists are the same as before, nearly everybody ends up
/// with the seats they had, and those of the one that left.
///
/// ## How
///
/// Eisenbud, Yi, Contavalli, Smith, Kononov, Mann-Hielscher, Cilingiroglu, Cheyney, Shang and Hosein, "Maglev: A Fast
/// and Reliable Software Network Load Balancer" (NSDI 2016, section 3.4). The size M of the table is prime, so that a
/// server's list is an offset and a skip, both from the hash of its name: (offset + j · skip) mod M takes every seat
/// once. M is much more than servers, so that shares differ by about a hundredth at most.
///
/// The paper mentions weights without saying how. Here each server gains its weight in every round, and pays the
/// greatest of all weights for a turn. All begin with so much that everybody has a turn in the first round, and hence a
/// seat. Turns go by name, so two balancers with the same servers agree, whatever their order.
///
/// If the seat's server may not be chosen, the key is hashed again, which spreads the keys of one server over all
/// others by weight. After 64 times come the seats next to the last one found: somebody is there in the end, though
/// whoever sits at the edge of a gap gets more than the rest. The same servers refused, the same choice, and the key
/// returns as soon as its server does.
///
/// O(1) a choice, if most servers may be chosen. The table takes 128 KB, and is drawn up anew when names or weights
/// change (weights as configured, as in `HashRing`): O(M log M) steps on average for equal weights, and more by the
/// greatest weight over the mean weight for others.
///
/// ## Where it is wrong
///
/// Evenness has its price: when one of ten servers leaves, two in a thousand of the others' keys move as well, and when
/// one of a hundred leaves, six. The ring moves none. Loads are not looked at. And of course only keys are shared out
/// evenly, not what they cost.
package struct Maglev: BalancingAlgorithm {
    private var pool = NamedPool()
    /// The number of the server that has each seat; empty if there is no server.
    private var seats: [UInt16] = []

    /// Prime.
    private static let size = 65_537
    private static let attempts = 64

    package init() {}

    package mutating func update(_ members: [PoolMember]) {
        if pool.update(members) { takeSeats() }
    }

    package mutating func choose(key: UInt64, load: (Int) -> Int, where mayBeChosen: (Int) -> Bool) -> Int? {
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

    /// Spreads 64 bits evenly over the seats by the upper half of a product, which is cheaper than a remainder.
    private static func seat(of key: UInt64, attempt: Int) -> Int {
        Int(chance(key, attempt).multipliedFullWidth(by: UInt64(size)).high)
    }

    /// One server's list, and how far it has come.
    private struct Wishes {
        let weight: Int
        var savings: Int
        let skip: Int
        /// Where it stands on its list.
        var next: Int

        init(seed: UInt64, weight: Int, greatestWeight: Int) {
            self.weight = weight
            savings = greatestWeight - weight
            next = Int(chance(seed, 0) % UInt64(size))
            skip = Int(chance(seed, 1) % UInt64(size - 1)) + 1
        }

        /// The first free seat on its list from where it stands; there must be one.
        mutating func take(from seats: inout [UInt16], as number: UInt16, isFree: inout [Bool]) {
            while !isFree[next] {
                next += skip
                if next >= size { next -= size }
            }
            isFree[next] = false
            seats[next] = number
        }
    }

    private mutating func takeSeats() {
        let servers = pool.seedsAndWeights
        guard let greatestWeight = servers.map(\.weight).max() else {
            seats = []
            return
        }
        var wishes = servers.map { Wishes(seed: $0.seed, weight: $0.weight, greatestWeight: greatestWeight) }
        var isFree = [Bool](repeating: true, count: Self.size)
        seats = [UInt16](repeating: 0, count: Self.size)
        var remaining = Self.size
        while true {
            for number in wishes.indices {
                wishes[number].savings += wishes[number].weight
                guard wishes[number].savings >= greatestWeight else { continue }
                wishes[number].savings -= greatestWeight
                wishes[number].take(from: &seats, as: UInt16(number), isFree: &isFree)
                remaining -= 1
                if remaining == 0 { return }
            }
        }
    }
}
