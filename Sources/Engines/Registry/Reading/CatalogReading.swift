import KernelJSON
import KernelStructures

extension RegistrationReading {
    // MARK: The catalogue itself

    /// The body of `/v1/catalog/register`, of a node that somebody else looks after.
    public func catalogRegistration(_ body: JSONValue) throws(RegistryError) -> RegistryCommand {
        let object = try LooseObject(JSONCursor(body))
        let node = try self.node(object)
        var instance: ServiceInstance?
        if let service = try object.object("Service") {
            let name = try service.text("Service", or: "Name") ?? ""
            guard !name.isEmpty else { throw service.error("Service", "a service needs a name") }
            let id = try service.text("ID") ?? ""
            var new = ServiceInstance(node: node.name, id: id.isEmpty ? name : id, name: name)
            try fill(&new, service)
            instance = new
        }
        var written = try object.objects("Checks", limit: Self.checkLimit) ?? []
        if let one = try object.object("Check") { written.append(one) }
        var checks: [CatalogCheck] = []
        for object in written { checks.append(try catalogCheck(object, node: node.name)) }
        return .register(node: node, instance: instance, checks: checks)
    }

    private func node(_ object: LooseObject) throws(RegistryError) -> CatalogNode {
        guard let name = try object.text("Node"), !name.isEmpty else {
            throw RegistryError(.malformed, "which node?", remedy: "add \"Node\"")
        }
        var node = CatalogNode(name: name, address: try object.text("Address") ?? "")
        node.id = try object.text("ID") ?? ""
        node.meta = try object.pairs(object.has("NodeMeta") ? "NodeMeta" : "Meta") ?? [:]
        node.taggedAddresses = try object.pairs("TaggedAddresses") ?? [:]
        return node
    }

    /// A check of which only the status is known.
    private func catalogCheck(_ object: LooseObject, node: String) throws(RegistryError) -> CatalogCheck {
        let name = try object.text("Name") ?? ""
        let id = try object.text("CheckID") ?? name
        var check = CatalogCheck(node: node, id: id.isEmpty ? name : id, name: name)
        let word = try object.text("Status") ?? "critical"
        guard let status = ServiceStatus(rawValue: word.lowercased()) else {
            throw object.error("Status", "'\(word)' is none of passing, warning, critical")
        }
        check.status = status
        check.notes = try object.text("Notes", limitBytes: 4096) ?? ""
        check.output = try object.text("Output", limitBytes: 16_384) ?? ""
        check.serviceID = try object.text("ServiceID") ?? ""
        return check
    }

    /// The body of `/v1/catalog/deregister`.
    public func catalogDeregistration(_ body: JSONValue) throws(RegistryError) -> RegistryCommand {
        let object = try LooseObject(JSONCursor(body))
        guard let node = try object.text("Node"), !node.isEmpty else {
            throw RegistryError(.malformed, "which node?", remedy: "add \"Node\"")
        }
        return .deregister(
            node: node, instance: try object.text("ServiceID"), check: try object.text("CheckID"), unlessAfter: nil)
    }

    // MARK: Sessions

    /// The body of `/v1/session/create`, which may be empty.
    public func session(_ body: JSONValue, id: String) throws(RegistryError) -> RegistrySession {
        let object = try LooseObject(JSONCursor(body))
        var session = RegistrySession(id: id, node: try object.text("Node") ?? settings.node)
        session.name = try object.text("Name") ?? ""
        session.checks = try object.texts(object.has("Checks") ? "Checks" : "NodeChecks") ?? []
        if let word = try object.text("Behavior"), !word.isEmpty {
            guard let behavior = RegistrySession.Behavior(rawValue: word.lowercased()) else {
                throw object.error("Behavior", "'\(word)' is neither release nor delete")
            }
            session.behavior = behavior
        }
        if let ttl = try object.duration("TTL") {
            guard (LabDuration.seconds(10)...LabDuration.seconds(86_400)).contains(ttl) else {
                throw object.error("TTL", "\(ttl) is not between 10s and 24h")
            }
            session.ttl = ttl
        }
        if let member = object["LockDelay"] {
            // A number counts seconds if it is small, as in Consul.
            let delay: LabDuration
            if case .integer(let number)? = member.value, number < 1000 {
                delay = .seconds(number)
            } else {
                delay = try object.duration("LockDelay") ?? .zero
            }
            session.lockDelay = min(max(delay, .zero), .seconds(60))
        }
        return session
    }
}
