/// Weighted least connections: the server that is least busy for its strength.
///
/// ## The problem
///
/// Round robin counts what it gave and forgets it. If one request in a hundred takes a minute, the server that happened
/// to get three of those is drowning, and its turn comes all the same. Who is still busy can be known, because the
/// balancer holds all the connections: it needs only look.
///
/// ## An everyday picture
///
/// The tills of a supermarket. One walks to the shortest queue, and counts oneself into it. A queue that two cashiers
/// serve may be twice as long and is still no worse. If nobody queues anywhere, a polite crowd does not all run to the
/// till next to the door.
///
/// ## How
///
/// The load a server would have with this request, divided by its weight, is to be the least: (load + 1) / weight.
/// Fractions are compared by multiplying crosswise, a / b < c / d as a · d < c · b, so nothing is ever rounded. Joining
/// the shortest queue is the best anyone can do who knows the lengths only (Winston, "Optimality of the Shortest Line
/// Discipline", 1977: for equal servers, and service times that do not depend on how long one was served already).
///
/// Counting the request itself matters twice. Without it, all idle servers are equal, and the weak one gets the first
/// request as often as the strong one. And a server that starts slowly, with a hundredth of its weight, would be empty
/// and therefore first choice for everything; so it is worth its first request only when the others have a hundred.
///
/// Among servers that are equally good, smooth round robin decides (`RoundRobin.swift`), in which only those take part.
///
/// O(servers) a choice, and the loads must be there already. Savings stay with servers that stay.
///
/// ## Where it is wrong
///
/// A server that fails at once is always idle, and this algorithm loves it: one broken machine that answers 500 within
/// a millisecond attracts nearly all requests. Only health checks help. The loads are those this balancer knows; of ten
/// balancers in front of the same servers each sees a tenth, and all may find the same server empty at the same moment
/// (`RandomOfTwo.swift` does not mind). And while there is next to nothing to do, the strongest server does it all.
package struct LeastConnections: BalancingAlgorithm {
    private struct Account {
        let slot: Int
        let weight: Int
        /// From which ties are decided.
        var savings: Int
        /// Whether it is among the best of this choice, as far as is known.
        var isCandidate = false
        /// Its load with this request; only of candidates.
        var load = 0

        /// Negative if its load is less for its weight than the other's, zero if it is just the same.
        func compared(to other: Account) -> Int { load * other.weight - other.load * weight }
    }

    private var accounts: [Account] = []

    package init() {}

    package mutating func update(_ members: [PoolMember]) {
        let known = Dictionary(uniqueKeysWithValues: accounts.map { ($0.slot, $0.savings) })
        accounts = members.map {
            Account(slot: $0.slot, weight: $0.effectiveWeight, savings: known[$0.slot] ?? 0)
        }
    }

    package mutating func choose(key: UInt64, load: (Int) -> Int, where mayBeChosen: (Int) -> Bool) -> Int? {
        guard let (first, last) = nominate(load: load, where: mayBeChosen) else { return nil }
        return first == last ? accounts[first].slot : takeTurns(first...last)
    }

    /// Marks the servers with the least load for their weight.
    ///
    /// - Returns: the first and the last of them. Only between these do marks count: an earlier one is of a server that
    ///   was the best until a better came.
    private mutating func nominate(load: (Int) -> Int, where mayBeChosen: (Int) -> Bool) -> (first: Int, last: Int)? {
        var best: (first: Int, last: Int)?
        for index in accounts.indices {
            accounts[index].isCandidate = mayBeChosen(accounts[index].slot)
            guard accounts[index].isCandidate else { continue }
            accounts[index].load = load(accounts[index].slot) + 1
            guard let (first, _) = best else {
                best = (index, index)
                continue
            }
            let difference = accounts[index].compared(to: accounts[first])
            if difference < 0 {
                best = (index, index)
            } else if difference == 0 {
                best!.last = index
            } else {
                accounts[index].isCandidate = false
            }
        }
        return best
    }

    /// One step of smooth round robin among the candidates in this range.
    private mutating func takeTurns(_ range: ClosedRange<Int>) -> Int {
        var best = range.lowerBound
        var total = 0
        for index in range where accounts[index].isCandidate {
            accounts[index].savings += accounts[index].weight
            total += accounts[index].weight
            if accounts[index].savings > accounts[best].savings { best = index }
        }
        accounts[best].savings -= total
        return accounts[best].slot
    }
}
