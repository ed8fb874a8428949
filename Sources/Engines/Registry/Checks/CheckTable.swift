import KernelStructures

/// A check that is to be made now.
public struct CheckProbe: Equatable, Sendable {
    public let key: InstanceKey
    public let number: Int
    public let definition: CheckDefinition
}

/// What one check found out.
public struct CheckResult: Equatable, Sendable {
    public let status: ServiceStatus
    public let output: String
    public init(_ status: ServiceStatus, _ output: String) {
        self.status = status
        self.output = String(output.prefix(Self.outputLimit))
    }
    /// Characters, as Consul has it.
    static let outputLimit = 4096
}

/// The checks under way: when each is due, and how many results in a row it takes to change a status.
///
/// **Rhythm.** A check is due an interval after it was due before, not after it ended, give or take a twentieth by
/// chance. One that is still under way when it is due again is left alone: it fails by its timeout, and nothing piles
/// up behind it. Checks that come together (a registry that starts again, a deployment) are first made a hundredth of a
/// second apart, and keep that distance: an interval later they are no volley.
public struct CheckTable {
    let settings: RegistrySettings
    var running: [InstanceKey: RunningCheck] = [:]
    /// Those that follow something else, in the order in which they came.
    private(set) var aliases: [InstanceKey] = []
    private var due = BinaryHeap<Due>()
    private var lastTurn = 0
    private var lastProbe = 0
    private var nextFirstProbe = LabTime(nanoseconds: .min)
    var random: SeededRandom
    /// Whether failures are not believed at present, because there are too many.
    public internal(set) var isPreserving = false

    /// First checks are at least so far apart.
    static let firstProbeSpacing = LabDuration.milliseconds(10)

    struct Due: Comparable {
        let time: LabTime
        let turn: Int
        let key: InstanceKey
        static func < (a: Due, b: Due) -> Bool { (a.time, a.turn) < (b.time, b.turn) }
        static func == (a: Due, b: Due) -> Bool { a.turn == b.turn }
    }

    init(_ settings: RegistrySettings, random: SeededRandom) {
        self.settings = settings
        self.random = random
    }

    public subscript(key: InstanceKey) -> RunningCheck? { running[key] }

    // MARK: Coming and going

    mutating func adopt(_ check: CatalogCheck, now: LabTime) -> [Registry.Effect] {
        guard let definition = check.definition else {
            drop(check.key)
            return []
        }
        if var known = running[check.key], known.definition == definition {
            known.note(check.status, now: now)
            running[check.key] = known
            schedule(check.key, now: now)
            return [.deadlineMoved]
        }
        drop(check.key)
        var new = RunningCheck(definition, status: check.status, serviceID: check.serviceID, now: now)
        let scheduled: LogMessage
        switch definition.kind {
        case .http, .tcp:
            new.nextProbe = max(now, nextFirstProbe)
            nextFirstProbe = new.nextProbe! + Self.firstProbeSpacing
            scheduled = "Health check scheduled: every \(definition.interval)"
        case .ttl:
            new.silentAfter = now + definition.interval
            scheduled = "Health check expected: every \(definition.interval)"
        case .alias(_, let service):
            aliases.append(check.key)
            scheduled = "Health check follows \(service.isEmpty ? "the node" : service)"
        case .passive: scheduled = "Health check by reports of those who use it"
        }
        running[check.key] = new
        schedule(check.key, now: now)
        return [.log(scheduled, level: .info)] + shortReaping(new) + [.deadlineMoved]
    }

    private func shortReaping(_ check: RunningCheck) -> [Registry.Effect] {
        guard let asked = check.definition.deregistersAfter, let least = check.reapsAfter, asked < least else {
            return []
        }
        return [.log("DeregisterCriticalServiceAfter \(asked) is too short: \(least) is taken", level: .warning)]
    }

    mutating func drop(_ key: InstanceKey) {
        guard running.removeValue(forKey: key) != nil else { return }
        aliases.removeAll { $0 == key }
    }

    /// Their instance has shown that it lives: the time after which it is taken off begins anew.
    mutating func registeredAgain(_ checks: [CatalogCheck], now: LabTime) {
        for check in checks where running[check.key]?.criticalSince != nil {
            running[check.key]?.criticalSince = now
            schedule(check.key, now: now)
        }
    }

    /// Notes when something has to be done about a check next.
    ///
    /// - Parameter rest: not before so much time has passed.
    mutating func schedule(_ key: InstanceKey, now: LabTime, rest: LabDuration = .zero) {
        guard var check = running[key], let time = check.deadline else { return }
        lastTurn += 1
        check.turn = lastTurn
        running[key] = check
        due.insert(Due(time: max(time, now + rest), turn: lastTurn, key: key))
    }

    // MARK: Time

    public var nextDeadline: LabTime? { due.first?.time }

    mutating func tick(_ catalog: RegistryCatalog, now: LabTime) -> [Registry.Effect] {
        var effects: [Registry.Effect] = []
        while let first = due.first, first.time <= now {
            _ = due.removeFirst()
            // Others have been noted for it since, or it is gone.
            guard running[first.key]?.turn == first.turn else { continue }
            effects += handle(first.key, catalog, now: now)
            // Whatever is due again at once has its turn in the next tick: this one ends, whatever the table holds.
            schedule(first.key, now: now, rest: Self.rest)
        }
        return effects
    }

    /// Between two turns of one check; far less than the shortest interval.
    private static let rest = LabDuration.milliseconds(10)

    private mutating func handle(_ key: InstanceKey, _ catalog: RegistryCatalog, now: LabTime) -> [Registry.Effect] {
        guard var check = running[key] else { return [] }
        var effects: [Registry.Effect] = []
        if let time = check.nextProbe, time <= now {
            check.nextProbe = next(after: time, check.definition.interval, now: now)
            if check.probe == nil {
                lastProbe += 1
                check.probe = lastProbe
                effects.append(.probe(CheckProbe(key: key, number: lastProbe, definition: check.definition)))
            }
        }
        if let time = check.silentAfter, time <= now {
            check.silentAfter = nil
            running[key] = check
            let result = CheckResult(.critical, "nothing was heard within \(check.definition.interval)")
            return effects + verdict(key, result, isCertain: true, now: now)
        }
        running[key] = check
        if let since = check.criticalSince, let limit = check.reapsAfter, since + limit <= now {
            effects += reap(key, check, limit, catalog, now: now)
        }
        return effects
    }

    /// Takes an instance off the catalogue that has been critical for too long.
    private mutating func reap(
        _ key: InstanceKey, _ check: RunningCheck, _ limit: LabDuration, _ catalog: RegistryCatalog, now: LabTime
    ) -> [Registry.Effect] {
        // Later, if at all: at present nobody is believed to be dead, or it has been registered again.
        running[key]?.criticalSince = now
        guard !isPreserving, !check.serviceID.isEmpty else { return [] }
        let instance = InstanceKey(node: key.node, id: check.serviceID)
        return [
            .log("\(id: check.serviceID) has been critical for \(limit)", level: .warning),
            .propose(
                .deregister(
                    node: key.node, instance: instance.id, check: nil,
                    unlessAfter: catalog.registrationIndex(of: instance))),
        ]
    }

    private mutating func next(after time: LabTime, _ interval: LabDuration, now: LabTime) -> LabTime {
        let length = max(interval.nanoseconds, 1_000_000)
        let missed = max(0, (now - time).nanoseconds / length)
        let jitter = random.jitter(LabDuration(nanoseconds: length / 20))
        return time + LabDuration(nanoseconds: length) * Int(missed + 1) + jitter
    }

    // MARK: Results

    mutating func finished(_ probe: CheckProbe, _ result: CheckResult, now: LabTime) -> [Registry.Effect] {
        guard var check = running[probe.key], check.probe == probe.number else { return [] }
        check.probe = nil
        running[probe.key] = check
        return verdict(probe.key, result, isCertain: false, now: now)
    }

    /// Somebody's word about a check, as the catalogue has it now. That of one with a TTL is good for its time.
    mutating func told(_ key: InstanceKey, _ status: ServiceStatus, _ output: String, now: LabTime) {
        guard var known = running[key], known.definition.kind == .ttl else { return }
        known.silentAfter = status == .critical ? nil : now + known.definition.interval
        known.lastCheckTime = now
        known.lastOutput = output
        known.failuresInARow = status == .critical ? known.failuresInARow + 1 : 0
        running[key] = known
        schedule(key, now: now)
    }

    /// All are due as if they had just come; what has been critical has been so since now.
    mutating func beginAnew(now: LabTime) {
        nextFirstProbe = now
        for key in running.keys.sorted(by: { ($0.node, $0.id) < ($1.node, $1.id) }) {
            guard var check = running[key] else { continue }
            check.probe = nil
            if check.nextProbe != nil {
                check.nextProbe = max(now, nextFirstProbe)
                nextFirstProbe = nextFirstProbe + Self.firstProbeSpacing
            }
            if check.silentAfter != nil { check.silentAfter = now + check.definition.interval }
            if check.criticalSince != nil { check.criticalSince = now }
            running[key] = check
            schedule(key, now: now)
        }
    }

    mutating func reported(
        _ instance: ServiceInstance, _ passive: CatalogCheck?, _ active: [InstanceKey], failures: Int, successes: Int,
        by name: String, now: LabTime
    ) -> [Registry.Effect] {
        var effects: [Registry.Effect] = []
        // Whoever is complained about is looked at now, and not when it is its turn.
        if failures > 0 {
            for key in active where running[key]?.nextProbe != nil && running[key]?.probe == nil {
                running[key]?.nextProbe = now
                schedule(key, now: now)
                effects.append(.deadlineMoved)
            }
        }
        guard let passive, running[passive.key] != nil else { return effects }
        let requests = { (count: Int, what: String) in "\(name) reports \(counted(count, "request")) that \(what)" }
        if successes > 0 {
            effects += verdict(passive.key, CheckResult(.passing, requests(successes, "succeeded")), now: now)
        }
        for _ in 0..<min(failures, Self.reportLimit) {
            effects += verdict(passive.key, CheckResult(.critical, requests(failures, "failed")), now: now)
        }
        schedule(passive.key, now: now)
        return effects
    }

    /// Failures of one report that count.
    private static let reportLimit = 100
}
