import HashRingEngine
import Testing

/// The README's example of the library, compiled and run. What stands between the marks is what the README shows.
@Suite("The library as another package uses it")
struct UsageTests {
    @Test("the example does what it says")
    func example() throws {
        var printed: [String] = []
        func print(_ text: Any) { printed.append("\(text)") }

        // README begins
        var ring = HashRing(scheme: .labels(.xxh64))
        for name in ["cache-1", "cache-2", "cache-3"] {
            try ring.add(RingNode(name, virtualNodes: 150, zone: name == "cache-3" ? "west" : "east"))
        }
        print(ring.owner(of: "user:123")!)  // where the key is
        print(ring.replicas(of: "user:123", count: 2))  // two nodes, in different zones

        var larger = ring
        try larger.add(RingNode("cache-4", weight: 2))  // what would that move?
        let movement = Movement(from: ring, to: larger)
        print(movement.fraction)  // exactly, not from a sample
        print(movement.ranges.allSatisfy { $0.to == "cache-4" })  // nothing between the others
        ring = larger

        var bounded = BoundedLoadRing(ring, factorPercent: 125)  // nobody a quarter above the mean
        let node = bounded.assign("user:123")!
        bounded.release(node)
        print(JumpHash.bucket(of: ring.position(of: "user:123"), buckets: 10))
        // README ends

        #expect(printed.count == 5)
        #expect(printed[0].hasPrefix("cache-"))
        #expect(printed[1].contains("cache-3"))
        #expect(abs(Double(printed[2])! - 0.4) < 0.1)
        #expect(printed[3] == "true")
        #expect((0..<10).contains(Int(printed[4])!))
    }
}
