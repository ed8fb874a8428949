import CacheLayerEngine
import KernelStructures
import Testing

/// No more entries, and no heavier, than was agreed; and who has to go.
@Suite struct TableTests {
    @Test("bounds hold after anything, and the index agrees with the queue")
    func bounds() {
        for seed in UInt64(0)..<20 {
            var random = SeededRandom(seed: seed)
            var layer = makeLayer(extras: Extras(weigh: { ($0 as? Number)?.value ?? 0 }), seed: seed) {
                $0.maximumEntries = 20
                $0.maximumWeight = 100
            }
            for step in 0..<400 {
                let key = "\(random.below(60))"
                let now = LabTime.at(Double(step) / 10)
                switch random.below(6) {
                case 0: layer.invalidate(key, now: now)
                case 1: layer.put(key, Number(random.below(120)), now: now)
                case 2 where random.chance(0.02): layer.invalidateAll(now: now)
                default: _ = layer.get(key, now: now) { _ in .value(Number(random.below(20))) }
                }
                #expect(layer.brokenInvariants == [])
            }
            #expect(layer.counters.evictions > 0)
        }
    }

    @Test("what is read stays, what is not goes, and a scan does not push the others out")
    func scan() {
        var layer = makeLayer { $0.maximumEntries = 100 }
        for index in 0..<100 { layer.put("hot \(index)", Number(index), now: .at(0)) }
        for index in 0..<50 { #expect(layer.fresh("hot \(index)", now: .at(0)) != nil) }
        for index in 0..<1_000 {
            layer.put("scan \(index)", Number(index), now: .at(1))
            if index % 10 == 0 { for hot in 0..<50 { _ = layer.fresh("hot \(hot)", now: .at(1)) } }
        }
        #expect((0..<50).allSatisfy { layer.fresh("hot \($0)", now: .at(1)) != nil })
        #expect((50..<100).allSatisfy { layer.fresh("hot \($0)", now: .at(1)) == nil })
    }

    @Test("one that is heavier than all may be is not kept, and its predecessor neither")
    func tooHeavy() {
        var layer = makeLayer(extras: Extras(weigh: { ($0 as? Number)?.value ?? 0 })) { $0.maximumWeight = 10 }
        layer.put("a", Number(5), now: .at(0))
        layer.put("a", Number(11), now: .at(0))
        #expect(layer.fresh("a", now: .at(0)) == nil)
        #expect(layer.totalWeight == 0)
    }
}
