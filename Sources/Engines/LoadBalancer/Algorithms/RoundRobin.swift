/// Smooth weighted round robin, as nginx does it since 2012.
///
/// The plain algorithm is a counter and a modulo: request *n* goes to server *n mod count*. It is fair, until servers
/// differ in strength. Repeating a strong server (weights 5, 1, 1 as a-a-a-a-a-b-c) sends it five requests in a row
/// and lets the others idle meanwhile.
///
/// The smooth form lets every server save up. In each round each gains its weight, and the one with the most savings
/// is chosen and pays the sum of all weights. Weights 5, 1, 1 then give a-a-b-a-c-a-a: as many turns as the weight
/// says, spread as evenly as they can be. With equal weights it is exactly the counter and the modulo.
///
/// O(servers) a choice. Savings stay between minus and plus the sum of the weights.
///
/// Where it is wrong: it counts requests, not their cost, and it does not look whether a server is still busy. Of a
/// hundred balancers that start at the same moment, each sends its first request to the same server.
package struct RoundRobin: BalancingAlgorithm {
    private struct Account {
        let slot: Int
        let weight: Int
        var savings: Int
    }

    private var accounts: [Account] = []

    package init() {}

    /// A server that was not in the pool begins with nothing: what it once saved must not become a burst.
    package mutating func update(_ members: [PoolMember]) {
        let known = Dictionary(uniqueKeysWithValues: accounts.map { ($0.slot, $0.savings) })
        accounts = members.map {
            Account(slot: $0.slot, weight: $0.effectiveWeight, savings: known[$0.slot] ?? 0)
        }
    }

    package mutating func choose(key: UInt64, load: (Int) -> Int, where mayBeChosen: (Int) -> Bool) -> Int? {
        var best: Int?
        var total = 0
        for index in accounts.indices where mayBeChosen(accounts[index].slot) {
            accounts[index].savings += accounts[index].weight
            total += accounts[index].weight
            if best == nil || accounts[index].savings > accounts[best!].savings { best = index }
        }
        guard let best else { return nil }
        accounts[best].savings -= total
        return accounts[best].slot
    }
}
