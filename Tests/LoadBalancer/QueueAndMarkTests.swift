import KernelStructures
import LoadBalancerEngine
import Testing

/// Clients that have a server of their own, requests that wait, and what is tried again.
@Suite("Marks, the queue and retries")
struct QueueAndMarkTests {
    private typealias Sticky = LoadBalancerConfiguration.StickySettings

    private func marked(_ change: (inout LoadBalancerConfiguration.StickySettings) -> Void = { _ in })
        -> LoadBalancerConfiguration.StickySettings
    {
        var sticky = Sticky(.cookie("S"))
        change(&sticky)
        return sticky
    }

    private func address(_ number: Int) -> IPAddress { IPAddress(IPv4Address(bits: UInt32(0x0A00_0000 + number))) }

    // MARK: Marks

    @Test("a client that may not move is refused while its server is out, and never sent elsewhere")
    func mayNotMove() {
        var bench = EngineBench(2) { $0.sticky = marked { $0.redispatch = false } }
        #expect(bench.ask(sticky: 0) == .server(0) && bench.ask(sticky: 0, excluding: [0]) == .server(0))
        bench.setUp(0, false)
        #expect(bench.ask(sticky: 0) == .none(.mayNotMove))
        bench.setUp(0, true)
        #expect(bench.ask(sticky: 0) == .server(0))
        var mobile = EngineBench(2) { $0.sticky = marked() }
        mobile.setUp(0, false)
        #expect(mobile.ask(sticky: 0) == .server(1) && mobile.engine.counters.redispatches == 1)
    }

    @Test("a draining server keeps its clients if the file says so", arguments: [Sticky.OnDrain.stay, .move])
    func draining(_ onDrain: LoadBalancerConfiguration.StickySettings.OnDrain) {
        var bench = EngineBench(2) { $0.sticky = marked { $0.onDrain = onDrain } }
        _ = bench.engine.setState(0, .drain, now: bench.now)
        #expect(bench.ask(sticky: 0) == .server(onDrain == .stay ? 0 : 1))
        #expect(bench.letters(2) == "bb")
    }

    @Test("the table of clients forgets who was away longest, and who was away too long")
    func stickTable() {
        var bench = EngineBench(3) {
            $0.sticky = Sticky(.source(size: 2, expire: .seconds(10)))
        }
        #expect(bench.ask(from: address(1)) == .server(0) && bench.ask(from: address(2)) == .server(1))
        #expect(bench.ask(from: address(1)) == .server(0))
        // A third client takes the place of the second, who came before the first did again.
        #expect(bench.ask(from: address(3)) == .server(2))
        #expect(bench.ask(from: address(1)) == .server(0))
        #expect(bench.ask(from: address(2)) == .server(0), "it is new here, and it is the first one's turn")
        bench.pass(.seconds(10) - LabDuration(nanoseconds: 1))
        #expect(bench.ask(from: address(2)) == .server(0))
        bench.pass(.seconds(10))
        #expect(bench.ask(from: address(2)) == .server(1), "ten seconds after its last request it is forgotten")
    }

    // MARK: The queue

    private func full(_ count: Int = 1, _ change: (inout LoadBalancerConfiguration) -> Void = { _ in }) -> EngineBench {
        var bench = EngineBench(count) {
            for index in 0..<count { $0.backends[index].maxConnections = 1 }
            change(&$0)
        }
        for slot in 0..<count { #expect(bench.take() == .server(slot)) }
        return bench
    }

    @Test("a full server gets nothing; who waits goes on when there is room, one for each place")
    func waiting() {
        var bench = full()
        #expect(bench.take() == .wait(ticket: 1) && bench.take() == .wait(ticket: 2))
        let effects = bench.engine.requestEnded(server: 0, .answered(200), latency: .zero, now: bench.now)
        #expect(effects == [.admit(ticket: 1)] && bench.engine.waitingCount == 1)
        #expect(bench.take(isAdmitted: true) == .server(0))
        #expect(bench.engine.servers[0].active == 1)
    }

    @Test("nobody overtakes those who wait, even if there is room")
    func overtaking() {
        var bench = full(2)
        #expect(bench.take() == .wait(ticket: 1) && bench.take() == .wait(ticket: 2))
        #expect(
            bench.engine.requestEnded(server: 1, .answered(200), latency: .zero, now: bench.now) == [.admit(ticket: 1)])
        #expect(bench.take() == .wait(ticket: 3), "the second is before it, though a server has room")
        #expect(bench.take(isAdmitted: true) == .server(1))
    }

    @Test("a client with a mark waits behind those who wait for the same server")
    func markedLine() {
        var bench = full(2) { $0.sticky = marked() }
        #expect(bench.take(sticky: 0) == .wait(ticket: 1) && bench.take(sticky: 0) == .wait(ticket: 2))
        #expect(bench.engine.servers[0].waiting == 2)
        _ = bench.engine.requestEnded(server: 0, .answered(200), latency: .zero, now: bench.now)
        #expect(bench.take(sticky: 0) == .wait(ticket: 3))
        #expect(bench.take(sticky: 0, isAdmitted: true) == .server(0))
    }

    @Test("the queue has a limit, and who waits too long is told")
    func limits() {
        var bench = full {
            $0.queue.limit = 2
            $0.queue.timeout = .seconds(3)
        }
        #expect(bench.take() == .wait(ticket: 1))
        bench.pass(.seconds(1))
        #expect(bench.take() == .wait(ticket: 2) && bench.take() == .none(.lineIsFull))
        #expect(bench.engine.nextDeadline == bench.now + .seconds(2))
        bench.pass(.seconds(2))
        #expect(bench.engine.tick(now: bench.now) == [.timedOut(ticket: 1)] && bench.engine.waitingCount == 1)
        bench.pass(.seconds(1))
        #expect(bench.engine.tick(now: bench.now) == [.timedOut(ticket: 2)])
        #expect(bench.engine.counters.queueTimeouts == 2 && bench.engine.counters.queued == 2)
    }

    // MARK: Retries

    @Test("retries have a budget: a share of the requests, and so many a second")
    func budget() {
        var settings = LoadBalancerConfiguration.RetryBudgetSettings()
        settings.percent = 50
        settings.minPerSecond = 1
        var bench = EngineBench(2) { $0.retryBudget = settings }
        #expect(bench.engine.mayRetry(now: bench.now) && !bench.engine.mayRetry(now: bench.now))
        for _ in 0..<4 { bench.engine.requestArrived() }
        let allowed = (0..<4).map { _ in bench.engine.mayRetry(now: bench.now) }
        #expect(allowed == [true, true, false, false] && bench.engine.counters.retriesRefused == 3)
        bench.pass(.seconds(1))
        #expect(bench.engine.mayRetry(now: bench.now) && !bench.engine.mayRetry(now: bench.now))
        var free = EngineBench(2)
        let unlimited = (0..<1000).allSatisfy { _ in free.engine.mayRetry(now: free.now) }
        #expect(unlimited)
    }
}
