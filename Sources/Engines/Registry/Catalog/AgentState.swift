import KernelJSON

/// What the agents of nodes were told: the services and checks that each of them looks after.
///
/// In Consul this is the agent's own memory, and the catalogue a copy that its servers keep. Here the agent of a group
/// of registries is as replicated as the catalogue is, so that any member can go on in its place; it is still another
/// thing than the catalogue, which others may change past it (`/v1/catalog/register`, `/v1/txn`). `AntiEntropy` holds
/// the one against the other.
public struct AgentState: Equatable, Sendable {
    /// The nodes themselves, by name.
    public private(set) var nodes: [String: CatalogNode] = [:]
    public private(set) var instances: [InstanceKey: ServiceInstance] = [:]
    public private(set) var checks: [InstanceKey: CatalogCheck] = [:]
    /// Of each instance; those of its node stand under the empty id.
    private var checksOfInstance: [InstanceKey: Set<InstanceKey>] = [:]

    init() {}

    /// An agent that was told everything that stands in a catalogue.
    init(knowingAllOf catalog: RegistryCatalog) {
        nodes = catalog.nodes
        instances = catalog.instances
        for check in catalog.checks.values { keep(check) }
    }

    /// In the order of their ids.
    public func instances(onNode node: String) -> [ServiceInstance] {
        instances.values.filter { $0.node == node }.sorted { $0.id < $1.id }
    }

    /// In the order of their ids.
    public func checks(onNode node: String) -> [CatalogCheck] {
        checks.values.filter { $0.node == node }.sorted { $0.id < $1.id }
    }

    mutating func keep(_ node: CatalogNode) { nodes[node.name] = node }
    mutating func keep(_ instance: ServiceInstance) { instances[instance.key] = instance }
    mutating func keep(_ check: CatalogCheck) {
        if let known = checks.updateValue(check, forKey: check.key), known.serviceID != check.serviceID {
            release(known)
        }
        checksOfInstance[InstanceKey(node: check.node, id: check.serviceID), default: []].insert(check.key)
    }

    private mutating func release(_ check: CatalogCheck) {
        let owner = InstanceKey(node: check.node, id: check.serviceID)
        checksOfInstance[owner]?.remove(check.key)
        if checksOfInstance[owner]?.isEmpty == true { checksOfInstance[owner] = nil }
    }

    /// - Returns: whether it knew of it.
    mutating func forgetCheck(_ key: InstanceKey) -> Bool {
        guard let known = checks.removeValue(forKey: key) else { return false }
        release(known)
        return true
    }

    /// An instance goes with its checks.
    ///
    /// - Returns: whether it knew of it.
    mutating func forgetInstance(_ key: InstanceKey) -> Bool {
        guard instances.removeValue(forKey: key) != nil else { return false }
        for check in checksOfInstance.removeValue(forKey: key) ?? [] { checks[check] = nil }
        return true
    }

    /// - Returns: whether it knew of it.
    mutating func forgetNode(_ name: String) -> Bool {
        instances = instances.filter { $0.key.node != name }
        checks = checks.filter { $0.key.node != name }
        checksOfInstance = checksOfInstance.filter { $0.key.node != name }
        return nodes.removeValue(forKey: name) != nil
    }
}

extension AgentState: CatalogRecord {
    var record: JSONValue {
        func sorted<Row>(_ rows: [InstanceKey: Row]) -> [Row] {
            rows.sorted { ($0.key.node, $0.key.id) < ($1.key.node, $1.key.id) }.map(\.value)
        }
        return .object([
            ("nodes", .array(nodes.values.sorted { $0.name < $1.name }.map(\.record))),
            ("instances", .array(sorted(instances).map(\.record))), ("checks", .array(sorted(checks).map(\.record))),
        ])
    }

    init?(record: JSONValue) {
        guard let nodes = record.elements("nodes"), let instances = record.elements("instances"),
            let checks = record.elements("checks")
        else { return nil }
        self.init()
        for node in nodes.compactMap({ CatalogNode(record: $0) }) { keep(node) }
        for instance in instances.compactMap({ ServiceInstance(record: $0) }) { keep(instance) }
        for check in checks.compactMap({ CatalogCheck(record: $0) }) { keep(check) }
    }
}

extension RegistryCatalog {
    /// What was said to a node's agent, which sees to it that the catalogue says so too.
    mutating func tellAgent(_ node: CatalogNode, _ instance: ServiceInstance?, _ checks: [CatalogCheck])
        throws(RegistryError)
    {
        var checks = checks
        for place in checks.indices {
            // What it has found out stays true when the same check is registered again.
            let key = InstanceKey(node: node.name, id: checks[place].id)
            guard let known = agent.checks[key], known.definition != nil,
                known.definition == checks[place].definition, known.serviceID == checks[place].serviceID
            else { continue }
            checks[place].status = known.status
            checks[place].output = known.output
        }
        try register(node, instance, checks)
        if !node.address.isEmpty, let row = nodes[node.name] { agent.keep(row) }
        if let instance, let row = instances[InstanceKey(node: node.name, id: instance.id)] { agent.keep(row) }
        for check in checks {
            if let row = self.checks[InstanceKey(node: node.name, id: check.id)] { agent.keep(row) }
        }
    }

    /// What an agent need not look after any more. What somebody has taken off the catalogue meanwhile is no error.
    mutating func tellAgentNot(_ node: String, _ instance: String?, _ check: String?, unlessAfter index: UInt64?)
        throws(RegistryError)
    {
        let isKnown: Bool
        let isThere: Bool
        if let check {
            let key = InstanceKey(node: node, id: check)
            isKnown = agent.forgetCheck(key)
            isThere = checks[key] != nil
        } else if let instance {
            let key = InstanceKey(node: node, id: instance)
            if let index, registrationIndex(of: key) > index { return }
            isKnown = agent.forgetInstance(key)
            isThere = instances[key] != nil
        } else {
            isKnown = agent.forgetNode(node)
            isThere = nodes[node] != nil
        }
        if isKnown && !isThere { return }
        try deregister(node, instance, check, unlessAfter: index)
    }

    /// What a check has found out. Its agent knows it, whether or not it stands in the catalogue at present.
    mutating func tellAgent(_ key: InstanceKey, _ status: ServiceStatus, _ output: String) throws(RegistryError) {
        let known = agent.checks[key]
        if var new = known {
            new.status = status
            new.output = output
            agent.keep(new)
            if checks[key] == nil {
                if known != new { changes.append(.check(from: known, to: new)) }
                return
            }
        }
        try update(key, status, output)
    }

    /// Changes the catalogue, and leaves what agents know as it is.
    mutating func performPastAgent(_ command: RegistryCommand) throws(RegistryError) -> RegistryOutcome {
        switch command {
        case .register(let node, let instance, let checks): try register(node, instance, checks)
        case .deregister(let node, let instance, let check, let index):
            try deregister(node, instance, check, unlessAfter: index)
        case .updateCheck(let node, let check, let status, let output):
            try update(InstanceKey(node: node, id: check), status, output)
        default: return try perform(command)
        }
        return .done
    }
}
