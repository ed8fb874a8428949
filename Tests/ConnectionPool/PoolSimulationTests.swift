import ConnectionPoolEngine
import KernelStructures
import Testing

/// Published experiments, in virtual time.
@Suite struct PoolSimulationTests {
    private typealias Demand = PoolSimulation.Demand
    private let start = LabTime.documentedEpoch

    /// HikariCP's wiki, "Welcome to the Jungle": 50 requests at once on a pool with five idle connections, opening
    /// takes 150 ms, a query 2 ms. HikariCP ends with 5 or 6 connections, others with 40 and more.
    @Test("the spike: fifty requests at once need no more than one new connection")
    func jungle() {
        var configuration = ConnectionPool.Configuration()
        configuration.maximumPoolSize = 50
        configuration.minimumIdle = 5
        let demands = (0..<50).map { Demand(user: $0, askedAt: start, heldFor: .milliseconds(2)) }
        let result = PoolSimulation.run(
            demands, configuration, connectTime: .milliseconds(150), warmUp: .milliseconds(1000))
        #expect((5...6).contains(result.connectionsAtEnd), "\(result.connectionsAtEnd) connections")
        #expect(result.served == 50)
        #expect(result.duration == .milliseconds(20), "ten rounds of five")

        // What those others do: a connect for everybody who waits.
        configuration.connectingLimit = 50
        let eager = PoolSimulation.run(
            demands, configuration, connectTime: .milliseconds(150), warmUp: .milliseconds(1000))
        #expect(eager.connectionsAtEnd > 40)
        #expect(eager.duration == result.duration, "and nobody was served sooner")
    }

    /// HikariCP#2192: four threads, two connections, and a maximum of hundreds of times the mean.
    private func contention(isFair: Bool) -> PoolSimulation.Result {
        var configuration = ConnectionPool.Configuration()
        configuration.maximumPoolSize = 2
        configuration.isFair = isFair
        var random = SeededRandom(seed: 11)
        let demands = (0..<4).map { Demand(user: $0, askedAt: start, heldFor: .milliseconds(1)) }
        var rounds = 20_000
        return PoolSimulation.run(demands, configuration, connectTime: .milliseconds(5)) { demand, now in
            rounds -= 1
            if rounds < 0 { return nil }
            // Mostly the user comes back at once, as a loop does; now and then it thinks for a moment.
            let pause = random.chance(0.95) ? LabDuration.zero : .microseconds(random.below(300))
            let held = LabDuration.microseconds(500 + random.below(1000))
            return Demand(user: demand.user, askedAt: now + pause, heldFor: held)
        }
    }

    @Test("the fair line has a short tail, the unfair one a shorter mean and a long tail")
    func fairness() {
        let fair = contention(isFair: true)
        let unfair = contention(isFair: false)
        #expect(fair.served == unfair.served)
        let fairTail = fair.waits.percentile(0.999)
        let unfairTail = unfair.waits.percentile(0.999)
        #expect(fairTail.seconds <= 3 * fair.waits.mean.seconds, "\(fairTail) against a mean of \(fair.waits.mean)")
        #expect(unfairTail.seconds > 5 * fairTail.seconds, "\(unfairTail) against \(fairTail)")
        #expect(unfair.waits.percentile(0.5) < fair.waits.percentile(0.5))
    }

    @Test("a recorded demand says what another size would have meant")
    func whatIf() {
        let model = PoolModel { $0.maximumPoolSize = 2 }
        model.pool.startRecording()
        // Eight at once, each for 100 ms.
        for _ in 0..<8 { model.borrow() }
        model.connect()
        model.connect()
        for _ in 0..<4 {
            model.pass(.milliseconds(100))
            for lease in model.leases { model.putBack(lease) }
        }
        #expect(model.pool.recording?.count == 8)
        func replay(_ size: Int) -> PoolSimulation.Result {
            var configuration = model.pool.configuration
            configuration.maximumPoolSize = size
            configuration.minimumIdle = size
            return PoolSimulation.replay(model.pool.recording!, configuration, connectTime: .zero)
        }
        #expect(replay(2).waits.maximum == model.pool.metrics.waits.maximum, "the same size gives the same waits")
        #expect(replay(1).waits.maximum == .milliseconds(700))
        #expect(replay(4).waits.maximum == .milliseconds(100))
        #expect(replay(8).waits.maximum == .zero)
    }

    @Test("percentiles are at most 3 % off, and the buckets for Prometheus not at all")
    func histograms() {
        var random = SeededRandom(seed: 3)
        var fine = LatencyHistogram()
        var coarse = PowerHistogram(firstBound: 1000)
        var values: [Int64] = []
        for _ in 0..<5000 {
            let value = Int64(1) << Int64(random.below(40)) + Int64(random.below(1000))
            values.append(value)
            fine.record(LabDuration(nanoseconds: value))
            coarse.record(Int(value))
        }
        values.sort()
        for share in [0.01, 0.5, 0.9, 0.99, 0.999, 1] {
            let exact = Double(values[max(0, Int((share * 5000).rounded(.up)) - 1)])
            let found = Double(fine.percentile(share).nanoseconds)
            #expect(found >= exact && found <= exact * 1.032, "\(share): \(found) for \(exact)")
        }
        var total = 0
        for bucket in 0..<PowerHistogram.boundCount {
            total += coarse.counts[bucket]
            #expect(total == values.count { $0 <= coarse.bound(bucket) })
        }
        #expect(coarse.count == 5000)
    }
}
