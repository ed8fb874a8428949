import HashRingEngine
import KernelStructures
import Testing

@Suite("What a change moves")
struct MovementTests {
    // MARK: Against complete enumeration

    /// A ring of eight equal cells, at the ends of some of which there is a point. Everything in a cell has one owner.
    private static let cells = 8
    private static let cell = UInt128(1) << 61

    private func smallRing(_ code: Int) -> HashRing {
        var tokens: [(node: String, position: UInt64)] = []
        var rest = code
        for place in [0, 2, 3, 6, 7] {
            if rest % 3 > 0 { tokens.append((["a", "b"][rest % 3 - 1], UInt64(UInt128(place + 1) * Self.cell - 1))) }
            rest /= 3
        }
        return HashRing(tokens: tokens)
    }

    private func owners(_ ring: HashRing) -> [String?] {
        (0..<Self.cells).map { cell in
            let first = UInt64(UInt128(cell) * Self.cell)
            let owner = ring.ownerIndex(at: first).map { ring.nodes[$0].name }
            #expect(owner == ownerByDefinition(ring, first))
            return owner
        }
    }

    @Test("between all pairs of all small rings, exactly the cells move whose owner is another")
    func exhaustive() {
        let rings = (0..<243).map(smallRing)
        let owners = rings.map(owners)
        for (before, old) in zip(rings, owners) {
            for (after, new) in zip(rings, owners) {
                let movement = Movement(from: before, to: after)
                var expected: [Movement.Range] = []
                for cell in 0..<Self.cells where old[cell] != new[cell] {
                    let first = UInt64(UInt128(cell) * Self.cell)
                    let last = UInt64(UInt128(cell + 1) * Self.cell - 1)
                    if let previous = expected.last, previous.last &+ 1 == first, previous.from == old[cell],
                        previous.to == new[cell]
                    {
                        expected[expected.count - 1] = .init(
                            first: previous.first, last: last, from: old[cell], to: new[cell])
                    } else {
                        expected.append(.init(first: first, last: last, from: old[cell], to: new[cell]))
                    }
                }
                if movement.ranges != expected { Issue.record("\(old) to \(new): \(movement.ranges)") }
                let moved = (0..<Self.cells).count { old[$0] != new[$0] }
                if movement.movedLength != UInt128(moved) * Self.cell { Issue.record("\(old) to \(new)") }
            }
        }
        for (ring, owners) in zip(rings, owners) where !ring.isEmpty {
            let lengths = ring.nodes.map { node in UInt128(owners.count { $0 == node.name }) * Self.cell }
            #expect(Ownership(ring).lengths == lengths)
        }
    }

    // MARK: Against sampling

    @Test("a position is in one of the ranges if and only if its owner is another, and as many are as there should be")
    func sampling() throws {
        let before = try HashRing(members(5), scheme: .labels(.xxh64))
        var after = before
        try after.remove("node-2")
        try after.add(RingNode("node-7", virtualNodes: 90))
        let movement = Movement(from: before, to: after)
        let lasts = movement.ranges.map(\.last)
        var random = SeededRandom(seed: 5)
        let count = 200_000
        var moved = 0
        for _ in 0..<count {
            let position = random.next()
            let owners = [before, after].map { ring in ring.nodes[ring.ownerIndex(at: position)!].name }
            let index = firstIndex(in: lasts, atOrAfter: position)
            let range = index < movement.ranges.count ? movement.ranges[index] : nil
            let isIn = range.map { $0.first <= position } ?? false
            if isIn != (owners[0] != owners[1]) { Issue.record("\(position): \(owners)") }
            if isIn {
                moved += 1
                if range!.from != owners[0] || range!.to != owners[1] { Issue.record("\(position): \(owners)") }
            }
        }
        let share = Double(moved) / Double(count)
        #expect(abs(share - movement.fraction) < fourSigma(share: movement.fraction, of: count))
    }

    // MARK: The promise

    /// A share of 1 / n of N · V points has the deviation √((n − 1) / (n·V + 1)) / n.
    private func bound(_ count: Int, _ virtualNodes: Int) -> Double {
        4 * Ownership.expectedDeviation(nodes: count, virtualNodes: virtualNodes) / Double(count)
    }

    /// `hash % n` moves four fifths here.
    @Test(
        "a node that comes takes its part of all keys, and no key moves between others",
        arguments: [1, 2, 3, 5, 10, 40])
    func adding(_ count: Int) throws {
        for virtualNodes in [1, 20, 150] {
            let before = try HashRing(members(count, virtualNodes: virtualNodes))
            var after = before
            try after.add(RingNode("new", virtualNodes: virtualNodes))
            let movement = Movement(from: before, to: after)
            #expect(movement.ranges.allSatisfy { $0.to == "new" })
            #expect(movement.strayFraction(besides: "new") == 0)
            #expect(movement.movedLength == Ownership(after).lengths.last)
            let share = 1 / Double(count + 1)
            #expect(abs(movement.fraction - share) < bound(count + 1, virtualNodes))
        }
    }

    @Test("a node that goes gives what it had, and nothing else moves", arguments: [2, 3, 5, 10, 40])
    func removing(_ count: Int) throws {
        let before = try HashRing(members(count))
        var after = before
        try after.remove("node-1")
        let movement = Movement(from: before, to: after)
        #expect(movement.ranges.allSatisfy { $0.from == "node-1" })
        #expect(movement.movedLength == Ownership(before).lengths[1])
        let gained = zip(Ownership(after).lengths, [0] + Array(2..<count)).map { $0 - Ownership(before).lengths[$1] }
        #expect(gained.reduce(0, +) == movement.movedLength)
        // With points enough, what one leaves is shared by all the others.
        if count <= 10 { #expect(Set(movement.transfers.map(\.to)).count == count - 1) }
        try after.add(before.nodes[1])
        #expect(Movement(from: before, to: after).ranges == [])
    }

    @Test("keys move only between a node whose weight changes and others, and as many as its share changes")
    func reweighting() throws {
        let before = try HashRing(members([1, 1, 2, 1]))
        for (weight, isGain) in [(3, true), (1, false)] {
            var after = before
            try after.reweight("node-2", weight: weight)
            let movement = Movement(from: before, to: after)
            #expect(movement.ranges.allSatisfy { (isGain ? $0.to : $0.from) == "node-2" })
            let change = Ownership(before).shares[2] - Ownership(after).shares[2]
            #expect(abs(movement.fraction - abs(change)) < 1e-12)
        }
    }

    @Test("ketama with unequal weights moves a few keys between others, and is not ashamed to say so")
    func ketama() throws {
        let before = try HashRing(members([1, 2, 5], virtualNodes: 160), scheme: .ketama)
        var after = before
        try after.add(RingNode("new", virtualNodes: 160))
        let stray = Movement(from: before, to: after).strayFraction(besides: "new")
        #expect(stray > 0 && stray < 0.1, "\(stray)")
        var equal = try HashRing(members(4, virtualNodes: 160), scheme: .ketama)
        let old = equal
        try equal.add(RingNode("new", virtualNodes: 160))
        #expect(Movement(from: old, to: equal).strayFraction(besides: "new") == 0)
    }

    // MARK: Ownership

    @Test("lengths add up to the whole ring, and shares follow the weights within four deviations")
    func shares() throws {
        for weights in [[1], [1, 1, 1], [1, 2, 3, 4], Array(repeating: 1, count: 50)] {
            let ring = try HashRing(members(weights))
            let ownership = Ownership(ring)
            #expect(ownership.lengths.reduce(0, +) == Ownership.whole)
            let total = weights.reduce(0, +)
            for (share, weight) in zip(ownership.shares, weights) {
                let fair = Double(weight) / Double(total)
                // Beta(150·w, 150·(W − w)).
                let sigma = (fair * (1 - fair) / Double(150 * total + 1)).squareRoot()
                #expect(abs(share - fair) <= 4 * sigma, "\(weights): \(share)")
            }
        }
    }

    @Test("the number of virtual nodes for a deviation is the least that keeps it")
    func advice() {
        for nodes in [2, 3, 10, 100] {
            for deviation in [0.3, 0.1, 0.05, 0.01] {
                let count = Ownership.virtualNodes(forDeviation: deviation, nodes: nodes)
                #expect(Ownership.expectedDeviation(nodes: nodes, virtualNodes: count) <= deviation)
                if count > 1 {
                    #expect(Ownership.expectedDeviation(nodes: nodes, virtualNodes: count - 1) > deviation)
                }
            }
        }
        #expect(Ownership.virtualNodes(forDeviation: 0.1, nodes: 1) == 1)
    }

    @Test("the formula for the deviation is what rings have, on average over many")
    func theory() throws {
        for (count, virtualNodes) in [(3, 150), (10, 20)] {
            var squares = 0.0
            let rounds = 60
            for round in 0..<rounds {
                let nodes = (0..<count).map { RingNode("r\(round)-n\($0)", virtualNodes: virtualNodes) }
                let deviation = Ownership(try HashRing(nodes, scheme: .labels(.xxh64))).relativeDeviation
                squares += deviation * deviation
            }
            let measured = (squares / Double(rounds)).squareRoot()
            let expected = Ownership.expectedDeviation(nodes: count, virtualNodes: virtualNodes)
            #expect(abs(measured / expected - 1) < 0.25, "\(measured) for \(expected)")
        }
    }
}
