import KernelCryptography
import KernelJSON
import KernelStructures

/// The catalogue in the shapes of Consul's HTTP API.
extension RegistryCatalog {
    // MARK: Rows

    /// A row of `/v1/catalog/nodes`.
    public func json(of node: CatalogNode, _ settings: RegistrySettings) -> JSONValue {
        .object([
            ("ID", .string(node.id)), ("Node", .string(node.name)), ("Address", .string(node.address)),
            ("Datacenter", .string(settings.datacenter)), ("TaggedAddresses", Self.pairs(node.taggedAddresses)),
            ("Meta", Self.pairs(node.meta)), ("CreateIndex", .index(node.createIndex)),
            ("ModifyIndex", .index(node.modifyIndex)),
        ])
    }

    /// A row of `/v1/catalog/service/NAME`: Consul's members, of which `ID` and `Address` are the instance's own here,
    /// and `Port` and `Status`.
    public func catalogRow(of instance: ServiceInstance, _ settings: RegistrySettings) -> JSONValue {
        let node = nodes[instance.node]
        return .object([
            ("ID", .string(instance.id)), ("Address", .string(address(of: instance))),
            ("Port", .integer(instance.port)),
            ("Status", .string(status(of: instance).rawValue)), ("Node", .string(instance.node)),
            ("NodeID", .string(node?.id ?? "")), ("NodeAddress", .string(node?.address ?? "")),
            ("Datacenter", .string(settings.datacenter)),
            ("TaggedAddresses", Self.pairs(node?.taggedAddresses ?? [:])), ("NodeMeta", Self.pairs(node?.meta ?? [:])),
            ("ServiceKind", ""), ("ServiceID", .string(instance.id)), ("ServiceName", .string(instance.name)),
            ("ServiceTags", .texts(instance.tags)), ("ServiceAddress", .string(instance.address)),
            ("ServiceTaggedAddresses", .object([])), ("ServiceWeights", Self.weights(of: instance)),
            ("ServiceMeta", Self.pairs(instance.meta)), ("ServicePort", .integer(instance.port)),
            ("ServiceEnableTagOverride", .bool(instance.allowsTagOverride)),
            ("CreateIndex", .index(instance.createIndex)), ("ModifyIndex", .index(instance.modifyIndex)),
        ])
    }

    /// A row of `/v1/health/service/NAME`.
    public func healthRow(of instance: ServiceInstance, _ settings: RegistrySettings) -> JSONValue {
        let node = nodes[instance.node] ?? CatalogNode(name: instance.node, address: "")
        return .object([
            ("Node", json(of: node, settings)), ("Service", json(of: instance)),
            ("Checks", .array(checks(of: instance).map(json(of:)))),
        ])
    }

    /// An instance as Consul's agents and `/v1/health` have it.
    public func json(of instance: ServiceInstance) -> JSONValue {
        .object([
            ("ID", .string(instance.id)), ("Service", .string(instance.name)), ("Tags", .texts(instance.tags)),
            ("Address", .string(instance.address)), ("TaggedAddresses", .object([])),
            ("Meta", Self.pairs(instance.meta)), ("Port", .integer(instance.port)),
            ("Weights", Self.weights(of: instance)), ("EnableTagOverride", .bool(instance.allowsTagOverride)),
            ("CreateIndex", .index(instance.createIndex)), ("ModifyIndex", .index(instance.modifyIndex)),
        ])
    }

    public func json(of check: CatalogCheck) -> JSONValue { .object(members(of: check)) }

    /// The same with when it was last made, and what that said: what only whoever makes it knows.
    public func json(of check: CatalogCheck, _ running: RunningCheck?) -> JSONValue {
        var members = members(of: check)
        if let running {
            members += [
                ("LastCheckTime", running.lastCheckTime.map { .string($0.description) } ?? .null),
                ("LastOutput", .string(running.lastOutput)),
                ("ConsecutiveFailures", .integer(running.failuresInARow)),
            ]
        }
        return .object(members)
    }

    private func members(of check: CatalogCheck) -> [(key: String, value: JSONValue)] {
        let instance = instances[InstanceKey(node: check.node, id: check.serviceID)]
        let definition = check.definition
        return [
            ("Node", .string(check.node)), ("CheckID", .string(check.id)), ("Name", .string(check.name)),
            ("Status", .string(check.status.rawValue)), ("Notes", .string(check.notes)),
            ("Output", .string(check.output)), ("ServiceID", .string(check.serviceID)),
            ("ServiceName", .string(check.serviceName)), ("ServiceTags", .texts(instance?.tags ?? [])),
            ("Type", .string(check.kind)), ("Interval", .string(definition?.intervalText ?? "")),
            ("Timeout", .string(definition?.timeoutText ?? "")), ("ExposedPort", 0),
            ("Definition", .object([])), ("CreateIndex", .index(check.createIndex)),
            ("ModifyIndex", .index(check.modifyIndex)),
        ]
    }

    private static func weights(of instance: ServiceInstance) -> JSONValue {
        .object([("Passing", .integer(instance.passingWeight)), ("Warning", .integer(instance.warningWeight))])
    }

    static func pairs(_ pairs: [String: String]) -> JSONValue {
        .object(pairs.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
    }

    // MARK: Keys, sessions, events

    public static func json(of entry: KeyEntry) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("LockIndex", .index(entry.lockIndex)), ("Key", .string(entry.key)), ("Flags", .index(entry.flags)),
            ("Value", entry.value.isEmpty ? .null : .string(Base64.standard.encode(entry.value))),
        ]
        if let session = entry.session { members.append(("Session", .string(session))) }
        return .object(
            members + [("CreateIndex", .index(entry.createIndex)), ("ModifyIndex", .index(entry.modifyIndex))])
    }

    public static func json(of session: RegistrySession) -> JSONValue {
        .object([
            ("ID", .string(session.id)), ("Name", .string(session.name)), ("Node", .string(session.node)),
            ("LockDelay", .integer(Int(session.lockDelay.nanoseconds))),
            ("Behavior", .string(session.behavior.rawValue)),
            ("TTL", .string(session.ttl?.description ?? "")), ("NodeChecks", .texts(session.checks)),
            ("ServiceChecks", .null), ("Checks", .texts(session.checks)),
            ("CreateIndex", .index(session.createIndex)), ("ModifyIndex", .index(session.modifyIndex)),
        ])
    }

    public static func json(of event: RegistryEvent) -> JSONValue {
        .object([
            ("ID", .string(event.id)), ("Name", .string(event.name)),
            ("Payload", event.payload.isEmpty ? .null : .string(Base64.standard.encode(event.payload))),
            ("NodeFilter", .string(event.nodeFilter)), ("ServiceFilter", .string(event.serviceFilter)),
            ("TagFilter", .string(event.tagFilter)), ("Version", 1), ("LTime", .index(event.index)),
        ])
    }
}

extension CheckDefinition {
    /// What is asked at intervals; empty for those that wait.
    var intervalText: String {
        switch kind {
        case .http, .tcp: interval.description
        case .ttl, .alias, .passive: ""
        }
    }
    var timeoutText: String {
        switch kind {
        case .http, .tcp: timeout.description
        case .ttl, .alias, .passive: ""
        }
    }
}

extension JSONValue {
    static func index(_ index: UInt64) -> JSONValue { Int(exactly: index).map { .integer($0) } ?? .unsigned(index) }
    static func texts(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
}
