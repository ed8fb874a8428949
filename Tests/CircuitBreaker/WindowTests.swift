import CircuitBreakerEngine
import KernelStructures
import Testing

/// The rings against the plain lists that they stand for.
@Suite struct WindowTests {
    private func randomCall(_ random: inout SeededRandom) -> RecordedCall {
        RecordedCall(rawValue: UInt8(random.below(4)))
    }

    private func tally(_ calls: some Sequence<RecordedCall>) -> Tally {
        calls.reduce(into: Tally()) { $0.add($1) }
    }

    @Test("COUNT_BASED is the last N calls, at any moment", arguments: [1, 2, 3, 10, 64])
    func countWindow(size: Int) {
        var random = SeededRandom(seed: UInt64(size))
        var window = CountWindow(size: size)
        var all: [RecordedCall] = []
        for _ in 0..<1000 {
            let call = randomCall(&random)
            window.record(call)
            all.append(call)
            #expect(window.tally == tally(all.suffix(size)))
            #expect(window.calls == Array(all.suffix(size)))
        }
    }

    @Test("a sum is what its calls are: failures, slow ones, and both at once")
    func sums() {
        let sum = tally([[], .failed, .slow, [.failed, .slow], [.failed, .slow]])
        #expect([sum.calls, sum.failures, sum.successes, sum.slowCalls, sum.slowFailures] == [5, 3, 2, 3, 2])
        #expect(sum.failureRate == 60)
        #expect(sum.slowCallRate == 60)
        #expect(Tally().failureRate == 0)
    }

    @Test("TIME_BASED is the calls of the last N seconds of the clock, at any moment", arguments: [1, 2, 5, 60])
    func timeWindow(size: Int) {
        var random = SeededRandom(seed: UInt64(size))
        var now = LabTime.documentedEpoch
        var window = TimeWindow(size: size, now: now)
        var all: [(second: Int64, call: RecordedCall)] = []
        for _ in 0..<2000 {
            // Mostly close together, sometimes a pause longer than the window.
            let pause = random.below(20) == 0 ? random.below(3000 * size) : random.below(400)
            now = now + .milliseconds(pause)
            if random.below(4) > 0 {
                let call = randomCall(&random)
                window.record(call, now: now)
                all.append((now.unixSeconds, call))
            }
            let expected = all.filter { now.unixSeconds - $0.second < Int64(size) }.map(\.call)
            #expect(window.tally(now: now) == tally(expected))
        }
    }

    @Test("a clock that goes back loses nothing and revives nothing")
    func clockGoesBack() {
        let start = LabTime.documentedEpoch
        var window = TimeWindow(size: 3, now: start)
        window.record(.failed, now: start + .seconds(10))
        window.record(.failed, now: start)
        #expect(window.tally(now: start + .seconds(12)).failures == 2)
        #expect(window.tally(now: start + .seconds(5)).failures == 2)
        #expect(window.tally(now: start + .seconds(13)).failures == 0)
    }

    @Test("successes that are added late count in the second in which they were, and leave with it")
    func addedLate() {
        let start = LabTime.documentedEpoch
        var window = TimeWindow(size: 3, now: start)
        window.record([], now: start + .seconds(2))
        window.add(successes: 4, second: start.unixSeconds)
        window.add(successes: 8, second: (start + .seconds(1)).unixSeconds)
        let calls = (2...5).map { window.tally(now: start + .seconds($0)).calls }
        #expect(calls == [13, 9, 1, 0])
        window.add(successes: 16, second: start.unixSeconds - 1)
        #expect(window.tally(now: start + .seconds(2)).calls == 13, "a second that has left")
    }

    @Test("a window of another size keeps the newest calls that fit", arguments: [(5, 3), (3, 5), (4, 4), (1, 7)])
    func resizing(from: Int, to: Int) {
        var random = SeededRandom(seed: 3)
        var window = CountWindow(size: from)
        var all: [RecordedCall] = []
        for _ in 0..<20 {
            let call = randomCall(&random)
            window.record(call)
            all.append(call)
            var resized = window.resized(to: to)
            var expected = Array(all.suffix(from).suffix(to))
            #expect(resized.calls == expected)
            resized.record(.failed)
            expected.append(.failed)
            #expect(resized.tally == tally(expected.suffix(to)))
        }
    }

    @Test(
        "seconds that stay in a resized window leave it when their time has come", arguments: [(5, 3), (3, 5), (1, 4)])
    func resizingSeconds(from: Int, to: Int) {
        let start = LabTime.documentedEpoch
        var window = TimeWindow(size: from, now: start)
        for second in 0..<8 {
            for _ in 0...second { window.record(.failed, now: start + .seconds(second)) }
        }
        let resized = window.resized(to: to)
        for age in 0..<10 {
            let now = 7 + age
            let first = max(8 - from, now - to + 1)
            let expected = first <= 7 ? (first...7).reduce(0) { $0 + $1 + 1 } : 0
            #expect(resized.tally(now: start + .seconds(now)).failures == expected, "\(age) s later")
        }
    }
}
