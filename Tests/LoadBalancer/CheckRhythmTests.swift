import KernelStructures
import LoadBalancerEngine
import TestSupport
import Testing

/// Checks must not come in volleys: a hundred at one moment are a load of their own, and a server that is slow to
/// answer one is slow at the moment when all others are asked, too.
@Suite("The rhythm of health checks")
struct CheckRhythmTests {
    private let start = LabTime.documentedEpoch

    private func configuration(_ names: Range<Int>, interval: LabDuration = .seconds(5), jitter: Int = 0)
        -> LoadBalancerConfiguration
    {
        var configuration = LoadBalancerConfiguration(
            backends: names.map { .init(name: "s\($0)", destination: HostPort(host: "h\($0)", port: 80)) })
        configuration.healthCheck.interval = interval
        configuration.healthCheck.timeout = .milliseconds(100)
        configuration.healthCheck.jitterPercent = jitter
        return configuration
    }

    /// The times of the probes that begin until `end`, each of which passes at once.
    private func probes(_ engine: inout LoadBalancer, from begin: LabTime, until end: LabTime) -> [LabTime] {
        var times: [LabTime] = []
        while let deadline = engine.nextDeadline, deadline < end {
            let now = max(deadline, begin)
            for case .probe(let server, let number) in engine.tick(now: now) {
                times.append(now)
                _ = engine.probeFinished(server: server, number: number, .passed, now: now)
            }
        }
        return times
    }

    /// The most that begin within 100 ms of one another.
    private func most(_ times: [LabTime]) -> Int {
        let sorted = times.sorted()
        var first = 0
        return sorted.indices.map { last in
            while sorted[last] - sorted[first] >= .milliseconds(100) { first += 1 }
            return last - first + 1
        }.max() ?? 0
    }

    // @covers LB-C2 LB-H3
    @Test("fifty servers at an interval of 5 s are one probe each 100 ms, from the first second on")
    func spread() {
        var engine = LoadBalancer(configuration(0..<50), now: start)
        let times = probes(&engine, from: start, until: start + .seconds(60))
        #expect(times.count >= 50 * 11 && times.count <= 50 * 12)
        #expect(most(times) == 1)
    }

    @Test("servers that a reload adds are spread as well, and those that stay keep their rhythm")
    func added() {
        var engine = LoadBalancer(configuration(0..<50), now: start)
        let before = probes(&engine, from: start, until: start + .seconds(10))
        let now = start + .seconds(10)
        _ = engine.reload(configuration(0..<100), now: now)
        let times = probes(&engine, from: now, until: now + .seconds(60))
        #expect(most(before) == 1 && most(times) <= 2)
        #expect(times.count >= 100 * 11)
    }

    @Test("a shorter interval takes effect at once and brings no volley")
    func shorter() {
        var engine = LoadBalancer(configuration(0..<100, interval: .seconds(60)), now: start)
        _ = probes(&engine, from: start, until: start + .seconds(60))
        let now = start + .seconds(60)
        _ = engine.reload(configuration(0..<100, interval: .seconds(1)), now: now)
        let times = probes(&engine, from: now, until: now + .seconds(10))
        // A hundred a second are ten each 100 ms.
        #expect(times.count >= 100 * 9)
        #expect(most(times) <= 12)
    }

    @Test("after a minute of standing still all are due at once, and then the distance between them is as before")
    func heldUp() {
        var engine = LoadBalancer(configuration(0..<50), now: start)
        _ = probes(&engine, from: start, until: start + .seconds(10))
        let now = start + .seconds(70) + .milliseconds(33)
        let times = probes(&engine, from: now, until: now + .seconds(30))
        let later = times.filter { $0 > now }
        #expect(times.count - later.count == 50)
        #expect(later.count >= 50 * 5 && most(later) <= 2)
    }

    @Test("balancers that start together with jitter do not ask a server together")
    func manyBalancers() {
        var times: [LabTime] = []
        for seed in 1...100 as ClosedRange<UInt64> {
            var engine = LoadBalancer(
                configuration(0..<1, interval: .seconds(10), jitter: 50), now: start, random: SeededRandom(seed: seed))
            times += probes(&engine, from: start, until: start + .seconds(60))
        }
        // On average one each 100 ms; without jitter it would be a hundred at once, for ever.
        #expect(most(times) <= 10, "\(most(times))")
    }
}
