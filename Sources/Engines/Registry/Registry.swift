import KernelStructures

/// The registry's decisions: who is on the catalogue, who of them is well, and who has to hear of it.
///
/// ## The problem
///
/// Programs find one another by addresses, and addresses change: instances are started and stopped, crash, and move.
/// What stands in a configuration file is true on the day on which it was written. Somebody has to know *now* where
/// the instances of a service are, and which of them are worth asking.
///
/// ## An everyday picture
///
/// The board in the entrance hall of an office building. Whoever moves in puts up a sign: name, floor, room. Whoever
/// moves out takes it down, but people who leave in a hurry forget to; so a porter knocks at every door now and then,
/// and hangs a red ribbon on the sign of a room from which nobody has answered three times. Visitors look at the
/// board, those in a hurry ask the porter by telephone (DNS), and a few leave their number: call me when something
/// changes on the line that I care about. They do not want to be called for any other line.
///
/// ## How
///
/// `RegistryCatalog` is the board: a state machine with an index that grows by one with each change. `CheckTable` is
/// the porter: when whom to ask, and how many answers in a row make a difference. This type puts them together: a
/// command goes into the catalogue by `apply`, and what follows from it comes out as effects: log lines, topics to
/// wake the waiting for, and further commands. Nothing here changes the catalogue but a command, so that they can go
/// through a replicated log first; that is why even an expired session is only *proposed*.
///
/// ## Where it is wrong
///
/// The board is always late. Between a crash and the third failed check the dead instance is still handed out; between
/// a change and the next look of a client, that client acts on old news, and DNS clients keep answers for as long as
/// their TTL says, often longer. A registry tells where to try first; whoever calls still has to be ready to fail.
public struct Registry {
    public let settings: RegistrySettings
    public internal(set) var catalog = RegistryCatalog()
    public internal(set) var checks: CheckTable
    public internal(set) var sightings = SightingLog()
    var antiEntropy: AntiEntropy
    /// When sessions end unless they are renewed.
    var sessionDeadlines: [String: LabTime] = [:]
    /// Until when a lock that was lost may be taken by nobody.
    var lockDelays: [String: LabTime] = [:]
    var random: SeededRandom

    /// What the host is asked to do.
    public enum Effect: Equatable {
        /// Make this check, and report by `probeFinished`.
        case probe(CheckProbe)
        /// Apply this, through the log if there is one.
        case propose(RegistryCommand)
        case log(LogMessage, level: LogLevel)
        /// Whoever waits for one of these is to look again.
        case wake([WatchTopic])
        /// For the journal.
        case changed(subject: String, from: String, to: String, reason: String)
        /// `nextDeadline` is earlier than it was.
        case deadlineMoved
    }

    public init(_ settings: RegistrySettings, random: SeededRandom = SeededRandom(seed: 1)) {
        self.settings = settings
        self.random = random.fork("registry")
        checks = CheckTable(settings, random: random.fork("checks"))
        antiEntropy = AntiEntropy(node: settings.node, random: random.fork("anti-entropy"))
    }

    // MARK: Commands

    /// Puts a command into the catalogue.
    ///
    /// - Parameter index: of its place in the log; greater than that of the command before.
    public mutating func apply(_ command: RegistryCommand, index: UInt64, now: LabTime)
        -> (outcome: RegistryOutcome, effects: [Effect])
    {
        let applied = catalog.apply(command, index: index)
        var effects: [Effect] = []
        for lock in applied.freed { lockDelays[lock.key] = now + lock.delay }
        for change in applied.changes { effects += follow(change, now: now) }
        if case .refused = applied.outcome {} else { effects += heed(command, now: now) }
        if !applied.topics.isEmpty {
            sightings.changed(applied, catalog, now: now)
            effects.append(.wake(applied.topics))
            effects += aliasProposals()
            if antiEntropy.deadline == nil {
                antiEntropy.note(applied.topics, nodes: catalog.nodes.count, now: now)
                if antiEntropy.deadline != nil { effects.append(.deadlineMoved) }
            }
        }
        return (applied.outcome, effects)
    }

    /// What a command says besides what it changes.
    private mutating func heed(_ command: RegistryCommand, now: LabTime) -> [Effect] {
        switch command {
        case .register(_, let instance?, _):
            // A sign of life: whoever registers again, even with the same words, is not taken off as long dead.
            checks.registeredAgain(catalog.ownChecks(of: instance.key), now: now)
        case .updateCheck(let node, let check, let status, let output):
            checks.told(InstanceKey(node: node, id: check), status, output, now: now)
        case .renewSession(let id):
            if let ttl = catalog.sessions[id]?.ttl { sessionDeadlines[id] = now + Self.grace(ttl) }
        case .report(let node, let id, let failures, let successes, let name):
            let key = InstanceKey(node: node, id: id)
            return reported(key, failures: failures, successes: successes, by: name, now: now)
        default: return []
        }
        return [.deadlineMoved]
    }

    private mutating func follow(_ change: CatalogChange, now: LabTime) -> [Effect] {
        switch change {
        case .registered(let instance, let isNew):
            let verb = isNew ? "Registered" : "Registered again"
            return [.log("\(verb) \(instance.name) (id: \(id: instance.id))", level: .info)]
        case .deregistered(let instance):
            return [.log("Deregistered \(id: instance.id)", level: .info)]
        case .check(let old, let new): return follow(check: old, new, now: now)
        case .sessionBegan(let session):
            if let ttl = session.ttl { sessionDeadlines[session.id] = now + Self.grace(ttl) }
            return [.deadlineMoved]
        case .sessionEnded(let session):
            sessionDeadlines[session.id] = nil
            return []
        }
    }

    /// A TTL is a lower bound: Consul, too, ends a session somewhere between one and two of them.
    private static func grace(_ ttl: LabDuration) -> LabDuration { ttl + min(ttl, .seconds(10)) }

    private mutating func follow(check old: CatalogCheck?, _ new: CatalogCheck?, now: LabTime) -> [Effect] {
        // What the agent looks after goes on whatever becomes of its row; anti-entropy puts that right.
        if let key = (new ?? old)?.key, let own = catalog.agent.checks[key], checks[key] != nil,
            new?.definition != own.definition
        {
            return []
        }
        guard let new else {
            guard let old else { return [] }
            checks.drop(old.key)
            return old.isMaintenance ? [.log("Maintenance of \(id: Self.subject(old)) is over", level: .info)] : []
        }
        var effects = checks.adopt(new, now: now)
        if old == nil, new.isMaintenance {
            effects.append(.log("Maintenance of \(id: Self.subject(new)): \(new.notes)", level: .info))
        }
        if let old, old.status != new.status { effects += changed(new, from: old.status) }
        return effects
    }

    private static func subject(_ check: CatalogCheck) -> String {
        check.serviceID.isEmpty ? check.node : check.serviceID
    }

    /// An instance, or a node, is better or worse than before.
    private func changed(_ check: CatalogCheck, from status: ServiceStatus) -> [Effect] {
        let subject = Self.subject(check)
        let others: [CatalogCheck]
        if let instance = catalog.instances[InstanceKey(node: check.node, id: check.serviceID)] {
            others = catalog.checks(of: instance)
        } else {
            others = catalog.checks(onNode: check.node).filter { $0.serviceID == check.serviceID }
        }
        let worst = others.filter { $0.id != check.id }.map(\.status).max() ?? .passing
        let (before, after) = (max(worst, status), max(worst, check.status))
        guard before != after else { return [] }
        let level: LogLevel = after == .passing ? .info : .warning
        return [
            .log("Marked \(id: subject) as \(after.rawValue)", level: level),
            .changed(subject: subject, from: before.rawValue, to: after.rawValue, reason: check.output),
        ]
    }

    // MARK: Aliases

    /// Checks that are as well as something else: what of them is not true any more. They do not look at one another,
    /// so that no circle of them can turn for ever.
    private func aliasProposals() -> [Effect] {
        checks.aliases.compactMap { key in
            guard let check = catalog.checks[key], case .alias(let node, let service)? = check.definition?.kind else {
                return nil
            }
            let place = node.isEmpty ? key.node : node
            let status: ServiceStatus
            if service.isEmpty {
                status = catalog.nodes[place] == nil ? .critical : catalog.status(ofNode: place)
            } else {
                let target = catalog.instances[InstanceKey(node: place, id: service)]
                status = target.map { worst(of: $0, besides: key) } ?? .critical
            }
            guard status != check.status else { return nil }
            let output = "as \(service.isEmpty ? place : service): \(status.rawValue)"
            return .propose(.updateCheck(node: key.node, check: key.id, status: status, output: output))
        }
    }

    private func worst(of instance: ServiceInstance, besides key: InstanceKey) -> ServiceStatus {
        catalog.checks(of: instance).filter { $0.key != key && $0.kind != "alias" }.map(\.status).max() ?? .passing
    }

    // MARK: Locks and sessions

    /// Whether a lock is free for those who have not held it: not within the delay after its holder was lost.
    public mutating func isDelayed(_ key: String, now: LabTime) -> Bool {
        guard let end = lockDelays[key] else { return false }
        if end > now { return true }
        lockDelays[key] = nil
        return false
    }

    // MARK: Leading

    /// It begins to make the checks, which somebody else made before: none is late, and they are not made in a volley.
    public mutating func beginLeading(now: LabTime) {
        checks.beginAnew(now: now)
        antiEntropy.beginLeading(now: now)
        for session in catalog.sessions.values {
            if let ttl = session.ttl { sessionDeadlines[session.id] = now + Self.grace(ttl) }
        }
    }

    /// Takes over the catalogue of a snapshot.
    public mutating func restore(_ catalog: RegistryCatalog, now: LabTime) {
        self.catalog = catalog
        checks = CheckTable(settings, random: random.fork("checks"))
        for node in catalog.sortedNodes {
            for check in catalog.checks(onNode: node.name) { _ = checks.adopt(check, now: now) }
        }
        sessionDeadlines = [:]
        lockDelays = [:]
    }

    // MARK: Time

    /// When `tick` has something to do next; nil if never.
    public var nextDeadline: LabTime? {
        [sessionDeadlines.values.min(), checks.nextDeadline, antiEntropy.deadline].compactMap { $0 }.min()
    }

    /// All that is due.
    public mutating func tick(now: LabTime) -> [Effect] {
        var effects = checks.tick(catalog, now: now) + antiEntropy.tick(catalog, now: now)
        for (id, deadline) in sessionDeadlines.sorted(by: { ($0.value, $0.key) < ($1.value, $1.key) })
        where deadline <= now {
            sessionDeadlines[id] = nil
            effects.append(.log("Session \(id: id) was not renewed in time", level: .info))
            effects.append(.propose(.destroySession(id)))
        }
        if !lockDelays.isEmpty { lockDelays = lockDelays.filter { $0.value > now } }
        return effects
    }

    /// A check has been made.
    public mutating func probeFinished(_ probe: CheckProbe, _ result: CheckResult, now: LabTime) -> [Effect] {
        checks.finished(probe, result, now: now)
    }

    /// Somebody reports on a check that waits to be told: the command that says so.
    ///
    /// - Throws: `RegistryError` for one that does not.
    public func heard(_ key: InstanceKey, _ result: CheckResult) throws(RegistryError) -> RegistryCommand {
        guard let check = catalog.agent.checks[key] ?? catalog.checks[key] else {
            throw RegistryError(.missing, "there is no check '\(key.id)'")
        }
        switch check.definition?.kind {
        case .ttl?, nil: break
        case let kind?:
            throw RegistryError(
                .refused, "the check '\(key.id)' is of kind \(kind.word), and finds out for itself",
                remedy: "only checks with a TTL are told")
        }
        return .updateCheck(node: check.node, check: check.id, status: result.status, output: result.output)
    }

    /// Those who use an instance report how their requests to it went.
    mutating func reported(_ key: InstanceKey, failures: Int, successes: Int, by name: String, now: LabTime)
        -> [Effect]
    {
        guard let instance = catalog.instances[key] else { return [] }
        let passive = catalog.ownChecks(of: key).first { $0.definition?.kind == .passive }
        let active = catalog.ownChecks(of: key).map(\.key)
        return checks.reported(
            instance, passive, active, failures: failures, successes: successes, by: name, now: now)
    }

    // MARK: Names

    /// An id for an instance that has none: the one that is there already, if name, address and port are the same.
    public mutating func id(for instance: ServiceInstance) -> String {
        func isSame(_ other: ServiceInstance) -> Bool {
            other.name == instance.name && other.address == instance.address && other.port == instance.port
        }
        if let same = catalog.instances(onNode: instance.node).first(where: isSame) { return same.id }
        let known = catalog.agent.instances.values.filter { $0.node == instance.node && isSame($0) }
        if let id = known.map(\.id).min() { return id }
        while true {
            let id = "\(instance.name)-\(hexadecimal(random.next() & 0xFF_FFFF, 6))"
            let key = InstanceKey(node: instance.node, id: id)
            if catalog.instances[key] == nil, catalog.agent.instances[key] == nil { return id }
        }
    }

    /// The instance on a node that a client means: by its id or, if only one has it, by its name.
    public func instance(_ word: String, onNode node: String) -> ServiceInstance? {
        let key = InstanceKey(node: node, id: word)
        if let exact = catalog.agent.instances[key] ?? catalog.instances[key] { return exact }
        var named = catalog.instances(of: word).filter { $0.node == node }
        if named.isEmpty { named = catalog.agent.instances(onNode: node).filter { $0.name == word } }
        return named.count == 1 ? named[0] : nil
    }

    /// Rows of the catalogue that anti-entropy has put right.
    public var repairCount: Int { antiEntropy.repairCount }

    /// A new UUID's bits.
    public mutating func draw<R>(_ body: (inout SeededRandom) -> R) -> R { body(&random) }
}

/// What does not change while it runs.
public struct RegistrySettings: Sendable {
    public var node = "registry"
    /// A UUID.
    public var nodeID = ""
    public var address = "127.0.0.1"
    public var datacenter = "dc1"
    /// Failures in a row that it takes for a check that does not say.
    public var failuresBeforeCritical = 3
    /// Does not believe that many fail at once: the network of the registry itself may be broken (Eureka).
    public var preservesItself = false
    /// An instance that changes again and again counts as critical until it is steady.
    public var detectsFlapping = false
    /// Zones that DNS answers for, the first one first.
    public var domains = ["consul", "local"]
    /// How long DNS answers may be remembered.
    public var ttlSeconds: UInt32 = 0
    /// Whether DNS leaves out instances that warn, too.
    public var answersPassingOnly = false

    public init() {}
}

extension RegistrySettings {
    /// Whether a word can be a zone: labels of letters, digits and hyphens.
    public static func isDomain(_ text: String) -> Bool {
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        return text.utf8.count <= 200
            && labels.allSatisfy { label in
                (1...63).contains(label.utf8.count)
                    && label.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
            }
    }
}
