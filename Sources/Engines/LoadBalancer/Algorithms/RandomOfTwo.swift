import KernelStructures

/// The power of two choices: draw two servers, take the one that is less busy.
///
/// ## The problem
///
/// Taking the least busy server of all needs the loads of all, at this very moment. With hundreds of servers that is a
/// long look for each request. With several balancers it is worse: each knows only its own part of the loads, or a
/// report that is a second old, and all of them rush to the server that looks idlest until it is the busiest. Taking
/// any server blindly needs to know nothing, but chance is lumpy: of a thousand requests thrown at a thousand servers
/// some server gets five or more.
///
/// ## An everyday picture
///
/// Twenty tills, and shelves in between: who would walk along all of them first? One looks at the two that happen to be
/// in sight and takes the shorter queue. Nobody ends up in a terrible one, for the terrible one would have to come up
/// twice; and as no two people see the same tills, they do not all run to the same one.
///
/// ## How
///
/// Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (IEEE Transactions on Parallel and Distributed
/// Systems 12, 2001), after Azar, Broder, Karlin and Upfal, "Balanced Allocations" (1994). When n requests have gone to
/// n servers blindly, the busiest has about log n / log log n of them; with a choice of two, log log n / log 2. The
/// second choice brings that leap; a third changes only the constant.
///
/// Two different servers are drawn, each with a chance in proportion to its weight at the moment. The one with less
/// load for its weight wins (compared crosswise, without rounding), and of two that are equal the first drawn. So an
/// idle pool is served in proportion to the weights, and a server that starts slowly is seldom drawn at all. Its own
/// request is not counted in, unlike in `LeastConnections.swift`: an idle strong server would win against every idle
/// weak one, and have more than its share.
///
/// A server that may not be chosen is drawn again. Who is still unlucky after eight draws counts those that are left,
/// which is as fair and takes longer. O(log servers) a choice as long as most servers may be chosen, else O(servers).
///
/// ## Where it is wrong
///
/// It never finds *the* idle server on purpose: with few servers and few balancers `LeastConnections` is simply better.
/// It shares the other's love for servers that fail fast, though only every second look can fall for it. And equal
/// lists of servers do not give equal choices; where a key must find its server again, `ConsistentHashing` or
/// `Maglev` is meant.
package struct RandomOfTwo: BalancingAlgorithm {
    /// A server holds the tickets `start..<end`: as many as its weight.
    private struct Server {
        let slot: Int
        let weight: Int
        let start: Int

        var end: Int { start + weight }
    }

    private var servers: [Server] = []
    private var random: SeededRandom
    private static let draws = 8

    package init(random: SeededRandom) { self.random = random }

    /// Chance goes on where it was: a change of the pool must not repeat what was drawn before.
    package mutating func update(_ members: [PoolMember]) {
        servers.removeAll(keepingCapacity: true)
        for member in members {
            servers.append(
                Server(slot: member.slot, weight: member.effectiveWeight, start: servers.last?.end ?? 0))
        }
    }

    package mutating func choose(key: UInt64, load: (Int) -> Int, where mayBeChosen: (Int) -> Bool) -> Int? {
        guard let first = draw(besides: nil, where: mayBeChosen) else { return nil }
        guard let second = draw(besides: first, where: mayBeChosen) else { return servers[first].slot }
        let (one, other) = (servers[first], servers[second])
        return load(other.slot) * one.weight < load(one.slot) * other.weight ? other.slot : one.slot
    }

    /// The index of a server that may be chosen, by weight; nil if there is none besides the given one.
    private mutating func draw(besides drawn: Int?, where mayBeChosen: (Int) -> Bool) -> Int? {
        // Its tickets are taken out of the drum: all after them count as so many less.
        let gap = drawn.map { (start: servers[$0].start, length: servers[$0].weight) } ?? (.max, 0)
        let tickets = (servers.last?.end ?? 0) - gap.length
        guard tickets > 0 else { return nil }
        for _ in 0..<Self.draws {
            let ticket = random.below(tickets)
            let index = holder(of: ticket < gap.start ? ticket : ticket + gap.length)
            if mayBeChosen(servers[index].slot) { return index }
        }
        return drawAmongTheRest(besides: drawn, where: mayBeChosen)
    }

    /// The same in one exact draw, with tickets only of those that may be chosen.
    private mutating func drawAmongTheRest(besides drawn: Int?, where mayBeChosen: (Int) -> Bool) -> Int? {
        var tickets = 0
        for index in servers.indices where index != drawn && mayBeChosen(servers[index].slot) {
            tickets += servers[index].weight
        }
        guard tickets > 0 else { return nil }
        var ticket = random.below(tickets)
        for index in servers.indices where index != drawn && mayBeChosen(servers[index].slot) {
            if ticket < servers[index].weight { return index }
            ticket -= servers[index].weight
        }
        return nil
    }

    /// The index of the server whose ticket this is.
    private func holder(of ticket: Int) -> Int {
        var low = 0
        var high = servers.count - 1
        while low < high {
            let middle = (low + high) / 2
            if servers[middle].end > ticket { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
