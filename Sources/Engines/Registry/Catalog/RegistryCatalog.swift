import KernelStructures

/// The catalogue: nodes, instances, checks, keys and sessions, and at which index each of them changed last.
///
/// It is a state machine: `apply` is the only way in, one command after another, each with an index that is greater
/// than the last. The same commands give the same catalogue everywhere, which is what makes it fit for a replicated
/// log.
///
/// **Indexes.** Each change has the index of its command, and each *topic* (`WatchTopic`) the index of its last change.
/// Whoever waits for a topic is woken by changes of that topic and by no others: a thousand registrations of one
/// service do not disturb those who wait for another. A command that changes nothing (the same instance registered
/// once more) moves no index. What is gone keeps its last index as a tombstone, so that an index never goes back; the
/// oldest tombstones are forgotten together, and then count as one.
public struct RegistryCatalog: Equatable, Sendable {
    public internal(set) var lastIndex: UInt64 = 0
    public internal(set) var nodes: [String: CatalogNode] = [:]
    public internal(set) var instances: [InstanceKey: ServiceInstance] = [:]
    public internal(set) var checks: [InstanceKey: CatalogCheck] = [:]
    public internal(set) var entries = KeyTree()
    public internal(set) var sessions: [String: RegistrySession] = [:]
    /// The last ones, oldest first.
    public internal(set) var events: [RegistryEvent] = []
    /// What the agents of the nodes were told.
    public internal(set) var agent = AgentState()

    /// Of each service, in the order in which they were registered.
    var byName: [String: [InstanceKey]] = [:]
    /// Names as they are written, by their lower case: DNS asks in any.
    var spellings: [String: [String]] = [:]
    /// Of each node: instances, and checks, in the order in which they were registered.
    var onNode: [String: [InstanceKey]] = [:]
    var checksOnNode: [String: [InstanceKey]] = [:]
    /// Of each instance; those of its node stand under the name that no instance has, the empty one: a thousand
    /// instances on one node are a thousand checks, and few of them are the node's.
    var checksOfInstance: [InstanceKey: [InstanceKey]] = [:]
    /// The index of the last registration of each instance, even one that changed nothing.
    var registeredAt: [InstanceKey: UInt64] = [:]
    var indexes = TopicIndexes()
    /// No topic's index is less: that of the snapshot that it began with.
    var floorIndex: UInt64 = 1
    /// Topics that the command under way has changed.
    var touched: [WatchTopic] = []
    /// Locks that it has freed, and for how long nobody may take them.
    var freed: [FreedLock] = []
    /// What it has done to instances, checks and sessions.
    var changes: [CatalogChange] = []

    /// A lock whose session ended.
    public struct FreedLock: Equatable, Sendable {
        public let key: String
        public let delay: LabDuration
    }

    /// What a command did.
    public struct Applied: Equatable, Sendable {
        public var outcome: RegistryOutcome
        /// In the order in which they were changed, each once.
        public var topics: [WatchTopic]
        public var freed: [FreedLock]
        public var changes: [CatalogChange]
    }

    public init() {}

    /// Carries out a command.
    ///
    /// - Parameter index: greater than `lastIndex`.
    public mutating func apply(_ command: RegistryCommand, index: UInt64) -> Applied {
        lastIndex = max(lastIndex, index)
        touched = []
        freed = []
        changes = []
        let outcome: RegistryOutcome
        do throws(RegistryError) {
            outcome = try perform(command)
        } catch {
            outcome = .refused(error)
        }
        defer {
            touched = []
            freed = []
            changes = []
        }
        return Applied(outcome: outcome, topics: touched, freed: freed, changes: changes)
    }

    mutating func perform(_ command: RegistryCommand) throws(RegistryError) -> RegistryOutcome {
        switch command {
        case .register(let node, let instance, let checks): try tellAgent(node, instance, checks)
        case .deregister(let node, let instance, let check, let index):
            try tellAgentNot(node, instance, check, unlessAfter: index)
        case .updateCheck(let node, let check, let status, let output):
            try tellAgent(InstanceKey(node: node, id: check), status, output)
        case .catalogued(let command): return try performPastAgent(command)
        case .key(let operation): return try perform(operation)
        case .transaction(let operations): return transact(operations)
        case .createSession(let session): try create(session)
        case .renewSession(let id):
            guard sessions[id] != nil else {
                throw RegistryError(.missing, "there is no session '\(id)'; it may have expired")
            }
        case .destroySession(let id): destroy(id)
        case .report(let node, let instance, _, _, _):
            guard instances[InstanceKey(node: node, id: instance)] != nil else {
                throw RegistryError(.missing, "there is no service '\(instance)' on node \(node)")
            }
        case .fire(let event): fire(event)
        }
        return .done
    }

    mutating func touch(_ topic: WatchTopic) {
        if !touched.contains(topic) { touched.append(topic) }
        indexes.set(topic, lastIndex)
    }

    private mutating func fire(_ event: RegistryEvent) {
        var event = event
        event.index = lastIndex
        events.append(event)
        if events.count > RegistryLimits.events { events.removeFirst(events.count - RegistryLimits.events) }
        touch(.events)
    }

    // MARK: Indexes

    /// The index of the last change of what somebody waits for, at least 1.
    public func index(of topic: WatchTopic) -> UInt64 {
        switch topic {
        case .prefix(let prefix):
            max(
                indexes.forgottenKeys, entries.greatestIndex(under: prefix), indexes.greatest(under: prefix), floorIndex
            )
        default: max(indexes.index(of: topic), floorIndex)
        }
    }
}

/// One thing that a command did.
public enum CatalogChange: Equatable, Sendable {
    case registered(ServiceInstance, isNew: Bool)
    case deregistered(ServiceInstance)
    /// Nil before it was there, and after it is gone.
    case check(from: CatalogCheck?, to: CatalogCheck?)
    case sessionBegan(RegistrySession)
    case sessionEnded(RegistrySession)
}

/// The index of the last change of each topic.
struct TopicIndexes: Equatable, Sendable {
    private var last: [WatchTopic: UInt64] = [:]
    /// Topics of what is gone, oldest first; one that came back stands here in vain.
    private var gone: [WatchTopic] = []
    private var goneServices = 0
    /// The greatest index of those that have been forgotten.
    private var forgotten: UInt64 = 0
    private var tombstones: [(key: String, index: UInt64)] = []
    private(set) var forgottenKeys: UInt64 = 0

    func index(of topic: WatchTopic) -> UInt64 {
        switch topic {
        case .service, .node: last[topic] ?? max(forgotten, 1)
        case .key: last[topic] ?? max(forgottenKeys, 1)
        default: last[topic] ?? 1
        }
    }

    mutating func set(_ topic: WatchTopic, _ index: UInt64) { last[topic] = index }

    /// What the topic is about is gone: its index stays for as long as there is room.
    mutating func buried(_ topic: WatchTopic, isThere: (WatchTopic) -> Bool) {
        if case .key(let key) = topic { return buryKey(key) }
        gone.append(topic)
        guard gone.count > RegistryLimits.tombstones else { return }
        let old = gone.removeFirst()
        guard !isThere(old), !gone.contains(old), let index = last.removeValue(forKey: old) else { return }
        forgotten = max(forgotten, index)
    }

    private mutating func buryKey(_ key: String) {
        tombstones.append((key, last[.key(key)] ?? 0))
        guard tombstones.count > RegistryLimits.tombstones else { return }
        // Half of them at once, so that it is done seldom.
        let old = tombstones.prefix(RegistryLimits.tombstones / 2)
        for (key, index) in old {
            forgottenKeys = max(forgottenKeys, index)
            if last[.key(key)] == index { last[.key(key)] = nil }
        }
        tombstones.removeFirst(old.count)
    }

    /// Of keys that are gone and began so.
    func greatest(under prefix: String) -> UInt64 {
        tombstones.reduce(0) { KeyTree.has($1.key, prefix: prefix) ? max($0, $1.index) : $0 }
    }

    static func == (a: TopicIndexes, b: TopicIndexes) -> Bool {
        a.last == b.last && a.gone == b.gone && a.forgotten == b.forgotten && a.forgottenKeys == b.forgottenKeys
            && a.tombstones.elementsEqual(b.tombstones) { $0.key == $1.key && $0.index == $1.index }
    }
}
