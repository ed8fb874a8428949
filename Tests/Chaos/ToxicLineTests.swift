import ChaosEngine
import KernelStructures
import TestSupport
import Testing

@Suite("Toxics")
struct ToxicLineTests {
    /// A line, and what has come out of it by when.
    private struct Bench {
        var line: ToxicLine
        var now = LabTime.documentedEpoch
        private(set) var received: [UInt8] = []
        private(set) var pieces: [(at: LabDuration, count: Int)] = []
        private(set) var last: ToxicLine.Output?

        init(_ toxics: [Toxic], seed: UInt64 = 1) {
            line = ToxicLine(toxics, SeededRandom(seed: seed), now: .documentedEpoch)
        }

        mutating func collect() {
            for output in line.advance(to: now) {
                switch output {
                case .bytes(let bytes):
                    received += bytes
                    pieces.append((now - .documentedEpoch, bytes.count))
                case .end, .close, .reset: last = output
                }
            }
        }

        mutating func run(until limit: LabDuration) {
            let end = LabTime.documentedEpoch + limit
            collect()
            while let due = line.nextDue, due <= end {
                now = max(now, due)
                collect()
            }
            now = max(now, end)
        }
    }

    @Test("latency delays each piece by itself, and keeps the order under jitter")
    func latency() {
        var bench = Bench([Toxic(.latency, ["latency": 100, "jitter": 50])])
        var sent: [UInt8] = []
        for index in 0..<200 {
            let bytes = [UInt8(truncatingIfNeeded: index), 7]
            sent += bytes
            bench.line.push(bytes, now: bench.now)
            bench.run(until: .milliseconds(index))
        }
        bench.line.pushEnd(now: bench.now)
        bench.run(until: .seconds(10))
        #expect(bench.received == sent)
        #expect(bench.last == .end)
        // Not one after the other: the last one, sent after 199 ms, is there 150 ms later at most.
        #expect(bench.pieces.last.map { $0.at <= .milliseconds(349 + 1) } ?? false)
        #expect(bench.pieces[0].at >= .milliseconds(50) && bench.pieces[0].at <= .milliseconds(150))
    }

    // Toy: a fault that sleeps in the handler serves one connection after the other.
    @Test("fifty connections are late together, not in a row")
    func parallel() {
        for index in 0..<50 {
            var bench = Bench([Toxic(.latency, ["latency": 100])], seed: UInt64(index))
            bench.line.push([1], now: bench.now)
            bench.run(until: .seconds(1))
            #expect(bench.pieces.map(\.at) == [.milliseconds(100)])
        }
    }

    @Test("bandwidth lets so many kilobytes a second pass")
    func bandwidth() {
        var bench = Bench([Toxic(.bandwidth, ["rate": 100])])
        bench.line.push([UInt8](repeating: 1, count: 200_000), now: bench.now)
        bench.run(until: .seconds(1))
        #expect(abs(bench.received.count - 100_000) <= 10_000)
        bench.run(until: .milliseconds(2001))
        #expect(bench.received.count == 200_000)
        var stopped = Bench([Toxic(.bandwidth, ["rate": 0])])
        stopped.line.push([1], now: stopped.now)
        stopped.run(until: .seconds(3600))
        #expect(stopped.received.isEmpty)
        stopped.line.change(to: [], now: stopped.now)
        stopped.run(until: .seconds(3600))
        #expect(stopped.received == [1])
    }

    @Test("slow_close delays the end alone")
    func slowClose() {
        var bench = Bench([Toxic(.slowClose, ["delay": 5000])])
        bench.line.push([1], now: bench.now)
        bench.line.pushEnd(now: bench.now)
        bench.run(until: .seconds(4))
        #expect(bench.received == [1] && bench.last == nil)
        bench.run(until: .seconds(5))
        #expect(bench.last == .end)
    }

    @Test("timeout swallows everything and closes, or waits for its end")
    func timeout() {
        var bench = Bench([Toxic(.timeout, ["timeout": 1000])])
        bench.line.push([1], now: bench.now)
        bench.run(until: .milliseconds(999))
        #expect(bench.received.isEmpty && bench.last == nil)
        bench.run(until: .seconds(1))
        #expect(bench.last == .close)
        var open = Bench([Toxic(.timeout, ["timeout": 0])])
        open.line.push([1], now: open.now)
        open.run(until: .seconds(3600))
        #expect(open.last == nil && open.line.byteCount == 0)
        open.line.change(to: [], now: open.now)
        open.run(until: .seconds(3600))
        #expect(open.last == .close)
    }

    @Test("reset_peer resets at once, or later")
    func reset() {
        var bench = Bench([Toxic(.resetPeer)])
        bench.run(until: .zero)
        #expect(bench.last == .reset)
        var later = Bench([Toxic(.resetPeer, ["timeout": 500])])
        later.line.push([1], now: later.now)
        later.run(until: .milliseconds(499))
        #expect(later.received == [1] && later.last == nil)
        later.run(until: .milliseconds(500))
        #expect(later.last == .reset)
    }

    @Test("slicer cuts, and loses nothing")
    func slicer() {
        var bench = Bench([Toxic(.slicer, ["average_size": 64, "size_variation": 32, "delay": 10])])
        let sent = randomBytes(10_000, seed: 4)
        bench.line.push(sent, now: bench.now)
        bench.run(until: .seconds(1))
        #expect(bench.received == sent)
        #expect(bench.pieces.count > 100 && bench.pieces.allSatisfy { $0.count <= 96 })
        #expect(bench.pieces[1].at - bench.pieces[0].at == .microseconds(10))
    }

    @Test("limit_data passes so many bytes and closes")
    func limit() {
        var bench = Bench([Toxic(.limitData, ["bytes": 5])])
        bench.line.push([1, 2, 3], now: bench.now)
        bench.run(until: .zero)
        #expect(bench.last == nil)
        bench.line.push([4, 5, 6], now: bench.now)
        bench.run(until: .zero)
        #expect(bench.received == [1, 2, 3, 4, 5] && bench.last == .close)
    }

    // Toy: toxicity 0 still hurts; chance without a seed.
    @Test("toxicity is the share of the connections: none at 0, all at 1, binomial between, and the seed's doing")
    func toxicity() {
        func late(_ toxicity: Double) -> Int {
            (0..<2000).count { index in
                var bench = Bench([Toxic(.latency, toxicity: toxicity, ["latency": 10])], seed: UInt64(index))
                bench.line.push([1], now: bench.now)
                bench.run(until: .milliseconds(9))
                return bench.received.isEmpty
            }
        }
        #expect(late(0) == 0)
        #expect(late(1) == 2000)
        let share = late(0.3)
        // 4σ of 2000 draws.
        #expect(abs(Double(share) - 600) <= 4 * (2000 * 0.3 * 0.7).squareRoot())
        #expect(late(0.3) == share)
    }

    // Toy: removing a toxic loses or reorders what it holds.
    @Test("whatever is added, changed and removed meanwhile, the bytes arrive as they were sent")
    func changes() {
        for seed in 0..<60 {
            var random = SeededRandom(seed: UInt64(seed))
            var bench = Bench([], seed: UInt64(seed))
            var sent: [UInt8] = []
            var toxics: [Toxic] = []
            var time = LabDuration.zero
            for step in 0..<60 {
                let bytes = (0..<random.below(300)).map { UInt8(truncatingIfNeeded: step &* 31 &+ $0) }
                sent += bytes
                bench.line.push(bytes, now: bench.now)
                switch random.below(4) {
                case 0 where toxics.count < 4:
                    let kind: Toxic.Kind = [.latency, .bandwidth, .slicer, .slowClose][random.below(4)]
                    if !toxics.contains(where: { $0.kind == kind }) {
                        toxics.append(
                            Toxic(
                                kind, toxicity: [0.5, 1][random.below(2)],
                                [
                                    "latency": random.below(200), "jitter": random.below(100), "rate": random.below(50),
                                    "average_size": 1 + random.below(50), "delay": random.below(1000),
                                ]))
                    }
                case 1 where !toxics.isEmpty: toxics.remove(at: random.below(toxics.count))
                case 2 where !toxics.isEmpty:
                    let old = toxics[random.below(toxics.count)]
                    if let index = toxics.firstIndex(of: old) {
                        toxics[index] = Toxic(old.kind, ["latency": 5, "rate": 1000, "average_size": 10, "delay": 1])
                    }
                default: break
                }
                bench.line.change(to: toxics, now: bench.now)
                time += .milliseconds(random.below(50))
                bench.run(until: time)
            }
            bench.line.pushEnd(now: bench.now)
            bench.line.change(to: [], now: bench.now)
            bench.run(until: .seconds(100))
            #expect(bench.received == sent, "seed \(seed)")
            #expect(bench.last == .end)
            #expect(bench.line.byteCount == 0)
        }
    }
}
