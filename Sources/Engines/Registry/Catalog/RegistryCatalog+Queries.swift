extension RegistryCatalog {
    /// Which services there are, in the order of the alphabet, with the tags of all their instances.
    public var serviceNames: [(name: String, tags: [String])] { serviceNames { _ in true } }

    /// Those that have instances which are accepted, with the tags of these.
    public func serviceNames(where accepts: (ServiceInstance) throws -> Bool) rethrows -> [(
        name: String, tags: [String]
    )] {
        try byName.keys.sorted().compactMap { name in
            let chosen = try instances(of: name).filter(accepts)
            return chosen.isEmpty ? nil : (name, Array(Set(chosen.flatMap(\.tags))).sorted())
        }
    }

    /// The instances of a service, in the order in which they were registered.
    public func instances(of name: String) -> [ServiceInstance] { (byName[name] ?? []).compactMap { instances[$0] } }

    /// The name under which the catalogue has a service that was asked for in any case: DNS knows no other.
    public func serviceName(inAnyCase name: String) -> String? {
        byName[name] != nil ? name : spellings[name.lowercased()]?.first
    }

    public func instances(onNode node: String) -> [ServiceInstance] {
        (onNode[node] ?? []).compactMap { instances[$0] }
    }

    public var sortedNodes: [CatalogNode] { nodes.values.sorted { $0.name < $1.name } }

    /// Checks of a node, and of what runs on it.
    public func checks(onNode node: String) -> [CatalogCheck] { (checksOnNode[node] ?? []).compactMap { checks[$0] } }

    /// What decides about an instance: its own checks, and those of its node.
    public func checks(of instance: ServiceInstance) -> [CatalogCheck] {
        ownChecks(of: InstanceKey(node: instance.node, id: "")) + ownChecks(of: instance.key)
    }

    public func ownChecks(of key: InstanceKey) -> [CatalogCheck] {
        (checksOfInstance[key] ?? []).compactMap { checks[$0] }
    }

    /// The worst of its checks; passing without any.
    public func status(of instance: ServiceInstance) -> ServiceStatus {
        checks(of: instance).map(\.status).max() ?? .passing
    }

    /// Whether it, or its node, is out of service on purpose.
    public func isInMaintenance(_ instance: ServiceInstance) -> Bool {
        checks(of: instance).contains(where: \.isMaintenance)
    }

    public func status(ofNode node: String) -> ServiceStatus {
        checks(onNode: node).filter { $0.serviceID.isEmpty }.map(\.status).max() ?? .passing
    }

    /// Where an instance is reached: its own address, or else its node's.
    public func address(of instance: ServiceInstance) -> String {
        instance.address.isEmpty ? nodes[instance.node]?.address ?? "" : instance.address
    }

    /// The index of the last registration of an instance.
    public func registrationIndex(of key: InstanceKey) -> UInt64 { registeredAt[key] ?? 0 }

    public func session(holding key: String) -> String? { entries[key]?.session }
}
