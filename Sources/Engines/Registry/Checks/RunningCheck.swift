import KernelStructures

/// A check as it is being made.
public struct RunningCheck: Sendable {
    public let definition: CheckDefinition
    let serviceID: String
    /// Critical for so long, its instance is taken off; nil: never.
    let reapsAfter: LabDuration?
    /// What the catalogue says.
    public internal(set) var status: ServiceStatus
    public internal(set) var successesInARow = 0
    public internal(set) var failuresInARow = 0
    /// When the last result came, and what it said.
    public internal(set) var lastCheckTime: LabTime?
    public internal(set) var lastOutput = ""
    public internal(set) var nextProbe: LabTime?
    /// A check that is told, and has been told nothing for too long by then.
    var silentAfter: LabTime?
    /// The one under way.
    var probe: Int?
    public internal(set) var criticalSince: LabTime?
    /// When the catalogue's status changed, the last ones only.
    public internal(set) var changes: [LabTime] = []
    /// While it flaps: critical until then at least.
    public internal(set) var flapsUntil: LabTime?
    var lastVerdict: ServiceStatus?
    /// Its newest place in the queue of what is due.
    var turn = 0

    /// Changes that are remembered.
    static let changeLimit = 16

    init(_ definition: CheckDefinition, status: ServiceStatus, serviceID: String, now: LabTime) {
        self.definition = definition
        self.status = status
        self.serviceID = serviceID
        // Only instances are taken off, never a node.
        reapsAfter = serviceID.isEmpty ? nil : Self.reapingTime(definition)
        criticalSince = status == .critical ? now : nil
    }

    /// The least that `DeregisterCriticalServiceAfter` counts as, as in Consul.
    static let leastReapingTime = LabDuration.seconds(60)

    /// None is never, and less than the least is the least: also of what stands in a log already.
    private static func reapingTime(_ definition: CheckDefinition) -> LabDuration? {
        definition.deregistersAfter.flatMap { $0 > .zero ? max($0, leastReapingTime) : nil }
    }

    /// When something has to be done about it next.
    var deadline: LabTime? {
        var earliest = nextProbe
        func note(_ time: LabTime?) { if let time, earliest.map({ time < $0 }) ?? true { earliest = time } }
        note(silentAfter)
        if let since = criticalSince, let limit = reapsAfter { note(since + limit) }
        return earliest
    }

    /// The catalogue has another status.
    mutating func note(_ new: ServiceStatus, now: LabTime) {
        guard new != status else { return }
        status = new
        changes.append(now)
        if changes.count > Self.changeLimit { changes.removeFirst() }
        criticalSince = new == .critical ? now : nil
    }

    /// The catalogue's status changed so often in that time.
    public func changeCount(within window: LabDuration, now: LabTime) -> Int { changes.count { now - $0 <= window } }
}

extension CheckTable {
    /// So many changes in such a time are flapping, and it takes such a time without any to be believed again.
    public static let flapChanges = 6
    public static let flapWindow = LabDuration.seconds(300)
    public static let flapQuiet = LabDuration.seconds(60)
    /// More failing at once than this are not believed, in percent: Eureka's renewal threshold is the other 85.
    public static let preservationPercent = 15

    /// Counts a result, and says what follows from it.
    ///
    /// - Parameter isCertain: the result is somebody's word: one is enough.
    mutating func verdict(_ key: InstanceKey, _ result: CheckResult, isCertain: Bool = false, now: LabTime)
        -> [Registry.Effect]
    {
        guard var check = running[key] else { return [] }
        check.lastCheckTime = now
        check.lastOutput = result.output
        let status: ServiceStatus?
        let needed = max(1, check.definition.failuresBeforeCritical)
        if result.status == .critical {
            check.successesInARow = 0
            check.failuresInARow += 1
            status = isCertain ? .critical : Self.status(after: check.failuresInARow, check.definition)
        } else {
            check.failuresInARow = 0
            check.successesInARow += 1
            let isEnough = isCertain || check.successesInARow >= max(1, check.definition.successesBeforePassing)
            status = isEnough ? result.status : nil
        }
        running[key] = check
        var effects: [Registry.Effect] = []
        let subject = check.serviceID.isEmpty ? key.id : check.serviceID
        if result.status == .critical, !isCertain, check.failuresInARow == needed {
            let failed: LogMessage =
                "Health check failed for \(id: subject) (\(check.failuresInARow) consecutive failures)"
            effects.append(.log(failed, level: .warning))
        }
        guard let status = flapping(key, status, subject, now: now, &effects) else { return effects }
        if status == .critical, !isCertain, isHeldBack(&effects) { return effects }
        if settings.preservesItself, status != .critical { _ = isHeldBack(&effects) }
        guard status != check.status else { return effects }
        return effects + [
            .propose(
                .updateCheck(
                    node: key.node, check: key.id, status: status, output: result.output))
        ]
    }

    /// Nil: as it was.
    private static func status(after failures: Int, _ definition: CheckDefinition) -> ServiceStatus? {
        if failures >= max(1, definition.failuresBeforeCritical) { return .critical }
        if let warning = definition.failuresBeforeWarning, failures >= max(1, warning) { return .warning }
        return nil
    }

    // MARK: Flapping

    private mutating func flapping(
        _ key: InstanceKey, _ status: ServiceStatus?, _ subject: String, now: LabTime,
        _ effects: inout [Registry.Effect]
    ) -> ServiceStatus? {
        guard settings.detectsFlapping, var check = running[key], let status else { return status }
        defer { running[key] = check }
        let isOther = check.lastVerdict.map { $0 != status } ?? false
        check.lastVerdict = status
        if let end = check.flapsUntil {
            if isOther { check.flapsUntil = now + Self.flapQuiet }
            guard now >= end, !isOther else { return .critical }
            check.flapsUntil = nil
            check.changes = []
            effects.append(.log("\(id: subject) has been steady for \(Self.flapQuiet)", level: .info))
            return status
        }
        let count = check.changeCount(within: Self.flapWindow, now: now) + (status == check.status ? 0 : 1)
        guard count >= Self.flapChanges else { return status }
        check.flapsUntil = now + Self.flapQuiet
        effects.append(
            .log(
                "\(id: subject) flaps (\(count) changes within \(Self.flapWindow)): critical until it is steady",
                level: .warning))
        return .critical
    }

    // MARK: Self-preservation

    /// Whether so many fail that none is believed to.
    private mutating func isHeldBack(_ effects: inout [Registry.Effect]) -> Bool {
        guard settings.preservesItself else { return false }
        let asked = running.values.filter { $0.nextProbe != nil }
        let failing = asked.count { $0.failuresInARow >= max(1, $0.definition.failuresBeforeCritical) }
        let isTooMuch = failing > 1 && failing * 100 > asked.count * Self.preservationPercent
        if isTooMuch != isPreserving {
            isPreserving = isTooMuch
            effects.append(
                isTooMuch
                    ? .log(
                        "Self-preservation: \(failing) of \(asked.count) fail at once, and none is taken out",
                        level: .warning) : .log("Self-preservation is over", level: .info))
        }
        return isTooMuch
    }
}
