import KernelStructures
import RegistryEngine
import Testing

/// Performs what an engine decides, in time of its own.
private struct Porter {
    var registry: Registry
    var now = LabTime(nanoseconds: 0)
    var lines: [String] = []
    var tickCount = 0
    /// When each check was made, and of what.
    var probes: [(time: LabTime, id: String)] = []
    /// What a check finds out; nil: it never ends.
    var find: (String, LabTime) -> ServiceStatus? = { _, _ in .passing }

    init(_ change: (inout RegistrySettings) -> Void = { _ in }) {
        var settings = RegistrySettings()
        settings.node = "n1"
        change(&settings)
        registry = Registry(settings)
        submit(.register(node: CatalogNode(name: "n1", address: "10.0.0.1"), instance: nil, checks: []))
    }

    mutating func submit(_ command: RegistryCommand) {
        perform(registry.apply(command, index: registry.catalog.lastIndex + 1, now: now).effects)
    }

    mutating func perform(_ effects: [Registry.Effect]) {
        for effect in effects {
            switch effect {
            case .probe(let probe):
                probes.append((now, probe.key.id))
                if let status = find(probe.key.id, now) {
                    perform(registry.probeFinished(probe, CheckResult(status, "x"), now: now))
                }
            case .propose(let command): submit(command)
            case .log(let message, _): lines.append(message.description)
            case .wake, .changed, .deadlineMoved: break
            }
        }
    }

    mutating func pass(_ duration: LabDuration) {
        let end = now + duration
        while let deadline = registry.nextDeadline, deadline <= end {
            now = max(now, deadline)
            tickCount += 1
            perform(registry.tick(now: now))
        }
        now = end
    }

    mutating func add(
        _ id: String, _ kind: CheckDefinition.Kind = .tcp("x:1"), interval: LabDuration = .seconds(10),
        status: ServiceStatus = .critical, _ change: (inout CheckDefinition) -> Void = { _ in }
    ) {
        var definition = CheckDefinition(kind, interval: interval)
        definition.failuresBeforeCritical = 3
        change(&definition)
        var check = CatalogCheck(node: "n1", id: "service:\(id)", name: "c")
        check.serviceID = id
        check.status = status
        check.definition = definition
        let instance = ServiceInstance(node: "n1", id: id, name: "api")
        submit(.register(node: CatalogNode(name: "n1", address: ""), instance: instance, checks: [check]))
    }

    func status(_ id: String) -> ServiceStatus? {
        registry.catalog.checks[InstanceKey(node: "n1", id: "service:\(id)")]?.status
    }
}

@Suite("The registry's checks")
struct CheckTests {
    @Test("three failures in a row and not two, one success and not fewer, as the definition says")
    func thresholds() {
        var porter = Porter()
        porter.add("a")
        porter.pass(.zero)
        #expect(porter.status("a") == .passing, "the first check is made at once")
        porter.find = { _, _ in .critical }
        porter.pass(.seconds(24))
        #expect(porter.probes.count == 3 && porter.status("a") == .passing)
        porter.find = { _, _ in .passing }
        porter.pass(.seconds(10))
        porter.find = { _, _ in .critical }
        porter.pass(.seconds(20))
        #expect(porter.status("a") == .passing, "the good one in between has wiped the slate")
        porter.pass(.seconds(12))
        #expect(porter.status("a") == .critical)
        #expect(porter.lines.contains("Health check failed for a (3 consecutive failures)"))
        #expect(porter.lines.last == "Marked a as critical")
        porter.find = { _, _ in .passing }
        porter.pass(.seconds(11))
        #expect(porter.status("a") == .passing)
    }

    @Test("Consul's other thresholds: successes before passing, failures before warning")
    func otherThresholds() {
        var porter = Porter()
        porter.add("a") {
            $0.successesBeforePassing = 2
            $0.failuresBeforeWarning = 1
            $0.failuresBeforeCritical = 2
        }
        porter.pass(.zero)
        #expect(porter.status("a") == .critical)
        porter.pass(.seconds(11))
        #expect(porter.status("a") == .passing)
        porter.find = { _, _ in .critical }
        porter.pass(.seconds(10))
        #expect(porter.status("a") == .warning)
        porter.pass(.seconds(11))
        #expect(porter.status("a") == .critical)
    }

    @Test("a TTL's word is good for its time; without another it is critical")
    func ttl() throws {
        var porter = Porter()
        porter.add("a", .ttl, interval: .seconds(10))
        let key = InstanceKey(node: "n1", id: "service:a")
        porter.submit(try porter.registry.heard(key, CheckResult(.passing, "fine")))
        #expect(porter.status("a") == .passing)
        porter.pass(.seconds(9))
        #expect(porter.status("a") == .passing)
        porter.submit(try porter.registry.heard(key, CheckResult(.passing, "fine")))
        porter.pass(.seconds(9))
        #expect(porter.status("a") == .passing)
        porter.pass(.seconds(2))
        #expect(porter.status("a") == .critical)
        porter.add("b")
        #expect(throws: RegistryError.self) {
            try porter.registry.heard(
                InstanceKey(node: "n1", id: "service:b"), CheckResult(.passing, ""))
        }
    }

    @Test("an alias is as well as what it follows, and a circle of them stands still")
    func alias() {
        var porter = Porter()
        porter.add("a", status: .passing)
        porter.add("b", .alias(node: "", service: "a"))
        #expect(porter.status("b") == .passing)
        porter.find = { _, _ in .critical }
        porter.pass(.seconds(40))
        #expect(porter.status("b") == .critical)
        porter.add("c", .alias(node: "", service: "d"), status: .passing)
        porter.add("d", .alias(node: "", service: "c"))
        #expect(porter.status("c") == .passing && porter.status("d") == .passing)
    }

    @Test("a passive check hears of failures in a row, and has the active ones look at once")
    func passive() {
        var porter = Porter()
        porter.add("a", .passive, status: .passing)
        func report(_ failures: Int, _ successes: Int) {
            porter.submit(
                .report(node: "n1", instance: "a", failures: failures, successes: successes, by: "lb"))
        }
        report(2, 0)
        #expect(porter.status("a") == .passing)
        report(0, 5)
        report(2, 0)
        #expect(porter.status("a") == .passing, "a success in between wipes the slate")
        report(1, 0)
        #expect(porter.status("a") == .critical)
        porter.add("b")
        porter.pass(.zero)
        let before = porter.probes.count
        porter.submit(.report(node: "n1", instance: "b", failures: 1, successes: 0, by: "lb"))
        porter.pass(.milliseconds(1))
        #expect(porter.probes.count == before + 1)
    }

    @Test("one that flaps is critical until it is steady")
    func flapping() {
        func changes(_ detects: Bool) -> Int {
            var porter = Porter { $0.detectsFlapping = detects }
            porter.add("a", interval: .seconds(5)) { $0.failuresBeforeCritical = 1 }
            porter.find = { _, now in now.nanoseconds / 5_000_000_000 % 2 == 0 ? .passing : .critical }
            porter.pass(.seconds(300))
            if detects { #expect(porter.lines.contains { $0.hasPrefix("a flaps (6 changes within 5m)") }) }
            let count = porter.lines.count { $0.hasPrefix("Marked") }
            porter.find = { _, _ in .passing }
            porter.pass(.seconds(80))
            #expect(porter.status("a") == .passing)
            return count
        }
        #expect(changes(true) <= 7)
        #expect(changes(false) > 30)
    }

    @Test("with self-preservation many that fail at once are not believed, and none is taken off")
    func preservation() {
        var porter = Porter { $0.preservesItself = true }
        for number in 0..<10 { porter.add("i\(number)") { $0.deregistersAfter = .seconds(60) } }
        porter.pass(.seconds(1))
        porter.find = { _, _ in .critical }
        porter.pass(.seconds(600))
        let critical = (0..<10).count { porter.status("i\($0)") == .critical }
        #expect(critical <= 1, "only the first, before it was clear that it is not alone")
        #expect(porter.registry.catalog.instances.count == 10)
        porter.find = { id, _ in id == "service:i3" ? .critical : .passing }
        porter.pass(.seconds(40))
        #expect(porter.lines.contains("Self-preservation is over"))
        #expect(porter.status("i3") == .critical)
        #expect((0..<10).count { porter.status("i\($0)") == .critical } == 1)
    }

    @Test("a session that is not renewed ends between one and two of its times")
    func sessions() throws {
        var porter = Porter()
        var session = RegistrySession(id: "s", node: "n1")
        session.ttl = .seconds(10)
        porter.submit(.createSession(session))
        porter.pass(.seconds(9))
        porter.submit(.renewSession("s"))
        porter.pass(.seconds(10))
        #expect(porter.registry.catalog.sessions.count == 1)
        porter.pass(.seconds(10))
        #expect(porter.registry.catalog.sessions.isEmpty)
    }

    // MARK: What toys do

    @Test("checks are not made in volleys, and one that hangs has no other behind it")
    func noVolleys() {
        var porter = Porter()
        for number in 0..<1000 { porter.add("i\(number)") }
        porter.pass(.seconds(60))
        var perTenth: [Int64: Int] = [:]
        for probe in porter.probes { perTenth[probe.time.nanoseconds / 100_000_000, default: 0] += 1 }
        #expect(porter.probes.count > 5000)
        #expect((perTenth.values.max() ?? 0) <= 30, "a thousand every ten seconds are ten a tenth")
        var hanging = Porter()
        hanging.find = { _, _ in nil }
        hanging.add("a", interval: .seconds(1))
        hanging.pass(.seconds(60))
        #expect(hanging.probes.count == 1)
    }

    @Test("what comes of a check that was made before its definition was another one, or another led, does not count")
    func lateAnswers() {
        var porter = Porter()
        var made: [CheckProbe] = []
        porter.find = { _, _ in nil }
        porter.add("a", status: .passing) { $0.failuresBeforeCritical = 1 }
        func tick() {
            porter.now = max(porter.now, porter.registry.nextDeadline ?? porter.now)
            for case .probe(let probe) in porter.registry.tick(now: porter.now) { made.append(probe) }
        }
        tick()
        porter.registry.beginLeading(now: porter.now)
        tick()
        #expect(made.count == 2)
        porter.perform(porter.registry.probeFinished(made[0], CheckResult(.critical, "late"), now: porter.now))
        #expect(porter.status("a") == .passing)
        porter.perform(porter.registry.probeFinished(made[1], CheckResult(.critical, "in time"), now: porter.now))
        #expect(porter.status("a") == .critical)
    }

    @Test("who registers again just before being taken off is not taken off")
    func registersInTime() {
        var porter = Porter()
        porter.find = { _, _ in .critical }
        porter.add("a") { $0.deregistersAfter = .seconds(60) }
        porter.pass(.seconds(59))
        porter.add("a") { $0.deregistersAfter = .seconds(60) }
        porter.pass(.seconds(59))
        #expect(porter.registry.catalog.instances.count == 1)
        porter.pass(.seconds(2))
        #expect(porter.registry.catalog.instances.isEmpty)
        #expect(porter.lines.suffix(2) == ["a has been critical for 1m", "Deregistered a"])
    }

    @Test("to be taken off after no time is never, after too little a minute, and a node never")
    func shortReaping() {
        for (time, isTaken) in [(LabDuration.zero, false), (LabDuration(nanoseconds: 1), true), (.seconds(5), true)] {
            var porter = Porter()
            porter.find = { _, _ in .critical }
            porter.add("a", .ttl, interval: .seconds(60)) { $0.deregistersAfter = time }
            var check = CatalogCheck(node: "n1", id: "node", name: "of the node")
            check.definition = CheckDefinition(.ttl, interval: .seconds(60))
            check.definition?.deregistersAfter = time
            porter.submit(.register(node: CatalogNode(name: "n1", address: ""), instance: nil, checks: [check]))
            porter.pass(.seconds(59))
            #expect(porter.registry.catalog.instances.count == 1)
            porter.pass(.seconds(600))
            #expect(porter.registry.catalog.instances.isEmpty == isTaken, "\(time)")
            #expect(porter.registry.catalog.nodes.count == 1 && porter.tickCount < 50, "\(porter.tickCount)")
            let warnings = porter.lines.count {
                $0 == "DeregisterCriticalServiceAfter \(time) is too short: 1m is taken"
            }
            #expect(warnings == (isTaken ? 1 : 0))
        }
    }
}
