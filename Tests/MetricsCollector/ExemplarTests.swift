import KernelStorage
import KernelStructures
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// The buffer of exemplars, by Prometheus's rules.
@Suite struct ExemplarTests {
    private func exemplar(_ series: String, _ trace: String, at time: Int64, value: Double = 1) -> Exemplar {
        Exemplar(
            series: Labels([("__name__", series)]), labels: Labels([("trace_id", trace)]), value: value,
            timestamp: time)
    }

    private func found(_ ring: ExemplarRing, _ name: String = "", _ range: ClosedRange<Int64> = 0...1_000) -> [String] {
        let matchers: [LabelMatcher] = name.isEmpty ? [] : [.equal("__name__", name)]
        return ring.select([matchers], range).flatMap { $0.1 }.map { $0.labels["trace_id"] }
    }

    @Test func itHoldsTheNewestAndNoMore() {
        var ring = ExemplarRing(limit: 3)
        for number in 1...7 { ring.add(exemplar(number % 2 == 0 ? "a" : "b", "\(number)", at: Int64(number))) }
        #expect(ring.count == 3 && found(ring) == ["6", "5", "7"])
        #expect(found(ring, "a") == ["6"] && found(ring, "b") == ["5", "7"] && found(ring, "c").isEmpty)
        #expect(found(ring, "b", 6...1_000) == ["7"])
    }

    @Test func whatWasThereAlreadyIsNotAddedAgain() {
        var ring = ExemplarRing(limit: 10)
        ring.add(exemplar("a", "1", at: 5))
        // A page shows the same one until its bucket gets another.
        ring.add(exemplar("a", "1", at: 5))
        #expect(found(ring) == ["1"])
        // Older than the last of its series: a target that was started again, or a clock that was set back.
        ring.add(exemplar("a", "2", at: 4))
        ring.add(exemplar("b", "3", at: 4))
        ring.add(exemplar("a", "4", at: 5, value: 2))
        #expect(found(ring) == ["1", "4", "3"])
    }

    /// Through the log, and through the checkpoint that takes its place when the head is cut.
    @Test func theySurviveARestart() throws {
        let disk = SimulatedDisk()
        func open() throws -> TimeSeriesStore {
            var settings = StoreSettings()
            settings.exemplarLimit = 40
            return try TimeSeriesStore(
                settings: settings, disk: NodeDisk(base: disk, owner: DiskOwner(1)), directory: "/data",
                random: SeededRandom(seed: 3))
        }
        var store = try open()
        for step in 0..<1000 {
            let time = 1_700_000_000_000 + Int64(step) * 30_000
            for name in ["a", "b"] { try store.append(["__name__": name], time, Double(step)) }
            let names = step % 3 == 0 ? ["a", "a", "nobody"] : ["b"]
            store.add(names.map { exemplar($0, "\(step)", at: time, value: Double(step)) })
            if step % 100 == 0 {
                while store.maintain(now: time) {}
                try store.sync()
            }
        }
        #expect(store.statistics.cutBlocks > 1 && store.exemplars.count == 40)
        let kept = store.exemplars.inOrder.filter { $0.series["__name__"] != "nobody" }
        #expect(kept.count > 25)
        try store.sync()
        _ = disk.losePower(owner: DiskOwner(1), policy: .dropAll)
        for _ in 0..<2 {
            store = try open()
            // Of a series that was never there nothing is kept.
            #expect(store.problems == [] && store.exemplars.inOrder.suffix(kept.count) == kept[...])
            #expect(store.exemplars.inOrder.allSatisfy { $0.series["__name__"] != "nobody" })
            try store.close()
        }
    }

    @Test func labelsAreNoLongerThanOpenMetricsAllows() {
        var ring = ExemplarRing(limit: 10)
        let room = Exemplar.labelLengthLimit - "trace_id".count
        ring.add(exemplar("a", String(repeating: "x", count: room + 1), at: 1))
        #expect(ring.count == 0)
        // Characters, not bytes.
        ring.add(exemplar("a", String(repeating: "é", count: room), at: 1))
        #expect(ring.count == 1)
    }
}
