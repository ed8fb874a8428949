import KernelStructures
import LoadBalancerEngine
import TestSupport
import Testing

/// The engine alone: values in, effects out.
@Suite("The load balancer's decisions")
struct LoadBalancerEngineTests {
    private let start = LabTime.documentedEpoch

    private func engine(_ weights: [Int], _ change: (inout LoadBalancerConfiguration) -> Void = { _ in })
        -> LoadBalancer
    {
        var configuration = LoadBalancerConfiguration(
            backends: weights.enumerated().map {
                .init(
                    name: "\(8081 + $0.offset)",
                    destination: HostPort(host: "localhost", port: UInt16(8081 + $0.offset)), weight: $0.element)
            })
        change(&configuration)
        return LoadBalancer(configuration, now: start)
    }

    private func letters(_ engine: inout LoadBalancer, _ count: Int) -> String {
        (0..<count).map { _ in engine.choose().map { String(UnicodeScalar(UInt8(97 + $0))) } ?? "-" }.joined()
    }

    /// Probes one server until now, with this outcome; the effects of the last one.
    private func probe(_ engine: inout LoadBalancer, _ server: Int, passed: Bool, _ times: Int = 1) -> [LoadBalancer
        .Effect]
    {
        var last: [LoadBalancer.Effect] = []
        for _ in 0..<times {
            var found = false
            while !found {
                let now = engine.nextDeadline!
                for case .probe(let index, let number) in engine.tick(now: now) {
                    let isIt = index == server
                    let effects = engine.probeFinished(
                        server: index, number: number, isIt && !passed ? .failed("status 500") : .passed, now: now)
                    if isIt {
                        last = effects
                        found = true
                    }
                }
            }
        }
        return last
    }

    // @covers LB-B1 LB-M2 LB-H2
    @Test("equal servers take turns", arguments: 1...10)
    func rotation(_ count: Int) {
        var engine = engine(Array(repeating: 1, count: count))
        #expect((0..<count * 5).map { _ in engine.choose() } == (0..<count * 5).map { $0 % count })
    }

    // @covers LB-B1
    @Test("weights 5, 1, 1 give a a b a c a a, again and again")
    func smooth() {
        var engine = engine([5, 1, 1])
        #expect(letters(&engine, 21) == "aabacaaaabacaaaabacaa")
    }

    // @covers LB-M2
    @Test(
        "every server gets exactly its share of each full round, whatever the weights",
        arguments: 1...40 as ClosedRange<UInt64>)
    func shares(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let weights = (0..<random.below(8) + 1).map { _ in random.below(20) + 1 }
        var engine = engine(weights)
        let round = weights.reduce(0, +)
        for _ in 0..<3 {
            var counts = [Int](repeating: 0, count: weights.count)
            var longestRun = 0
            var run = 0
            var last: Int?
            for _ in 0..<round {
                let choice = engine.choose()!
                counts[choice] += 1
                run = choice == last ? run + 1 : 1
                last = choice
                longestRun = max(longestRun, run)
            }
            #expect(counts == weights)
            let others = round - weights.max()!
            if others > 0 { #expect(longestRun <= weights.max()! / (others + 1) + 2, "spread as evenly as can be") }
        }
    }

    @Test("a server that was tried is not chosen again for the same request")
    func excluding() {
        var engine = engine([1, 1, 1])
        var tried: [Int] = []
        for _ in 0..<3 { tried.append(engine.choose(excluding: tried)!) }
        #expect(Set(tried) == [0, 1, 2] && engine.choose(excluding: tried) == nil)
    }

    // @covers LB-M3 LB-C2
    @Test("exactly the configured number of failures in a row takes a server out", arguments: [1, 2, 3, 5, 10])
    func removal(_ limit: Int) {
        var engine = engine([1, 1, 1]) { $0.healthCheck.unhealthyAfter = limit }
        if limit > 1 {
            let effects = probe(&engine, 1, passed: false, limit - 1)
            #expect(engine.servers[1].isInPool && engine.poolSize == 3)
            guard case .log(_, level: .debug)? = effects.first, effects.count == 1 else {
                Issue.record("\(effects)")
                return
            }
        }
        let effects = probe(&engine, 1, passed: false)
        #expect(!engine.servers[1].isInPool && engine.poolSize == 2)
        #expect(
            effects == [
                .log("Backend \("8082") failed health check (\(limit) consecutive failures)", level: .warning),
                .log("Removed \("8082") from pool", level: .warning),
                .changed(server: "8082", from: "up", to: "down", reason: "status 500"),
                .dropIdleConnections(server: 1),
            ])
        #expect(letters(&engine, 6) == "acacac")
        #expect(
            probe(&engine, 1, passed: false, 5).allSatisfy {
                if case .log(_, level: .debug) = $0 { true } else { false }
            }, "it is said once")
    }

    // @covers LB-C2
    @Test("a single good probe starts the count again, and a flapping server never changes state")
    func flapping() {
        var engine = engine([1, 1])
        for _ in 0..<20 {
            _ = probe(&engine, 0, passed: false, 2)
            _ = probe(&engine, 0, passed: true)
            #expect(engine.servers[0].isInPool)
        }
        _ = probe(&engine, 0, passed: false, 3)
        for _ in 0..<20 {
            _ = probe(&engine, 0, passed: true)
            _ = probe(&engine, 0, passed: false)
            #expect(!engine.servers[0].isInPool)
        }
    }

    // @covers LB-C2 LB-M3
    @Test("exactly the configured number of successes in a row brings a server back", arguments: [1, 2, 4])
    func recovery(_ limit: Int) {
        var engine = engine([1, 1, 1]) { $0.healthCheck.healthyAfter = limit }
        _ = probe(&engine, 0, passed: false, 3)
        if limit > 1 {
            #expect(probe(&engine, 0, passed: true, limit - 1) == [])
            #expect(!engine.servers[0].isInPool)
        }
        #expect(
            probe(&engine, 0, passed: true) == [
                .log("Backend \("8081") passed health check (\(limit) consecutive successes)", level: .info),
                .log("Added \("8081") to pool", level: .info),
                .changed(server: "8081", from: "down", to: "up", reason: "health check passed"),
            ])
        let turns = letters(&engine, 30)
        #expect(turns.count { $0 == "a" } == 10 && !turns.contains("aa"), "no burst makes up for the time outside")
    }

    // @covers LB-C3
    @Test("with nobody left there is nobody to choose, and the first to return gets everything")
    func nobody() {
        var engine = engine([1, 2, 3])
        for server in 0..<3 { _ = probe(&engine, server, passed: false, 3) }
        // Those that failed first have had good probes since.
        for server in 0..<3 where engine.servers[server].isInPool { _ = probe(&engine, server, passed: false, 3) }
        while engine.poolSize > 0 { failAll(&engine) }
        engine.requestArrived()
        #expect(engine.choose() == nil)
        engine.unserved()
        #expect(engine.counters.unserved == 1 && engine.counters.requests == 1)
        _ = probe(&engine, 2, passed: true, 2)
        #expect(engine.choose() != nil)
    }

    private func failAll(_ engine: inout LoadBalancer) {
        let now = engine.nextDeadline!
        for case .probe(let server, let number) in engine.tick(now: now) {
            _ = engine.probeFinished(server: server, number: number, .failed("x"), now: now)
        }
    }

    // @covers LB-C2 LB-H3
    @Test("each server is probed once an interval, spread over it")
    func schedule() {
        var engine = engine([1, 1, 1, 1, 1])
        var times: [[Double]] = Array(repeating: [], count: 5)
        while let now = engine.nextDeadline, now < start + .seconds(60) {
            for case .probe(let server, let number) in engine.tick(now: now) {
                times[server].append((now - start).seconds)
                _ = engine.probeFinished(server: server, number: number, .passed, now: now)
            }
        }
        for server in 0..<5 {
            #expect(times[server].first == Double(server + 1))
            #expect(zip(times[server], times[server].dropFirst()).allSatisfy { $1 - $0 == 5 })
            #expect(times[server].count == 12 || times[server].count == 11)
        }
    }

    @Test("a probe under way is not doubled, and an answer that is not its own is ignored")
    func numbers() {
        var engine = engine([1])
        guard case .probe(0, let first)? = engine.tick(now: engine.nextDeadline!).first else {
            Issue.record("no probe")
            return
        }
        #expect(engine.tick(now: engine.nextDeadline!).isEmpty)
        #expect(
            engine.probeFinished(server: 0, number: first + 1, .failed("x"), now: start) == []
                && engine.servers[0].lastProbe == nil
        )
        _ = engine.probeFinished(server: 0, number: first, .failed("x"), now: start)
        #expect(engine.servers[0].lastProbe == .failed("x"))
        #expect(
            engine.probeFinished(server: 0, number: first, .failed("x"), now: start) == [],
            "a second answer to one probe")
        #expect(engine.servers[0].health.streak == 1)
    }

    @Test("a balancer that was held up probes at once and then keeps its interval, without making up for lost time")
    func heldUp() {
        var engine = engine([1])
        let late = start + .seconds(100)
        var count = 0
        while let now = engine.nextDeadline, now <= late + .seconds(11) {
            for case .probe(_, let number) in engine.tick(now: max(now, late)) {
                count += 1
                _ = engine.probeFinished(server: 0, number: number, .passed, now: now)
            }
        }
        #expect(count <= 4)
    }

    @Test("requests in hand are counted up and down, failures too")
    func counters() {
        var engine = engine([1, 1])
        for _ in 0..<2 {
            engine.requestArrived()
            engine.requestBegan(server: 1)
        }
        _ = engine.requestEnded(server: 1, .failed, latency: .zero, now: start)
        #expect(engine.choose(excluding: [1]) == 0)
        #expect(
            engine.servers[1].active == 1 && engine.servers[1].counters.requests == 2
                && engine.servers[1].counters.errors == 1)
        let counters = engine.counters
        #expect(counters.requests == 2 && counters.errors == 1 && counters.retries == 1 && counters.unserved == 0)
    }

    @Test("whatever comes and goes, the living share evenly", arguments: 1...20 as ClosedRange<UInt64>)
    func churn(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var engine = engine((0..<5).map { _ in random.below(4) + 1 })
        for _ in 0..<30 {
            let server = random.below(5)
            _ = probe(&engine, server, passed: random.chance(0.5), 3)
            for _ in 0..<random.below(20) { _ = engine.choose(excluding: random.chance(0.3) ? [random.below(5)] : []) }
            let living = (0..<5).filter { engine.servers[$0].isInPool }
            let round = living.reduce(0) { $0 + engine.servers[$1].weight }
            guard round > 0 else { continue }
            var counts: [Int: Int] = [:]
            for _ in 0..<round * 10 { counts[engine.choose()!, default: 0] += 1 }
            for index in living {
                let expected = engine.servers[index].weight * 10
                #expect(abs(counts[index, default: 0] - expected) <= 3 * round, "seed \(seed): \(counts)")
            }
            #expect(Set(counts.keys).isSubset(of: living))
        }
    }

    @Test(
        "once a primary is back, clients that a backup has taken over go back to it, whatever they are known by",
        arguments: [true, false])
    func backToPrimaries(redispatch: Bool) {
        for mark in [
            LoadBalancerConfiguration.StickySettings.Mark.source(size: 9, expire: .seconds(9000)), .cookie("S"),
        ] {
            var sticky = LoadBalancerConfiguration.StickySettings(mark)
            var engine = engine([1, 1]) { $0.backends[1].isBackup = true }
            let configuration = engine.configuration
            sticky.redispatch = true
            var marked = configuration
            marked.sticky = sticky
            _ = engine.reload(marked, now: start)
            var last: Int?
            func ask() -> Choice {
                var arrival = Arrival(request: 1, source: .loopback)
                if case .cookie = mark { arrival.sticky = last }
                let choice = engine.choose(arrival, now: engine.nextDeadline ?? start)
                if case .server(let slot) = choice { last = slot }
                return choice
            }
            #expect(ask() == .server(0))
            _ = probe(&engine, 0, passed: false, 3)
            #expect(ask() == .server(1) && ask() == .server(1), "while it is away the backup keeps its clients")
            sticky.redispatch = redispatch
            marked.sticky = sticky
            _ = engine.reload(marked, now: engine.nextDeadline!)
            #expect(ask() == .server(1), "and after a reload")
            _ = probe(&engine, 0, passed: true, 2)
            #expect(ask() == .server(0) && ask() == .server(0))
            // A reload can make a backup of a server that has clients.
            var swapped = marked
            swapped.backends[0].isBackup = true
            swapped.backends[1].isBackup = false
            _ = engine.reload(swapped, now: engine.nextDeadline!)
            #expect(ask() == .server(1) && ask() == .server(1))
        }
    }

    @Test("an ejected server is out for longer each time, and each base time without trouble takes one step back")
    func ejectionSteps() {
        var settings = LoadBalancerConfiguration.OutlierSettings()
        settings.consecutive5xx = 1
        settings.baseTime = .seconds(10)
        settings.maxPercent = 100
        var engine = engine([1, 1]) {
            $0.healthCheck.kind = .off
            $0.outlierEjection = settings
        }
        var now = start
        /// Fails it, and lets the time pass until it is back.
        func eject() -> LabDuration? {
            engine.requestBegan(server: 0)
            _ = engine.requestEnded(server: 0, .answered(500), latency: .zero, now: now)
            guard let until = engine.servers[0].outlier.ejectedUntil else { return nil }
            let time = until - now
            now = until
            _ = engine.tick(now: now)
            #expect(!engine.servers[0].outlier.isEjected)
            return time
        }
        func pass(_ time: LabDuration) {
            now = now + time
            while let due = engine.nextDeadline, due <= now { _ = engine.tick(now: due) }
        }
        #expect((1...4).map { _ in eject() } == [.seconds(10), .seconds(20), .seconds(30), .seconds(40)])
        pass(.milliseconds(9_999))
        #expect(engine.servers[0].outlier.multiplier == 4)
        pass(.milliseconds(1))
        #expect(engine.servers[0].outlier.multiplier == 3, "one step, not all of them")
        pass(.seconds(10))
        #expect(engine.servers[0].outlier.multiplier == 2)
        #expect(eject() == .seconds(30))
        pass(.seconds(40))
        #expect(engine.servers[0].outlier.multiplier == 0 && engine.nextDeadline == nil, "never below nothing")
        #expect(eject() == .seconds(10))
    }
}
