import HashRingEngine
import KernelStructures
import TestSupport
import Testing

@Suite("Jump consistent hash")
struct JumpHashTests {
    /// Guava's `HashingTest`, which the implementations of many languages repeat.
    @Test("the published values")
    func published() {
        let hundred = [0, 55, 62, 8, 45, 59, 86, 97, 82, 59, 73, 37, 17, 56, 86, 21, 90, 37, 38, 83]
        for (key, bucket) in hundred.enumerated() {
            #expect(JumpHash.bucket(of: UInt64(key), buckets: 100) == bucket)
        }
        let others: [(UInt64, Int, Int)] = [
            (10_863_919_174_838_991, 11, 6), (2_016_238_256_797_177_309, 11, 3), (1_673_758_223_894_951_030, 11, 5),
            (2, 100_001, 80_343), (2201, 100_001, 22_152), (2202, 100_001, 15_018),
        ]
        for (key, buckets, bucket) in others { #expect(JumpHash.bucket(of: key, buckets: buckets) == bucket) }
    }

    /// The paper's own code, with Python's numbers that never overflow.
    @Test("a model in Python agrees", .enabled(if: TestPython.canRun))
    func model() throws {
        let program = """
            import sys
            for line in sys.stdin:
                key, n = map(int, line.split())
                b, j = -1, 0
                while j < n:
                    b = j
                    key = (key * 2862933555777941757 + 1) % 2**64
                    j = int((b + 1) * (float(1 << 31) / ((key >> 33) + 1)))
                print(b)
            """
        var random = SeededRandom(seed: 2)
        let cases = (0..<5000).map { index in (random.next(), 1 + random.below([3, 100, 1 << 31][index % 3])) }
        let answers = try TestPython.run(program, input: cases.map { "\($0) \($1)\n" }.joined()).split(separator: "\n")
        #expect(answers.map { Int($0) } == cases.map { JumpHash.bucket(of: $0, buckets: $1) })
    }

    @Test("one more bucket takes its part, and no key moves between the others")
    func monotone() {
        var random = SeededRandom(seed: 3)
        let keys = (0..<20_000).map { _ in random.next() }
        for buckets in [1, 2, 9, 99] {
            let moved = keys.count { key in
                let (old, new) = (
                    JumpHash.bucket(of: key, buckets: buckets), JumpHash.bucket(of: key, buckets: buckets + 1)
                )
                if old != new, new != buckets { Issue.record("\(key) went from \(old) to \(new)") }
                return old != new
            }
            let share = 1 / Double(buckets + 1)
            #expect(abs(Double(moved) / 20_000 - share) < fourSigma(share: share, of: 20_000))
        }
    }
}

@Suite("Rendezvous hashing")
struct RendezvousHashTests {
    private let positions = (0..<40_000).map { RingHash.xxh64.position(of: "\($0)") }

    @Test("shares follow the weights", arguments: [[1, 1, 1, 1], [1, 2, 3, 10]])
    func weights(_ weights: [Int]) {
        let hash = RendezvousHash(members(weights))
        var counts = [Int](repeating: 0, count: weights.count)
        for position in positions { counts[hash.ownerIndex(at: position)!] += 1 }
        for (count, weight) in zip(counts, weights) {
            let share = Double(weight) / Double(weights.reduce(0, +))
            #expect(abs(Double(count) / 40_000 - share) < fourSigma(share: share, of: 40_000), "\(counts)")
        }
    }

    @Test("only the keys of one who goes move, each to its second copy; a greater weight only gains")
    func movement() {
        let nodes = members([1, 2, 3, 1, 2])
        let before = RendezvousHash(nodes)
        let without = RendezvousHash(Array(nodes.dropFirst()))
        var heavier = nodes
        heavier[3].weight = 4
        let after = RendezvousHash(heavier)
        for position in positions {
            let owner = before.ownerIndex(at: position)!
            let copies = before.replicaIndices(at: position, count: 3)
            if copies[0] != owner || Set(copies).count != 3 { Issue.record("\(copies)") }
            let next = without.ownerIndex(at: position)! + 1
            if next != (owner == 0 ? copies[1] : owner) { Issue.record("\(owner) \(next)") }
            let now = after.ownerIndex(at: position)!
            if now != owner, now != 3 { Issue.record("\(owner) \(now)") }
        }
    }

    @Test("the order of the nodes does not matter, and of none there is none")
    func order() {
        let nodes = members([3, 1, 2])
        let (a, b) = (RendezvousHash(nodes), RendezvousHash(nodes.reversed()))
        for position in positions.prefix(2000) {
            #expect(a.ownerIndex(at: position)! == 2 - b.ownerIndex(at: position)!)
        }
        #expect(RendezvousHash([]).ownerIndex(at: 1) == nil)
    }
}

@Suite("Maglev's table")
struct MaglevTableTests {
    /// The paper's figure 3: lists written out, and turns taken one by one.
    private func byThePaper(_ seeds: [UInt64], _ size: Int) -> [UInt16] {
        let lists = seeds.map { seed in
            (0..<size).map { j in
                Int(
                    (chance(seed, 0) % UInt64(size) + UInt64(j) * (chance(seed, 1) % UInt64(size - 1) + 1))
                        % UInt64(size))
            }
        }
        var entry = [Int](repeating: -1, count: size)
        var next = seeds.map { _ in 0 }
        while true {
            for i in seeds.indices {
                while entry[lists[i][next[i]]] >= 0 { next[i] += 1 }
                entry[lists[i][next[i]]] = i
                next[i] += 1
                if !entry.contains(-1) { return entry.map { UInt16($0) } }
            }
        }
    }

    @Test("tables are as the paper builds them", arguments: [7, 251, 1021])
    func paper(_ size: Int) {
        for count in 1...7 {
            let seeds = (0..<count).map { stableHash("node-\($0)") }
            let table = MaglevTable(members: seeds.map { (seed: $0, weight: 1) }, size: size)
            #expect(table.seats == byThePaper(seeds, size))
        }
    }

    @Test("shares are even to a hundredth, and by weight", arguments: [65_537, 131_071, 655_373])
    func evenness(_ size: Int) throws {
        for weights in [Array(repeating: 1, count: 10), [1, 2, 5, 10]] {
            let table = try MaglevTable(members(weights), size: size)
            var counts = [Int](repeating: 0, count: weights.count)
            for seat in table.seats { counts[Int(seat)] += 1 }
            for (count, weight) in zip(counts, weights) {
                let fair = Double(size * weight) / Double(weights.reduce(0, +))
                #expect(abs(Double(count) / fair - 1) < 0.01, "\(counts)")
            }
        }
    }

    @Test("when one of ten goes, its keys move and few others; everybody draws up the same table")
    func leaving() throws {
        let nodes = members(10)
        let before = try MaglevTable(nodes)
        let after = try MaglevTable(Array(nodes.dropLast()))
        var stray = 0
        for (old, new) in zip(before.seats, after.seats) where old != 9 && old != new { stray += 1 }
        #expect(stray > 0 && Double(stray) / 65_537 < 0.02, "\(stray)")
        let reversed = try MaglevTable(nodes.reversed())
        for key in 0..<2000 as Range<UInt64> {
            #expect(before.ownerIndex(at: key)! == 9 - reversed.ownerIndex(at: key)!)
        }
    }

    @Test("everybody has a seat, however small its weight; sizes that are no primes are refused")
    func refusals() throws {
        let table = try MaglevTable(members([1, 256, 256]), size: 251)
        #expect(Set(table.seats) == [0, 1, 2])
        #expect(throws: RingError.notPrime(65_536, next: 65_537)) { try MaglevTable(members(2), size: 65_536) }
        #expect(throws: RingError.self) { try MaglevTable(members(2), size: -3) }
        #expect(throws: RingError.self) { try MaglevTable(members(2), size: .max) }
        #expect(throws: RingError.tooManyNodes(8)) { try MaglevTable(members(8), size: 7) }
        #expect(try MaglevTable([]).ownerIndex(at: 5) == nil)
    }
}

@Suite("Bounded loads")
struct BoundedLoadTests {
    @Test(
        "each key goes to the first on its way with room, and nobody has more than the bound",
        arguments: [101, 125, 150])
    func bounds(_ percent: Int) throws {
        let ring = try HashRing(members([1, 2, 1, 1, 3], virtualNodes: 20))
        var bounded = BoundedLoadRing(ring, factorPercent: percent)
        var random = SeededRandom(seed: UInt64(percent))
        var open: [Int] = []
        var displaced = 0
        for _ in 0..<5000 {
            // A few keys are most of the traffic.
            let key = "\(min(random.below(50), random.below(50), random.below(50)))"
            let m = open.count + 1
            let order = ring.replicaIndices(of: key, count: 5)
            let fitting = order.first { node in
                let capacity = (Double(percent * m * ring.nodes[node].weight) / 800).rounded(.up)
                return Double(open.count { $0 == node } + 1) <= capacity
            }
            let assigned = bounded.assign(key)
            let node = try #require(assigned)
            #expect(node == fitting)
            if node != order[0] { displaced += 1 }
            open.append(node)
            #expect(bounded.loads == ring.nodes.indices.map { index in open.count { $0 == index } })
            while !open.isEmpty, random.chance(0.48) { bounded.release(open.remove(at: random.below(open.count))) }
        }
        #expect(displaced > 100)
    }

    @Test("one key alone fills one node after the other up to c times the mean")
    func oneKey() throws {
        var bounded = BoundedLoadRing(try HashRing(members(4)), factorPercent: 150)
        for _ in 0..<1000 { _ = bounded.assign("hot") }
        #expect(bounded.loads.sorted() == [0, 250, 375, 375])
        #expect(bounded.capacity(of: 0) == 376)
    }
}

@Suite("Slots")
struct SlotTableTests {
    /// From the Redis cluster specification and its documentation.
    @Test(
        "keys have the slots that Redis gives them",
        arguments: [
            ("", 0), ("123456789", 12_739), ("foo", 12_182), ("bar", 5061), ("hello", 866),
            ("{user1000}.following", 3443),
            ("{user1000}.followers", 3443), ("foo{}{bar}", 8363), ("foo{{bar}}zap", 4015), ("foo{bar}{zap}", 5061),
        ])
    func redis(_ key: String, _ slot: Int) { #expect(SlotTable.slot(of: key) == slot) }

    @Test("shares are equal to a slot, and a change moves what it must and no more")
    func updates() throws {
        var table = SlotTable()
        #expect(try table.update(members(4)) == 0)
        #expect(try table.update(members(5)) == SlotTable.slotCount / 5)
        #expect(try table.update(Array(members(5).dropFirst())) == 3277)
        let weights = [1, 2, 5]
        try table.update(members(weights))
        for (index, weight) in weights.enumerated() {
            #expect(abs(table.owners.count { $0 == index } - SlotTable.slotCount * weight / 8) <= 1)
        }
        #expect(try table.update(members(weights)) == 0)
        #expect(try table.update([]) == 0 && table.ownerIndex(of: "x") == nil)
    }
}
