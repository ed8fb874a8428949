import KernelStructures
import LoadBalancerEngine
import Testing

/// Who is in the pool: ejection, panic, backups, slow start, and what a reload leaves alone.
@Suite("Who is in the pool")
struct PoolTests {
    private func outliers(_ change: (inout LoadBalancerConfiguration.OutlierSettings) -> Void)
        -> LoadBalancerConfiguration.OutlierSettings
    {
        var settings = LoadBalancerConfiguration.OutlierSettings()
        settings.consecutive5xx = 3
        settings.consecutiveGatewayErrors = nil
        settings.baseTime = .seconds(10)
        settings.maxPercent = 100
        change(&settings)
        return settings
    }

    // MARK: Ejection

    @Test("only errors in a row eject: a good answer ends the row, a client that left or a stale connection does not")
    func rows() {
        var bench = EngineBench(2) { $0.outlierEjection = outliers { _ in } }
        for _ in 0..<5 {
            for outcome in [LoadBalancer.Outcome.answered(500), .failed, .answered(404)] { bench.end(0, outcome) }
        }
        #expect(!bench.engine.servers[0].outlier.isEjected)
        bench.end(0, .answered(500))
        for _ in 0..<5 {
            bench.end(0, .abandoned)
            bench.end(0, .stale)
        }
        bench.end(0, .answered(599))
        #expect(!bench.engine.servers[0].outlier.isEjected && bench.engine.servers[0].outlier.consecutive5xx == 2)
        bench.end(0, .failed)
        #expect(bench.engine.servers[0].outlier.isEjected && bench.letters(3) == "bbb")
    }

    @Test("a row of gateway errors is ended by an error of the server's own")
    func gatewayRows() {
        var bench = EngineBench(2) {
            $0.outlierEjection = outliers {
                $0.consecutive5xx = nil
                $0.consecutiveGatewayErrors = 3
            }
        }
        for outcome in [LoadBalancer.Outcome.answered(502), .answered(503), .answered(500), .answered(504), .failed] {
            bench.end(0, outcome)
        }
        #expect(!bench.engine.servers[0].outlier.isEjected)
        bench.end(0, .answered(502))
        #expect(bench.engine.servers[0].outlier.isEjected)
    }

    @Test("an ejection lasts no longer than the limit, whatever base times add up to")
    func longestEjection() {
        var bench = EngineBench(2) { $0.outlierEjection = outliers { $0.maxTime = .seconds(25) } }
        var times: [LabDuration] = []
        for _ in 0..<4 {
            for _ in 0..<3 { bench.end(0, .failed) }
            let until = bench.engine.servers[0].outlier.ejectedUntil ?? bench.now
            times.append(until - bench.now)
            bench.now = until
            _ = bench.engine.tick(now: bench.now)
        }
        #expect(times == [.seconds(10), .seconds(20), .seconds(25), .seconds(25)])
    }

    @Test("one server may always be ejected, further ones up to the share")
    func ejectedShare() {
        var bench = EngineBench(4) { $0.outlierEjection = outliers { $0.maxPercent = 50 } }
        for slot in 0..<4 { for _ in 0..<3 { bench.end(slot, .failed) } }
        #expect(bench.engine.servers.map(\.outlier.isEjected) == [true, true, false, false])
        #expect(bench.engine.servers[2].outlier.consecutive5xx == 0, "its row begins anew")
        var few = EngineBench(3) { $0.outlierEjection = outliers { $0.maxPercent = 10 } }
        for slot in 0..<3 { for _ in 0..<3 { few.end(slot, .failed) } }
        #expect(few.engine.servers.map(\.outlier.isEjected) == [true, false, false])
    }

    // MARK: Panic and backups

    @Test("below the threshold all servers are used, at it only those that are up")
    func panic() {
        var bench = EngineBench(4) { $0.panicThresholdPercent = 50 }
        bench.setUp(0, false)
        bench.setUp(1, false)
        #expect(bench.engine.poolMode == .normal && bench.letters(4) == "cdcd")
        bench.setUp(2, false)
        #expect(bench.engine.poolMode == .panic && Set(bench.letters(4)) == Set("abcd"))
        bench.setUp(1, true)
        #expect(bench.engine.poolMode == .normal && Set(bench.letters(4)) == Set("bd"))
    }

    @Test("backups work when nobody else can, and not beside the others")
    func backups() {
        var bench = EngineBench(3) { $0.backends[2].isBackup = true }
        #expect(bench.letters(4) == "abab")
        bench.setUp(0, false)
        #expect(bench.letters(2) == "bb")
        bench.setUp(1, false)
        #expect(bench.engine.poolMode == .backups && bench.letters(2) == "cc")
        bench.setUp(0, true)
        #expect(bench.letters(2) == "aa")
    }

    @Test("a server that comes back begins with a tenth of its weight and has all of it after the time for that")
    func slowStart() {
        var bench = EngineBench(2) { $0.slowStart = .seconds(100) }
        bench.setUp(0, false)
        bench.setUp(0, true)
        #expect(bench.engine.servers[0].rampPercent == 10 && bench.engine.servers[0].state == "warming")
        #expect(bench.letters(110).count { $0 == "a" } == 10)
        bench.pass(.seconds(50))
        #expect(bench.letters(150).count { $0 == "a" } == 50)
        bench.pass(.seconds(50))
        #expect(bench.letters(100).count { $0 == "a" } == 50 && bench.engine.servers[0].rampBegan == nil)
    }

    // MARK: Reload

    @Test("what the operator did stays in a reload, unless the file says something else than it did")
    func operatorsWord() {
        var bench = EngineBench(2)
        _ = bench.engine.setState(0, .drain, now: bench.now)
        var configuration = bench.engine.configuration
        _ = bench.engine.reload(configuration, now: bench.now)
        #expect(bench.engine.servers[0].administrative == .drain && bench.letters(2) == "bb")
        configuration.backends[0].state = .maintenance
        _ = bench.engine.reload(configuration, now: bench.now)
        #expect(bench.engine.servers[0].administrative == .maintenance)
    }

    @Test("a server whose address changes is another one; the old one leaves when its requests are done")
    func movedAddress() {
        var bench = EngineBench(2)
        bench.engine.requestBegan(server: 0)
        var configuration = bench.engine.configuration
        configuration.backends[0].destination = HostPort(host: "localhost", port: 9999)
        _ = bench.engine.reload(configuration, now: bench.now)
        let slot = bench.engine.slot(named: "a")
        #expect(slot == 2 && bench.engine.servers[2].counters.requests == 0)
        #expect(bench.engine.servers[0].presence == .leaving && bench.engine.servers[0].active == 1)
        _ = bench.engine.requestEnded(server: 0, .answered(200), latency: .zero, now: bench.now)
        #expect(bench.engine.servers[0].presence == .vacant)
    }
}
