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
struct RoundRobin {
    private let weights: [Int]
    private var savings: [Int]

    init(weights: [Int]) {
        self.weights = weights
        savings = Array(repeating: 0, count: weights.count)
    }

    /// The next server among those that may be chosen; nil if none may.
    mutating func next(where mayBeChosen: (Int) -> Bool) -> Int? {
        var best: Int?
        var total = 0
        for index in weights.indices where mayBeChosen(index) {
            savings[index] += weights[index]
            total += weights[index]
            if best == nil || savings[index] > savings[best!] { best = index }
        }
        if let best { savings[best] -= total }
        return best
    }

    /// A server left the pool: what it had saved must not become a burst when it returns.
    mutating func forget(_ index: Int) { savings[index] = 0 }
}
