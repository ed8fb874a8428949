import ChaosEngine
import KernelJSON
import KernelStructures
import TestSupport
import Testing

@Suite("A run, step by step")
struct ExperimentRunTests {
    /// A world in which the checkout is late while a fault is in force.
    private final class Stage {
        var isSlow = false
        var failsAction = false
        var isBroken = false
        /// Whether it answers at all while it is slow.
        var body = "payment_status: pending"

        func answer(_ activity: Activity, _ now: LabTime) -> ExperimentRun.Outcome? {
            switch activity.provider {
            case .lab(.inject):
                if failsAction { return .failed("no node is called 'payment-service'", .zero) }
                isSlow = true
                return .done(Observation(.value(["Using: fault 1"])))
            case .lab:
                isSlow = false
                return .done(.done)
            default:
                if isBroken { return .done(.http(503)) }
                return .done(isSlow ? .http(200, body, .milliseconds(2340)) : .http(200, "paid", .milliseconds(127)))
            }
        }
    }

    private func driver(
        _ text: String = documentedExperiment, _ stage: Stage = Stage(), _ options: ExperimentRun.Options = .init()
    ) throws -> RunDriver {
        RunDriver(try experiment(text), options) { stage.answer($0, $1) }
    }

    // @covers CHAOS-C5
    @Test("the documented experiment says the documented lines")
    func documented() throws {
        var driver = try driver()
        driver.finish()
        #expect(
            driver.said == [
                "Starting experiment: API resilience test", "Checking steady state...",
                "✓ http://api/checkout: 200 OK, 127ms", "Injecting failure: 2000ms latency to payment-service",
                "Using: fault 1", "Probing during chaos...",
                "✓ http://api/checkout: 200 OK, 2340ms (degraded but working)", "✓ Response includes: pending",
                "Duration complete (60s), rolling back...", "✓ Latency restored", "Checking steady state restored...",
                "✓ http://api/checkout: 200 OK, 127ms", "EXPERIMENT PASSED",
                "Hypothesis validated: System gracefully degrades",
            ])
        #expect(driver.run.journal.hasPassed)
        #expect(driver.revertCount == 2)
        let impact = driver.run.journal.impact
        #expect(impact.map(\.phase) == ["before", "during", "after"])
        #expect(impact[1].degraded == impact[1].probes && impact[1].probes > 10)
    }

    // Toy: the hypothesis is not looked at before the method.
    @Test("a broken steady state is refused, and nothing is touched")
    func refused() throws {
        let stage = Stage()
        stage.isBroken = true
        var driver = try driver(documentedExperiment, stage)
        driver.finish()
        #expect(driver.run.journal.status == .failed)
        #expect(driver.performed == ["http://api/checkout"])
        #expect(driver.hasEnded)
    }

    @Test("what is not even good enough refutes the hypothesis, and is taken back all the same")
    func refuted() throws {
        let stage = Stage()
        stage.body = "nothing"
        var driver = try driver(documentedExperiment, stage)
        driver.finish()
        #expect(driver.run.journal.status == .completed)
        #expect(driver.run.journal.deviated)
        #expect(driver.said.contains("EXPERIMENT FAILED"))
        #expect(driver.performed.contains("network-restore payment-service"))
        #expect(!stage.isSlow)
    }

    // Toy: rollbacks are skipped when an action failed, on Ctrl-C, or with a broken hypothesis.
    @Test("strategy by outcome: rollbacks run as they should, and faults never stay")
    func rollbackMatrix() throws {
        enum End: CaseIterable { case passed, deviated, actionFailed, guardFailed, interrupted, refused }
        let expected: [ChaosExperiment.RollbackStrategy: [Bool]] = [
            .default: [true, true, true, true, true, false], .always: [true, true, true, true, true, true],
            .never: [false, false, false, false, false, false],
            .deviated: [false, true, false, false, false, false],
        ]
        for strategy in ChaosExperiment.RollbackStrategy.allCases {
            for (index, end) in End.allCases.enumerated() {
                let stage = Stage()
                if end == .deviated { stage.body = "" }
                stage.failsAction = end == .actionFailed
                stage.isBroken = end == .refused
                let guarded =
                    documentedExperiment
                    + "\n  guards:\n    - {probe: http, url: http://guard/, expect: latency < 1s}\n"
                var options = ExperimentRun.Options()
                options.rollbackStrategy = strategy
                var driver = try driver(end == .guardFailed ? guarded : documentedExperiment, stage, options)
                driver.start()
                while !driver.hasEnded {
                    if end == .interrupted, stage.isSlow, driver.run.journal.status == .running { driver.interrupt() }
                    if !driver.step() { break }
                }
                let ran = driver.performed.contains("network-restore payment-service")
                #expect(ran == expected[strategy]?[index], "\(strategy) \(end)")
                #expect(driver.hasEnded && driver.revertCount > 0, "\(strategy) \(end)")
            }
        }
    }

    // @covers CHAOS-M3
    @Test("interrupted between any two steps, it ends, and takes back what it did")
    func interruptedAnywhere() throws {
        for when in 0..<60 {
            let stage = Stage()
            var driver = try driver(documentedExperiment, stage)
            driver.start()
            for _ in 0..<when where !driver.hasEnded { _ = driver.step() }
            if driver.hasEnded { return }
            let hadBegun = driver.performed.contains("network-latency payment-service")
            driver.interrupt()
            for _ in 0..<1000 where !driver.hasEnded { if !driver.step() { break } }
            #expect(driver.hasEnded, "after \(when) steps")
            #expect(driver.revertCount > 0)
            #expect(driver.run.journal.status == .interrupted)
            if hadBegun { #expect(driver.performed.contains("network-restore payment-service"), "after \(when)") }
        }
    }

    @Test("a second Ctrl-C ends it at once")
    func interruptedTwice() throws {
        let stage = Stage()
        var driver = try driver(documentedExperiment, stage)
        driver.start()
        while !stage.isSlow { _ = driver.step() }
        driver.answer = { _, _ in nil }
        driver.interrupt()
        #expect(!driver.hasEnded)
        driver.interrupt()
        #expect(driver.hasEnded && driver.revertCount > 0)
    }

    // @covers CHAOS-C3
    @Test("a guard that fails aborts the method at once")
    func guards() throws {
        let text =
            documentedExperiment
            + "\n  guards:\n    - {probe: http, url: http://guard/, expect: latency < 1s, every: 5s, name: errors}\n"
        var driver = try driver(text)
        driver.finish()
        #expect(driver.run.journal.status == .aborted)
        #expect(driver.said.contains("A guard aborts the experiment: rolling back..."))
        // Not after the minute, but with the first look that is bad.
        #expect(driver.now - .documentedEpoch < .seconds(20))
        #expect(driver.run.journal.reason == "guard errors: latency is 2.34s, not < 1s")
    }

    @Test("pauses, background and their order")
    func background() throws {
        let text = """
            experiment:
              name: t
              strategy: skip
              method:
                - {action: network-loss, target: a, loss: 5%, duration: 30s, background: true}
                - {action: network-latency, target: b, latency: 1s, pauses: {before: 5s, after: 2s}}
                - {probe: http, url: http://x/, expect: status == 200}
            """
        let one = try experiment(text)
        #expect(one.method[0].isBackground && one.method[0].pauseAfter == .zero)
        var order: [String] = []
        var driver = RunDriver(one) { activity, now in
            order.append("\(now - .documentedEpoch) \(activity.name)")
            return .done(activity.kind == .probe ? .http(200, "", .zero) : .done)
        }
        driver.finish()
        #expect(order == ["0s network-loss a", "5s network-latency b", "7s http://x/"])
        #expect(driver.run.journal.hasPassed)
    }

    @Test("failing fast ends the method with the first failure; a dry run does nothing")
    func options() throws {
        let stage = Stage()
        stage.body = ""
        var options = ExperimentRun.Options()
        options.failsFast = true
        var fast = try driver(documentedExperiment, stage, options)
        fast.finish()
        #expect(fast.now - .documentedEpoch < .seconds(10))
        options = .init()
        options.isDry = true
        var dry = try driver(documentedExperiment, Stage(), options)
        dry.finish()
        #expect(dry.performed.isEmpty && dry.hasEnded)
        #expect(dry.said.contains("Would do: 2000ms latency to payment-service"))
    }

    @Test(
        "strategies look when they say",
        arguments: [
            (ChaosExperiment.HypothesisStrategy.default, [true, false, true]),
            (.beforeMethodOnly, [true, false, false]),
            (.afterMethodOnly, [false, false, true]), (.duringMethodOnly, [false, true, false]),
            (.continuously, [true, true, true]), (.skip, [false, false, false]),
        ])
    func strategies(_ strategy: ChaosExperiment.HypothesisStrategy, _ expected: [Bool]) throws {
        var options = ExperimentRun.Options()
        options.hypothesisStrategy = strategy
        var driver = try driver(documentedExperiment, Stage(), options)
        driver.finish()
        let states = driver.run.journal.json(node: "n", version: "1")["steady_states"]
        let during = states?["during"] != .array([])
        #expect([states?["before"] != .null, during, states?["after"] != .null] == expected)
    }

    @Test("a tolerance may be another probe's affair")
    func judgingProbe() throws {
        let text = """
            {"title": "t", "method": [], "steady-state-hypothesis": {"title": "h", "probes": [
              {"type": "probe", "name": "p", "provider": {"type": "http", "url": "http://a/"},
               "tolerance": {"type": "probe", "name": "judge", "provider": {"type": "process", "path": "check"}}}]}}
            """
        for status in [0, 1] {
            var driver = RunDriver(try experiment(text)) { activity, _ in
                activity.name == "judge"
                    ? .done(Observation(.process(status: status, output: "", errors: ""))) : .done(.http(200))
            }
            driver.finish()
            #expect(driver.run.journal.hasPassed == (status == 0))
        }
    }

    @Test("the journal has the Toolkit's shape")
    func journal() throws {
        var driver = try driver()
        driver.finish()
        let json = driver.run.journal.json(node: "lab", version: "1")
        #expect(json["status"] == "completed")
        #expect(json["deviated"] == false)
        #expect(json["start"] == "2023-12-20T15:00:00.000000")
        #expect(json["steady_states"]?["before"]?["steady_state_met"] == true)
        #expect(json["steady_states"]?["before"]?["probes"]?[0]?["tolerance_met"] == true)
        #expect(json["run"]?[0]?["status"] == "succeeded")
        #expect(json["rollbacks"]?[0]?["activity"]?["name"] == "network-restore payment-service")
        #expect(json["experiment"]?["title"] == "API resilience test")
    }
}
