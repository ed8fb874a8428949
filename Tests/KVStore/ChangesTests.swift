import KernelStorage
import KernelStructures
import Testing

@testable import KVStoreEngine

/// What was written since a moment, told out of the memtable.
@Suite struct ChangesTests {
    @Test("what is derived from changes is what is derived from everything", arguments: 1...10 as ClosedRange<UInt64>)
    func model(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let bench = Bench()
        try bench.open()
        var known = try (contents: bench.contents(), moment: bench.store.moment)
        var told = 0
        for step in 0..<2000 {
            let key = "key\(random.below(80))"
            if random.chance(0.3) {
                try bench.store.delete(key.utf8)
            } else {
                try bench.store.put(key, "value \(step)")
            }
            if random.chance(0.3) { try bench.store.commit(sync: random.chance(0.3)) }
            if random.chance(0.1) { bench.store.work(budgetByteCount: random.below(4000), now: Bench.time) }
            if random.chance(0.01) { try bench.store.requestCompaction() }
            if random.chance(0.01) {
                bench.node.faults.isFull = true
                #expect(throws: KVStoreError.self) {
                    try bench.store.put(key, "taken back")
                    try bench.store.commit(sync: false)
                }
                bench.node.faults.isFull = false
                #expect(bench.store.resume())
            }
            guard random.chance(0.2) else { continue }
            let isTold = try bench.store.visitChanges(since: known.moment) { key, before, now in
                #expect(before.map { text($0) } == known.contents[text(key)])
                known.contents[text(key)] = now.map { text($0) }
            }
            let contents = try bench.contents()
            if isTold {
                told += 1
                #expect(known.contents == contents, "seed \(seed), step \(step)")
            }
            known = (contents, bench.store.moment)
        }
        #expect(told > 20)
    }

    @Test("what has become a table since cannot be told any more, what became one before can")
    func flushed() throws {
        let bench = Bench()
        let store = try bench.open()
        try store.put("a", "1")
        let early = store.moment
        try store.put("b", "1")
        try store.requestFlush()
        bench.workAll()
        let late = store.moment
        try store.put("a", "2")
        try store.delete("b".utf8)
        #expect(try !store.visitChanges(since: early) { _, _, _ in Issue.record("it knows nothing") })
        var seen: [String] = []
        #expect(
            try store.visitChanges(since: late) { key, before, now in
                seen.append(
                    "\(text(key)): \(before.map { text($0) } ?? "nothing") → \(now.map { text($0) } ?? "nothing")")
            })
        #expect(seen == ["a: 1 → 2", "b: 1 → nothing"])
    }
}
