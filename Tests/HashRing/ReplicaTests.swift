import HashRingEngine
import KernelStructures
import Testing

@Suite("Copies of a key")
struct ReplicaTests {
    /// By definition: walk on, take each node once.
    private func nextDistinct(_ ring: HashRing, _ position: UInt64, _ count: Int) -> [String] {
        let start = ring.positions.firstIndex { $0 >= position } ?? 0
        var found: [String] = []
        for step in ring.positions.indices {
            let name = ring.label(ofPoint: (start + step) % ring.pointCount).node
            if found.count < count, !found.contains(name) { found.append(name) }
        }
        return found
    }

    @Test("three copies of each of 100,000 keys are on three nodes, the first of them the owner")
    func distinct() throws {
        let ring = try HashRing(members(8), scheme: .labels(.xxh64))
        for number in 0..<100_000 {
            let position = ring.position(of: "user:\(number)")
            let copies = ring.replicaIndices(at: position, count: 3)
            if Set(copies).count != 3 || copies[0] != ring.ownerIndex(at: position) { Issue.record("user:\(number)") }
        }
    }

    @Test("copies are the next distinct nodes on the ring", arguments: [1, 2, 3, 5, 9])
    func definition(_ count: Int) throws {
        let ring = try HashRing(members([1, 2, 1, 3, 1], virtualNodes: 8))
        for key in randomKeys(300, seed: UInt64(count)) {
            #expect(ring.replicas(of: key, count: count) == nextDistinct(ring, ring.position(of: key), count))
        }
    }

    @Test("with fewer nodes than copies, each node has one")
    func few() throws {
        let ring = try HashRing(members(2))
        #expect(Set(ring.replicas(of: "x", count: 5)) == ["node-0", "node-1"])
        #expect(ring.replicas(of: "x", count: 0) == [] && ring.replicas(of: "x", count: -1) == [])
    }

    private func zoned(_ zones: [String?], virtualNodes: Int = 40) throws -> HashRing {
        try HashRing(zones.enumerated().map { RingNode("n\($0)", virtualNodes: virtualNodes, zone: $1) })
    }

    @Test("copies are in different zones as long as there are zones")
    func zones() throws {
        // One zone has most of the nodes: whoever only looks at nodes puts two copies there most of the time.
        let ring = try zoned(["a", "a", "a", "a", "a", "b", "c"])
        var sameZoneWithoutRule = 0
        for number in 0..<20_000 {
            let copies = ring.replicaIndices(of: "\(number)", count: 3)
            if Set(copies.map { ring.nodes[$0].zone }).count != 3 { Issue.record("\(number): \(copies)") }
            if copies[0] != ring.ownerIndex(of: "\(number)") { Issue.record("\(number): \(copies)") }
            let next = nextDistinct(ring, ring.position(of: "\(number)"), 3)
            if next.count(where: { Int($0.dropFirst())! < 5 }) > 1 { sameZoneWithoutRule += 1 }
        }
        #expect(sameZoneWithoutRule > 10_000, "the case is of use only if the rule is needed")
    }

    @Test("when zones run out, those passed over follow in the order of the ring, and then what comes next")
    func moreThanZones() throws {
        let ring = try zoned(["a", "a", "a", "b", "b", nil, nil], virtualNodes: 5)
        for key in randomKeys(500, seed: 9) {
            let order = nextDistinct(ring, ring.position(of: key), 7)
            for count in 1...7 {
                var chosen: [String] = []
                var zones: Set<String> = []
                for name in order where chosen.count < count {
                    let zone = ring.nodes[Int(name.dropFirst())!].zone ?? "alone:\(name)"
                    if zones.insert(zone).inserted { chosen.append(name) }
                }
                for name in order where chosen.count < count && !chosen.contains(name) { chosen.append(name) }
                #expect(ring.replicas(of: key, count: count) == chosen)
            }
        }
    }
}
