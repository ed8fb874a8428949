import KernelStructures
import LoadBalancerEngine
import Testing

/// The log of decisions, word for word.
@Suite("What a load balancer says about itself")
struct ExplainTests {
    private let start = LabTime.documentedEpoch
    private func at(_ milliseconds: Int) -> LabTime { start + .milliseconds(milliseconds) }

    private func engine(_ count: Int, _ change: (inout LoadBalancerConfiguration) -> Void = { _ in }) -> LoadBalancer {
        var configuration = LoadBalancerConfiguration(
            backends: (0..<count).map {
                .init(name: Self.name($0), destination: HostPort(host: "localhost", port: UInt16(8081 + $0)))
            })
        change(&configuration)
        return LoadBalancer(configuration, now: start)
    }

    private static func name(_ index: Int) -> String { String(UnicodeScalar(UInt8(97 + index))) }

    /// Asks for a server, and begins there.
    @discardableResult
    private func begin(
        _ engine: inout LoadBalancer, _ request: Int, attempt: Int = 1, excluding: [Int] = [], admitted: Bool = false,
        sticky: Int? = nil, _ time: Int
    ) -> Choice {
        var arrival = Arrival(request: request, source: .loopback)
        arrival.attempt = attempt
        arrival.isAdmitted = admitted
        arrival.sticky = sticky
        let choice = engine.choose(arrival, excluding: excluding, now: at(time))
        if case .server(let slot) = choice { engine.requestBegan(server: slot) }
        return choice
    }

    private func end(
        _ engine: inout LoadBalancer, _ request: Int, _ slot: Int, _ outcome: LoadBalancer.Outcome, _ time: Int
    ) {
        _ = engine.requestEnded(server: slot, outcome, latency: .zero, request: request, now: at(time))
    }

    private func sentences(_ engine: LoadBalancer, _ request: Int, now: Int = 9000) -> [String] {
        (engine.steps(of: [request])[request] ?? []).map { engine.sentence($0, now: at(now)) }
    }

    // @covers LB-B1
    @Test("a request's way is told with what was known at each step")
    func way() {
        var engine = engine(3)
        begin(&engine, 1, 0)
        begin(&engine, 2, 1)
        end(&engine, 2, 1, .failed, 3)
        begin(&engine, 2, attempt: 2, excluding: [1], 3)
        end(&engine, 2, 2, .answered(200), 10)
        #expect(
            sentences(engine, 2) == [
                "to b: it was its turn (round-robin), among 3 servers (a had 1, b 0, c 0)",
                "b failed it after 2ms",
                "attempt 2, to c: it was its turn (round-robin), among the untried of 3 servers (a had 1, b 0, c 0)",
                "c answered 200 after 7ms",
            ])
        #expect(sentences(engine, 1).last == "a has it, for 9s now")
        #expect(sentences(engine, 3) == [])
        #expect(engine.loggedRequests == 1...2)
        #expect(engine.lastRequests(1) == [2] && engine.lastRequests(9) == [1, 2])
    }

    @Test("attempts that take no time are told in their order")
    func sameMoment() {
        var engine = engine(3)
        for attempt in 1...3 {
            begin(&engine, 1, attempt: attempt, excluding: Array(0..<attempt - 1), 5)
            end(&engine, 1, attempt - 1, attempt < 3 ? .failed : .answered(200), 5)
        }
        #expect(
            sentences(engine, 1).map { $0.prefix { $0 != ":" } } == [
                "to a", "a failed it after 0s", "attempt 2, to b", "b failed it after 0s", "attempt 3, to c",
                "c answered 200 after 0s",
            ])
    }

    @Test("a connection that was closed meanwhile is no end")
    func stale() {
        var engine = engine(1)
        begin(&engine, 1, 0)
        end(&engine, 1, 0, .stale, 1)
        engine.requestBegan(server: 0)
        #expect(sentences(engine, 1).suffix(2).first?.hasPrefix("a had closed the connection") == true)
        #expect(sentences(engine, 1).last == "a has it, for 9s now")
        end(&engine, 1, 0, .abandoned, 4)
        #expect(sentences(engine, 1).last == "the client went away after 4ms, while a had it")
        #expect(sentences(engine, 1).count == 3)
    }

    @Test("who waits is told so, and for how long it was in the end")
    func waiting() {
        var engine = engine(1) {
            $0.backends[0].maxConnections = 1
            $0.queue.limit = 2
        }
        begin(&engine, 1, 0)
        begin(&engine, 2, 100)
        guard case .wait(let leaver) = begin(&engine, 3, 200) else { return #expect(Bool(false), "there is no room") }
        #expect(begin(&engine, 4, 300) == .none(.lineIsFull))
        #expect(
            sentences(engine, 2) == [
                "waits in line: no room yet among 1 server (a had 1)", "it waits, for 8.9s now",
            ])
        #expect(sentences(engine, 4) == ["refused: no room among 1 server (a had 1), and the line is full"])
        engine.stopWaiting(ticket: leaver, now: at(700))
        #expect(sentences(engine, 3).last == "the client went away after 500ms in line")
        end(&engine, 1, 0, .answered(200), 1100)
        begin(&engine, 2, admitted: true, 1100)
        #expect(
            sentences(engine, 2).suffix(2) == [
                "to a, after 1s in line: it was its turn (round-robin), among 1 server (a had 0)",
                "a has it, for 7.9s now",
            ])
        begin(&engine, 5, 2000)
        _ = engine.tick(now: at(7000))
        #expect(sentences(engine, 5).last == "refused after 5s in line: there was still no room")
        #expect(sentences(engine, 5).count == 2)
    }

    // @covers LB-C3
    @Test("marks, and what becomes of them when their server is out")
    func marks() {
        var engine = engine(2) { $0.sticky = .init(.cookie("SRV")) }
        begin(&engine, 1, sticky: 1, 0)
        #expect(sentences(engine, 1).first == "to b: the client carries its mark")
        _ = engine.setState(1, .maintenance, now: at(1))
        begin(&engine, 2, sticky: 1, 2)
        #expect(
            sentences(engine, 2).first
                == "to a: the server whose mark the client carries takes nobody, and it was its turn (round-robin), "
                + "among 1 server (a had 0)")
        _ = engine.setState(0, .maintenance, now: at(3))
        #expect(begin(&engine, 3, 4) == .none(.noServer))
        #expect(sentences(engine, 3) == ["refused: the pool was empty"])
    }

    @Test("names and pools are those of the decision's time, even after a server is gone")
    func names() {
        var engine = engine(3)
        begin(&engine, 1, 0)
        end(&engine, 1, 0, .answered(200), 1)
        let before = sentences(engine, 1)
        _ = engine.removeServer(0, now: at(2))
        _ = engine.addServer(.init(name: "new", destination: HostPort(host: "localhost", port: 9)), now: at(3))
        #expect(sentences(engine, 1) == before)
        #expect(engine.servers[0].name == "new")
        begin(&engine, 2, 4)
        #expect(sentences(engine, 2).first?.hasSuffix("among 3 servers (new had 0, b 0, c 0)") == true)
        #expect(engine.knownServers == ["new", "b", "c", "a"])
    }

    @Test("of a large pool the first eight are named")
    func largePool() {
        var engine = engine(11)
        begin(&engine, 1, 0)
        #expect(
            sentences(engine, 1).first?.hasSuffix(
                "among 11 servers (a had 0, b 0, c 0, d 0, e 0, f 0, g 0, h 0, and 3 more)") == true)
    }

    @Test("the log holds a fixed number of decisions, and what it forgot it does not tell in part")
    func bounded() {
        var engine = engine(1)
        begin(&engine, 1, 0)
        for request in 2...5000 {
            begin(&engine, request, 1)
            end(&engine, request, 0, .answered(200), 1)
        }
        #expect(engine.log.decisions.count == DecisionLog.decisionLimit)
        #expect(engine.loggedRequests == 5001 - DecisionLog.decisionLimit...5000)
        #expect(engine.log.decisions.map(\.request) == Array(engine.loggedRequests!))
        // The end of the first, whose decision is forgotten, beside a later attempt.
        end(&engine, 1, 0, .failed, 2)
        begin(&engine, 1, attempt: 2, 3)
        #expect(sentences(engine, 1).count == 2)
        #expect(sentences(engine, 1).last == "a has it, for 9s now")
    }

    // MARK: Servers

    // @covers LB-C2 LB-C3
    @Test("a server is in or out for a reason")
    func reasons() throws {
        let text = "backends: [1]\noutlier_ejection: {consecutive_5xx: 2}"
        let outliers = try LoadBalancerConfiguration(yaml: Array(text.utf8), file: "lb.yaml").outlierEjection
        var engine = engine(4) {
            $0.backends[3].isBackup = true
            $0.healthCheck.unhealthyAfter = 2
            $0.outlierEjection = outliers
        }
        func why(_ slot: Int, _ time: Int = 0) -> String { engine.whyInOrOut(slot, now: at(time)) }
        #expect(why(0) == "it is up and nobody took it out")
        #expect(why(3) == "it is a backup, and others are up")
        fail(&engine, 0)
        #expect(why(0) == "it is still up: 1 check in a row failed, and it takes 2")
        fail(&engine, 0)
        #expect(why(0) == "it is down (status 500), until 2 checks in a row pass; so far 0")
        for request in 1...4 {
            guard case .server(let slot) = begin(&engine, request, 20_000) else { break }
            end(&engine, request, slot, .answered(slot == 1 ? 500 : 200), 20_000)
        }
        #expect(why(1, 25_000) == "it is ejected (2 errors in a row); it returns in 25s")
        _ = engine.setState(2, .drain, now: at(20_000))
        #expect(why(2) == "the operator drains it; it has nothing to finish")
        #expect(why(3) == "it is a backup, and no other server is up")
        engine.requestBegan(server: 2)
        _ = engine.setState(2, .maintenance, now: at(20_000))
        #expect(why(2) == "the operator has it in maintenance; it finishes 1 request")
        _ = engine.setState(2, .ready, now: at(21_000))
        _ = engine.setWeight(2, 0, now: at(21_000))
        #expect(why(2) == "its weight is 0: only clients that carry its mark get there")
        #expect(
            engine.log.events.filter { $0.server == "c" }.map { "\($0.from) > \($0.to)" } == [
                "up > drain", "drain > maint", "maint > up", "weight 1 > weight 0",
            ])
        #expect((0..<4).map { engine.isInPool($0) } == [false, false, false, true])
    }

    @Test("in panic a server is in although it is down")
    func panic() {
        var engine = engine(2) {
            $0.panicThresholdPercent = 60
            $0.healthCheck.unhealthyAfter = 1
        }
        fail(&engine, 1)
        #expect(engine.isInPool(1))
        #expect(
            engine.whyInOrOut(1, now: start)
                == "fewer than 60% of the servers are up, so that health is ignored (panic)")
        #expect(engine.whyInOrOut(0, now: start) == "it is up and nobody took it out")
        begin(&engine, 1, 0)
        #expect(
            sentences(engine, 1).first?.hasSuffix("among all 2 servers, as too few are up (panic) (a had 0, b 0)")
                == true)
    }

    /// Lets every server's next check pass, but for one.
    private func fail(_ engine: inout LoadBalancer, _ server: Int) {
        var isDone = false
        while !isDone {
            let now = engine.nextDeadline!
            for case .probe(let slot, let number) in engine.tick(now: now) {
                isDone = isDone || slot == server
                _ = engine.probeFinished(
                    server: slot, number: number, slot == server ? .failed("status 500") : .passed, now: now)
            }
        }
    }

    // MARK: The last minute

    @Test("counts of the last minute are those of a list of all", arguments: 1...20 as ClosedRange<UInt64>)
    func history(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var engine = engine(3)
        engine.startRecording()
        var ended: [(second: Int64, slot: Int, isError: Bool)] = []
        var time = 0
        for request in 1...300 {
            time += random.below(random.below(10) == 0 ? 90_000 : 900)
            let slot = random.below(3)
            let outcome: LoadBalancer.Outcome = random.below(4) == 0 ? .failed : .answered(200)
            engine.requestBegan(server: slot)
            end(&engine, request, slot, outcome, time)
            ended.append((at(time).unixSeconds, slot, outcome == .failed))
            guard request % 7 == 0 else { continue }
            let now = at(time + random.below(70_000))
            let traffic = try #require(engine.traffic)
            for slot in 0..<3 {
                for parts in [15, 30, 60] {
                    var expected = [Int](repeating: 0, count: parts)
                    var errors = expected
                    for item in ended where item.slot == slot {
                        let age = Int(now.unixSeconds - item.second)
                        guard age < 60 else { continue }
                        expected[(59 - age) * parts / 60] += 1
                        if item.isError { errors[(59 - age) * parts / 60] += 1 }
                    }
                    #expect(traffic.requests(slot: slot, parts: parts, now: now) == expected)
                    #expect(traffic.errors(slot: slot, parts: parts, now: now) == errors)
                }
            }
        }
    }

    @Test("a server that takes another's slot begins with nothing")
    func historyOfSlot() {
        var engine = engine(2)
        engine.startRecording()
        engine.requestBegan(server: 0)
        end(&engine, 1, 0, .answered(200), 0)
        #expect(engine.traffic?.requests(slot: 0, parts: 1, now: start) == [1])
        _ = engine.removeServer(0, now: start)
        _ = engine.addServer(.init(name: "new", destination: HostPort(host: "localhost", port: 9)), now: start)
        #expect(engine.slot(named: "new") == 0)
        #expect(engine.traffic?.requests(slot: 0, parts: 1, now: start) == [0])
    }
}
