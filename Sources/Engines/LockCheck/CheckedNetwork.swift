import KernelStructures

/// The lines between members: broken in one direction or both, lossy, doubling, slow, and never in order for certain.
struct CheckedNetwork {
    private let width: Int
    /// By sender and receiver.
    private var isCut: [Bool]
    var lossProbability = 0.0
    var doubleProbability = 0.0
    var delayMicroseconds = usualDelayMicroseconds

    static let usualDelayMicroseconds = 2500

    init(_ count: Int) {
        width = count + 1
        isCut = [Bool](repeating: false, count: width * width)
    }

    func isCut(_ sender: Int, _ receiver: Int) -> Bool { isCut[sender * width + receiver] }
    mutating func cut(_ sender: Int, _ receiver: Int) { isCut[sender * width + receiver] = true }
    mutating func mendLines() { isCut = [Bool](repeating: false, count: width * width) }

    mutating func mendAll() {
        mendLines()
        lossProbability = 0
        doubleProbability = 0
        delayMicroseconds = Self.usualDelayMicroseconds
    }

    /// How long each copy of a message is on its way, in microseconds; none arrives where a line is cut.
    func journeys(_ sender: Int, _ receiver: Int, _ random: inout SeededRandom) -> (first: Int, second: Int)? {
        if isCut(sender, receiver) || random.chance(lossProbability) { return nil }
        let isDoubled = random.chance(doubleProbability)
        let first = journey(&random)
        return (first, isDoubled ? journey(&random) : 0)
    }

    private func journey(_ random: inout SeededRandom) -> Int {
        let delay = delayMicroseconds + random.below(2 * delayMicroseconds)
        // Few are very late: order is lost.
        return random.chance(0.02) ? delay + random.below(500_000) : delay
    }
}
