import HashRingEngine
import KernelStructures
import Testing

@Suite("The ring")
struct HashRingTests {
    // MARK: Look-up

    @Test(
        "a key goes to the first point at or after it; a point's own position is its own; after the last comes the first"
    )
    func borders() {
        let ring = HashRing(tokens: [("a", 100), ("b", 200), ("c", UInt64.max - 5)])
        let expected: [(UInt64, String)] = [
            (0, "a"), (99, "a"), (100, "a"), (101, "b"), (200, "b"), (201, "c"), (.max - 6, "c"), (.max - 5, "c"),
            (.max - 4, "a"), (.max, "a"),
        ]
        for (position, owner) in expected {
            #expect(ring.nodes[ring.ownerIndex(at: position)!].name == owner, "\(position)")
        }
    }

    @Test("points at both ends of the positions: nothing lies beyond them")
    func ends() {
        let ring = HashRing(tokens: [("first", 0), ("last", .max)])
        for (position, owner) in [(0 as UInt64, "first"), (1, "last"), (.max - 1, "last"), (.max, "last")] {
            #expect(ring.nodes[ring.ownerIndex(at: position)!].name == owner)
        }
        #expect(Ownership(ring).lengths == [1, Ownership.whole - 1])
    }

    @Test("every look-up is what the definition says", arguments: [1, 2, 3, 7, 150])
    func definition(_ virtualNodes: Int) throws {
        for scheme in [HashRing.Scheme.labels(.md5), .labels(.xxh64), .labels(.fnv1a)] {
            let ring = try HashRing(members([1, 3, 1, 2], virtualNodes: virtualNodes), scheme: scheme)
            #expect(ring.brokenInvariants == [])
            for key in randomKeys(100, seed: UInt64(virtualNodes)) {
                #expect(ring.owner(of: key) == ownerByDefinition(ring, ring.position(of: key)))
            }
            for position in ring.positions.prefix(50) {
                for near in [position &- 1, position, position &+ 1] {
                    #expect(ring.nodes[ring.ownerIndex(at: near)!].name == ownerByDefinition(ring, near))
                }
            }
        }
    }

    @Test("the search finds the first element that is large enough, in arrays of every size")
    func search() {
        for count in 0...40 {
            let sorted = (0..<count).map { UInt64($0 / 2 * 10) }
            for value in 0..<UInt64(count * 5 + 12) {
                #expect(firstIndex(in: sorted, atOrAfter: value) == sorted.firstIndex { $0 >= value } ?? count)
            }
        }
    }

    @Test("an empty ring has no owner, no copies, and says so")
    func empty() throws {
        var ring = HashRing()
        #expect(ring.owner(of: "x") == nil && ring.replicas(of: "x", count: 3) == [])
        #expect(throws: RingError.empty) { try ring.ownerIndices(of: ["x"]) }
        try ring.add(RingNode("a"))
        try ring.remove("a")
        #expect(ring.isEmpty && ring.pointCount == 0 && ring.owner(of: "x") == nil)
    }

    @Test("many keys at once are each key by itself")
    func batch() throws {
        let ring = try HashRing(members(5))
        let keys = randomKeys(1000, seed: 3)
        #expect(try ring.ownerIndices(of: keys) == keys.map { ring.ownerIndex(of: $0) })
    }

    // MARK: Membership

    @Test("whatever is done to a ring, it is the ring of its members, in whatever order they came", arguments: 1...12)
    func history(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let scheme: HashRing.Scheme = [.labels(.md5), .labels(.murmur3), .ketama][random.below(3)]
        var ring = HashRing(scheme: scheme)
        for step in 0..<40 {
            let name = "node-\(random.below(8))"
            let isThere = ring.nodes.contains { $0.name == name }
            let count = 4 * (1 + random.below(10))
            switch (random.below(3), isThere) {
            case (0, true): try ring.remove(name)
            case (_, true): try ring.reweight(name, weight: 1 + random.below(3), virtualNodes: count)
            default: try ring.add(RingNode(name, virtualNodes: count, weight: 1 + random.below(3)))
            }
            #expect(ring.brokenInvariants == [], "step \(step)")
            let same = try HashRing(ring.nodes.sorted { $0.name > $1.name }, scheme: scheme)
            #expect(same.positions == ring.positions)
            for key in 0..<20 { #expect(same.owner(of: "\(key)") == ring.owner(of: "\(key)")) }
        }
    }

    @Test("of two points at one place the first name has the keys; the other takes over when it leaves")
    func collision() throws {
        for tokens in [[("b", 7 as UInt64), ("a", 7)], [("a", 7), ("b", 7)]] {
            var ring = HashRing(tokens: tokens.map { (node: $0.0, position: $0.1) })
            #expect(ring.brokenInvariants == [])
            #expect(ring.owner(of: "x") == "a")
            let lengths = Dictionary(uniqueKeysWithValues: zip(ring.nodes.map(\.name), Ownership(ring).lengths))
            #expect(lengths == ["a": Ownership.whole, "b": 0])
            #expect(ring.replicas(of: "x", count: 2) == ["a", "b"])
            try ring.remove("a")
            #expect(ring.owner(of: "x") == "b")
        }
    }

    /// "A" with number 11 and "A-1" with number 1 would both be "A-11" if name and number were just written together.
    @Test("no two nodes have a label in common, whatever their names end in")
    func labels() throws {
        var names: [String] = [""]
        for _ in 0..<4 { names += names.flatMap { name in ["A", "-", "1"].map { name + $0 } } }
        let corpus = Set(names).subtracting([""]).sorted()
        #expect(corpus.count == 120)
        let ring = try HashRing(corpus.map { RingNode($0, virtualNodes: 120) })
        #expect(Set(ring.positions).count == corpus.count * 120)
        // And the number goes where the hint says: to "A-1", "A-2" …
        let one = try HashRing([RingNode("A", virtualNodes: 3)])
        #expect(Set(one.positions) == Set(["A-1", "A-2", "A-3"].map { RingHash.md5.position(of: $0) }))
    }

    @Test("a node that is not there cannot be removed, and the error knows which was meant")
    func unknown() throws {
        var ring = try HashRing(members(3))
        let before = ring.positions
        #expect(throws: RingError.unknownNode("node-9", known: ["node-0", "node-1", "node-2"])) {
            try ring.remove("node-9")
        }
        #expect(throws: RingError.unknownNode("nod-1", known: ["node-0", "node-1", "node-2"])) {
            try ring.reweight("nod-1", weight: 2)
        }
        #expect(ring.positions == before)
        let error = RingError.unknownNode("nod-1", known: ["node-0", "node-1"])
        #expect(error.description == "no node 'nod-1' is on the ring; did you mean node-1?")
    }

    @Test("what cannot be is refused, and nothing has changed")
    func refusals() throws {
        var ring = try HashRing(members(2))
        let before = (ring.nodes, ring.positions)
        #expect(throws: RingError.duplicateNode("node-0")) { try ring.add(RingNode("node-0")) }
        let malformed = [
            RingNode(""), RingNode("a\nb"), RingNode(String(repeating: "x", count: 256)), RingNode("a", zone: ""),
            RingNode("a", virtualNodes: 0), RingNode("a", virtualNodes: 65_537), RingNode("a", weight: 0),
            RingNode("a", weight: 257),
        ]
        for node in malformed { #expect(throws: RingError.self, "\(node)") { try ring.add(node) } }
        #expect(throws: RingError.tooManyPoints(65_536 * 16 + 300, limit: HashRing.pointLimit)) {
            try ring.add(RingNode("a", virtualNodes: 65_536, weight: 16))
        }
        #expect(throws: RingError.self) { try ring.reweight("node-0", weight: 0) }
        #expect(ring.nodes == before.0 && ring.positions == before.1)
        var ketama = HashRing(scheme: .ketama)
        #expect(throws: RingError.self) { try ketama.add(RingNode("a", virtualNodes: 150)) }
    }
}
