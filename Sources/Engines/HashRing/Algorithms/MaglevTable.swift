import KernelStructures

/// Maglev's table: a seating plan that everybody draws up alike, so that a look-up is one step.
///
/// ## The problem
///
/// The one of `HashRing`, where a network load balancer has it: ten million packets a second, shares that must be
/// even to a hundredth because machines are bought by the share, and many balancers that have to agree without
/// talking.
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
/// node's list is an offset and a skip, both from the hash of its name: (offset + j · skip) mod M takes every seat
/// once. M should be a hundred times the number of nodes or more: then shares differ by about a hundredth. 65,537 is
/// the paper's and Envoy's.
///
/// The paper mentions weights without saying how. Here each node gains its weight in every round, and pays the
/// greatest of all weights for a turn. All begin with so much that everybody has a turn in the first round, and hence
/// a seat.
///
/// O(1) a look-up; two bytes a seat. Built in O(M log M) steps on average for equal weights, and more by the greatest
/// weight over the mean weight for others.
///
/// ## Where it is wrong
///
/// Evenness has its price: when one of ten nodes leaves, two in a thousand of the others' keys move as well, and when
/// one of a hundred leaves, six. The ring moves none. And any change draws up the whole table anew.
public struct MaglevTable: Sendable {
    /// Seats; prime.
    public let size: Int
    /// For each seat, the index of the member that has it; empty if there is no member.
    public let seats: [UInt16]

    public static let defaultSize = 65_537
    /// Envoy's limit, too.
    public static let sizeLimit = 5_000_011
    /// Indices must fit into 16 bits.
    public static let nodeLimit = 65_536

    /// - Parameters:
    ///   - members: for each, a seed for its list and its weight, 1 or more. Their order decides who takes the first
    ///     turn, so whoever wants tables to agree gives them in an order that does.
    ///   - size: a prime, not less than there are members.
    public init(members: [(seed: UInt64, weight: Int)], size: Int = defaultSize) {
        precondition(members.count <= min(size, Self.nodeLimit), "more members than seats")
        precondition(members.allSatisfy { $0.weight > 0 }, "a member without weight would never have a turn")
        self.size = size
        seats = Self.seated(members, size)
    }

    /// A table of nodes by their names: the same for the same names and weights, whatever their order.
    ///
    /// - Returns: seats that hold indices into `nodes`.
    /// - Throws: `RingError.notPrime` if the size is none, or beyond `sizeLimit`; `.tooManyNodes`.
    public init(_ nodes: [RingNode], size: Int = defaultSize) throws(RingError) {
        guard size <= Self.sizeLimit, Self.isPrime(size) else {
            throw .notPrime(size, next: Self.prime(near: size))
        }
        guard nodes.count <= min(size, Self.nodeLimit) else { throw .tooManyNodes(nodes.count) }
        let order = nodes.indices.sorted { nodes[$0].name < nodes[$1].name }
        self.size = size
        seats = Self.seated(order.map { (stableHash(nodes[$0].name), nodes[$0].weight) }, size).map {
            UInt16(order[Int($0)])
        }
    }

    /// The index of the member that has a key; nil if there is none.
    ///
    /// - Parameter key: a hash of the key.
    public func ownerIndex(at key: UInt64) -> Int? { seats.isEmpty ? nil : Int(seats[Self.seat(of: mixed(key), size)]) }

    /// Spreads 64 even bits evenly over the seats by the upper half of a product, which is cheaper than a remainder.
    @inlinable
    public static func seat(of evenBits: UInt64, _ size: Int) -> Int {
        Int(evenBits.multipliedFullWidth(by: UInt64(size)).high)
    }

    // MARK: Seating

    /// One member's list, and how far it has come.
    private struct Wishes {
        let weight: Int
        var savings: Int
        let skip: Int
        /// Where it stands on its list.
        var next: Int

        init(seed: UInt64, weight: Int, greatestWeight: Int, size: Int) {
            self.weight = weight
            savings = greatestWeight - weight
            next = Int(chance(seed, 0) % UInt64(size))
            skip = Int(chance(seed, 1) % UInt64(size - 1)) + 1
        }

        /// The first free seat on its list from where it stands; there must be one.
        mutating func take(from seats: inout [UInt16], as number: UInt16, isFree: inout [Bool]) {
            let size = seats.count
            while !isFree[next] {
                next += skip
                if next >= size { next -= size }
            }
            isFree[next] = false
            seats[next] = number
        }
    }

    private static func seated(_ members: [(seed: UInt64, weight: Int)], _ size: Int) -> [UInt16] {
        guard let greatestWeight = members.map(\.weight).max() else { return [] }
        var wishes = members.map {
            Wishes(seed: $0.seed, weight: $0.weight, greatestWeight: greatestWeight, size: size)
        }
        var isFree = [Bool](repeating: true, count: size)
        var seats = [UInt16](repeating: 0, count: size)
        var remaining = size
        while true {
            for number in wishes.indices {
                wishes[number].savings += wishes[number].weight
                guard wishes[number].savings >= greatestWeight else { continue }
                wishes[number].savings -= greatestWeight
                wishes[number].take(from: &seats, as: UInt16(number), isFree: &isFree)
                remaining -= 1
                if remaining == 0 { return seats }
            }
        }
    }

    // MARK: Primes

    /// By trial division; sizes are small.
    public static func isPrime(_ number: Int) -> Bool {
        if number < 2 { return false }
        var divisor = 2
        while divisor * divisor <= number {
            if number % divisor == 0 { return false }
            divisor += 1
        }
        return true
    }

    /// The first prime from `number` on, within the limits.
    private static func prime(near number: Int) -> Int {
        var candidate = max(2, min(number, sizeLimit))
        while !isPrime(candidate) { candidate += 1 }
        return min(candidate, sizeLimit)
    }
}
