import HashRingEngine
import KernelStructures
import TestSupport
import Testing

/// uhashring is somebody else's ketama, in Python.
@Suite("Compatible with ketama", .enabled(if: TestPython.canRun))
struct KetamaTests {
    private static let program = """
        import sys, json
        from uhashring import HashRing
        case = json.load(sys.stdin)
        ring = HashRing(nodes=case['nodes'], hash_fn='ketama')
        print(json.dumps([ring.get_node(k) for k in case['keys']]))
        print(json.dumps([[h, n] for h, n in sorted(ring.runtime._ring.items())]))
        """

    @Test(
        "every point and every key is where uhashring has it",
        arguments: [
            [1], [1, 1, 1], [1, 2, 3], [7, 1, 1, 1, 30], Array(repeating: 1, count: 25),
        ])
    func uhashring(_ weights: [Int]) throws {
        let names = weights.indices.map { "10.0.1.\($0):11211" }
        let keys = randomKeys(3000, seed: UInt64(weights.count))
        let nodes = zip(names, weights).map { "\"\($0)\": {\"weight\": \($1), \"vnodes\": 40}" }.joined(separator: ",")
        let quoted = keys.map { "\"\($0)\"" }.joined(separator: ",")
        let answer = try TestPython.run(Self.program, input: "{\"nodes\": {\(nodes)}, \"keys\": [\(quoted)]}")
            .split(separator: "\n")
        let ring = try HashRing(
            zip(names, weights).map { RingNode($0, virtualNodes: 160, weight: $1) }, scheme: .ketama)
        let owners = try ring.ownerIndices(of: keys).map { "\"\(names[$0])\"" }
        #expect("[" + owners.joined(separator: ", ") + "]" == answer[0])
        // Of points at one place, uhashring keeps one; the cases have none.
        #expect(Set(ring.positions).count == ring.pointCount)
        let points = ring.positions.indices.map { index in
            "[\(ring.positions[index] >> 32), \"\(ring.label(ofPoint: index).node)\"]"
        }
        #expect("[" + points.joined(separator: ", ") + "]" == answer[1])
    }
}
