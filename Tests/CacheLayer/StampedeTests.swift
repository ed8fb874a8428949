import CacheLayerEngine
import KernelStructures
import Testing

/// What many readers do to a source.
@Suite struct StampedeTests {
    @Test("ten thousand readers across the end of an entry: two loads at most, and with XFetch nobody waits")
    func tenThousandReaders() {
        // @covers CL-C5 CL-H1
        var settings = StampedeReplay.Settings()
        settings.ttl = .seconds(10)
        settings.loadDuration = .milliseconds(100)
        // From one second before the end of the first entry to one second after.
        let arrivals =
            [LabTime(nanoseconds: 0)]
            + (0..<10_000).map { LabTime(nanoseconds: 9_000_000_000 + Int64($0) * 200_000) }
        let results = StampedeReplay.run(arrivals, settings)
        func of(_ protection: StampedeReplay.Protection) -> StampedeReplay.Result {
            results.first { $0.protection == protection }!
        }
        #expect(of(.none).loads > 400)
        #expect(of(.lock).loads == 2)
        #expect(of(.lock).waited > 400)
        #expect(of(.xfetch).loads <= 3, "the first, and those across the end")
        #expect(of(.xfetch).waited == 0)
        #expect(results.allSatisfy { $0.cold == 1 }, "only the very first")
        #expect(of(.revalidate).loads == 2)
        #expect(of(.revalidate).waited == 0)
        #expect(of(.revalidate).staleAnswers > 400)
    }

    @Test("ten thousand entries made in one second end over two tenths of their time, not in one second")
    func cliff() {
        // @covers CL-H4 CL-M4
        func peak(jitter: Double) -> Int {
            var layer = makeLayer {
                $0.ttl = .seconds(100)
                $0.jitter = jitter
                $0.maximumEntries = 20_000
            }
            for index in 0..<10_000 { _ = layer.get("\(index)", now: .at(0)) { _ in .value(Number(1)) } }
            var peak = 0
            for second in stride(from: 85.0, through: 115, by: 1) {
                let before = layer.counters.loads
                for index in 0..<10_000 { _ = layer.get("\(index)", now: .at(second)) { _ in .value(Number(1)) } }
                peak = max(peak, layer.counters.loads - before)
            }
            return peak
        }
        #expect(peak(jitter: 0) == 10_000)
        #expect((400...700).contains(peak(jitter: 0.1)), "500 a second on average")
    }

    @Test("a jittered time stays within its share, whatever the share and the time")
    func jitter() {
        var random = SeededRandom(seed: 1)
        for share in [0, 0.1, 1, 7] {
            for ttl in [LabDuration(nanoseconds: 1), .seconds(600), .infinite] {
                let jittered = EarlyExpiration.jittered(ttl, by: share, random: &random)
                #expect(jittered > .zero)
                #expect(jittered.seconds <= ttl.seconds * 2.001)
            }
        }
    }

    @Test("early loads come more often the nearer the end is, and never far from it")
    func early() {
        var random = SeededRandom(seed: 1)
        func share(_ before: Double) -> Double {
            let count = 20_000
            var early = 0
            for _ in 0..<count
            where EarlyExpiration.isTime(
                .at(100), duration: .seconds(1), beta: 1, now: .at(100 - before), chance: random.unit())
            {
                early += 1
            }
            return Double(early) / Double(count)
        }
        // P(−ln u ≥ t) = e^−t.
        #expect(abs(share(1) - 0.368) < 0.02)
        #expect(abs(share(2) - 0.135) < 0.02)
        #expect(share(EarlyExpiration.window(duration: .seconds(1), beta: 1).seconds) == 0)
        #expect(EarlyExpiration.isTime(.at(1), duration: .zero, beta: 1, now: .at(1), chance: 0))
        #expect(!EarlyExpiration.isTime(.at(1), duration: .infinite, beta: 0, now: .at(0), chance: 1))
    }

    @Test("a cache wins where keys are popular, and loses where they are not, or the source is quick")
    func worth() {
        var settings = CacheWorth.Settings()
        settings.requests = 20_000
        let results = CacheWorth.run(settings)
        #expect(results.filter(\.isWorthIt).map(\.workload.name) == ["popular"])
        #expect(results.allSatisfy { $0.sourceRequestsWith <= $0.sourceRequestsWithout })
    }
}
