import KernelJSON

extension RegistryCatalog {
    /// The whole catalogue as bytes, which `init(snapshot:)` reads.
    public var snapshot: [UInt8] {
        // Instances and checks in the order in which they came, which is that of answers.
        let instances = sortedNodes.flatMap { self.instances(onNode: $0.name) }
        let order = byName.keys.sorted().map { name in
            JSONValue.array((byName[name] ?? []).map { .array([.string($0.node), .string($0.id)]) })
        }
        return JSONValue.object([
            ("last", .index(lastIndex)), ("nodes", .array(sortedNodes.map(\.record))),
            (
                "instances",
                .array(
                    instances.map {
                        .object([("record", $0.record), ("registered", .index(registrationIndex(of: $0.key)))])
                    })
            ),
            ("order", .array(order)),
            ("checks", .array(sortedNodes.flatMap { checks(onNode: $0.name) }.map(\.record))),
            ("keys", .array(entries.all.map(\.record))),
            ("sessions", .array(sessions.values.sorted { $0.id < $1.id }.map(\.record))),
            ("events", .array(events.map(\.record))), ("agent", agent.record),
        ]).bytes()
    }

    /// What a snapshot says. Of indexes it knows the last one, which then counts for every topic: whoever waits looks
    /// once more than needed, and misses nothing.
    ///
    /// - Throws: `RegistryError` for bytes that are no snapshot.
    public init(snapshot: [UInt8]) throws(RegistryError) {
        self.init()
        let limits = JSONLimits(bytes: 1 << 30, depth: 64, values: 50_000_000)
        guard let value = try? JSONValue(parsing: snapshot, limits: limits), let last = value.unsigned("last"),
            let nodes = value.elements("nodes"), let instances = value.elements("instances"),
            let checks = value.elements("checks"), let keys = value.elements("keys"),
            let sessions = value.elements("sessions"), let events = value.elements("events")
        else { throw RegistryError(.malformed, "this is no snapshot of a catalogue") }
        lastIndex = last
        floorIndex = last
        for node in nodes.compactMap({ CatalogNode(record: $0) }) { self.nodes[node.name] = node }
        for element in instances {
            guard let instance = element["record"].flatMap({ ServiceInstance(record: $0) }) else { continue }
            restore(instance, registeredAt: element.unsigned("registered") ?? last)
        }
        for names in value.elements("order") ?? [] { reorder(names) }
        for check in checks.compactMap({ CatalogCheck(record: $0) }) { restore(check) }
        for entry in keys.compactMap({ KeyEntry(record: $0) }) { entries.set(entry) }
        for session in sessions.compactMap({ RegistrySession(record: $0) }) { self.sessions[session.id] = session }
        self.events = events.compactMap { RegistryEvent(record: $0) }
        // Before there was one, all that was registered counted as told to the agent.
        agent = value["agent"].flatMap { AgentState(record: $0) } ?? AgentState(knowingAllOf: self)
    }

    private mutating func restore(_ instance: ServiceInstance, registeredAt index: UInt64) {
        let key = instance.key
        instances[key] = instance
        registeredAt[key] = index
        onNode[key.node, default: []].append(key)
        list(key, name: instance.name)
    }

    private mutating func reorder(_ names: JSONValue) {
        guard case .array(let pairs) = names else { return }
        let keys = pairs.compactMap { pair -> InstanceKey? in
            guard case .string(let node)? = pair[0], case .string(let id)? = pair[1] else { return nil }
            let key = InstanceKey(node: node, id: id)
            return instances[key] == nil ? nil : key
        }
        guard let first = keys.first, let name = instances[first]?.name, byName[name]?.count == keys.count else {
            return
        }
        byName[name] = keys
    }

    private mutating func restore(_ check: CatalogCheck) {
        checks[check.key] = check
        checksOnNode[check.node, default: []].append(check.key)
        checksOfInstance[InstanceKey(node: check.node, id: check.serviceID), default: []].append(check.key)
    }
}
