import HashRingEngine
import KernelStructures
import Testing

/// How many virtual nodes, and what hot keys do.
@Suite struct StudyTests {
    @Test(
        "the advised number is the least for which chance keeps the deviation", arguments: [0.01, 0.05, 0.2],
        [2, 5, 50])
    func least(deviation: Double, nodes: Int) throws {
        let advice = try RingAdvice(
            (1...nodes).map { "node-\($0)" }, deviation: deviation, scheme: .labels(.xxh64))
        let count = advice.virtualNodes
        #expect(Ownership.expectedDeviation(nodes: nodes, virtualNodes: count) <= deviation)
        #expect(count == 1 || Ownership.expectedDeviation(nodes: nodes, virtualNodes: count - 1) > deviation)
        #expect(advice.rows.contains { $0.virtualNodes == count } && advice.rows.count <= 4)
    }

    @Test("what is measured is near what chance promises, and is left out where the ring would be too large")
    func measured() throws {
        let advice = try RingAdvice((0..<20).map { "cache-\($0)" }, deviation: 0.05, scheme: .labels(.md5))
        for row in advice.rows {
            let measured = try #require(row.measuredDeviation)
            #expect(measured > row.expectedDeviation / 2 && measured < row.expectedDeviation * 2)
        }
        let ketama = try RingAdvice((0..<5).map { "k\($0)" }, deviation: 0.07, scheme: .ketama)
        #expect(ketama.rows.allSatisfy { $0.virtualNodes % 4 == 0 && $0.measuredDeviation != nil })
        let large = try RingAdvice((0..<1000).map { "n\($0)" }, deviation: 0.001, scheme: .labels(.xxh64))
        #expect(large.virtualNodes > 900_000 && large.rows.allSatisfy { $0.measuredDeviation == nil })
    }

    private func hot(_ change: (inout HotKeys.Settings) -> Void = { _ in }) throws -> HotKeys {
        var settings = HotKeys.Settings()
        settings.requests = 50_000
        change(&settings)
        return try HotKeys(try HashRing(members(10), scheme: .labels(.xxh64)), settings)
    }

    @Test("by Zipf the hottest key has its share, and its node is the busiest; the bound holds, at a price")
    func zipf() throws {
        let keys = try hot()
        // 1 / H(10,000) = 0.1022.
        #expect(abs(keys.hottestShare - 0.1022) < fourSigma(share: 0.1022, of: 50_000))
        #expect(keys.ring.peakToMean > 1.5 && keys.ring.elsewhere == 0 && keys.ring.nodesOfHottest == 1)
        #expect(keys.bounded.peakToMean <= 1.2501 && keys.bounded.elsewhere > 0.01 && keys.bounded.elsewhere < 0.5)
        let hotter = try hot { $0.skewPercent = 200 }
        #expect(hotter.ring.peakToMean > 6 && hotter.bounded.nodesOfHottest > 1 && hotter.bounded.peakToMean <= 1.2501)
    }

    @Test("keys that are all alike need no bound")
    func even() throws {
        let keys = try hot { $0.skewPercent = 0 }
        #expect(keys.hottestShare < 0.002 && keys.ring.peakToMean < 1.4)
        #expect(throws: RingError.empty) { try HotKeys(HashRing(scheme: .labels(.md5)), .init()) }
    }

    @Test("the least of everything is no trap")
    func least() throws {
        let one = try hot {
            $0.keys = 1; $0.requests = 1; $0.skewPercent = 300; $0.boundPercent = 101
        }
        #expect(one.hottestShare == 1 && one.ring.busiestShare == 1)
    }
}
