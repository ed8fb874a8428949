import HashRingEngine
import KernelStructures

/// Finding a key's node, by algorithm. Ten nodes; a ring has 150 virtual nodes for each. `scripts/bench.d/ring.py`
/// measures uhashring at the same.
let hashRingBenchmarks: [Benchmark] =
    [
        lookup("ring lookup by position", .labels(.xxh64), barNanoseconds: 100) { ring, _, positions in
            { index in keep(ring.ownerIndex(at: positions[index & 4095])) }
        },
        lookup("ring lookup, xxh64 of the key", .labels(.xxh64), barNanoseconds: 100, byKey),
        lookup("ring lookup, murmur3 of the key", .labels(.murmur3), barNanoseconds: 100, byKey),
        lookup("ring lookup, md5 of the key", .labels(.md5), byKey),
        lookup("ring lookup, ketama", .ketama, byKey),
        lookup("ring lookup, name of the owner", .labels(.xxh64), barNanoseconds: 100) { ring, keys, _ in
            { index in keep(ring.owner(of: keys[index & 4095])) }
        },
        // The array that holds them.
        lookup("three replicas", .labels(.xxh64), barAllocations: 1) { ring, _, positions in
            { index in keep(ring.replicaIndices(at: positions[index & 4095], count: 3)) }
        },
        each("jump, 10 buckets", barNanoseconds: 20) { position in keep(JumpHash.bucket(of: position, buckets: 10)) },
        each("jump, 1000 buckets") { position in keep(JumpHash.bucket(of: position, buckets: 1000)) },
    ] + [
        Benchmark("ring", "Maglev lookup by position") {
            let table = MaglevTable(members: tenNodes.map { (stableHash($0.name), 1) })
            let positions = somePositions
            return { count, _ in
                for index in 0..<count { keep(table.ownerIndex(at: positions[index & 4095])) }
            }
        },
        Benchmark("ring", "rendezvous lookup by position") {
            let auction = RendezvousHash(tenNodes)
            let positions = somePositions
            return { count, _ in
                for index in 0..<count { keep(auction.ownerIndex(at: positions[index & 4095])) }
            }
        },
        Benchmark("ring", "bounded: assign and release", barAllocations: 0.01) {
            let positions = somePositions
            return { count, _ in
                var ring = BoundedLoadRing(try! HashRing(tenNodes, scheme: .labels(.xxh64)))
                for index in 0..<count { ring.release(ring.assign(at: positions[index & 4095])!) }
            }
        },
        Benchmark("ring", "Maglev build, 65537 seats", barNanoseconds: 20_000_000, barAllocations: 10, threads: [1]) {
            return { count, _ in
                let members = tenNodes.map { (stableHash($0.name), 1) }
                for _ in 0..<count { keep(MaglevTable(members: members)) }
            }
        },
        Benchmark("ring", "ring build, 10 × 150", barAllocations: 100, threads: [1]) {
            return { count, _ in
                for _ in 0..<count { keep(try! HashRing(tenNodes, scheme: .labels(.xxh64))) }
            }
        },
        Benchmark("ring", "exact movement of one more node", barAllocations: 100, threads: [1]) {
            let before = try! HashRing(tenNodes, scheme: .labels(.xxh64))
            var after = before
            try! after.add(RingNode("node-10"))
            let larger = after
            return { count, _ in for _ in 0..<count { keep(Movement(from: before, to: larger)) } }
        },
    ]

private let tenNodes = (0..<10).map { RingNode("node-\($0)") }
private let someKeys = (0..<4096).map { "user:\($0)" }
private let somePositions = someKeys.map { RingHash.xxh64.position(of: $0) }

private let byKey: @Sendable (HashRing, [String], [UInt64]) -> (Int) -> Void = { ring, keys, _ in
    { index in keep(ring.ownerIndex(of: keys[index & 4095])) }
}

private func lookup(
    _ name: String, _ scheme: HashRing.Scheme, barNanoseconds: Double? = nil, barAllocations: Double = 0,
    _ operation: @escaping @Sendable (HashRing, [String], [UInt64]) -> (Int) -> Void
) -> Benchmark {
    Benchmark("ring", name, barNanoseconds: barNanoseconds, barAllocations: barAllocations) {
        let nodes = tenNodes.map { RingNode($0.name, virtualNodes: scheme == .ketama ? 160 : 150) }
        let perform = operation(try! HashRing(nodes, scheme: scheme), someKeys, somePositions)
        return { count, _ in for index in 0..<count { perform(index) } }
    }
}

private func each(
    _ name: String, barNanoseconds: Double? = nil, _ operation: @escaping @Sendable (UInt64) -> Void
) -> Benchmark {
    Benchmark("ring", name, barNanoseconds: barNanoseconds) {
        let positions = somePositions
        return { count, _ in for index in 0..<count { operation(positions[index & 4095]) } }
    }
}
