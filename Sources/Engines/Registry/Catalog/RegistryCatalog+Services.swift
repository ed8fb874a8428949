import KernelStructures

extension RegistryCatalog {
    // MARK: Registering

    mutating func register(_ node: CatalogNode, _ instance: ServiceInstance?, _ checks: [CatalogCheck])
        throws(RegistryError)
    {
        let name = try register(node)
        if let instance {
            var instance = instance
            instance.node = name
            try register(instance)
        }
        for check in checks {
            var check = check
            check.node = name
            try register(check)
        }
    }

    /// - Returns: its name as the catalogue has it.
    private mutating func register(_ node: CatalogNode) throws(RegistryError) -> String {
        guard !node.name.isEmpty else { throw RegistryError(.malformed, "a node needs a name") }
        guard let known = nodes[node.name] else {
            guard !node.address.isEmpty else {
                throw RegistryError(.malformed, "there is no node '\(node.name)' yet", remedy: "say its Address, too")
            }
            guard nodes.count < RegistryLimits.nodes else { throw Self.full("nodes", RegistryLimits.nodes) }
            var new = node
            new.createIndex = lastIndex
            new.modifyIndex = lastIndex
            nodes[node.name] = new
            touchNode(node.name)
            return node.name
        }
        var new = node
        if new.address.isEmpty { return known.name }
        if new.id.isEmpty { new.id = known.id }
        new.createIndex = known.createIndex
        new.modifyIndex = known.modifyIndex
        guard new != known else { return known.name }
        new.modifyIndex = lastIndex
        nodes[node.name] = new
        touchNode(node.name)
        // Answers about its services show its address.
        for key in onNode[node.name] ?? [] { touchService(instances[key]?.name) }
        return node.name
    }

    private mutating func register(_ instance: ServiceInstance) throws(RegistryError) {
        guard !instance.name.isEmpty, !instance.id.isEmpty else {
            throw RegistryError(.malformed, "a service needs a name")
        }
        let key = instance.key
        var new = instance
        registeredAt[key] = lastIndex
        if let known = instances[key] {
            new.createIndex = known.createIndex
            new.modifyIndex = known.modifyIndex
            guard new != known else { return }
            new.modifyIndex = lastIndex
            instances[key] = new
            if known.name != new.name {
                unlist(key, name: known.name)
                list(key, name: new.name)
                for check in checksOfInstance[key] ?? [] { checks[check]?.serviceName = new.name }
            }
            if known.name != new.name || known.tags != new.tags { touch(.services) }
            changes.append(.registered(new, isNew: false))
        } else {
            guard instances.count < RegistryLimits.instances else {
                throw Self.full("services", RegistryLimits.instances)
            }
            new.createIndex = lastIndex
            new.modifyIndex = lastIndex
            instances[key] = new
            list(key, name: new.name)
            onNode[new.node, default: []].append(key)
            touch(.services)
            changes.append(.registered(new, isNew: true))
        }
        touchService(new.name)
        touch(.node(new.node))
    }

    private mutating func register(_ check: CatalogCheck) throws(RegistryError) {
        guard !check.id.isEmpty else { throw RegistryError(.malformed, "a check needs an id or a name") }
        let key = check.key
        var new = check
        if !new.serviceID.isEmpty {
            guard let instance = instances[InstanceKey(node: new.node, id: new.serviceID)] else {
                throw RegistryError(.missing, "there is no service '\(new.serviceID)' on node \(new.node)")
            }
            new.serviceName = instance.name
        }
        if let known = checks[key] {
            new.createIndex = known.createIndex
            new.modifyIndex = known.modifyIndex
            // What has been found out stays true when the same check is registered again.
            if known.definition != nil, known.definition == new.definition, known.serviceID == new.serviceID {
                new.status = known.status
                new.output = known.output
            }
            guard new != known else { return }
            if known.serviceID != new.serviceID { unlistCheck(known) }
            new.modifyIndex = lastIndex
        } else {
            guard checks.count < RegistryLimits.checks else { throw Self.full("checks", RegistryLimits.checks) }
            new.createIndex = lastIndex
            new.modifyIndex = lastIndex
        }
        let known = checks.updateValue(new, forKey: key)
        changes.append(.check(from: known, to: new))
        if known == nil { checksOnNode[new.node, default: []].append(key) }
        let owner = InstanceKey(node: new.node, id: new.serviceID)
        if checksOfInstance[owner]?.contains(key) != true { checksOfInstance[owner, default: []].append(key) }
        touch(check: new)
        if new.status == .critical { endSessions(withCheck: key) }
    }

    static func full(_ what: String, _ limit: Int) -> RegistryError {
        RegistryError(.full, "there are \(grouped(limit)) \(what) already, and no more are taken")
    }

    // MARK: Checks

    mutating func update(_ key: InstanceKey, _ status: ServiceStatus, _ output: String) throws(RegistryError) {
        guard var check = checks[key] else {
            throw RegistryError(.missing, "there is no check '\(key.id)' on node \(key.node)")
        }
        guard check.status != status || check.output != output else { return }
        check.status = status
        check.output = output
        check.modifyIndex = lastIndex
        changes.append(.check(from: checks.updateValue(check, forKey: key), to: check))
        touch(check: check)
        if status == .critical { endSessions(withCheck: key) }
    }

    private mutating func touch(check: CatalogCheck) {
        touch(.checks)
        touch(.node(check.node))
        if check.serviceID.isEmpty {
            // A node's check is a check of everything on it.
            for key in onNode[check.node] ?? [] { touchService(instances[key]?.name) }
        } else {
            touchService(check.serviceName)
        }
    }

    private mutating func touchService(_ name: String?) { if let name { touch(.service(name)) } }

    private mutating func touchNode(_ name: String) {
        touch(.nodes)
        touch(.node(name))
    }

    // MARK: Deregistering

    mutating func deregister(_ node: String, _ instance: String?, _ check: String?, unlessAfter index: UInt64?)
        throws(RegistryError)
    {
        if let check {
            guard let found = checks[InstanceKey(node: node, id: check)] else {
                throw RegistryError(.missing, "there is no check '\(check)' on node \(node)")
            }
            return remove(found)
        }
        if let instance {
            let key = InstanceKey(node: node, id: instance)
            guard instances[key] != nil else {
                throw RegistryError(.missing, "there is no service '\(instance)' on node \(node)")
            }
            if let index, registeredAt[key] ?? 0 > index { return }
            return remove(key)
        }
        guard nodes[node] != nil else { throw RegistryError(.missing, "there is no node '\(node)'") }
        for key in onNode[node] ?? [] { remove(key) }
        for key in checksOnNode[node] ?? [] { if let check = checks[key] { remove(check) } }
        for session in sessions.values.filter({ $0.node == node }).map(\.id).sorted() { destroy(session) }
        nodes[node] = nil
        onNode[node] = nil
        checksOnNode[node] = nil
        touchNode(node)
        bury(.node(node))
    }

    private mutating func remove(_ key: InstanceKey) {
        for check in checksOfInstance[key] ?? [] { if let check = checks[check] { remove(check) } }
        guard let instance = instances.removeValue(forKey: key) else { return }
        checksOfInstance[key] = nil
        registeredAt[key] = nil
        onNode[key.node]?.removeAll { $0 == key }
        touch(.node(key.node))
        touch(.services)
        touchService(instance.name)
        unlist(key, name: instance.name)
        changes.append(.deregistered(instance))
    }

    mutating func list(_ key: InstanceKey, name: String) {
        if byName[name] == nil { spellings[name.lowercased(), default: []].append(name) }
        byName[name, default: []].append(key)
    }

    private mutating func unlist(_ key: InstanceKey, name: String) {
        byName[name]?.removeAll { $0 == key }
        touchService(name)
        guard byName[name]?.isEmpty == true else { return }
        byName[name] = nil
        let lowered = name.lowercased()
        spellings[lowered]?.removeAll { $0 == name }
        if spellings[lowered]?.isEmpty == true { spellings[lowered] = nil }
        bury(.service(name))
    }

    private mutating func remove(_ check: CatalogCheck) {
        checks[check.key] = nil
        changes.append(.check(from: check, to: nil))
        checksOnNode[check.node]?.removeAll { $0 == check.key }
        unlistCheck(check)
        touch(check: check)
        endSessions(withCheck: check.key)
    }

    private mutating func unlistCheck(_ check: CatalogCheck) {
        let owner = InstanceKey(node: check.node, id: check.serviceID)
        checksOfInstance[owner]?.removeAll { $0 == check.key }
        if checksOfInstance[owner]?.isEmpty == true { checksOfInstance[owner] = nil }
    }

    mutating func bury(_ topic: WatchTopic) {
        let (names, nodes, entries) = (byName, nodes, entries)
        indexes.buried(topic) { topic in
            switch topic {
            case .service(let name): names[name] != nil
            case .node(let name): nodes[name] != nil
            case .key(let key): entries[key] != nil
            default: true
            }
        }
    }
}
