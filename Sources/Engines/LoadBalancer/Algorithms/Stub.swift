import KernelStructures

typealias LeastConnections = RoundRobin
struct RandomOfTwo: BalancingAlgorithm {
    var r = RoundRobin(); init(random: SeededRandom) {}
    mutating func update(_ m: [PoolMember]) { r.update(m) }
    mutating func choose(key: UInt64, load: (Int) -> Int, where f: (Int) -> Bool) -> Int? {
        r.choose(key: key, load: load, where: f)
    }
}
struct HashRing: BalancingAlgorithm {
    var r = RoundRobin(); init(balanceFactorPercent: Int?) {}
    mutating func update(_ m: [PoolMember]) { r.update(m) }
    mutating func choose(key: UInt64, load: (Int) -> Int, where f: (Int) -> Bool) -> Int? {
        r.choose(key: key, load: load, where: f)
    }
}
typealias Maglev = RoundRobin
func stableHash(bytes: some Sequence<UInt8>) -> UInt64 { bytes.reduce(0) { $0 &* 31 &+ UInt64($1) } }
extension IPv4Address { var hashKey: UInt64 { UInt64(bits) } }
