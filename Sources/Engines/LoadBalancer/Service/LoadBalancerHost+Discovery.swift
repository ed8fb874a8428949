import KernelService
import KernelStructures
import LoadBalancerEngine

extension LoadBalancerHost {
    /// A service whose instances are its servers, and the registry that knows them.
    public struct Discovery: Sendable {
        public let service: String
        public let registry: HostPort

        public init(service: String, registry: HostPort) {
            self.service = service
            self.registry = registry
        }
    }

    /// Follows the registry: instances that are not critical are its servers, under their ids and with their weights.
    /// While the registry says nothing, those that it had last stay.
    func follow(_ discovery: Discovery) {
        let follower = ServiceFollower(node, service: discovery.service, registry: discovery.registry) {
            [weak self] instances in self?.take(instances, of: discovery.service)
        }
        follower.onFailure = { [weak self] text in
            guard let self else { return }
            runtime.log(
                "\(discovery.registry.description) cannot be asked for \(discovery.service): \(text)",
                level: .warning)
        }
        self.follower = follower
        runtime.log("Following \(discovery.service) at \(discovery.registry.description)")
        follower.start()
    }

    private func take(_ instances: [DiscoveredInstance], of service: String) {
        var backends: [LoadBalancerConfiguration.Backend] = []
        for one in instances where one.status != "critical" && backends.count < LoadBalancerConfiguration.backendLimit {
            guard !backends.contains(where: { $0.name == one.id }) else { continue }
            backends.append(.init(name: one.id, destination: one.destination, weight: one.weight))
        }
        // A change of what does not concern it: a tag, an output.
        guard backends != configuration.backends || follower?.instances == nil else { return }
        operate { engine, now in engine.follow(backends, of: service, now: now) }
        tcpProxy?.configurationChanged()
    }
}
